"""The HTML file in a real headless Chromium, with the network off."""

from __future__ import annotations

import re

import pytest

from browsing import Opened, beside, open_tab, painted, until
from tiny_runs import loaded
from worldline import hop_spectrum, observe
from worldline.views.schema.scene import Scene

INSIDE = ("file", "data", "about")


def _value(page, name):
    return float(page.locator(f".wl-tooltip [data-name={name}]").first.get_attribute("value"))


def test_all_is_seen_without_scrolling_and_the_slider_says_what_it_keeps(opened, scenes):
    scene = scenes.make_scene()
    page = opened(scene).go()
    root = page.evaluate("[document.documentElement.scrollHeight, innerHeight, scrollX, scrollY]")
    assert root[0] <= root[1]
    assert page.locator(".wl-column").count() == 6
    assert page.locator("h1").inner_text() == "“<|im_start|>The capital of France is”"
    assert "Paris" in page.locator(".wl-next").inner_text()
    assert page.locator(".wl-predictions li").count() == 10
    says = page.locator(".wl-says")
    slider = page.locator(".wl-slider")
    slider.focus()
    page.keyboard.press("End")
    part = round(100 * sum(abs(edge.weight) for edge in scene.edges) / scene.coverage.total)
    assert says.inner_text() == f"200 of 4,050 edges, {part} % of the flow"
    page.keyboard.press("ArrowLeft")
    assert says.inner_text().startswith("199 of 4,050 edges")
    page.keyboard.press("Home")
    assert says.inner_text() == "0 of 4,050 edges, 0 % of the flow"
    assert slider.get_attribute("aria-valuetext") == says.inner_text()


def test_column_0_can_be_hidden(opened, scenes):
    scene = scenes.make_scene()
    page = opened(scene).go("#n=999")
    page.get_by_label("reads of column 0").uncheck()
    rest = [abs(edge.weight) for edge in scene.edges if edge.src != 0]
    part = round(100 * sum(rest) / scene.coverage.total)
    assert (
        page.locator(".wl-says").inner_text() == f"{len(rest)} of 4,050 edges, {part} % of the flow"
    )
    assert "sink=0" in page.url


def test_hovering_a_node_shows_the_scenes_numbers_and_its_cones(opened, scenes):
    scene = scenes.make_scene()
    file = opened(scene)
    place = file.place(12, 4)
    page = file.go()
    page.mouse.move(*place)
    page.locator(".wl-tooltip").wait_for(state="visible")
    assert _value(page, "norm") == pytest.approx(scene.nodes.norm[12][4], rel=1e-5)
    assert _value(page, "kv") == pytest.approx(scene.nodes.shares.kv[11][4], rel=1e-5)
    assert _value(page, "in_positive") == pytest.approx(scene.flow.in_positive[11][4], rel=1e-5)
    assert _value(page, "in_negative") == pytest.approx(scene.flow.in_negative[11][4], rel=1e-5)
    assert _value(page, "lens") == scene.nodes.lens[12][4][0].logprob
    assert page.locator(".wl-cone").count() == 2
    past = page.locator(".wl-cone-past").bounding_box()
    assert past["y"] == pytest.approx(place[1], abs=2)
    assert past["x"] < page.locator(".wl-column").first.bounding_box()["x"] + 60
    page.mouse.move(1400, 880)
    assert page.locator(".wl-cone").count() == 0
    assert page.locator(".wl-tooltip").is_hidden()


def test_hovering_an_edge_shows_its_weight(opened, scenes):
    scene = scenes.make_scene(n_edges=3)
    edge = scene.edges[0]
    file = opened(scene)
    x0, y0 = file.place(edge.layer, edge.src)
    x1, y1 = file.place(edge.layer + 1, edge.dst)
    lane = y0 + (y1 - y0) * (0.26 + 0.48 * (edge.head + 0.5) / scene.model.n_heads)
    page = file.go()
    page.mouse.move((x0 + x1) / 2, lane)
    page.locator(".wl-tooltip").wait_for(state="visible")
    assert _value(page, "weight") == edge.weight
    words = page.locator(".wl-tooltip").inner_text()
    assert f"layer {edge.layer}, head {edge.head}, position {edge.src} to {edge.dst}" in words
    assert "no. 1 of 4,050" in words


