"""Makes docs/picture.png from the real page: served, asked, cut, photographed in headless Chromium.

.venv/bin/python docs/make_picture.py
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).resolve().parent / "picture.png"
PATIENCE_MS = 120_000


def main(place: Path = PICTURE) -> None:
    """Write the picture of the README: why " Paris", and what is said without reads of France."""
    command = [sys.executable, "-m", "worldline.apps.cli", "serve", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            assert found is not None, "the server said no address"
            _photograph(found[0], place)
        finally:
            server.terminate()


def _photograph(address: str, place: Path) -> None:
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        source = page.locator(".wl-source", has_text="France")
        source.locator(".wl-cut").click()
        page.locator(".wl-change").wait_for()
        page.mouse.move(0, 0)
        page.wait_for_timeout(500)
        page.screenshot(path=place)
        browser.close()


if __name__ == "__main__":
    main()
