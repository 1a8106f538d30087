"""A real `worldline serve`, a browser on its page, and a visitor whose actions are counted."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

import pytest

playwright_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("needs Debian's chromium in PATH", allow_module_level=True)

ARGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
PATIENCE_MS = 180_000  # a busy machine is no fault of the page
SIZE = {"width": 1440, "height": 900}
MOST_TABS = 60  # presses of Tab before something counts as out of reach
COMMAND = [sys.executable, "-c", "from worldline.apps.cli import main; main()", "serve"]


@contextmanager
def served() -> Iterator[str]:
    """The address of a server of its own, in a process of its own."""
    with subprocess.Popen(
        [*COMMAND, "--no-browser", "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found, f"the server said {line!r}"
            yield found[0]
        finally:
            process.terminate()


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=ARGS, timeout=PATIENCE_MS
        )
        yield browser
        browser.close()


class Visit:
    """A page and somebody in front of it: what they do is counted, what goes wrong is noted."""

    def __init__(self, page: Any, address: str):
        self.page, self.address, self.actions = page, address, 0
        page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    # --- what a person does ---------------------------------------------------------------------

    def click(self, what: Any) -> None:
        """Click a locator, or a place."""
        self.actions += 1
        if isinstance(what, tuple):
            self.page.mouse.click(*what)
        else:
            what.click()

    def hover(self, what: Any) -> None:
        """Point at a locator, or at a place."""
        self.actions += 1
        if isinstance(what, tuple):
            self.page.mouse.move(*what)
        else:
            what.hover()

    def press(self, key: str) -> None:
        """Press a key where the keyboard is."""
        self.actions += 1
        self.page.keyboard.press(key)

    def write(self, text: str, into: Any = None) -> None:
        """Replace what stands in a field; without one, where the keyboard is."""
        self.actions += 1
        if into is not None:
            into.fill(text)
            return
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.type(text)

    def reach(self, what: Any) -> None:
        """Go to something by Tab alone; getting there is one action, however many presses."""
        self.actions += 1
        for _ in range(MOST_TABS):
            if what.evaluate("one => one === document.activeElement"):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{what} is not reached by {MOST_TABS} presses of Tab")

    # --- what is seen ---------------------------------------------------------------------------

    def open(self, fragment: str = "") -> Any:
        """Open the address and wait for what it asks."""
        self.page.goto(self.address + fragment)
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until there is a lattice, and nothing is being asked."""
        self.page.wait_for_function(
            """() => document.querySelector('.wl-row') && document.querySelector('.wl-busy').hidden
                  && document.querySelector('.wl-sources li, .wl-sources .wl-run')"""
        )

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what an animation or an answer brings about, however slow the machine."""
        for _ in range(PATIENCE_MS // 100):
            if holds():
                return
            self.page.wait_for_timeout(100)
        assert holds()

    def tab(self, name: str) -> Any:
        """Open a panel by its tab."""
        self.click(self.page.get_by_role("tab", name=name, exact=True))
        return self.panel(name)

    def panel(self, name: str) -> Any:
        """A panel, once it is open."""
        panel = self.page.get_by_role("tabpanel", name=name, exact=True)
        panel.wait_for()
        return panel

    def value(self, name: str) -> float:
        """The first number of this name that is seen, all its digits."""
        shown = self.page.locator(f'data[data-name="{name}"]').filter(visible=True).first
        return float(shown.get_attribute("value"))

    def place(self, layer: float, pos: int, n_layers: int = 30) -> tuple[float, float]:
        """Where a node is in the window, by the names of the rows and of the columns."""
        middle = {}
        for row in self.page.locator(".wl-row.wl-end").all():
            box = row.bounding_box()
            middle[row.inner_text()] = box["y"] + box["height"] / 2
        column = self.page.locator(f'.wl-column[title$="position {pos}"]').bounding_box()
        up = (middle["embedding"] - middle["output"]) * layer / n_layers
        return column["x"] + column["width"] / 2, middle["embedding"] - up

    def keyboard_is_somewhere(self) -> bool:
        """Whether something below the page's root has the focus."""
        return self.page.evaluate("document.activeElement?.closest('#worldline .wl') != null")


def findings(page: Any) -> list[str]:
    """What axe calls serious or critical, one line for each element."""
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(axe)
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [
        f"{one['id']} ({one['impact']}): {node['target']} {node.get('failureSummary', '')}"
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