def test_a_click_fixes_a_node_and_back_undoes_it(opened, scenes):
    scene = scenes.make_scene()
    edge = scene.edges[0]
    file = opened(scene)
    place = file.place(edge.layer + 1, edge.dst)
    page = file.go()
    assert page.locator("[aria-label='Strongest reads']").is_visible()
    page.mouse.click(*place)
    panel = page.locator("[aria-label='Fixed node']")
    panel.wait_for()
    into = [e for e in scene.edges if e.layer == edge.layer and e.dst == edge.dst]
    weights = panel.locator(".wl-edges").first.locator("[data-name=weight]")
    found = [float(item.get_attribute("value")) for item in weights.all()]
    assert found == [e.weight for e in into][:12]
    assert page.url.endswith(f"#node={edge.layer + 1}.{edge.dst}")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    assert panel.count() == 0
    page.go_back()
    panel.wait_for()
    page.go_back()
    panel.wait_for(state="detached")


def test_the_keyboard_reaches_everything(opened, scenes):
    file = opened(scenes.make_scene())
    page = file.go()
    page.keyboard.press("ArrowUp")
    page.locator(".wl-tooltip").wait_for(state="visible")
    assert "position 5, output of layer 29" in page.locator(".wl-unseen[role=status]").inner_text()
    top = file.ring()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    page.wait_for_function(
        "x => document.querySelector('.wl-ring').getBoundingClientRect().x < x - 20", arg=top[0]
    )
    assert file.ring()[1] > top[1]
    page.keyboard.press("Enter")
    page.wait_for_url("**#node=29.4")
    page.keyboard.press("]")
    page.keyboard.press("]")
    page.wait_for_url("**layer=1")
    page.locator(".wl-band").wait_for()
    page.keyboard.press("[")
    page.wait_for_url("**layer=0")
    assert "Layer 0:" in page.locator(".wl-unseen[role=status]").inner_text()
    for _ in range(3):
        page.keyboard.press("Escape")
    assert "#" not in page.url
    page.keyboard.press("?")
    keys = page.locator("dialog[open]")
    assert "step through the layers" in keys.inner_text()
    page.keyboard.press("Escape")
    assert keys.count() == 0


def test_state_survives_a_reload(opened, scenes):
    page = opened(scenes.make_scene()).go()
    page.locator(".wl-slider").focus()
    page.keyboard.press("End")
    page.keyboard.press("PageDown")
    page.locator(".wl-theme").click()
    page.locator(".wl-edges button").first.click()
    says = page.locator(".wl-says").inner_text()
    title = page.locator(".wl-side .wl-title").inner_text()
    assert re.search(r"#n=150&node=\d+\.\d+&theme=dark$", page.url)
    page.reload()
    page.locator(".wl-row").first.wait_for()
    assert page.locator(".wl-says").inner_text() == says
    assert page.locator(".wl-side .wl-title").inner_text() == title
    assert page.locator(".wl").get_attribute("data-theme") == "dark"


def _paper(page):
    return page.locator(".wl").evaluate("root => getComputedStyle(root).backgroundColor")


def test_light_and_dark_follow_the_system_and_the_button(opened, scenes):
    scene = scenes.make_scene()
    light, dark = opened(scene).go(), opened(scene, scheme="dark").go()
    day, night = _paper(light), _paper(dark)
    assert day != night
    light.locator(".wl-theme").click()
    dark.locator(".wl-theme").click()
    assert (_paper(light), _paper(dark)) == (night, day)


def test_what_the_numbers_mean_is_behind_the_i(opened, scenes):
    scene = scenes.make_scene()
    page = opened(scene).go()
    page.locator(".wl-header .wl-i").click()
    words = page.locator("dialog[open]").inner_text()
    for part in (scene.attribution.exactness, scene.attribution.unit, scene.model.weights_hash):
        assert part in words
    assert scene.reproduce.cli in words
    assert scene.reproduce.python in words


def test_text_from_tokens_is_never_markup(opened, scenes):
    scene = scenes.make_scene(scenes.AWKWARD)
    page = opened(scene).go("#node=30.39")
    assert page.locator("#worldline b b, .wl-column b, .wl-token script").count() == 0
    names = page.locator(".wl-column").all_inner_texts()
    assert "</script>" in names
    assert "<b>bold</b>" in names
    assert "‹202E›" in names
    assert "⏎" in names


