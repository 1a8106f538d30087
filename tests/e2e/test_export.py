"""What the page saves, from the file with the network off under its own policy."""

from __future__ import annotations

import base64
import json
import re
import struct
import xml.etree.ElementTree as ElementTree

import pytest

from browsing import CHROMIUM, altered_scene, open_tab

playwright_api = pytest.importorskip("playwright.sync_api")
if CHROMIUM is None:
    pytest.skip("needs Debian's chromium in PATH", allow_module_level=True)

SVG = "{http://www.w3.org/2000/svg}"
LABELS = {"svg": "Picture as SVG", "png": "Picture as PNG", "json": "Scene as JSON"}


def saved(page, ending):
    """Save one thing through the menu: its bytes, and the name that was proposed."""
    menu = page.locator(".wl-save")
    if menu.get_attribute("open") is None:
        menu.locator("summary").click()
    with page.expect_download() as download:
        page.get_by_role("button", name=LABELS[ending]).click()
    return download.value.path().read_bytes(), download.value.suggested_filename


def strands(root):
    return [group for group in root.iter(f"{SVG}g") if group.get("class") == "strand"]


def palette(page):
    """The style sheet's colours as this page shows them, by name."""
    return page.locator(".wl").evaluate(
        """root => {
            const probe = root.appendChild(document.createElement('i'));
            const hex = (part) => Number(part).toString(16).padStart(2, '0');
            const colour = (name) => {
                probe.style.color = `var(--wl-${name})`;
                return '#' + getComputedStyle(probe).color.match(/\\d+/g).map(hex).join('');
            };
            const names = ['positive', 'negative', 'residual', 'dot', 'paper'];
            const colours = Object.fromEntries(names.map((name) => [name, colour(name)]));
            probe.remove();
            return colours;
        }"""
    )


