"""The page of `worldline serve` as somebody meets it who has never seen it: six actions at most."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import worldline as wl
from browsing import painted
from live_page import SIZE, Visit, findings, served
from worldline.views.labels import token_name

pytestmark = pytest.mark.bundled
TEXT = "The capital of France is"
FRANCE = 3
OTHER = "The capital of Italy is"
MOST_ACTIONS = 6
TABS = ["Why", "Paths", "Cuts", "Hops", "Cone", "Orders", "Claims"]
SCREENS = Path(__file__).parents[2] / "out" / "screens"
"""What a person sees, kept to be looked at."""


def keep(page, name, width, scheme="light"):
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"{name}-{width}-{scheme}.png", full_page=width < 720)


@pytest.fixture(scope="module")
def address(bundled, tmp_path_factory):
    with served() as found:
        yield found


@pytest.fixture
def visit(browser, address):
    """Somebody comes to the page; at the end nothing was complained of, or asked of others."""
    context = browser.new_context(viewport=SIZE, color_scheme="light")
    found = Visit(context.new_page(), address)
    yield found
    assert found.actions <= MOST_ACTIONS
    assert found.complaints == []
    assert [url for url in found.requests if not url.startswith((address, "data:", "blob:"))] == []
    context.close()


def seen_cut(bundled, *edges, text=TEXT, **asked):
    """The same cut in Python."""
    return wl.cut(bundled, text, list(edges), **asked)


def france_masked():
    return wl.EdgeCut("mask", src=(FRANCE,))


def first_edge(visit):
    """The strongest read that is listed: its row, and the four numbers that name it."""
    row = visit.page.locator(".wl-side .wl-edges li").first
    words = row.locator("button").first.get_attribute("title")
    found = re.match(r"Layer (\d+), head (\d+): .*?\((\d+)\) to .*?\((\d+)\)", words)
    return row, tuple(map(int, found.groups()))


def edge_masked(layer, head, src, dst):
    return wl.EdgeCut("mask", layers=(layer,), heads=(head,), src=(src,), dst=(dst,))


def agree(visit, seen):
    """What the page says of a cut is what Python says."""
    assert visit.value("change_nats") == pytest.approx(seen.change_nats, rel=1e-5, abs=1e-6)
    assert visit.value("kl_nats") == pytest.approx(seen.kl_nats, rel=1e-5, abs=1e-6)
    shown = visit.page.locator(".wl-pair tbody tr").first.locator("bdi").all_inner_texts()
    assert shown == [token_name(seen.before[0].token), token_name(seen.after[0].token)]


# --- the scenarios --------------------------------------------------------------------------------


def test_the_example_is_there_and_what_it_depends_on(visit, bundled):
    page = visit.open()
    assert page.get_by_label("The text that the model reads").input_value() == TEXT
    assert "Paris" in page.locator(".wl-next").inner_text()
    first = page.locator(".wl-predictions li").first
    assert first.inner_text().startswith("·Paris")
    best = wl.observe(TEXT, bundled, top=0, paths=False).scene.predictions[0]
    assert visit.value("prediction") == pytest.approx(best.logprob, rel=1e-5)
    sources = page.locator(".wl-sources li")
    assert sources.first.inner_text().startswith(("·France", "·capital"))
    lost = sources.filter(has_text="France").locator("data").get_attribute("value")
    seen = seen_cut(bundled, france_masked())
    assert float(lost) == pytest.approx(-seen.change_nats, rel=1e-5)
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    keep(page, "example", 1440)
    assert visit.actions == 0


def test_another_text_is_asked(visit, bundled):
    page = visit.open()
    visit.write(OTHER, page.get_by_label("The text that the model reads"))
    visit.press("Enter")
    visit.until(lambda: "Rome" in page.locator(".wl-next").inner_text())
    visit.settle()
    scene = wl.observe(OTHER, bundled, top=50, paths=False).scene
    assert visit.value("prediction") == pytest.approx(scene.predictions[0].logprob, rel=1e-5)
    assert "Italy" in page.locator(".wl-sources").inner_text()
    assert visit.actions == 2
    # the strongest read is the one that Python finds, with the same weight
    _, edge = first_edge(visit)
    shown = page.locator(".wl-side [data-name=weight]").first.get_attribute("value")
    best = scene.edges[0]
    assert edge == (best.layer, best.head, best.src, best.dst)
    assert float(shown) == pytest.approx(best.weight, rel=1e-4)


def test_why_this_token_and_not_that_one(visit, bundled):
    page = visit.open()
    names = [one.inner_text() for one in page.locator(".wl-predictions .wl-why").all()[:3]]
    visit.click(page.get_by_label(f"Why {names[1]}?", exact=True))
    visit.settle()
    lost = "would lose if that read alone were zeroed"
    assert f"blue: “{names[1]}” {lost}," in page.locator(".wl-caption").inner_text()
    visit.click(page.get_by_label(f"Compare with {names[0]}", exact=True))
    visit.settle()
    assert (
        f"blue: “{names[1]}” over “{names[0]}” {lost}," in page.locator(".wl-caption").inner_text()
    )
    tags = page.locator(".wl-predictions li").evaluate_all(
        "all => all.slice(0, 2).map(one => one.querySelector('.wl-tag')?.textContent)"
    )
    assert tags == ["versus", "target"]
    fields = [page.get_by_label(label).input_value() for label in
              ("The token that is asked about", "The token it is compared with")]  # fmt: skip
    asked = [name.replace("·", " ") for name in names]
    assert fields == [asked[1], asked[0]]
    seen = wl.observe(TEXT, bundled, target=asked[1], versus=asked[0], top=5, paths=False)
    shown = page.locator(".wl-side [data-name=weight]").first.get_attribute("value")
    assert float(shown) == pytest.approx(seen.scene.edges[0].weight, rel=1e-4)


def test_a_node_is_looked_at_and_fixed(visit):
    page = visit.open()
    place = visit.place(20, FRANCE)
    visit.hover(place)
    tooltip = page.locator(".wl-tooltip")
    tooltip.wait_for(state="visible")
    assert "France" in tooltip.inner_text()
    assert "layer 19" in tooltip.inner_text()
    assert page.locator(".wl-cone").count() == 2
    visit.click(place)
    fixed = page.get_by_role("region", name="Fixed node")
    fixed.wait_for()
    assert "France" in fixed.inner_text()
    assert "node=20.3" in page.url
    page.mouse.move(5, 895)
    keep(page, "node", 1440)
    visit.press("Escape")
    fixed.wait_for(state="detached")
    assert "node=" not in page.url
    assert visit.actions == 3


def test_what_is_typed_while_an_answer_is_on_its_way_stays(visit):
    page, held = visit.open(), []
    page.route(
        "**/api/questions/*/answer",
        lambda route: route.continue_() if held else held.append(route),
    )
    text, shows = page.locator(".wl-text"), page.locator(".wl-shows")
    visit.write(OTHER, text)
    visit.press("Enter")
    visit.until(lambda: len(held) == 1)
    assert TEXT in shows.inner_text()  # the picture is still that of the first text
    page.keyboard.type(" not")
    held[0].continue_()
    visit.until(lambda: OTHER in shows.inner_text())
    visit.settle()
    assert text.input_value() == f"{OTHER} not"
    assert page.locator(".wl.wl-stale").count() == 1
    visit.press("Enter")
    visit.until(lambda: shows.is_hidden())
    visit.settle()
    assert text.input_value() == f"{OTHER} not"
    assert page.url.endswith("#text=The+capital+of+Italy+is+not")


def test_france_is_cut_and_comes_back(visit, bundled):
    page = visit.open()
    visit.click(page.get_by_label("Cut every read of ·France"))
    panel = visit.panel("Cuts")
    panel.locator(".wl-pair").wait_for()
    visit.settle()
    seen = seen_cut(bundled, france_masked())
    agree(visit, seen)
    assert seen.after[0].token != " Paris"
    over = page.locator(".wl-next").inner_text()
    assert "after the cut" in over
    assert seen.after[0].token.strip() in over
    assert "all layers, all heads" in panel.locator(".wl-cuts li").inner_text()
    visit.click(panel.get_by_role("button", name="Undo"))
    panel.locator(".wl-pair").wait_for(state="detached")
    visit.until(lambda: "after the cut" not in page.locator(".wl-next").inner_text())
    assert panel.locator(".wl-cuts li").count() == 0
    assert "cuts=" not in page.url
    assert visit.keyboard_is_somewhere()
    assert visit.actions == 2


def test_the_strongest_read_is_cut_where_it_is_pointed_at_and_by_its_button(visit, bundled):
    page = visit.open()
    _, (layer, head, src, dst) = first_edge(visit)
    lane = 0.26 + 0.48 * (head + 0.5) / 9
    x0, _ = visit.place(layer, src)
    x1, y = visit.place(layer + lane, dst)
    visit.hover((x0 + (x1 - x0) * 0.5, y))
    words = page.locator(".wl-tooltip").inner_text()
    assert f"layer {layer}, head {head}, position {src} to {dst}" in words
    visit.press("x")
    table = visit.panel("Cuts").locator(".wl-pair")
    table.wait_for()
    visit.settle()
    seen = seen_cut(bundled, edge_masked(layer, head, src, dst))
    agree(visit, seen)
    visit.click(visit.panel("Cuts").get_by_role("button", name="Undo"))
    table.wait_for(state="detached")
    visit.tab("Why")
    row, edge = first_edge(visit)
    assert edge == (layer, head, src, dst)
    visit.click(row.locator(".wl-cut"))
    visit.panel("Cuts").locator(".wl-pair").wait_for()
    visit.settle()
    agree(visit, seen)
    assert visit.actions == 5


def test_reload_and_back(visit):
    page = visit.open()
    visit.write(OTHER, page.get_by_label("The text that the model reads"))
    visit.press("Enter")
    visit.until(lambda: "Rome" in page.locator(".wl-next").inner_text())
    visit.settle()
    visit.click(visit.place(20, FRANCE))
    page.get_by_role("region", name="Fixed node").wait_for()
    visit.click(page.get_by_label("Cut every read of ·Italy"))
    page.locator(".wl-pair").wait_for()
    visit.settle()
    before = page.url, visit.value("change_nats")
    page.reload()
    visit.settle()
    page.locator(".wl-pair").wait_for()
    visit.settle()
    assert (page.url, visit.value("change_nats")) == before
    assert page.get_by_role("tab", selected=True).inner_text() == "Cuts"
    assert page.get_by_label("The text that the model reads").input_value() == OTHER
    page.locator("[aria-label='Fixed node']").wait_for(state="attached")
    page.go_back()  # before the cut
    page.locator(".wl-pair").wait_for(state="detached")
    visit.settle()
    assert "node=20.3" in page.url
    assert "cuts=" not in page.url
    page.go_back()  # before the node
    page.locator("[aria-label='Fixed node']").wait_for(state="detached")
    page.go_back()  # before the other text
    visit.until(lambda: "Paris" in page.locator(".wl-next").inner_text())
    visit.settle()
    assert page.get_by_label("The text that the model reads").input_value() == TEXT
    assert visit.actions == 4


def test_what_went_wrong_is_one_line_and_nothing_is_lost(visit):
    page = visit.open()
    wrong = page.locator(".wl-wrong")
    shown = page.locator(".wl-side").inner_text()
    why = page.get_by_label("The token that is asked about")
    visit.write(" Parisian cat", why)
    visit.press("Enter")
    visit.until(lambda: wrong.inner_text() != "")
    assert wrong.inner_text().startswith('target " Parisian cat" is ')
    assert "\n" not in wrong.inner_text()
    assert "Paris" in page.locator(".wl-next").inner_text()
    assert page.locator(".wl-side").inner_text() == shown
    assert why.input_value() == " Parisian cat"  # to be mended, not to be typed again
    text = page.get_by_label("The text that the model reads")
    visit.write("", text)
    visit.press("Enter")
    assert wrong.inner_text().startswith("Type a text for ")
    assert page.locator(".wl-side").inner_text() == shown
    visit.complaints[:] = [one for one in visit.complaints if "422" not in one]


def test_long_work_is_cancelled(visit):
    page = visit.open()
    long = "All work and no play makes Jack a dull boy. " * 60
    visit.write(long.strip(), page.get_by_label("The text that the model reads"))
    visit.press("Enter")
    doing = page.locator(".wl-doing")
    visit.until(lambda: " s" in doing.inner_text())
    visit.click(page.get_by_role("button", name="Cancel"))
    page.locator(".wl-busy").wait_for(state="hidden")
    assert page.locator(".wl-bar-live").get_by_text("Stopped.").is_visible()
    assert "Paris" in page.locator(".wl-next").inner_text()
    assert visit.keyboard_is_somewhere()
    # the server is free again at once: what is asked next is answered
    visit.write(TEXT, page.get_by_label("The text that the model reads"))
    visit.press("Enter")
    visit.settle()
    assert page.locator(".wl-column").count() == 5
    assert visit.actions == 5


def test_the_exported_file_says_the_same_offline(visit, browser, tmp_path):
    page = visit.open()
    visit.click(page.get_by_label("Cut every read of ·France"))
    page.locator(".wl-pair").wait_for()
    visit.settle()
    names = ("change_nats", "kl_nats")
    shown = {name: visit.value(name) for name in names}
    visit.tab("Why")
    shown |= {name: visit.value(name) for name in ("prediction", "source_lost_nats", "weight")}
    visit.click(page.locator(".wl-save summary"))
    with page.expect_download() as saved:
        visit.click(page.get_by_role("button", name="This page as one HTML file"))
    place = tmp_path / "worldline.html"
    saved.value.save_as(place)
    context = browser.new_context(viewport=SIZE, offline=True)
    file = Visit(context.new_page(), place.as_uri())
    file.page.goto(file.address)
    file.page.locator(".wl-row").first.wait_for()
    for name in ("prediction", "source_lost_nats", "weight"):
        assert file.value(name) == shown[name]
    file.tab("Cuts")
    for name in names:
        assert file.value(name) == shown[name]
    assert file.page.get_by_role("tab").all_inner_texts() == ["Why", "Paths", "Cuts", "Claims"]
    assert file.requests == [place.as_uri()]
    assert file.complaints == []
    for scheme in ("light", "dark"):
        file.page.emulate_media(color_scheme=scheme)
        for name in ("Why", "Paths", "Cuts"):
            file.tab(name)
            assert findings(file.page) == [], f"{scheme}, {name}"
    context.close()


def test_by_keyboard_alone(visit, bundled):
    page = visit.open()
    text = page.get_by_label("The text that the model reads")
    page.keyboard.press("Tab")
    assert text.evaluate("one => one === document.activeElement")  # the first stop of all
    visit.write(OTHER)
    visit.press("Enter")
    visit.until(lambda: "Rome" in page.locator(".wl-next").inner_text())
    visit.settle()
    assert text.evaluate("one => one === document.activeElement")
    visit.reach(page.get_by_label("Cut every read of ·Italy"))
    visit.press("Enter")
    page.locator(".wl-pair").wait_for()
    visit.settle()
    agree(visit, seen_cut(bundled, france_masked(), text=OTHER))
    assert visit.keyboard_is_somewhere()
    assert visit.actions == 4


def test_the_tabs_and_what_runs_in_them_by_keyboard(visit):
    page = visit.open()
    visit.reach(page.get_by_role("tab", selected=True))
    visit.press("ArrowLeft")
    assert page.get_by_role("tab", selected=True).inner_text() == "Room"
    assert page.evaluate("document.activeElement.textContent") == "Room"
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    visit.press("ArrowLeft")
    assert page.get_by_role("tab", selected=True).inner_text() == "Hops"
    visit.reach(page.get_by_role("tabpanel", name="Hops").get_by_role("button", name="Run"))
    visit.press("Enter")
    page.locator(".wl-chart").wait_for()
    visit.settle()
    assert page.evaluate("document.activeElement.textContent") == "Run"  # still where it was
    assert visit.keyboard_is_somewhere()


# --- every panel, its numbers, its looks ----------------------------------------------------------


RUNS = {"Hops": "Run", "Cone": "Perturb the fixed node", "Orders": "Run the orders"}


@pytest.fixture(scope="module")
def full(browser, address):
    """One page on which everything was run: a cut, hops, a cone at a fixed node, orders."""
    context = browser.new_context(viewport=SIZE, color_scheme="light")
    visit = Visit(context.new_page(), address)
    page = visit.open()
    visit.click(visit.place(20, FRANCE))
    page.get_by_role("region", name="Fixed node").wait_for()
    visit.click(page.get_by_label("Cut every read of ·France"))
    page.locator(".wl-pair").wait_for()
    visit.settle()
    for tab, run in RUNS.items():
        visit.click(visit.tab(tab).get_by_role("button", name=run))
        visit.until(lambda tab=tab: visit.panel(tab).locator(".wl-altered h3").count() > 0)
        visit.settle()
    visit.click(visit.tab("Paths").get_by_role("button", name="Follow the paths"))
    visit.panel("Paths").locator(".wl-hops").wait_for()
    visit.settle()
    yield visit
    assert visit.complaints == []
    context.close()


def test_hops_cone_and_orders_are_those_of_python(full, bundled):
    page = full.page
    curve = wl.hop_curve(bundled, TEXT, sink="counted", max_hops=8)
    said = full.tab("Hops").locator(".wl-chart").get_attribute("aria-label")
    hops = [f"{n} hop{'' if n == 1 else 's'} {x:.2f}" for n, x in enumerate(curve.loss_nats)]
    assert f"column 0 counted: {', '.join(hops)};" in said
    assert said.endswith(f"any number of hops {curve.loss_full_nats:.2f}")
    cone = wl.light_cone(bundled, TEXT, at=wl.Node(layer=20, pos=FRANCE), directions=4, seed=0)
    words = full.tab("Cone").inner_text()
    assert "France (3), layer 20" in words
    assert "Outside the cone: exactly zero." in words
    assert cone.outside_zero
    digits, power = f"{cone.derivative_error:.1e}".split("e")
    assert f"against the derivative: {digits}e{int(power)}." in words
    before = painted(full.page)
    full.panel("Cone").get_by_role("radio", name="both").check()
    full.until(lambda: painted(full.page) > before)
    orders = full.tab("Orders")
    (decode,) = wl.run_orders(bundled, TEXT, ["decode"]).orders
    at = orders.locator(".wl-orders th[scope=rowgroup]").all_inner_texts().index("decode")
    cells = orders.locator(".wl-orders tbody").nth(at).locator("td").all_inner_texts()
    assert cells[:3] == [str(n) for n in (decode.n_slices, decode.widest, decode.longest_chain)]
    orders.get_by_label("Paint when each block ran").select_option("decode")
    full.until(lambda: painted(full.page) > before)
    whole = painted(full.page)
    slider = orders.get_by_label("Slice of the order")
    slider.focus()
    page.keyboard.press("Home")
    full.until(lambda: painted(full.page) < whole)
    assert slider.get_attribute("aria-valuetext").startswith(f"slice 1 of {decode.n_slices}, ")
    orders.get_by_label("Paint when each block ran").select_option("off")
    full.until(lambda: painted(full.page) == before)


def test_nothing_serious_is_found_by_axe(full):
    page = full.page
    page.mouse.move(5, 895)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for name in TABS:
            full.tab(name)
            assert findings(page) == [], (scheme, name)
    page.emulate_media(color_scheme="light")
    planted = "document.querySelector('.wl-byline b').style.color = '{}'"
    page.evaluate(planted.format("#ddd"))
    found = findings(page)
    page.evaluate(planted.format(""))
    assert [line.split()[0] for line in found] == ["color-contrast"]  # axe does look


# What may not be cut off: text that does not fit its own box, where nothing scrolls it.
CLIPPED = """() => [...document.querySelectorAll('.wl-tabs button, .wl-tabpanel:not([hidden]) *')]
    .filter(one => one.matches('button, p, h2, h3, legend, label, td, th'))
    .filter(one => one.getClientRects().length && !one.closest('.wl-wide-table, .wl-unseen'))
    .filter(one => {
        const aside = one.closest('.wl-aside').getBoundingClientRect();
        const box = one.getBoundingClientRect();
        return box.left < aside.left - 1 || box.right > aside.right + 1;
    })
    .map(one => one.textContent)"""


# Every panel in every window, in light; in dark every panel in one of two.
WINDOWS = {
    ("light", (1440, 900)): TABS,
    ("light", (1024, 700)): TABS,
    ("light", (390, 800)): TABS,
    ("dark", (1440, 900)): TABS[::2],
    ("dark", (1024, 700)): TABS[1::2],
}


def test_it_fits_every_window_and_is_kept_as_pictures(full):
    for (scheme, (width, height)), names in WINDOWS.items():
        full.page.emulate_media(color_scheme=scheme)
        full.page.set_viewport_size({"width": width, "height": height})
        for name in names:
            look(full, name, width, scheme)
    full.page.set_viewport_size(SIZE)


def look(full, name, width, scheme):
    """One panel in one window: painted where it paints, kept, nothing cut off or pushed aside."""
    page, panel = full.page, full.tab(name)
    page.mouse.move(2, 2)
    if name == "Cone":
        panel.get_by_role("radio", name="both").check()
    if name == "Orders":
        panel.get_by_label("Paint when each block ran").select_option("wavefront(1)")
        panel.get_by_label("Slice of the order").fill("9")
        table = panel.locator(".wl-wide-table")
        assert table.evaluate("one => one.scrollWidth <= one.clientWidth"), width
    page.wait_for_timeout(150)  # a frame or two, for the picture alone
    keep(page, name.lower(), width, scheme)
    assert page.evaluate(CLIPPED) == [], (name, width)
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth <= innerWidth"), (name, width)
    if width >= 1024:
        assert page.evaluate(f"{root}.scrollHeight <= innerHeight"), (name, width)
