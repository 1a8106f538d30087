"""How smoothly the page of a long text pans, and how large it is.

    .venv/bin/python bench/frames.py [--positions 2000] [--seconds 5] [--scene FILE.json] [--real]

Headless Chromium, 1440 x 900, drawn by the processor (--disable-gpu). The page is zoomed in by the
wheel and then dragged to and fro, one pointer move in every frame, so that every frame draws the
whole lattice anew. The time of a frame is the difference of two timestamps of
requestAnimationFrame. Printed: median, 90th percentile, maximum, number of frames. The limit is a
median under 33 ms, on a machine that does nothing else; CPU is the processor time of all the
browser's processes a frame, which other work disturbs less. Without --scene or --real the Scene is
synthetic (tests/unit/views/scenes.py).
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import shutil
import statistics
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIMIT_MS, LIMIT_MB = 33, 5
TOKENS_A_WORD = 3
SIZE = {"width": 1440, "height": 900}
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
PAN = """
async ({ seconds, factor }) => {
  const stage = document.querySelector(".wl-stage"), box = stage.getBoundingClientRect();
  const frame = () => new Promise(requestAnimationFrame);
  const mouse = (type, x, where = window) => where.dispatchEvent(new MouseEvent(type, {
    bubbles: true, cancelable: true, view: window, button: 0, buttons: 1,
    clientX: x, clientY: box.top + box.height / 2,
  }));
  const middle = box.left + box.width / 2;
  for (let k = 1; k < factor * 0.999; k *= 2 ** 0.5) {
    stage.dispatchEvent(new WheelEvent("wheel", {
      bubbles: true, cancelable: true, view: window, deltaY: -250,
      clientX: middle, clientY: box.top + box.height / 2,
    }));
    await frame();
  }
  for (let at = 0; at < 10; at += 1) await frame();
  const times = [];
  mouse("mousedown", middle, stage);
  const start = await frame();
  let now = start, drawn = 0, before = "";
  for (let at = 0; now - start < seconds * 1000; at += 1) {
    mouse("mousemove", middle + box.width * 0.45 * Math.sin(at / 25));
    now = await frame();
    times.push(now);
    const next = document.querySelector(".wl-next").style.transform;
    const column = document.querySelector(".wl-strip").style.transform;
    if (next + column !== before) drawn += 1;
    before = next + column;
  }
  mouse("mouseup", middle);
  return { times, drawn };
}
"""


def main() -> None:
    """Print one line for each place of the slider, kind of columns and zoom."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--positions", type=int, default=2000)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--scene", type=Path, help="a Scene as JSON")
    options.add_argument("--real", action="store_true", help="the bundled model reads the docs")
    given = options.parse_args()
    scene = chosen(given)
    from worldline.views.html import render_html

    page = render_html(scene)
    n_tokens = len(scene.tokens)
    size = len(page.encode()) / 1e6
    verdict = "within" if size <= LIMIT_MB else "OVER"
    load = os.getloadavg()[0]
    print(f"{n_tokens} tokens, {scene.model.n_layers} layers, {len(scene.edges)} edges")
    print(f"file {size:.2f} MB, {verdict} {LIMIT_MB} MB; load of the machine {load:.1f}")
    for line in scene.left_out:
        print(f"left out: {line}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.html"
        path.write_text(page, encoding="utf-8")
        measure(path.as_uri(), [each.name for each in scene.groupings], given.seconds)


def chosen(given: argparse.Namespace) -> Any:
    """The Scene to draw."""
    from worldline.views.schema.scene import Scene

    if given.scene:
        return Scene.model_validate_json(given.scene.read_text(encoding="utf-8"))
    if given.real:
        return read_by_the_model(given.positions)
    path = ROOT / "tests" / "unit" / "views" / "scenes.py"
    spec = importlib.util.spec_from_file_location("worldline_bench_scenes", path)
    assert spec
    assert spec.loader
    scenes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(scenes)
    groups = {"words": scenes.in_groups(given.positions, TOKENS_A_WORD)}
    texts = scenes.words(given.positions)
    return scenes.make_scene(texts, n_edges=2000, groups=groups, with_nodes=False)


def read_by_the_model(n_positions: int) -> Any:
    """The Scene of the bundled model reading this repository's own documentation."""
    from worldline.models.loader import load_model
    from worldline.session import observe
    from worldline.tokens.tokens import tokenize

    model = load_model()
    pages = [ROOT / "docs" / "how_it_works.md", ROOT / "README.md"]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    tokens = tokenize(model.tokenizer, text)
    return observe(text[: tokens.char_spans[n_positions - 1][1]], model).scene


def measure(address: str, groupings: list[str], seconds: float) -> None:
    """Open the file anew for every line, so that no line leaves anything behind for the next."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("needs Debian's chromium in PATH")
    print("columns       edges  zoom  median   90 %    max  frames   CPU  (ms)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGS)
        for columns in ["tokens", *groupings]:
            for edges in ("default", "all"):
                for factor in (2, 16):
                    n = "&n=999999" if edges == "all" else ""
                    opened = browser.new_page(viewport=SIZE)  # pyright: ignore
                    opened.goto(f"{address}#columns={columns}{n}")
                    opened.locator(".wl-row").first.wait_for()
                    start = cpu_ms()
                    found = opened.evaluate(PAN, {"seconds": seconds, "factor": factor})
                    found["cpu_ms"] = cpu_ms() - start
                    opened.close()
                    report(columns, edges, factor, found)
        browser.close()


def cpu_ms() -> float:
    """CPU time so far of all processes under this one, the browser's own; from Linux's /proc."""
    parents, spent = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            parents[path.parent.name] = fields[1]
            spent[path.parent.name] = int(fields[11]) + int(fields[12])
    ticks, me = 0, str(os.getpid())
    for process in parents:
        above = parents[process]
        while above in parents and above != me:
            above = parents[above]
        ticks += spent[process] if above == me else 0
    return 1000 * ticks / os.sysconf("SC_CLK_TCK")


def report(columns: str, edges: str, factor: int, found: dict[str, Any]) -> None:
    """One line of the table."""
    times = found["times"]
    spent = [after - before for before, after in pairwise(times)]
    middle = statistics.median(spent)
    tenth = statistics.quantiles(spent, n=10)[-1]
    verdict = "" if middle < LIMIT_MS else f"  OVER {LIMIT_MS} ms"
    if found["drawn"] < 0.5 * len(times):
        verdict += f"  only {found['drawn']} frames moved"
    print(
        f"{columns:10} {edges:>8} {factor:>4}x {middle:>7.1f} {tenth:>6.1f} {max(spent):>6.1f} "
        f"{len(times):>7} {found['cpu_ms'] / len(times):>5.1f}{verdict}",
        flush=True,
    )


if __name__ == "__main__":
    main()
