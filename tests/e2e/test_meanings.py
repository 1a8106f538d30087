"""Every number on the page explains itself: by click, by keyboard, in panels and dialogs."""

from __future__ import annotations

import pytest

from browsing import CHROMIUM, TABS, altered_scene, open_tab
from worldline.views.metric_docs import MEANINGS
from worldline.views.number_records import with_meanings
from worldline.views.schema.scene import Scene

playwright_api = pytest.importorskip("playwright.sync_api")
if CHROMIUM is None:
    pytest.skip("needs Debian's chromium in PATH", allow_module_level=True)

# Digits that are places, names or sentences of the Scene and not numbers that it measures.
PLACES = (
    "bdi, h1, .wl-byline, .wl-title, .wl-where, .wl-route, .wl-words, .wl-place, .wl-row,"
    ".wl-column, .wl-unseen, .wl-tick, .wl-hop-legend, .wl-code, .wl-caption, .wl-keys, .wl-over,"
    ".wl-orders th, .wl-altered h3, .wl-side h2, .wl-check, option, .wl-about dd"
)
UNNAMED = """(places) => {
    const found = [];
    const walker = document.createTreeWalker(document.querySelector('.wl'), NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode;
        if (!/[0-9]/.test(node.textContent.replace('column 0', ''))) continue;
        const number = node.parentElement.closest('data.wl-number');
        if (number?.dataset.asks === 'yes') continue;
        if (number || !node.parentElement.closest(places)) found.push(node.parentElement.outerHTML);
    }
    return found;
}"""
PATHS = {
    "by": "contribution",
    "title": "All paths",
    "ways": "25518731280123456789",
    "by_hops": [0.5, -0.25],
    "beyond": 0.0,
    "by_source": [0.25],
    "closing": "of it",
    "agreement": [
        {
            "grouping": "hop counts",
            "coherence": 0.33,
            "constructive": 0.5,
            "destructive": 0.25,
            "shuffled": {"low": 0.1, "high": 0.9},
            "estimated": None,
            "interval": "all 4 sign patterns",
        }
    ],
    "effective": [{"normalise": "rows", "of": "a walk", "effective": 12.5, "entropy_nats": 2.5}],
    "paths": [],
    "found_as": "The strongest 0 paths",
    "caution": "none",
}


@pytest.fixture(scope="module")
def whole():
    wire = altered_scene().model_dump(by_alias=True)
    wire["paths"] = PATHS
    wire["nodes"]["writes_agree"] = [[0.5] * len(wire["tokens"])] * wire["model"]["n_layers"]
    return with_meanings(Scene.model_validate(wire))


def test_every_number_on_the_page_has_a_meaning(shown, whole):
    page = shown(whole, fragment="#node=2.3").page
    for name in TABS:
        open_tab(page, name)
        for details in page.locator(".wl-altered details:not([open]):visible").all():
            details.locator("summary").click()
        if name == "Cone":
            page.locator(".wl-altered").get_by_label("both").check()
        assert page.evaluate(UNNAMED, PLACES) == [], name
    open_tab(page, "Why")
    assert page.locator("data.wl-number").count() > 60
    names = set(page.locator("data.wl-number").evaluate_all("all => all.map(n => n.dataset.name)"))
    page.locator(".wl-stage").focus()  # away from the choice, which arrow keys would move
    for _ in range(3):
        page.keyboard.press("Escape")
    page.keyboard.press("ArrowUp")  # the tooltip of a node; nothing is fixed any more
    page.locator(".wl-tooltip").wait_for(state="visible")
    assert page.evaluate(UNNAMED, PLACES) == []
    page.locator(".wl-edges button").first.hover()
    names |= set(page.locator("data.wl-number").evaluate_all("all => all.map(n => n.dataset.name)"))
    # Shown elsewhere: the tooltip of an edge, and parts that this Scene lacks.
    assert set(whole.meanings) - names <= {"edge_rank", "edge_share", "other", "path"} | {
        "additivity_error",
        "change_logits",
        "versus_logits",
        "order_nats",
        "order_ulp",
        *(name for name, one in MEANINGS.items() if one.needs == "groups"),
    }


def test_the_walk_finds_a_number_without_a_meaning(shown, scenes):
    page = shown(scenes.make_scene()).page
    assert page.evaluate(UNNAMED, PLACES) == []
    page.evaluate("document.querySelector('.wl-aside').append('and 17 more')")
    assert len(page.evaluate(UNNAMED, PLACES)) == 1