def difference(page, one, other, width, height):
    """The mean difference of two images over this many pixels from their corner, 0 to 255."""
    sources = [
        f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
        for kind, content in (one, other)
    ]
    return page.evaluate(
        """async ([sources, width, height]) => {
            const pixels = await Promise.all(sources.map(async (source) => {
                const image = new Image();
                image.src = source;
                await image.decode();
                const context = new OffscreenCanvas(width, height).getContext('2d');
                context.drawImage(image, 0, 0);
                return context.getImageData(0, 0, width, height).data;
            }));
            let sum = 0;
            for (let at = 0; at < pixels[0].length; at += 1) {
                sum += Math.abs(pixels[0][at] - pixels[1][at]);
            }
            return sum / (width * height * 3);
        }""",
        [sources, width, height],
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_svg_holds_what_is_drawn(shown, scenes, scheme):
    scene = scenes.make_scene()
    page = shown(scene, fragment="#n=70", scheme=scheme).page
    content, name = saved(page, "svg")
    assert name == "worldline-im-start-the-capital-of-france-is.svg"
    root = ElementTree.fromstring(content)
    drawn = strands(root)
    assert len(drawn) == 70
    # The weakest first, and each says which read it is and carries its sign's colour.
    for group, edge in zip(drawn, reversed(scene.edges[:70]), strict=True):
        words = group.find(f"{SVG}title").text
        assert words.startswith(f"Layer {edge.layer}, head {edge.head}: ")
        assert f"({edge.src}) to " in words
        colours = {element.get("stroke") for element in group.iter(f"{SVG}path")} | {
            element.get("fill") for element in group.iter(f"{SVG}rect")
        }
        sign = "positive" if edge.weight > 0 else "negative"
        assert palette(page)[sign] in colours
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    for label in ("embedding", "output", "The", "France", "next", "Paris"):
        assert label in texts
    assert any("70 of 4,050 edges" in text for text in texts)
    assert root.find(f"{SVG}title").text == "<|im_start|>The capital of France is"
    assert scene.reproduce.cli in root.find(f"{SVG}desc").text
    assert root.find(f"{SVG}rect").get("fill") == palette(page)["paper"]
    # Self-contained: no address but the name space, no font but generic ones, no script, no style.
    assert re.findall(rb"https?://[^\"' ]+", content) == [b"http://www.w3.org/2000/svg"]
    assert {element.tag for element in root.iter()}.isdisjoint(
        {f"{SVG}script", f"{SVG}style", f"{SVG}image", f"{SVG}foreignObject", f"{SVG}use"}
    )
    assert set(re.findall(rb'font-family="([^"]*)"', content)) == {b"system-ui, sans-serif"}


@pytest.mark.parametrize(
    ("scheme", "fragment"), [("light", ""), ("dark", "#node=12.4"), ("light", "#layer=20")]
)
def test_the_svg_looks_like_the_page(shown, scenes, scheme, fragment):
    page = shown(scenes.make_scene(), scheme=scheme, fragment=fragment, size=(1024, 700)).page
    content, _ = saved(page, "svg")
    page.mouse.move(1, 1)
    stage = page.locator(".wl-stage")
    photo = stage.screenshot()
    box = stage.bounding_box()
    width, height = int(box["width"]), int(box["height"])
    as_svg = ("svg+xml", content)
    alike = difference(page, ("png", photo), as_svg, width, height)
    page.locator(".wl-slider").focus()
    page.keyboard.press("Home")  # nothing drawn: the same picture but for its strands
    page.wait_for_function("() => document.querySelector('.wl-says').textContent.startsWith('0 ')")
    page.wait_for_timeout(200)
    bare = difference(page, ("png", stage.screenshot()), as_svg, width, height)
    assert alike < 0.6
    assert alike < bare / 2


def test_awkward_tokens_are_valid_xml_and_the_scene_is_saved_to_the_byte(shown, scenes):
    scene = scenes.make_scene(scenes.AWKWARD)
    held = shown(scene, fragment="#n=40", size=(1024, 700))
    content, name = saved(held.page, "svg")
    root = ElementTree.fromstring(content)
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    for label in ("<b>bold</b>", "‹1B›[31m", "日本", "🚀"):
        assert label in texts
    assert len(strands(root)) == 40
    rtl = [text for text in root.iter(f"{SVG}text") if text.get("direction") == "rtl"]
    assert rtl
    assert not set(name) & set('<>:"/\\|?*')
    wire, _ = saved(held.page, "json")
    inside = re.search(
        r'<script type="application/json" id="worldline-scene">(.*?)</script>',
        held.file.read_text(encoding="utf-8"),
        re.DOTALL,
    )
    assert wire.decode("utf-8") == inside.group(1)
    assert json.loads(wire)["text"] == scene.text


def test_a_text_that_xml_cannot_hold_is_named(shown, scenes):
    wire = scenes.make_wire(["a\x00b", "\ufffe", " c"])
    wire["reproduce"]["cli"] = "worldline trace 'a\x00b\x1b'"
    content, _ = saved(shown(scenes.Scene.model_validate(wire)).page, "svg")
    root = ElementTree.fromstring(content)
    assert "‹00›" in root.find(f"{SVG}desc").text
    assert "‹1B›" in root.find(f"{SVG}desc").text


def test_the_png_has_twice_the_size_and_is_not_blank(shown, scenes):
    page = shown(scenes.make_scene(), fragment="#n=70").page
    stage = page.locator(".wl-stage").bounding_box()
    picture, _ = saved(page, "svg")
    root = ElementTree.fromstring(picture)
    content, name = saved(page, "png")
    assert name.endswith(".png")
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert width == round(2 * float(root.get("width")))
    assert height == round(2 * float(root.get("height")))
    assert width == round(2 * stage["width"])
    assert height > 2 * stage["height"]  # the caption is under it
    colours = page.evaluate(
        """async (source) => {
            const image = new Image();
            image.src = source;
            await image.decode();
            const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
            context.drawImage(image, 0, 0);
            const { data } = context.getImageData(0, 0, image.width, image.height);
            const seen = new Set();
            for (let at = 0; at < data.length; at += 4) {
                seen.add((data[at] << 16) | (data[at + 1] << 8) | data[at + 2]);
            }
            return [...seen].map((one) => '#' + one.toString(16).padStart(6, '0'));
        }""",
        f"data:image/png;base64,{base64.b64encode(content).decode()}",
    )
    assert palette(page)["paper"] in colours
    assert len(colours) > 200


def test_without_the_caption_it_is_the_stage_alone(shown, scenes):
    page = shown(scenes.make_scene()).page
    page.locator(".wl-save summary").click()
    page.get_by_label("with a caption").uncheck()
    root = ElementTree.fromstring(saved(page, "svg")[0])
    stage = page.locator(".wl-stage").evaluate("stage => stage.clientHeight")
    assert float(root.get("height")) == stage
    assert not [group for group in root.iter(f"{SVG}g") if group.get("class") == "caption"]


def test_overlays_are_saved_too(shown):
    page = shown(altered_scene()).page
    open_tab(page, "Cone")
    page.get_by_label("both").check()
    open_tab(page, "Cuts")
    page.get_by_label("Show what is severed").check()
    root = ElementTree.fromstring(saved(page, "svg")[0])
    parts = {group.get("class") for group in root.iter(f"{SVG}g")}
    assert {"heat", "severed", "strands", "dots", "residual"} <= parts
    dashed = [path for path in root.iter(f"{SVG}path") if path.get("stroke-dasharray")]
    assert len(dashed) == 1


def test_the_menu_by_keyboard(shown, scenes):
    page = shown(scenes.make_scene(), fragment="#node=12.4").page
    menu = page.locator(".wl-save")
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    assert menu.get_attribute("open") is not None
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Picture as SVG"
    page.keyboard.press("Escape")
    assert menu.get_attribute("open") is None
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
    assert page.url.endswith("#node=12.4")  # Escape closed the menu and nothing else
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename.endswith(".svg")
    page.wait_for_function("() => !document.querySelector('.wl-save').open")
    assert "Saved worldline-" in page.locator(".wl-unseen[role=status]").inner_text()
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    assert menu.get_attribute("open") is None


def test_the_host_adds_entries_of_its_own(shown, scenes):
    held = shown(scenes.make_scene())
    script = re.search(r'<script type="module">(.*?)</script>', held.file.read_text(), re.DOTALL)
    cell = held.context.new_page()
    cell.set_content("<div id=cell></div>")
    cell.evaluate(
        """async ([code, scene]) => {
            const { mount } = await import(URL.createObjectURL(
                new Blob([code], { type: 'text/javascript' })));
            mount(document.getElementById('cell'), scene, { extras: [
                { label: 'Trace as safetensors', href: '/trace.safetensors' },
                { label: 'Page as HTML', run: () => { window.ran = true; } },
                { label: 'Broken', run: () => { throw new Error('no room'); } },
            ] });
        }""",
        [script.group(1), json.loads(scenes.make_scene().to_json())],
    )
    cell.locator(".wl-save summary").click()
    link = cell.get_by_role("link", name="Trace as safetensors")
    assert link.get_attribute("href") == "/trace.safetensors"
    assert link.get_attribute("download") == ""
    cell.get_by_role("button", name="Broken").click()
    trouble = cell.locator(".wl-trouble")
    trouble.wait_for()
    assert trouble.inner_text() == "Broken could not be saved: no room."
    cell.get_by_role("button", name="Page as HTML").click()
    cell.wait_for_function("() => window.ran && !document.querySelector('.wl-save').open")
    content, _ = saved(cell, "svg")
    assert len(strands(ElementTree.fromstring(content))) > 0
