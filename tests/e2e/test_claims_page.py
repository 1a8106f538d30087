"""The claims as somebody reads them: in a Scene's file, in a file of their own, on a live page."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

import worldline as wl
from browsing import PATIENCE_MS
from claims_pictures import FIGURES, NASTY, TEXT, claims_picture
from live_page import SIZE, Visit, findings
from served import in_thread
from tiny_scenes import tiny_scene
from worldline.views.claims_html import render_claims_html
from worldline.views.html import render_html
from worldline.views.number_records import with_meanings

PICTURE = claims_picture()
N_CLAIMS = sum(node.type == "claim" for node in PICTURE.nodes)


@pytest.fixture
def page_of(browser, tmp_path):
    """Open a file; at the end nothing was complained of or asked of anybody."""
    seen = []

    def open_file(content, fragment="", *, size=(1440, 900), scheme="light"):
        path = tmp_path / "claims.html"
        path.write_text(content, encoding="utf-8")
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, offline=True
        )
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri() + fragment)
        page.locator(".wl-header, .wl-claims").first.wait_for()
        seen.append((context, said, asked))
        return page

    yield open_file
    for context, said, asked in seen:
        context.close()
        assert said == []
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def alone():
    return render_claims_html(PICTURE)


def in_scene():
    return render_html(with_meanings(tiny_scene("gradient")), PICTURE)


def verdict(claim):
    return next(one for one in PICTURE.verdicts if one.claim == claim and not one.quick)


def test_the_tab_takes_the_place_of_the_lattice_and_gives_it_back(page_of):
    page = page_of(in_scene())
    page.get_by_role("tab", name="Claims").click()
    page.wait_for_url("**#tab=claims")
    assert page.locator(".wl-stage").is_hidden()
    assert page.locator(".wl-claims-table tbody tr").count() == N_CLAIMS
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    page.get_by_role("tab", name="Why").click()
    assert page.locator(".wl-stage").is_visible()
    page.locator(".wl-row").first.wait_for()


def test_without_claims_there_is_no_tab(page_of):
    page = page_of(render_html(with_meanings(tiny_scene("gradient"))))
    assert page.get_by_role("tab", name="Claims").count() == 0


def test_a_claim_its_number_its_levels_its_figure(page_of):
    page = page_of(alone())
    row = page.locator(".wl-claims-table tr").filter(has_text="Values pass the past state")
    assert "refuted" in row.inner_text()
    found = verdict("values-wide")
    assert float(row.locator("data").get_attribute("value")) == found.value
    row.click()
    page.wait_for_url("**#claim=values-wide")
    record = page.get_by_role("article")
    told = record.inner_text()
    for words in (found.metric, found.reason, *found.says, found.command, "≥ 0.9", "< 0.9",
                  f"{found.n} {found.counts}"):  # fmt: skip
        assert words in told
    (series,) = FIGURES[1]["series"]
    bars = record.locator(".wl-claim-chart rect.wl-fill")
    assert bars.count() == len(series["y"])
    heights = [float(one.get_attribute("height")) for one in bars.all()]
    scale = heights[0] / series["y"][0]
    assert heights == pytest.approx([max(0.8, abs(y) * scale) for y in series["y"]], rel=1e-3)
    assert record.locator(".wl-claim-chart .wl-full").count() == 1  # the level beside it
    record.get_by_text("Numbers", exact=True).click()
    cells = record.locator(".wl-claim-numbers table data").evaluate_all("a => a.map(x => x.value)")
    ends = zip(series["y"], series["low"], series["high"], strict=True)
    assert [float(one) for one in cells] == [value for row in ends for value in row]


def test_every_mark_is_drawn(page_of):
    page = page_of(alone(), "#claim=redundancy")
    chart = page.locator(".wl-claim-chart").first
    assert chart.locator("path.wl-curve").count() == 2
    assert chart.locator("path.wl-within").count() == 1  # one of the two has an interval
    other = page.locator(".wl-other-verdict > summary")
    assert "inconclusive" in other.inner_text()
    assert "quick" in other.inner_text()
    page.goto("about:blank")
    page = page_of(alone(), "#claim=introspection-permitted")
    points = page.locator(".wl-claim-chart g.wl-series path.wl-fill")
    assert points.count() == 8
    places = [float(one) for one in points.evaluate_all(
        "all => all.slice(0, 4).map(one => one.getBoundingClientRect().top)")]  # fmt: skip
    assert places[3] - places[2] > places[0] - places[2] > 0  # by powers of ten: 2e-6 lies lowest


def test_a_verdict_is_told_apart_without_colour(page_of):
    page = page_of(alone())
    words = page.locator(".wl-claims-filter")
    shapes = words.evaluate_all("all => all.map(one => one.querySelector('svg').innerHTML)")
    assert len(set(shapes)) == words.count() == 7
    told = [one.split() for one in words.all_inner_texts()]
    counts = {" ".join(words_): int(many) for *words_, many in told}
    assert sum(counts.values()) == N_CLAIMS
    words.filter(has_text="refuted").click()
    rows = page.locator(".wl-claims-table tbody tr")
    assert rows.count() == counts["refuted"] == 1
    words.filter(has_text="refuted").click()
    assert rows.count() == N_CLAIMS
    assert "stale" in rows.filter(has_text="width limits").inner_text()
    assert "quick" in rows.filter(has_text="can report").inner_text()


def test_by_keys_alone_and_back_again(page_of):
    page = page_of(in_scene(), "#tab=claims")
    page.locator(".wl-claim-name[tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_url("**claim=block-order")
    page.keyboard.press("ArrowDown")
    page.wait_for_url("**claim=keys-face-future")
    assert page.evaluate("document.activeElement.dataset.claim") == "keys-face-future"
    page.keyboard.press("Escape")
    page.wait_for_url("**#tab=claims")
    page.go_back()
    page.wait_for_url("**claim=keys-face-future")
    page.reload()
    page.get_by_role("article").wait_for()
    assert "A key already says" in page.get_by_role("article").inner_text()


def test_the_graph_by_keys(page_of):
    page = page_of(alone(), "#graph=1&claim=interference")
    node = page.locator(".wl-graph-node")
    shown = [one for one in PICTURE.nodes if one.type not in ("run", "verdict")]
    assert node.count() == len(shown)
    inside = page.locator(".wl-graph-box").bounding_box()
    for one in node.all():
        box = one.bounding_box()
        assert box["x"] >= inside["x"] - 1
        assert box["x"] + box["width"] <= inside["x"] + inside["width"] + 1
    lit = {one.get_attribute("data-id") for one in page.locator(".wl-graph-node.wl-lit").all()}
    near = {end for edge in PICTURE.edges for end in (edge.source, edge.target)
            if "interference" in (edge.source, edge.target)}  # fmt: skip
    assert lit == {one.id for one in shown} & near
    page.locator(".wl-graph-node.wl-open").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    idea = page.evaluate("document.activeElement.dataset.id")
    kinds = {one.id: one.type for one in PICTURE.nodes}
    assert kinds[idea] in ("concept", "framework", "method", "question")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**claim={idea}*")
    assert page.evaluate("document.activeElement.dataset.id") == idea
    page.get_by_label("20 verdicts").check()
    assert node.count() == len(shown) + 20


def test_neighbours_lead_on_and_texts_are_texts(page_of):
    page = page_of(alone(), "#claim=interference")
    tied = page.locator(".wl-neighbours")
    assert [one.split(" ")[0] for one in tied.locator("h5").all_inner_texts()]
    page.get_by_role("button", name="How information flows through transformers").click()
    record = page.get_by_role("article")
    record.get_by_role("heading", name="How information flows").wait_for()
    assert record.locator("a").count() == 0  # its address is a script
    counts = record.locator(".wl-neighbours li").filter(has_text="states").all_inner_texts()
    edges = [int(one.rsplit("·", 1)[1].split()[0]) for one in counts]
    assert edges == sorted(edges, reverse=True)
    record.get_by_role("button", name="janus").click()
    record.get_by_role("heading", name="janus").wait_for()
    assert NASTY in record.inner_text()
    assert record.locator("b").count() == 0
    assert record.locator("a").get_attribute("href") == "https://example.org/janus"


# Of two by two by two four: every pair of a record, a size and a scheme is among them.
@pytest.mark.parametrize(
    ("fragment", "size", "scheme"),
    [
        ("claim=redundancy", (1440, 900), "light"),
        ("claim=redundancy", (1024, 700), "dark"),
        ("claim=interference&graph=1", (1440, 900), "dark"),
        ("claim=interference&graph=1", (1024, 700), "light"),
    ],
)
def test_no_finding_and_no_scrolling(page_of, fragment, size, scheme):
    page = page_of(in_scene(), f"#tab=claims&{fragment}", size=size, scheme=scheme)
    page.get_by_role("article").wait_for()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# --- live -----------------------------------------------------------------------------------------


@contextmanager
def live(model, folder):
    """A server in a thread of this process, with claims made by hand."""
    from worldline.apps.server.app import make_app
    from worldline.service.answers import Answering
    from worldline.service.worker import Worker

    worker = Worker(Answering(model, folder))
    about = {"model": model.name, "example": "Two words", "version": "0"}
    app = make_app(worker, about, hosts=frozenset({"127.0.0.1"}), claims=lambda: PICTURE)
    with in_thread(app, worker) as address:
        yield address


@pytest.mark.bundled
def test_a_verdict_is_shown_in_the_lattice(browser, bundled, tmp_path):
    # before the server has the model: no two threads may run it
    seen = wl.cut(bundled, TEXT, [wl.EdgeCut("mask", src=(3,))], target=" Paris")
    scene = wl.observe(TEXT, bundled, target=" Paris").scene
    with live(bundled, tmp_path) as address:
        context = browser.new_context(viewport=SIZE)
        visit = Visit(context.new_page(), address)
        page = visit.page
        page.goto(address + "#text=Two+words&tab=claims&claim=two-highways")
        visit.click(page.get_by_role("button", name="Show in the lattice"))
        page.locator(".wl-stage").wait_for()
        page.locator(".wl-pair").wait_for()
        visit.settle()
        assert page.get_by_label("The text that the model reads").input_value() == TEXT
        assert visit.value("change_nats") == pytest.approx(seen.change_nats, rel=1e-4)
        assert "cuts=" in page.url
        # the tour of the visitor's own text asks for what it lacks
        page.get_by_role("button", name="Explain").click()
        for _ in range(7):
            page.keyboard.press("ArrowRight")
        page.get_by_role("button", name="Follow the ways now").click()
        ways = page.locator(".wl-tour-text [data-name=ways]")
        ways.wait_for()
        assert ways.get_attribute("value") == scene.paths.ways
        assert page.url.endswith("step=8")
        page.go_back()
        page.go_back()
        page.locator(".wl-claims").wait_for()
        assert visit.complaints == []
        context.close()
