"""Pages in Debian's Chromium with the network off, and the synthetic Scenes they show."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

from worldline.views.html import render_html

ARGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
CHROMIUM = shutil.which("chromium")
PATIENCE_MS = 180_000  # a busy machine is no fault of the page
_VIEWS = Path(__file__).parents[1] / "unit" / "views"


def beside(name: str) -> ModuleType:
    """Load one of the files in tests/unit/views by its path."""
    spec = importlib.util.spec_from_file_location(f"browsing_{name}", _VIEWS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def altered_scene() -> Any:
    """A synthetic Scene with every kind of altered run."""
    altered = beside("test_altered_runs")
    groups = {"words": [0, 0, *range(1, len(altered.PIECES) - 1)]}
    made = beside("scenes").make_scene(altered.PIECES, n_layers=altered.LAYERS, groups=groups)
    return altered.with_altered(made, **altered.parts())


TABS = ("Why", "Paths", "Cuts", "Hops", "Cone", "Orders")


def open_tab(page: Any, name: str) -> Any:
    """Show one of the panels beside the lattice; the panel."""
    page.get_by_role("tab", name=name, exact=True).click()
    panel = page.get_by_role("tabpanel", name=name, exact=True)
    panel.wait_for()
    return panel


class Shown:
    """One page with a Scene in it, everything it complained about and asked for."""

    def __init__(
        self,
        browser: Any,
        folder: Path,
        scene: Any,
        *,
        fragment: str = "",
        size: tuple[int, int] = (1440, 900),
        scheme: str = "light",
    ):
        self.file = folder / "shown.html"
        self.file.write_text(render_html(scene), encoding="utf-8")
        self.context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, offline=True
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.outside: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.goto(self.file.as_uri() + fragment)
        self.page.locator(".wl-row").first.wait_for()

    def _asked(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "about:", "blob:")):
            self.outside.append(url)

    def close(self) -> None:
        self.context.close()
        assert self.complaints == []
        assert self.outside == []


def until(page, holds):
    """Wait for what an animation brings about, however slow the machine."""
    for _ in range(PATIENCE_MS // 100):
        if holds():
            return
        page.wait_for_timeout(100)
    assert holds()


class Opened:
    """A file in the browser, and everything it complained about or asked for."""

    def __init__(self, page, address):
        self.page, self.address = page, address
        page.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def go(self, fragment=""):
        self.page.goto(self.address + fragment)
        self.page.locator(".wl-row").first.wait_for()
        return self.page

    def ring(self, kind="wl-focused"):
        """The middle of the ring around a node, in the window."""
        box = self.page.locator(f".wl-ring.{kind}").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def place(self, layer, pos):
        """Where a node is: its ring shows it when it is fixed through the address."""
        self.page.goto("about:blank")
        self.go(f"#node={layer}.{pos}")
        place = self.ring("wl-fixed")
        self.page.goto("about:blank")
        return place


def painted(page: Any) -> int:
    """How many pixels of the upper canvas are not transparent."""
    return page.evaluate(
        """() => {
            const canvas = document.querySelectorAll('canvas.wl-canvas')[1];
            const copy = new OffscreenCanvas(canvas.width, canvas.height);
            const context = copy.getContext('2d', { willReadFrequently: true });
            context.drawImage(canvas, 0, 0);
            const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
            let n = 0;
            for (let at = 3; at < data.length; at += 4) n += data[at] > 0;
            return n;
        }"""
    )
