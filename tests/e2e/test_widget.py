"""The widget in a real kernel, its module in a real browser, and the page that tells of both."""

from __future__ import annotations

import importlib.util
import json
import queue
import re
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from worldline.views.html import scene_json, static_text
from worldline.views.notebook import WIDGET_TYPE, iframe_html

playwright_api = pytest.importorskip("playwright.sync_api")
jupyter_client = pytest.importorskip("jupyter_client")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("needs Debian's chromium in PATH", allow_module_level=True)

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
SCENES = TESTS / "unit" / "views" / "scenes.py"
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
PATIENCE_S = 180.0  # a busy machine is no fault of the widget


@pytest.fixture(scope="module")
def scenes():
    spec = importlib.util.spec_from_file_location("worldline_test_scenes", SCENES)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# A real kernel


class Kernel:
    """One ipykernel; every wait has an end."""

    def __init__(self, client):
        self.client = client

    def run(self, code):
        """Everything it published for this code, as (type, content)."""
        return self._published(self.client.execute(code, store_history=False))

    def says(self, expression):
        """The value of an expression, through its repr."""
        for kind, content in self.run(f"print({expression})"):
            if kind == "stream" and content["name"] == "stdout":
                return content["text"].strip()
        raise AssertionError(f"the kernel did not print {expression}")

    def send(self, comm_id, data):
        """A message of a front end through its comm."""
        message = self.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        self.client.shell_channel.send(message)
        return self._published(message["header"]["msg_id"])

    def _published(self, msg_id):
        found = []
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            kind, content = message["msg_type"], message["content"]
            found.append((kind, content))
            assert kind != "error", "\n".join(content["traceback"])
            assert (kind, content.get("name")) != ("stream", "stderr"), content["text"]
            if kind == "status" and content["execution_state"] == "idle":
                return found
        raise AssertionError(f"the kernel was still busy after {PATIENCE_S:.0f} s: {found}")


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    home = tmp_path_factory.mktemp("jupyter")
    with pytest.MonkeyPatch.context() as patch:  # the kernel's own; other tests keep theirs
        for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(home / name.lower()))
        patch.setenv("WORLDLINE_CACHE", str(home / "cache"))
        sockets = Path(tempfile.mkdtemp())  # a socket's path must be short
        manager = jupyter_client.KernelManager(transport="ipc", ip=str(sockets / "kernel"))
        manager.start_kernel(cwd=str(home))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE_S)
        found = Kernel(client)
        found.run(
            f"import sys, warnings; warnings.simplefilter('error'); "
            f"sys.path.insert(0, {str(TESTS / 'support')!r})"
        )
        yield found
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        shutil.rmtree(sockets)


def only(messages, kind):
    (content,) = [content for name, content in messages if name == kind]
    return content


def test_the_last_line_of_a_cell_shows_itself_and_is_read_back(kernel):
    kernel.run("from tiny_runs import loaded; import worldline as wl")
    kernel.run("seen = wl.observe('t20 t21 t22 t30', loaded('llama'), target='id:31', paths=False)")
    messages = kernel.run("seen")
    assert [kind for kind, _ in messages if kind in ("stream", "display_data")] == []
    data = only(messages, "execute_result")["data"]
    model_id = data[WIDGET_TYPE]["model_id"]
    assert data["text/html"].startswith("<iframe")
    assert "of the flow" in data["text/plain"]
    opened = [content for kind, content in messages if kind == "comm_open"]
    picture = next(content for content in opened if content["comm_id"] == model_id)
    state = picture["data"]["state"]
    assert picture["target_name"] == "jupyter.widget"
    assert state["_model_module"] == "anywidget"
    assert state["_esm"] == static_text("worldline.js")
    assert state["_css"] == static_text("worldline.css")
    scene = json.loads(state["scene"])
    assert scene["schema"] == "worldline.scene/2"

    edge = scene["edges"][0]
    node = {"layer": edge["layer"] + 1, "pos": edge["dst"]}
    chosen = {"node": node, "layer": None, "n": None, "sink": True, "n_drawn": 24}
    update = {"method": "update", "state": {"selection": chosen}, "buffer_paths": []}
    kernel.send(model_id, update)
    assert kernel.says(f"seen.picture.node == wl.Node(**{node})") == "True"
    assert kernel.says("tuple(seen.picture.edges[0])") == str(
        tuple(value for name, value in edge.items() if name != "saturated")
    )
    assert kernel.says("seen.picture.selection['n_drawn']") == "24"


