"""What holds a Scene, in a cell: the widget, and what is shown where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser

import comm
import pytest
import traitlets

from worldline.attribution.flow import Edge
from worldline.errors import InputError
from worldline.graph.node import Node
from worldline.views.html import render_html, scene_json
from worldline.views.notebook import WIDGET_TYPE, SceneDisplay, iframe_html
from worldline.views.schema.selection import Selection
from worldline.views.widget import Picture


class Seen(SceneDisplay):
    def __init__(self, scene):
        self.scene = scene


class LiveComm(comm.DummyComm):
    """A comm that a notebook would have opened, and what was sent through it."""

    def __init__(self, *args, **kwargs):
        self.sent = []
        super().__init__(*args, **kwargs)

    def publish_msg(self, msg_type, data=None, **rest):
        self.sent.append((msg_type, data))


@pytest.fixture
def kernel(monkeypatch):
    """As if a kernel were there: comms are no dummies."""

    class Nobody:
        pass

    monkeypatch.setattr(comm, "create_comm", LiveComm)
    monkeypatch.setattr(comm, "DummyComm", Nobody)


class _Frame(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data


def hide(monkeypatch, name):
    """As if the module were not installed."""
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "worldline.views.widget", raising=False)


def test_the_cell_gets_the_widget_the_still_picture_and_the_text(kernel, scenes):
    seen = Seen(scenes.make_scene())
    bundle = seen._repr_mimebundle_()
    assert bundle[WIDGET_TYPE]["model_id"] == seen.picture.model_id == seen.picture.comm.comm_id
    assert bundle["text/plain"] == seen.show()
    assert _Frame(bundle["text/html"]).tags[0][1]["srcdoc"] == seen.html()
    assert "still picture" not in bundle["text/html"]
    assert seen._display_() is seen.picture
    assert seen._repr_mimebundle_()[WIDGET_TYPE] == bundle[WIDGET_TYPE]
    ((kind, opened),) = seen.picture.comm.sent
    assert kind == "comm_open"
    assert opened["state"]["scene"] == scene_json(seen.scene)
    assert opened["state"]["selection"] == Selection().model_dump()


def test_its_own_line_is_short(scenes):
    said = repr(Seen(scenes.make_scene()))
    assert said == "<Seen: “<|im_start|>The capital of France is”, 6 tokens, 30 layers, 200 edges>"


def test_without_a_kernel_there_is_no_widget(scenes):
    seen = Seen(scenes.make_scene())
    bundle = seen._repr_mimebundle_(include=None, exclude=None)
    assert bundle.keys() == {"text/plain", "text/html"}
    assert "no notebook kernel" in bundle["text/html"]
    assert seen.picture.node is None


@pytest.mark.parametrize("name", ["anywidget", "traitlets", "comm"])
def test_without_anywidget_nothing_breaks(kernel, scenes, monkeypatch, name):
    hide(monkeypatch, name)
    seen = Seen(scenes.make_scene())
    bundle = seen._repr_mimebundle_()
    assert bundle.keys() == {"text/plain", "text/html"}
    assert (
        f"A still picture: {'no notebook widget' if name != 'comm' else 'import of comm'}"
        in (bundle["text/html"])
    )
    assert seen._display_()._repr_html_() == bundle["text/html"]


def test_asking_for_the_widget_says_what_is_missing(scenes, monkeypatch):
    hide(monkeypatch, "anywidget")
    seen = Seen(scenes.make_scene())
    with pytest.raises(InputError, match=r"pip install 'worldline\[notebook\]'"):
        seen.picture  # noqa: B018


def test_whatever_ails_the_widget_the_still_picture_says_so(kernel, scenes, monkeypatch):
    def broken(*_words, **_more):
        raise RuntimeError("no <comm> today")

    monkeypatch.setattr(comm, "create_comm", broken)
    bundle = Seen(scenes.make_scene())._repr_mimebundle_()
    assert bundle.keys() == {"text/plain", "text/html"}
    assert "A still picture: no &lt;comm&gt; today." in bundle["text/html"]


def test_the_frame_holds_the_file_whatever_its_texts(scenes):
    scene = scenes.make_scene([*scenes.AWKWARD, "'><script>alert(1)</script>", "&#39;", "\r\n"])
    frame = _Frame(iframe_html(scene, note="'<b>&"))
    tags = [tag for tag, _ in frame.tags]
    assert tags == ["iframe", "details", "summary", "p", "pre"]
    attrs = frame.tags[0][1]
    assert attrs["srcdoc"] == render_html(scene)
    assert attrs["sandbox"] == "allow-scripts"
    assert "A still picture: '<b>&." in frame.words


def test_importing_a_view_loads_no_widget():
    code = "import sys, worldline.views.notebook as n; print(n.WIDGET_TYPE, *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    kind, *modules = done.stdout.split()
    assert kind == WIDGET_TYPE
    assert not {"anywidget", "ipywidgets", "traitlets", "torch"} & set(modules)


def test_a_fixed_node_is_a_node_and_its_edges_those_of_its_panel(scenes):
    scene = scenes.make_scene()
    picture = Picture(scene)
    best = scene.edges[0]
    layer, pos = best.layer + 1, best.dst
    picture.node = Node(layer=layer, pos=pos)
    assert picture.selection["node"] == {"layer": layer, "pos": pos}
    assert picture.node == Node(layer=layer, pos=pos)
    assert picture.edges[0] == Edge(**best.model_dump(exclude={"saturated"}))
    into = [e for e in scene.edges if (e.layer + 1, e.dst) == (layer, pos)]
    out = [e for e in scene.edges if (e.layer, e.src) == (layer, pos)]
    dumped = (e.model_dump(exclude={"saturated"}) for e in [*into, *out])
    assert sorted(picture.edges) == sorted(Edge(**each) for each in dumped)
    picture.node = None
    assert picture.node is None


def test_without_a_node_the_edges_are_those_drawn(scenes):
    scene = scenes.make_scene()
    picture = Picture(scene)
    assert len(picture.edges) == len(scene.edges)
    picture.set_state({"selection": {"n": 9, "n_drawn": 9}})
    assert [e.weight for e in picture.edges] == [e.weight for e in scene.edges[:9]]
    picture.set_state({"selection": {"n_drawn": 9, "sink": False}})
    rest = [e for e in scene.edges if e.src != 0]
    assert [e.weight for e in picture.edges] == [e.weight for e in rest[:9]]
    layer = rest[4].layer
    picture.set_state({"selection": {"n_drawn": 9, "sink": False, "layer": layer}})
    assert [e.weight for e in picture.edges] == [e.weight for e in rest[:9] if e.layer == layer]


def test_a_front_end_writes_the_selection_but_not_the_scene(kernel, scenes):
    scene = scenes.make_scene()
    picture = Picture(scene)
    picture.set_state({"scene": '{"schema":"other"}', "selection": {"layer": 3}})
    assert picture.scene is scene
    assert picture.selection == Selection(layer=3).model_dump()


@pytest.mark.parametrize(
    "sent", [{"node": {"layer": 99, "pos": 0}}, {"layer": 30}, {"n": -1}, {"other": 1}, None, "all"]
)
def test_what_no_picture_of_this_scene_says_is_not_taken(scenes, sent):
    picture = Picture(scenes.make_scene())
    picture.selection = {"layer": 3}
    picture.set_state({"selection": sent})
    assert picture.selection == Selection(layer=3).model_dump()
    with pytest.raises(traitlets.TraitError):
        picture.selection = sent
    assert picture.selection == Selection(layer=3).model_dump()


def test_another_scene_goes_out_and_the_selection_starts_anew(kernel, scenes):
    picture = Picture(scenes.make_scene())
    picture.node = Node(layer=30, pos=5)
    other = scenes.make_scene(["a", " b"], n_layers=2, n_edges=3)
    picture.scene = other
    assert picture.node is None
    sent = [data["state"] for kind, data in picture.comm.sent if kind == "comm_msg"]
    assert [state["scene"] for state in sent if "scene" in state] == [scene_json(other)]
    assert sent[-1] == {"selection": Selection().model_dump()}
    with pytest.raises(traitlets.TraitError):
        picture.scene = json.loads(scene_json(other))


def test_a_long_texts_first_view_stays_under_five_megabytes(kernel, scenes):
    scene = scenes.make_scene(scenes.words(128), n_edges=2000)
    seen = Seen(scene)
    opened = json.dumps(Seen(scene).picture.get_state(), default=str)
    assert len(opened.encode()) < 5_000_000
    assert len(json.dumps(seen._repr_mimebundle_()).encode()) < 5_000_000
