"""A long text in the browser: columns are groups, and every number shown is the Scene's."""

from __future__ import annotations

from itertools import pairwise

import pytest

from browsing import until

N_TOKENS, SIZE = 200, 4


@pytest.fixture(scope="module")
def scene(scenes):
    groups = {
        "words": scenes.in_groups(N_TOKENS, SIZE),
        "sentences": scenes.in_groups(N_TOKENS, 5 * SIZE),
    }
    return scenes.make_scene(scenes.words(N_TOKENS), groups=groups, n_layers=12)


def pressed(page):
    return page.locator(".wl-columns button[aria-pressed=true]").inner_text()


def value(page, place):
    return float(page.locator(place).first.get_attribute("value"))


def place(opened_file, layer, sentence):
    """Where a node is: its ring shows it when it is fixed through the address."""
    opened_file.page.goto("about:blank")
    opened_file.go(f"#columns=sentences&node={layer}.{sentence}")
    return opened_file.ring("wl-fixed")


def test_the_selector_offers_what_the_scene_has_and_the_address_remembers(opened, scene):
    page = opened(scene).go()
    assert page.locator(".wl-columns button").all_inner_texts() == ["tokens", "words", "sentences"]
    assert pressed(page) == "tokens"
    page.locator(".wl-columns button", has_text="words").click()
    assert page.evaluate("location.hash") == "#columns=words"
    assert pressed(page) == "words"
    words = scene.groupings[0]
    assert f"of {words.coverage.of:,} group edges" in page.locator(".wl-says").inner_text()
    assert str(len(words.spans)) in page.locator(".wl-stage").get_attribute("aria-label")
    page.reload()
    page.locator(".wl-row").first.wait_for()
    assert pressed(page) == "words"
    page.go_back()
    until(page, lambda: pressed(page) == "tokens")
    assert "group edges" not in page.locator(".wl-says").inner_text()


def test_the_share_is_that_of_the_net_flow_between_groups(opened, scene):
    page = opened(scene).go("#columns=sentences&n=9")
    kept = scene.groupings[1]
    part = sum(abs(edge.net) for edge in kept.edges[:9]) / kept.coverage.total
    says = page.locator(".wl-says").inner_text()
    assert says == (f"9 of {kept.coverage.of:,} group edges, {100 * part:.0f} % of the net flow")


def test_the_panel_lists_group_edges_and_names_apart_what_stays_inside(opened, scene):
    page = opened(scene).go("#columns=words")
    words = scene.groupings[0]
    listed = page.locator(".wl-side .wl-edges [data-name=weight]")
    shown = [float(one.get_attribute("value")) for one in listed.all()]
    assert len(shown) == 12
    assert shown == [edge.positive + edge.negative for edge in words.edges[:12]]
    assert value(page, "[data-name=within_positive]") == words.within_positive
    assert value(page, "[data-name=within_negative]") == words.within_negative
    texts = page.locator(".wl-side .wl-edges .wl-where").all_inner_texts()
    assert [text.strip() for text in texts] == [f"L{edge.layer}" for edge in words.edges[:12]]


def test_the_tooltip_of_a_strand_has_both_sums_and_their_net(opened, scene):
    page = opened(scene).go("#columns=sentences&n=1")
    edge = scene.groupings[1].edges[0]
    other = opened(scene)
    x0, y0 = place(other, edge.layer, edge.src)
    x1, y1 = place(other, edge.layer + 1, edge.dst)
    part = 0.26 + 0.48 * ((edge.dst % scene.model.n_heads + 0.5) / scene.model.n_heads)
    page.mouse.move((x0 + x1) / 2, y0 + (y1 - y0) * part)
    page.locator(".wl-tooltip").wait_for()
    assert value(page, ".wl-tooltip [data-name=weight]") == edge.positive + edge.negative
    assert value(page, ".wl-tooltip [data-name=constructive]") == edge.positive
    assert value(page, ".wl-tooltip [data-name=destructive]") == edge.negative
    assert "all heads" in page.locator(".wl-tooltip").inner_text()


def test_a_group_node_is_fixed_has_cones_and_the_scenes_totals(opened, scene):
    page = opened(scene).go("#columns=words&node=7.20")
    words = scene.groupings[0]
    side = page.locator(".wl-side")
    assert "word 20" in side.inner_text()
    assert value(page, ".wl-side [data-name=in_positive]") == pytest.approx(
        words.flow.in_positive[6][20], rel=1e-5
    )
    assert value(page, ".wl-side [data-name=out_negative]") == pytest.approx(
        words.flow.out_negative[7][20], rel=1e-5
    )
    into = [e for e in words.edges if e.layer == 6 and e.dst == 20]
    assert f"Read from earlier words: {len(into)} edge" in side.inner_text()
    assert page.locator(".wl-cone").count() == 2
    page.locator(".wl-columns button", has_text="tokens").click()
    last = max(at for at, group in enumerate(words.group_of) if group == 20)
    assert page.evaluate("location.hash") == f"#node=7.{last}"


def test_names_never_overlap(opened, scene):
    for columns in ("tokens", "words", "sentences"):
        page = opened(scene, size=(1024, 700)).go(f"#columns={columns}")
        places = page.evaluate(
            "Array.from(document.querySelectorAll('.wl-column'), e => "
            "parseFloat(e.style.transform.slice('translate('.length))).sort((a, b) => a - b)"
        )
        row = page.locator(".wl-row.wl-end").first.bounding_box()
        stage = page.locator(".wl-stage").bounding_box()
        turned = page.locator(".wl-turned").count() > 0
        boxes = [one.bounding_box() for one in page.locator(".wl-column").all()]
        if turned:
            assert min(b - a for a, b in pairwise(places)) >= 16.9
        else:
            boxes.sort(key=lambda box: box["x"])
            assert all(a["x"] + a["width"] <= b["x"] for a, b in pairwise(boxes))
        assert len(boxes) >= 9
        for box in boxes:  # all of a name is seen, below the embedding's row
            assert row["y"] < box["y"] < box["y"] + box["height"] <= stage["y"] + stage["height"]
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
