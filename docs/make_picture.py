"""Makes docs/picture.png from the real page: trace, draw, photograph with headless Chromium.

.venv/bin/python docs/make_picture.py
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from worldline.session import observe

TEXT = "When Mary and John went to the store, John gave a drink to"
HERE = Path(__file__).resolve().parent


def main() -> None:
    """Write the picture of the README."""
    seen = observe(TEXT, target=" Mary", versus=" John", how="mask")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        page_file = Path(folder) / "page.html"
        page_file.write_text(seen.html(), encoding="utf-8")
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
        page.goto(page_file.as_uri())
        page.wait_for_timeout(800)
        page.screenshot(path=HERE / "picture.png")
        browser.close()


if __name__ == "__main__":
    main()
