"""The tour from its first step to its last, by keys alone; its numbers are the Scene's."""

from __future__ import annotations

import math

import pytest

from browsing import PATIENCE_MS, altered_scene
from claims_pictures import claims_picture
from live_page import findings
from tiny_scenes import tiny_scene
from worldline.views.html import render_html
from worldline.views.number_records import with_meanings

STEPS = 12
LOOKED_AT = (1, 5, 10, 12)


@pytest.fixture
def tour(browser, tmp_path):
    """Open a file with a Scene; at the end nothing was complained of or asked of anybody."""
    seen = []

    def open_file(scene, fragment="", *, size=(1440, 900), scheme="light", claims=None):
        path = tmp_path / "tour.html"
        path.write_text(render_html(scene, claims), encoding="utf-8")
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            offline=True,
            reduced_motion="reduce",
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        asked: list[str] = []
        page.goto(path.as_uri() + fragment)
        page.locator(".wl-row").first.wait_for()
        seen.append((context, said, asked))
        return page

    yield open_file
    for context, said, asked in seen:
        context.close()
        assert said == []
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def numbers(page, part="text"):
    """What the numbers of a step say, all their digits."""
    found = page.locator(f".wl-tour-{part} data").evaluate_all("all => all.map(one => one.value)")
    return [float(one) for one in found]


def expected(scene, drawn, share):
    """The numbers of each step's text, out of the Scene."""
    model, last = scene.model, len(scene.tokens) - 1
    blocks = model.n_layers * len(scene.tokens)
    edge = next((one for one in scene.edges if one.src != 0), scene.edges[0])
    shares, row = scene.nodes.shares, edge.layer
    parts = [
        getattr(shares, name)[row][edge.dst] for name in ("skip", "kv", "self_attention", "mlp")
    ]
    rest = [shares.constants[row][edge.dst]]
    parts += [one for one in rest if abs(one) >= 5e-4]
    paths = scene.paths
    shown = next((one for one in paths.paths if one.hops > 0), paths.paths[0])
    agreed = next(one for one in paths.agreement if one.coherence is not None)
    ends = [] if agreed.shuffled is None else [agreed.shuffled.low, agreed.shuffled.high]
    inner = sum(one.layer > 0 for one in scene.edges)
    return [
        [last + 1, scene.predictions[0].logprob],
        [model.n_layers, blocks],
        [model.d_model],
        [scene.coverage.of, drawn, share],
        [model.n_heads, model.n_kv_heads],
        parts,
        [edge.weight, abs(edge.weight) / scene.coverage.total],
        [int(paths.ways), paths.effective[0].effective, shown.weight],
        [agreed.constructive, agreed.destructive, agreed.coherence, *ends],
        [blocks, model.n_layers],
        [blocks * model.n_kv_heads, model.n_layers],
        [len(scene.edges), inner],
    ]


def test_by_keys_from_start_to_end(tour):
    scene = with_meanings(tiny_scene("gradient"))
    page = tour(scene, claims=claims_picture())
    drawn = int(page.locator(".wl-says [data-name=drawn_edges]").get_attribute("value"))
    share = sum(abs(one.weight) for one in scene.edges[:drawn]) / scene.coverage.total
    wanted = expected(scene, drawn, share)
    assert math.comb(scene.model.n_layers + 5, 5) == int(scene.paths.ways)
    page.get_by_role("button", name="Explain").focus()
    page.keyboard.press("Enter")
    card = page.get_by_role("region", name="Explain, step by step")
    titles = []
    for step in range(1, STEPS + 1):
        page.wait_for_url(f"**#*step={step}")
        assert card.get_by_text(f"Step {step} of {STEPS}", exact=True).is_visible()
        titles.append(card.get_by_role("heading", level=2).inner_text())
        assert numbers(page) == pytest.approx(wanted[step - 1], rel=1e-5, abs=1e-9), titles[-1]
        words = card.locator(".wl-tour-text").inner_text()
        assert "undefined" not in words + str(card.locator(".wl-tour-image").all_inner_texts())
        assert "NaN" not in words
        page.keyboard.press("ArrowRight")
    assert len(set(titles)) == STEPS
    card.wait_for(state="hidden")
    assert "step=" not in page.url
    assert page.evaluate("document.activeElement.textContent") == "Explain"