def test_python_answers_the_front_end_and_another_scene_is_sent(kernel):
    kernel.run("first = wl.observe('t20 t21', loaded('llama'), paths=False)")
    kernel.run("other = wl.observe('t20 t21 t22', loaded('llama'), paths=False)")
    kernel.run("shown = first.picture")
    model_id = kernel.says("shown.model_id")
    kernel.send(model_id, {"method": "update", "state": {"scene": "{}", "selection": {"layer": 1}}})
    assert kernel.says("(shown.scene is first.scene, shown.selection['layer'])") == "(True, 1)"
    messages = kernel.run("shown.scene = other.scene")
    states = [content["data"]["state"] for kind, content in messages if kind == "comm_msg"]
    (sent,) = [state["scene"] for state in states if "scene" in state]
    assert len(json.loads(sent)["tokens"]) == 3
    assert kernel.says("shown.selection['layer']") == "None"
    messages = kernel.run("shown.node = wl.Node(layer=1, pos=2)")
    state = only(messages, "comm_msg")["data"]["state"]
    assert state["selection"]["node"] == {"layer": 1, "pos": 2}


def test_in_a_kernel_without_anywidget_the_still_picture_is_shown(kernel):
    kernel.run("bare = wl.observe('t20 t21', loaded('llama'), paths=False)")
    kernel.run(
        "kept = {name: sys.modules.pop(name, None) for name in"
        " ('anywidget', 'worldline.views.widget')}; sys.modules['anywidget'] = None"
    )
    try:
        messages = kernel.run("bare")
    finally:
        kernel.run("sys.modules.update(kept)")
    data = only(messages, "execute_result")["data"]
    assert data.keys() == {"text/plain", "text/html"}
    assert "pip install" in data["text/html"]


# The built module in a browser, with a stub of anywidget's model

HOST = """<!doctype html><meta charset="utf-8"><title>cell</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/worldline.css">
<body style="margin:0"><div id="cell" style="width:WIDTHpx"></div>
<script type="module">
import widget from "/worldline.js";
const state = await (await fetch("/state.json")).json();
const heard = new Map();
window.saved = [];
window.model = {
  get: (name) => state[name],
  set(name, value) {
    const before = JSON.stringify(state[name]);
    state[name] = value;
    if (JSON.stringify(value) === before) return;
    for (const f of [...(heard.get(`change:${name}`) ?? [])]) f();
  },
  on: (event, f) => heard.set(event, [...(heard.get(event) ?? []), f]),
  off: (event, f) => heard.set(event, (heard.get(event) ?? []).filter((one) => one !== f)),
  save_changes: () => window.saved.push(structuredClone(state.selection)),
};
window.heard = () => [...heard.values()].flat().length;
const el = document.createElement("div");  // as in Jupyter: drawn before it is in the page
window.cleanup = widget.render({ model: window.model, el });
await new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
document.querySelector("#cell").append(el);
window.ready = true;
</script>"""


@pytest.fixture
def cell(browser):
    """Opens a Scene in a cell of some width; at the end nothing may have been complained about."""
    complaints: list[str] = []
    contexts = []

    def open_scene(scene, *, width=900, scheme="light", host=HOST):
        state = json.dumps({"scene": scene_json(scene), "selection": {}})
        parts = {
            "/": ("text/html", host.replace("WIDTH", str(width))),
            "/worldline.js": ("text/javascript", static_text("worldline.js")),
            "/worldline.css": ("text/css", static_text("worldline.css")),
            "/state.json": ("application/json", state),
        }

        def serve(route):
            kind, body = parts[re.sub(r"^http://cell\.test", "", route.request.url)]
            route.fulfill(content_type=kind, body=body)

        context = browser.new_context(
            viewport={"width": 1200, "height": 1100}, color_scheme=scheme, offline=True
        )
        contexts.append(context)
        context.route("**/*", serve)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("http://cell.test/")
        return page

    yield open_scene
    for context in contexts:
        context.close()
    assert complaints == []


def drawn(page):
    page.wait_for_function("window.ready")
    page.locator(".wl-row").first.wait_for()
    return page


def saved(page):
    return page.evaluate("window.saved")


def test_a_click_is_saved_and_cleanup_leaves_nothing(cell, scenes):
    scene = scenes.make_scene()
    page = drawn(cell(scene))
    (first,) = saved(page)
    assert first["node"] is None
    assert 24 <= first["n_drawn"] <= len(scene.edges)
    page.evaluate("model.set('selection', {node: {layer: 12, pos: 4}})")
    ring = page.locator(".wl-ring.wl-fixed")
    ring.wait_for()
    box = ring.bounding_box()
    page.keyboard.press("Escape")
    page.evaluate("model.set('selection', {})")
    ring.wait_for(state="detached")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    ring.wait_for()
    assert saved(page)[-1] == first | {"node": {"layer": 12, "pos": 4}}
    assert page.evaluate("model.get('selection').node") == {"layer": 12, "pos": 4}
    assert page.evaluate("location.href") == "http://cell.test/"
    page.locator(".wl-slider").focus()
    page.keyboard.press("End")
    assert saved(page)[-1]["n_drawn"] == len(scene.edges)
    page.get_by_label("reads of column 0").uncheck()
    rest = [edge for edge in scene.edges if edge.src != 0]
    assert saved(page)[-1]["n_drawn"] == len(rest)
    assert saved(page)[-1]["sink"] is False
    page.evaluate("cleanup()")
    assert page.locator(".wl, #cell *:not(div)").count() == 0
    assert page.evaluate("heard()") == 0


