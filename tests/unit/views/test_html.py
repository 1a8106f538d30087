import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worldline.views import html
from worldline.views.html import render_html, scene_json
from worldline.views.schema.json_schemas import STATIC
from worldline.views.schema.scene import Scene


class _Elements(HTMLParser):
    """Which elements a browser would see, and what scripts and styles hold."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[list[str]] = []
        self.open = False

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        self.inside.append([])
        self.open = True

    def handle_endtag(self, tag):
        self.open = False

    def handle_data(self, data):
        if self.open:
            self.inside[-1].append(data)


def _parsed(page):
    parser = _Elements()
    parser.feed(page)
    return [
        (tag, attrs, "".join(inside))
        for (tag, attrs), inside in zip(parser.seen, parser.inside, strict=True)
    ]


def _hashed(content):
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def test_the_policy_admits_exactly_the_script_and_the_style_inside(scenes):
    elements = _parsed(render_html(scenes.make_scene(scenes.AWKWARD)))
    policies = [attrs["content"] for _, attrs, _ in elements if "http-equiv" in attrs]
    scripts = [inside for tag, attrs, inside in elements if attrs.get("type") == "module"]
    styles = [inside for tag, _, inside in elements if tag == "style"]
    assert len(policies) == len(scripts) == len(styles) == 1
    assert policies[0] == (
        f"default-src 'none'; script-src {_hashed(scripts[0])}; style-src {_hashed(styles[0])}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def test_tokens_add_no_element(scenes):
    def tags(scene):
        return [tag for tag, _, _ in _parsed(render_html(scene))]

    assert tags(scenes.make_scene(scenes.AWKWARD)) == tags(scenes.make_scene())


def test_the_scene_inside_is_the_scene(scenes):
    scene = scenes.make_scene(scenes.AWKWARD)
    block = next(
        inside
        for _, attrs, inside in _parsed(render_html(scene))
        if attrs.get("id") == "worldline-scene"
    )
    inside = Scene.model_validate(json.loads(block))
    assert inside.edges == scene.edges
    assert inside.tokens == scene.tokens
    assert inside.nodes
    assert scene.nodes
    for mine, yours in zip(inside.nodes.norm[3], scene.nodes.norm[3], strict=True):
        assert abs(mine - yours) <= 1e-5 * abs(yours)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=8), min_size=1, max_size=5))
def test_no_text_can_leave_its_block(scenes, texts):
    scene = scenes.make_scene([*texts, "</script><script>"], n_layers=2, n_edges=3)
    block = scene_json(scene)
    assert not re.search("[<>&\u2028\u2029\n\r]", block)
    assert json.loads(block)["text"] == scene.text


def test_title_and_fallback_are_escaped(scenes):
    wire = scenes.make_wire(scenes.AWKWARD)
    wire["title"] = "</title><script>alert(1)</script>"
    page = render_html(Scene.model_validate(wire))
    assert "<script>alert" not in page
    assert "&lt;/title&gt;" in page


def test_without_the_built_front_end_the_text_remains(scenes, monkeypatch, tmp_path):
    monkeypatch.setattr(html, "STATIC", tmp_path)
    page = render_html(scenes.make_scene())
    assert "of the flow" in page


def test_the_bundle_names_no_host_and_evaluates_nothing():
    script = (STATIC / "worldline.js").read_text(encoding="utf-8")
    style = (STATIC / "worldline.css").read_text(encoding="utf-8")
    hosts = set(re.findall(r"https?://([\w.-]+)", script + style))
    assert hosts <= {"www.w3.org"}
    assert "</script" not in script.lower()
    assert "</style" not in style.lower()
    assert not re.search(r"\beval\(|new Function\(", script)
    assert "url(" not in style
    assert "@import" not in style


def test_no_source_of_the_front_end_parses_text_as_markup():
    sources = sorted((Path(__file__).parents[3] / "web" / "src").rglob("*.ts"))
    assert sources
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\.html\(|DOMParser"
    )
    assert not [path.name for path in sources if forbidden.search(path.read_text("utf-8"))]