def test_verdicts_stand_beside_what_they_are_about(tour):
    page = tour(with_meanings(tiny_scene("gradient")), "#step=12", claims=claims_picture())
    told = page.locator(".wl-tour-claims").inner_text()
    for words in ("supported", "6.20 [5.90, 6.40] log10", "measured", "0.410 [0.330, 0.490]",
                  "inconclusive", "quick", "not testable here"):  # fmt: skip
        assert words in told
    page.get_by_role("button", name="How much this model uses them").click()
    page.get_by_role("heading", name="How much this model uses them").wait_for()
    assert "step=" not in page.url
    assert "claim=introspection-used" in page.url


def test_back_escape_reload_and_the_browsers_back(tour):
    page = tour(with_meanings(tiny_scene("gradient")), "#step=5")
    card = page.locator(".wl-tour")
    assert "Step 5" in card.inner_text()
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**#step=4")
    page.reload()
    page.locator(".wl-row").first.wait_for()
    assert "Step 4" in card.inner_text()
    assert card.locator(".wl-tour-claims").count() == 0
    page.keyboard.press("Escape")
    card.wait_for(state="hidden")
    page.get_by_role("button", name="Explain").click()
    page.wait_for_url("**#step=1")
    assert page.evaluate("document.activeElement.textContent") == "Next"
    assert card.get_by_role("button", name="Back").is_disabled()
    page.go_back()
    card.wait_for(state="hidden")
    # arrow keys are the lattice's own again
    page.keyboard.press("ArrowUp")
    page.locator(".wl-tooltip").wait_for(state="visible")


def test_what_was_run_later_is_told_and_what_is_missing_is_said(tour):
    scene = altered_scene()
    page = tour(scene, "#step=7")
    lost = -min(scene.altered.sources.change_nats)
    assert numbers(page)[2:] == pytest.approx([lost, math.exp(lost)], rel=1e-6)
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_url("**#step=10")
    slices = [one.n_slices for one in scene.altered.orders.orders]
    assert numbers(page)[2:] == [len(slices), min(slices), max(slices)]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert "were not followed yet" in page.locator(".wl-tour-text").inner_text()
    assert page.locator(".wl-tour-image").count() == 0  # no number, no image
    assert (
        page.get_by_role("button", name="Follow the ways now").count() == 0
    )  # a file runs nothing


def test_the_lattice_shows_what_is_spoken_of(tour):
    scene = with_meanings(tiny_scene("gradient"))
    page = tour(scene, "#step=3")
    ring = page.locator(".wl-ring")
    ring.wait_for()
    page.keyboard.press("ArrowRight")
    page.locator(".wl-band").wait_for()
    edge = next(one for one in scene.edges if one.src != 0)
    lit = page.locator(".wl-column.wl-lit").evaluate_all("all => all.map(one => one.title)")
    assert [int(one.rsplit(" ", 1)[1]) for one in lit] == [edge.src, edge.dst]
    assert ring.count() == 0
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    page.wait_for_url("**#step=10")
    drawn = set()
    for choice in ("token by token", "on the slant", "layer by layer"):
        button = page.get_by_role("button", name=choice)
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        page.wait_for_timeout(200)
        drawn.add(page.evaluate("document.querySelectorAll('canvas.wl-canvas')[1].toDataURL()"))
    assert len(drawn) == 3


# Every size, every scheme, not every pair: colours depend on no size, places on no colour.
@pytest.mark.parametrize(("size", "scheme"), [((1440, 900), "light"), ((1024, 700), "dark")])
def test_no_step_has_a_finding_or_makes_the_page_scroll(tour, size, scheme):
    page = tour(
        with_meanings(tiny_scene("gradient")), "#step=1", size=size, scheme=scheme,
        claims=claims_picture(),
    )  # fmt: skip
    for step in range(1, STEPS + 1):
        page.wait_for_url(f"**#*step={step}")
        assert step not in LOOKED_AT or findings(page) == [], step
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight"), step
        on = "Done" if step == STEPS else "Next"
        assert page.get_by_role("button", name=on, exact=True).is_visible()
        page.keyboard.press("ArrowRight")
