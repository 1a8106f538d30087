"""The room as somebody sees it: opened, played, branched, spoken in, looked at by two."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from browsing import PATIENCE_MS
from live_page import SIZE, findings
from room_desk import NASTY, TURNING, serving_rooms
from tiny_scenes import tiny_scene
from worldline.room.action_claims import BADGES
from worldline.room.events import Command, Message, Notice, Outcome
from worldline.room.reply_flow import readings_of, who_reads_whom
from worldline.room.strands import FEWEST_NATS, HUES
from worldline.views.number_records import with_meanings

NARROW = {"width": 390, "height": 800}


class Visitor:
    """Pages on one server; at the end nothing was complained of or asked of anybody else."""

    def __init__(self, browser, address, desk):
        self.browser, self.address, self.desk = browser, address, desk
        self.contexts, self.said, self.asked = [], [], []

    def page(self, fragment="#tab=room", size=SIZE, scheme="light"):
        context = self.browser.new_context(viewport=size, color_scheme=scheme)
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(self.address + fragment)
        page.locator(".wl-room, .wl-row").first.wait_for(state="attached")
        page.wait_for_function("() => document.querySelector('.wl-busy').hidden")
        return page

    def lake(self, turns=0, **wishes):
        """A page on the log `lake`, so many turns later."""
        self.desk.open(log="lake")
        if turns:
            self.hosted.room.play(turns)
        page = self.page(**wishes)
        said(page).nth(turns).wait_for()
        return page

    @property
    def hosted(self):
        assert self.desk.open_room is not None
        return self.desk.open_room

    @property
    def line(self):
        return self.hosted.room.line

    def messages(self):
        return [one for one in self.line if isinstance(one.body, Message)]


@pytest.fixture
def visitor(browser, tmp_path):
    with serving_rooms(tmp_path) as (address, desk):
        found = Visitor(browser, address, desk)
        yield found
        for context in found.contexts:
            context.close()
    assert found.said == []
    others = [url for url in found.asked if not url.startswith((address, "blob:", "data:"))]
    assert others == []


def said(page):
    return page.locator(".wl-said")


def until_paused(page):
    page.wait_for_function(
        "() => /^(paused|stopped)/.test(document.querySelector('.wl-room-state').textContent)"
    )


def words(page):
    return said(page).locator(".wl-words").all_inner_texts()


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def test_a_scenario_is_opened_and_played_to_its_end(visitor):
    page = visitor.page()
    titles = page.locator(".wl-scenarios h4").all_inner_texts()
    assert titles == [one["title"] for one in visitor.desk.scenarios()]
    page.get_by_role("button", name="Open Rehearsal of every command").click()
    said(page).first.wait_for()
    assert words(page) == ["Please go through your commands, the right ones and the wrong ones."]
    visitor.hosted.room.set("quota_room", 5)
    button(page, "Play").click()
    said(page).nth(14).wait_for()
    until_paused(page)
    assert words(page) == [one.body.shown for one in visitor.messages()]
    bodies = [one.body for one in visitor.line]
    ends = Counter(one.end for one in bodies if isinstance(one, Outcome))
    shown = page.locator(".wl-outcome .wl-end").all_inner_texts()
    assert Counter(one.split()[-1] for one in shown) == ends
    assert ends == {"done": 5, "refused": 2}
    refused = page.locator(".wl-end-refused .wl-outcome-reason")
    assert set(refused.all_inner_texts()) == {"a room may see 5 commands"}
    marked = page.locator(".wl-given").all_inner_texts()
    given = [one for one in bodies if isinstance(one, Command)]
    shown_by = {one.number: one.body.shown for one in visitor.messages()}
    assert marked == [shown_by[one.message][one.start : one.end] for one in given]
    remarks = [one.text for one in bodies if isinstance(one, Notice) and one.code == "near_miss"]
    assert len(remarks) >= 3
    seen = page.locator(".wl-remark").all_inner_texts()
    assert set(remarks) <= set(seen)
    badges = page.locator(".wl-claim-badge").all_inner_texts()
    assert set(badges) == {BADGES["action"], BADGES["attachment"]}
    assert "the room" in page.locator(".wl-quiet").last.inner_text()
    page.reload()
    said(page).nth(14).wait_for()
    assert words(page) == [one.body.shown for one in visitor.messages()]


def test_a_picture_hits_and_a_passage_in_anothers_name(visitor):
    page = visitor.lake(5)
    image = page.locator(".wl-room-picture img")
    image.wait_for()
    assert image.get_attribute("src").startswith("blob:")
    page.wait_for_function(
        "() => document.querySelector('.wl-room-picture img').naturalWidth === 240"
    )
    assert image.get_attribute("alt") == "Picture of: a lake in fog"
    hit = page.locator(".wl-hits li")
    assert hit.count() == 1  # the other one had no web address
    link = hit.locator("a")
    assert link.get_attribute("href") == link.inner_text() == "https://a.example/herons?x=<b>"
    assert link.get_attribute("rel") == "noopener noreferrer"
    assert NASTY in hit.inner_text()
    borrowed = page.locator(".wl-borrowed").first
    assert borrowed.get_attribute("title") == "Ada wrote this in Bob's name"


def test_hostile_texts_stay_texts(visitor):
    page = visitor.lake(8)
    text = words(page)[7]
    assert text == f"{NASTY} {TURNING}".replace("\u202e", "‹202E›").replace("\u202c", "‹202C›")
    assert page.locator(".wl-room script, .wl-words img, .wl-words b, .wl-hits b b").count() == 0
    page.get_by_label("Say something").fill(NASTY)
    page.get_by_label("Your name").fill("Eve & <b>")
    button(page, "Say").click()
    page.get_by_role("alert").filter(has_text="name 'Eve & <b>'").wait_for()
    assert page.get_by_label("Say something").input_value() == NASTY  # nothing typed is lost
    visitor.said[:] = [one for one in visitor.said if "409" not in one]
    page.get_by_label("Your name").fill("Eve")
    button(page, "Say").click()
    said(page).nth(9).wait_for()
    assert words(page)[-1] == NASTY
    assert page.get_by_label("Say something").input_value() == ""
    assert page.evaluate("window.hit === undefined")


def test_strands_bars_and_the_table_are_those_of_the_log(visitor):
    page = visitor.lake(8)
    flows = readings_of(visitor.line)
    pulls = [
        (reply, one["event"], one["lost_nats"] < 0)
        for reply, flow in flows.items()
        for one in flow["messages"]
        if one["speaker"] and abs(one["lost_nats"]) >= FEWEST_NATS
    ]
    assert any(against for _, _, against in pulls)
    drawn = page.locator(".wl-gutter path").evaluate_all(
        "all => all.map(one => [+one.dataset.reply, +one.dataset.read,"
        " one.hasAttribute('stroke-dasharray')])"
    )
    assert sorted(map(tuple, drawn)) == sorted(pulls)
    assert page.locator(".wl-no-flow").inner_text() == "nothing is known of this one"
    last = visitor.messages()[-1].number
    said(page).last.hover()
    lit = page.locator(".wl-gutter path.wl-lit").evaluate_all(
        "all => all.map(one => +one.dataset.reply)"
    )
    assert set(lit) == {last}
    beside = [one for one in page.locator(".wl-beside").all_inner_texts() if one]
    assert len(beside) == sum(one["event"] is not None for one in flows[last]["messages"])
    assert all(re.fullmatch(r"[\d.]+ % · [+−]?[\d.]+ nats", one) for one in beside)
    shares = {name: one for name, one in flows[last]["speakers"].items() if name}
    whole = sum(one["attention"] for one in shares.values())
    widths = (
        said(page)
        .last.locator(".wl-drew-bar i")
        .evaluate_all("all => all.map(one => parseFloat(one.style.width))")
    )
    wanted = sorted((100 * one["attention"] / whole for one in shares.values()), reverse=True)
    assert widths == pytest.approx(wanted, rel=1e-3)
    speakers = {one.number: one.body.who for one in visitor.messages()}
    whom = who_reads_whom((speakers[reply], flow) for reply, flow in flows.items())
    told = page.locator(".wl-matrix")
    assert f"Most read by the others: {whom['most_read']}." in told.inner_text()
    cells = told.locator("td data").evaluate_all("all => all.map(one => +one.value)")
    pairs = [one for one in whom["pairs"] if one["read"]]
    numbers = sorted(value for one in pairs for value in (one["attention"], one["lost_nats"]))
    assert sorted(cells) == pytest.approx(numbers)
    dot = page.locator(f'.wl-gutter circle[data-number="{last}"]')
    assert dot.get_attribute("fill") == HUES[2]  # Bob spoke third


#: Keeps whether the banner is seen, and how many messages, whenever either has changed.
WATCHED = """() => {
  window.together = [];
  const look = () => {
    const banner = !document.querySelector(".wl-room-banner").hidden;
    const now = [banner, document.querySelectorAll(".wl-said").length];
    const last = window.together.at(-1);
    if (JSON.stringify(last) !== JSON.stringify(now)) window.together.push(now);
  };
  look();
  const options = { subtree: true, childList: true, attributes: true };
  new MutationObserver(look).observe(document.querySelector(".wl-room"), options);
}"""


def until_said(page, n):
    page.wait_for_function(f"() => document.querySelectorAll('.wl-said').length === {n}")


def test_a_branch_and_a_look_at_the_other_one(visitor):
    page = visitor.lake(3)
    before = words(page)
    said(page).nth(1).hover()
    said(page).nth(1).get_by_role("button", name=re.compile("Branch from message")).click()
    page.locator(".wl-fork").wait_for()
    assert words(page) == before[:2]
    button(page, "Step").click()
    said(page).nth(2).wait_for()
    page.evaluate(WATCHED)
    page.locator(".wl-fork button").click()
    banner = page.locator(".wl-room-banner")
    banner.wait_for()
    assert words(page) == before
    button(page, "Back to the newest").click()
    banner.wait_for(state="hidden")
    assert page.evaluate("window.together") == [[False, 3], [True, 4], [False, 3]]
    page.locator(".wl-fork button").click()
    until_said(page, 4)
    said(page).nth(3).hover()
    said(page).nth(3).get_by_role("button", name=re.compile("Branch from message")).click()
    banner.wait_for(state="hidden")
    until_said(page, 4)
    assert words(page) == before == [one.body.shown for one in visitor.messages()]


def test_two_pages_see_the_same_and_both_learn_that_it_closed(visitor):
    first = visitor.lake()
    second = visitor.page(scheme="dark")
    button(first, "Play").click()
    for page in (first, second):
        said(page).nth(10).wait_for()
        until_paused(page)
    assert words(first) == words(second)
    assert len(words(first)) == len(visitor.messages()) == 11
    button(second, "‹ All rooms").click()
    button(second, "Go back to it").click()
    said(second).nth(10).wait_for()
    button(second, "‹ All rooms").click()
    second.get_by_role("button", name="Open Rehearsal of every command").click()
    said(second).first.wait_for()
    first.get_by_role("alert").filter(has_text="The room was closed").wait_for()
    first.locator(".wl-room-open").filter(has_text="Rehearsal").wait_for()  # it looks again
    button(first, "Go back to it").click()
    said(first).first.wait_for()


def test_settings_and_people(visitor):
    page = visitor.lake()
    page.get_by_label("How turns are taken").select_option("mention")
    page.get_by_text("the room's mode is now mention").wait_for()
    limit = page.get_by_label("At most so many replies; empty for no limit")
    assert limit.input_value() == "20"
    limit.fill("2")
    limit.press("Enter")
    page.get_by_text("the budget is 2 replies").wait_for()
    page.get_by_text("Add somebody").click()
    page.get_by_label("Name", exact=True).fill("Ada")
    page.locator(".wl-room-form select").select_option("mCleo")
    button(page, "Add").click()
    page.get_by_role("alert").filter(has_text="somebody here has it").wait_for()
    visitor.said[:] = [one for one in visitor.said if "409" not in one]
    assert page.get_by_label("Name", exact=True).input_value() == "Ada"
    page.get_by_label("Name", exact=True).fill("Cleo")
    button(page, "Add").click()
    cleo = page.locator(".wl-people li").filter(has_text="Cleo")
    cleo.wait_for()
    cleo.get_by_label("silent").check()
    page.get_by_text("Cleo is silent").wait_for()
    button(page, "Remove Bob").click()
    page.get_by_text("Bob left: shown out").wait_for()
    assert [one.name for one in visitor.hosted.room.state.present] == ["Ada", "Cleo"]
    button(page, "Play").click()
    until_paused(page)
    assert len(visitor.messages()) == 3  # the host's, and two of the budget


def test_by_keys_alone_and_saved(visitor, tmp_path):
    page = visitor.lake()
    button(page, "Step").focus()
    page.keyboard.press("Enter")
    said(page).nth(1).wait_for()
    page.get_by_label("Say something").focus()
    page.keyboard.type("A line\nof x and [ and ?")
    assert page.get_by_label("Say something").input_value() == "of x and [ and ?"
    page.keyboard.press("Enter")  # the first one has said the first line
    said(page).nth(3).wait_for()
    assert words(page)[-2:] == ["A line", "of x and [ and ?"]
    assert "You: A line" in page.locator(".wl-room [role=log]").inner_text()
    said(page).nth(1).focus()
    assert page.locator(".wl-gutter.wl-some path.wl-lit").count() == 1
    for name, form in (("Markdown", "md"), ("JSON", "json"), ("HTML", "html")):
        with page.expect_download() as waiting:
            button(page, name).click()
        kept = tmp_path / f"saved.{form}"
        waiting.value.save_as(kept)
        assert waiting.value.suggested_filename == f"lake.{form}"
        assert "of x and [ and ?" in Path(kept).read_text("utf-8")


def test_the_room_does_not_wait_for_the_lattice(visitor):
    visitor.desk.open(log="lake")
    visitor.hosted.room.play(2)
    page = visitor.page("")
    held = []
    page.route("**/api/questions", lambda route: held.append(route))
    page.goto("about:blank")
    page.goto(visitor.address + "#tab=room")
    said(page).nth(2).wait_for()
    assert page.get_by_role("tab").count() == 0
    page.get_by_label("Say something").fill("I was here first")
    page.get_by_label("Say something").focus()
    for one in held:
        one.continue_()
    page.get_by_role("tab", name="Room").wait_for()
    assert page.get_by_label("Say something").input_value() == "I was here first"
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Say something"
    assert said(page).count() == 3


def test_a_stream_that_breaks_is_taken_up_again(visitor):
    visitor.desk.open(log="lake")
    visitor.hosted.room.play(2)
    page = visitor.page("")
    page.route("**/api/room/events*", lambda route: route.abort())
    page.get_by_role("tab", name="Room").click()
    page.wait_for_url("**tab=room*")
    page.locator(".wl-room-trouble").filter(has_text="does not answer").wait_for()
    assert said(page).count() == 0
    page.unroute("**/api/room/events*")
    said(page).nth(2).wait_for()
    page.locator(".wl-room-trouble").wait_for(state="hidden")
    visitor.said[:] = [one for one in visitor.said if "Failed to load" not in one]


def test_a_reply_is_seen_while_it_is_written(browser, tmp_path):
    with serving_rooms(tmp_path, wait_s=0.15) as (address, desk):
        visitor = Visitor(browser, address, desk)
        page = visitor.lake()
        button(page, "Step").click()
        writing = page.locator(".wl-writing")
        writing.filter(has_text="Shall we").wait_for()
        assert "not in the log yet" in writing.inner_text()
        assert page.locator(".wl-said").count() == 1
        assert "Shall we" not in page.locator(".wl-room [role=log]").inner_text()
        said(page).nth(1).wait_for()
        writing.wait_for(state="hidden")
        page.context.close()


# Every size, every scheme, not every pair: colours depend on no size, places on no colour.
@pytest.mark.parametrize(
    ("size", "scheme"),
    [(SIZE, "dark"), ({"width": 1024, "height": 700}, "light"), (NARROW, "dark")],
)
def test_no_finding_and_no_scrolling(visitor, size, scheme):
    page = visitor.lake(10, size=size, scheme=scheme)
    page.get_by_text("Add somebody").click()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if size is not NARROW:
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    box = page.locator(".wl-talk-box")
    page.wait_for_function(
        "() => { const one = document.querySelector('.wl-talk-box');"
        " return one.scrollHeight - one.scrollTop - one.clientHeight < 2; }"
    )
    box.evaluate("one => { one.scrollTop = 0; }")
    button(page, "Newest ↓").wait_for()
    visitor.hosted.room.say("Host", "One more line.")
    said(page).nth(11).wait_for()
    assert box.evaluate("one => one.scrollTop") == 0  # who reads further up stays there
    button(page, "Newest ↓").click()
    said(page).last.wait_for()
    button(page, "‹ All rooms").click()
    page.locator(".wl-scenarios").wait_for()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_file_has_no_room(shown):
    page = shown(with_meanings(tiny_scene("gradient")), fragment="#tab=room").page
    assert page.get_by_role("tab", name="Room").count() == 0
    assert page.locator(".wl-stage").is_visible()