def test_another_scene_is_drawn_and_a_keys_answer_stays_inside(cell, scenes):
    page = drawn(cell(scenes.make_scene()))
    other = scene_json(scenes.make_scene(["Hello", " there"], n_layers=3, n_edges=4))
    page.evaluate("model.set('selection', {node: {layer: 30, pos: 5}, layer: 7})")
    page.evaluate("scene => model.set('scene', scene)", other)
    page.locator(".wl-column", has_text="Hello").wait_for()
    assert page.locator(".wl").count() == 1
    assert page.locator(".wl-column").count() == 2
    last = saved(page)[-1]
    assert (last["node"], last["layer"]) == (None, None)
    page.evaluate("addEventListener('keydown', event => (window.keys ??= []).push(event.key))")
    page.locator(".wl-stage").focus()
    # JupyterLab's own listener comes first; this is what it asks for.
    assert page.evaluate("document.activeElement.hasAttribute('data-lm-suppress-shortcuts')")
    page.keyboard.press("]")
    page.keyboard.press("q")
    assert saved(page)[-1]["layer"] == 0
    assert page.evaluate("window.keys") == ["q"]


def test_a_scene_that_cannot_be_drawn_is_said(cell, scenes):
    page = cell(scenes.make_scene())
    drawn(page)
    page.evaluate("model.set('scene', 'no json')")
    page.get_by_text("The picture could not be drawn").wait_for()
    assert page.locator(".wl").count() == 0


@pytest.mark.parametrize("width", [500, 900])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_cell_has_a_height_and_fits_its_width(cell, scenes, width, scheme):
    page = drawn(cell(scenes.make_scene(), width=width, scheme=scheme))
    box = page.locator(".wl").bounding_box()
    assert box["width"] == width
    assert 640 <= box["height"] <= 1000
    stage = page.locator(".wl-stage").bounding_box()
    assert stage["width"] > 460
    assert stage["height"] > 380
    aside = page.locator(".wl-aside").bounding_box()
    beside = aside["y"] < stage["y"] + stage["height"] / 2
    assert beside == (width == 900)
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200
    # Drawn before it was in the page, it still has its colours and knows how wide its words are.
    best = page.locator(".wl-next").bounding_box()
    assert best["x"] + best["width"] <= stage["x"] + stage["width"]
    grey = """canvas => {
      const { width, height } = canvas;
      const all = canvas.getContext("2d").getImageData(0, 0, width, height).data;
      let inked = 0, grey = 0;
      for (let at = 0; at < all.length; at += 4) {
        if (all[at + 3] < 128) continue;
        inked += 1;
        if (all[at] === all[at + 1] && all[at + 1] === all[at + 2]) grey += 1;
      }
      return [inked, grey];
    }"""
    inked, plain = page.locator("canvas.wl-canvas").last.evaluate(grey)
    assert inked > 1000
    assert plain < inked / 10


def test_the_notebooks_theme_comes_before_the_systems(cell, scenes):
    def paper(page):
        return drawn(page).locator(".wl").evaluate("e => getComputedStyle(e).backgroundColor")

    dark = HOST.replace("<body ", '<body data-jp-theme-light="false" ')
    scene = scenes.make_scene()
    assert paper(cell(scene, host=dark)) == paper(cell(scene, scheme="dark"))
    assert paper(cell(scene, host=dark)) != paper(cell(scene))


def test_the_frame_draws_the_picture_without_a_complaint(cell, scenes):
    for texts in (None, scenes.AWKWARD):
        scene = scenes.make_scene(texts)
        host = f"<!doctype html><meta charset=utf-8><title>n</title>{iframe_html(scene)}"
        page = cell(scene, host=host)
        inside = page.frame_locator("iframe")
        inside.locator(".wl-row").first.wait_for()
        assert inside.locator(".wl-column").count() > 5
        inside.locator(".wl-edges button").first.click()
        inside.locator("[aria-label='Fixed node']").wait_for()
        page.get_by_text("The picture as text").click()
        assert "of the flow" in page.locator("details pre").inner_text()


# What the page about notebooks promises

SNIPPETS = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "notebook.md").read_text(encoding="utf-8"), flags=re.S
)


@pytest.mark.usefixtures("bundled")
@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_pages_snippets_run_as_plain_python(snippet, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(snippet, {"__name__": "__main__"})
    assert capsys.readouterr().out.strip()


def test_the_page_has_a_snippet():
    assert SNIPPETS