def test_a_click_shows_value_formula_unit_exactness_and_commands(shown, scenes):
    scene = scenes.make_scene()
    page = shown(scene, fragment="#node=12.4").page
    number = page.locator(".wl-side [data-name=kv]")
    number.click()
    card = page.get_by_role("dialog", name="Share of K/V reads")
    words = card.inner_text()
    meaning = scene.meanings["kv"]
    for part in (meaning.formula, meaning.unit, meaning.exactness, meaning.cli, meaning.python):
        assert part in words
    assert number.get_attribute("value") in words
    assert card.get_by_role("button", name="Copy: Command line").is_visible()
    card.get_by_role("button", name="Copy: Python").click()
    assert page.evaluate("String(getSelection())") == meaning.python
    box, place = card.bounding_box(), number.bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 1440
    assert box["y"] + box["height"] <= 900
    clear = box["y"] >= place["y"] + place["height"] or box["y"] + box["height"] <= place["y"]
    assert clear
    page.keyboard.press("Escape")
    assert card.count() == 0
    assert page.url.endswith("#node=12.4")
    number.click()
    page.mouse.click(500, 860)
    assert card.count() == 0


def test_a_number_in_a_button_explains_itself_and_the_rest_still_is_a_button(shown, scenes):
    scene = scenes.make_scene()
    page = shown(scene).page
    row = page.locator(".wl-edges button").first
    row.locator("data").click()
    card = page.locator(".wl-meaning")
    assert scene.attribution.formula in card.text_content()
    assert "#node" not in page.url
    page.keyboard.press("Escape")
    row.focus()
    page.keyboard.press("i")
    assert card.count() == 1
    page.keyboard.press("Escape")
    assert row.evaluate("row => row === document.activeElement")
    page.keyboard.press("Enter")
    page.wait_for_url("**#node=*")


def test_one_tab_stop_per_panel_and_arrows_inside(shown, scenes):
    page = shown(scenes.make_scene(), fragment="#node=12.4").page
    for panel in page.locator(".wl-panel, .wl-controls, .wl-header").all():
        assert panel.locator("data[tabindex='0']").count() <= 1
    first = page.locator(".wl-side data[tabindex='0']")
    assert first.get_attribute("data-name") == "in_positive"
    assert first.get_attribute("aria-label").endswith(", Constructive reads written here")
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    focused = "document.activeElement.dataset.name"
    assert page.evaluate(focused) == "in_net"
    page.keyboard.press("End")
    assert page.evaluate(focused) == "out_net"
    page.keyboard.press("Home")
    assert page.evaluate(focused) == "in_positive"
    assert page.locator(".wl-side data[tabindex='0']").count() == 1
    assert page.locator(".wl-tooltip").is_hidden()  # the arrows did not move over the lattice
    page.keyboard.press("Enter")
    card = page.get_by_role("dialog", name="Constructive reads written here")
    assert card.evaluate("card => card === document.activeElement")
    page.keyboard.press("Escape")
    assert page.evaluate(focused) == "in_positive"
    assert page.url.endswith("#node=12.4")


def test_the_key_i_over_a_number_and_over_the_lattice(shown, scenes):
    scene = scenes.make_scene()
    page = shown(scene).page
    page.locator(".wl-predictions data").first.hover()
    page.keyboard.press("i")
    card = page.locator(".wl-meaning")
    assert scene.meanings["prediction"].title in card.inner_text()
    page.keyboard.press("Escape")
    page.mouse.move(1400, 880)
    page.keyboard.press("i")
    assert card.count() == 0
    page.keyboard.press("ArrowUp")
    page.locator(".wl-tooltip").wait_for(state="visible")
    page.keyboard.press("i")
    assert scene.meanings["in_positive"].title in card.inner_text()


def test_numbers_in_the_dialog_are_explained_inside_it(shown, scenes):
    page = shown(scenes.make_scene()).page
    page.locator(".wl-header .wl-i").click()
    dialog = page.locator("dialog[open]")
    dialog.locator("[data-name=closure]").click()
    assert dialog.locator(".wl-meaning").is_visible()
    page.keyboard.press("Escape")
    assert dialog.locator(".wl-meaning").count() == 0
    assert dialog.is_visible()


def test_a_scene_of_an_older_version_says_nothing_and_still_draws(shown, scenes):
    page = shown(scenes.make_scene().model_copy(update={"meanings": {}})).page
    number = page.locator(".wl-predictions data").first
    number.click()
    assert page.locator(".wl-meaning").count() == 0
    assert number.get_attribute("tabindex") is None


@pytest.mark.parametrize(
    ("size", "scheme"), [((1440, 900), "light"), ((1024, 700), "dark"), ((700, 700), "light")]
)
def test_the_card_fits_the_window(shown, whole, size, scheme):
    page = shown(whole, size=size, scheme=scheme).page
    looked_at = 0
    for name in TABS:
        open_tab(page, name)
        numbers = [one for one in page.locator("aside data.wl-number").all() if one.is_visible()]
        for number in numbers[::9]:
            number.click()
            box = page.locator(".wl-meaning").bounding_box()
            assert box["x"] >= 0
            assert box["y"] >= 0
            assert box["x"] + box["width"] <= size[0]
            assert box["y"] + box["height"] <= size[1]
            page.keyboard.press("Escape")
            looked_at += 1
    assert looked_at > 8