def test_failed_checks_are_seen(opened, scenes):
    wire = scenes.make_wire()
    wire["inert"] |= {"equal": False}
    wire["closure_error"] |= {"worst": 0.5}
    page = opened(Scene.model_validate(wire)).go()
    assert page.locator(".wl-badge.wl-bad").all_inner_texts() == ["✗ not inert", "✗ not closed"]


@pytest.mark.parametrize("texts", [["Hello"], None])
def test_null_parts_degrade(opened, scenes, texts):
    scene = scenes.make_scene(
        texts, n_edges=4, with_nodes=False, with_flow=False, by="contribution"
    )
    file = opened(scene)
    page = file.go()
    page.keyboard.press("ArrowUp")
    assert "holds no numbers" in page.locator(".wl-tooltip").inner_text()


def test_hundreds_of_columns_zoom_and_cull_their_names(opened, scenes):
    scene = scenes.make_scene(scenes.words(300), n_edges=1000, with_nodes=False, with_flow=False)
    page = opened(scene, size=(900, 700)).go("#n=1000")
    boxes = [column.bounding_box() for column in page.locator(".wl-column").all()]
    assert 10 < len(boxes) < 60
    before = page.locator(".wl-column").first.bounding_box()
    page.get_by_label("Zoom in").click()
    page.get_by_label("Zoom in").click()
    first = page.locator(".wl-column").first
    until(page, lambda: first.bounding_box() != before)
    page.get_by_label("Show all columns").click()
    until(page, lambda: first.bounding_box() == before)


def test_without_scripts_the_picture_is_there_as_text(opened, scenes):
    file = opened(scenes.make_scene(), scripts=False)
    file.page.goto(file.address)
    assert "200 of 4,050 edges hold" in file.page.locator("pre").inner_text()


def test_paths_on_the_page_are_those_of_the_run_and_light_up(browser, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path / "cache"))
    seen = observe("t20 t21 t22 t30", loaded("llama"), target="id:31")
    place = tmp_path / "paths.html"
    place.write_text(seen.html(), encoding="utf-8")
    opened = Opened(browser.new_page(), place.as_uri())
    page = opened.go()
    paths = seen.scene.paths

    def values(name):
        found = page.locator(f'.wl-paths data[data-name="{name}"]')
        return [float(value) for value in found.evaluate_all("all => all.map(one => one.value)")]

    most = max(abs(value) for value in paths.by_hops)
    assert values("hops") == [v for v in paths.by_hops if abs(v) >= most / 1e4]
    assert values("path") == [path.weight for path in paths.paths]
    spectrum = hop_spectrum(seen.trace, target="id:31")
    assert values("hops")[0] == pytest.approx(float(spectrum.by_hops[0]), abs=1e-5)
    open_tab(page, "Paths")
    before = page.locator(".wl-stage").screenshot()
    page.locator(".wl-path").first.focus()
    until(page, lambda: page.locator(".wl-stage").screenshot() != before)
    page.locator(".wl-path").first.blur()
    until(page, lambda: page.locator(".wl-stage").screenshot() == before)
    assert not opened.complaints


def test_why_there_are_no_paths_is_said(browser, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path / "cache"))
    seen = observe("t20 t21", loaded("llama"), paths=False)
    place = tmp_path / "none.html"
    place.write_text(seen.html(), encoding="utf-8")
    page = Opened(browser.new_page(), place.as_uri()).go()
    assert "Left out: not asked for." in open_tab(page, "Paths").inner_text()


def altered_scene(scenes):
    """A synthetic Scene with every kind of altered run."""
    module = beside("test_altered_runs")
    made = scenes.make_scene(module.PIECES, n_layers=module.LAYERS)
    return module.with_altered(made, **module.parts())


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_runs_that_never_happened_are_shown_and_painted(opened, scenes, scheme):
    found = opened(altered_scene(scenes), scheme=scheme)
    page = found.go()
    panel = open_tab(page, "Hops")
    assert panel.locator("svg.wl-chart path.wl-curve").count() == 2
    assert panel.locator(".wl-hopped").first.locator("bdi").count() == 6
    assert "0 hops" in (panel.locator(".wl-hopped bdi").nth(1).get_attribute("title") or "")
    cone, cut = open_tab(page, "Cone"), page.locator("#wl-panel-cuts")
    bare = painted(page)
    cone.get_by_label("both").check()
    until(page, lambda: painted(page) > bare)
    heat = painted(page)
    assert "unpainted: exactly zero" in cone.locator(".wl-heat-legend").inner_text()
    open_tab(page, "Cuts")
    cut.get_by_label("Show what is severed").check()
    until(page, lambda: painted(page) > heat)
    open_tab(page, "Cone").get_by_label("off").check()
    until(page, lambda: bare < painted(page) < heat)
    open_tab(page, "Cuts")
    cut.get_by_label("Show what is severed").uncheck()
    until(page, lambda: painted(page) == bare)
    assert open_tab(page, "Orders").locator(".wl-orders tbody").count() == 1
    assert found.complaints == []
    assert all(request.split(":")[0] in INSIDE for request in found.requests)


def test_one_heat_at_a_time_and_the_keyboard_chooses_it(opened, scenes):
    page = opened(altered_scene(scenes)).go()
    cone = open_tab(page, "Cone")
    bare = painted(page)
    cone.get_by_label("off").focus()
    page.keyboard.press("ArrowDown")
    assert cone.get_by_label("both").is_checked()
    until(page, lambda: painted(page) > bare)
    orders = open_tab(page, "Orders")
    order = orders.get_by_label("Paint when each block ran")
    order.select_option("cone(2,1)")
    assert "slice 2" in orders.locator(".wl-heat-legend").inner_text()
    until(page, lambda: painted(page) > bare)
    open_tab(page, "Cone")
    assert cone.get_by_label("off").is_checked()
    assert cone.locator(".wl-heat-legend").inner_text() == ""
    cone.get_by_label("kv").check()
    open_tab(page, "Orders")
    assert order.input_value() == "off"
    until(page, lambda: painted(page) == bare)  # nothing changed through K and V


def test_a_fixed_node_is_told_before_the_altered_runs(opened, scenes):
    page = opened(altered_scene(scenes)).go("#node=2.3")
    fixed = page.locator("[aria-label='Fixed node']")
    guesses = page.locator(".wl-predictions")
    assert guesses.bounding_box()["y"] < fixed.bounding_box()["y"]
    tabs = page.get_by_role("tab").all_inner_texts()
    assert tabs == ["Why", "Paths", "Cuts", "Hops", "Cone", "Orders"]
    altered = page.locator(".wl-altered")
    assert altered.count() == 4
    assert [one.is_visible() for one in altered.all()] == [False] * 4
    open_tab(page, "Hops")
    assert altered.filter(visible=True).get_attribute("aria-label") == "Hop budgets"
    assert fixed.is_hidden()
    assert page.url.endswith("#node=2.3&tab=hops")


def test_a_panel_is_there_for_what_the_scene_has(opened, scenes):
    page = opened(scenes.make_scene(scenes.CAPITAL)).go("#tab=hops")
    assert page.locator(".wl-altered").count() == 0
    assert page.get_by_role("tab").all_inner_texts() == ["Why", "Paths"]
    assert page.get_by_role("tab", selected=True).inner_text() == "Why"  # there are no hops to show


def test_an_order_is_scrubbed_and_played_by_keyboard(opened, scenes):
    page = opened(altered_scene(scenes)).go("#tab=orders")
    panel = page.get_by_role("tabpanel", name="Orders")
    slider, play = panel.get_by_label("Slice of the order"), panel.locator(".wl-play")
    assert slider.is_hidden()
    bare = painted(page)
    panel.get_by_label("Paint when each block ran").select_option("cone(2,1)")
    until(page, lambda: painted(page) > bare)
    whole = painted(page)
    assert slider.get_attribute("aria-valuetext") == "whole run, 2 slices"
    slider.focus()
    page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuetext").startswith("slice 1 of 2, ")
    until(page, lambda: bare < painted(page) < whole)  # what comes later is not painted yet
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext").startswith("slice 2 of 2, ")
    until(page, lambda: painted(page) == whole)
    page.keyboard.press("Home")
    play.focus()
    page.keyboard.press("Space")
    assert play.inner_text() == "Pause"
    page.keyboard.press("Space")
    assert play.inner_text() == "Play"
    slider.focus()
    page.keyboard.press("Home")
    play.focus()
    began = page.evaluate("performance.now()")
    page.keyboard.press("Space")
    until(page, lambda: play.inner_text() == "Play")
    took = page.evaluate("performance.now()") - began
    assert slider.get_attribute("aria-valuetext") == "whole run, 2 slices"
    assert took > 4500  # slow machines only make it later
