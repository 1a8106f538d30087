"""The room in the page, over scripts: opened, played, branched, hostile words, two who look."""

from __future__ import annotations

import json
import threading
import time

import pytest
import uvicorn

from live_page import PATIENCE_MS, findings
from tiny_scenes import TEXT, tiny_scene
from worldline.apps.server.app import make_app
from worldline.apps.server.guard import Rate
from worldline.live.answering import Answer
from worldline.live.worker import Worker
from worldline.room.deeds import Deeds, Hit, Picture
from worldline.room.events import Message
from worldline.room.hosting import Desk
from worldline.room.models.scripted import Scripted
from worldline.views.html import scene_json

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30"/>'
HOSTILE = (
    "<img src=x onerror=alert(1)> \N{RIGHT-TO-LEFT OVERRIDE}abc ![a](https://evil.example/x.png)"
)
GUEST = (HOSTILE, "@Right, hello", "third words", "fourth words", "fifth words")
HIT = Hit("A title", "<b>bold</b>", "https://a.example/x")


class Served:
    """A server on scripts; each reply's flow is made up: every earlier message gave 1 nat."""

    def __init__(self, folder):
        self.desk = Desk(
            folder,
            {"bundled": Scripted("bundled", GUEST, True)},
            lambda _catalog: Deeds(
                lambda _asked: Picture(SVG, "image/svg+xml", "a line of a test"),
                lambda _asked: [HIT],
            ),
            self.weigh,
        )
        self.worker = Worker(self.answers)
        about = {"model": "tiny", "example": TEXT, "version": "0"}
        app = make_app(
            self.worker, about, hosts=frozenset({"127.0.0.1"}), rate=Rate(burst=10_000),
            desk=self.desk,
        )  # fmt: skip
        config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        end = time.monotonic() + 60
        while not self.server.started:
            assert time.monotonic() < end
            time.sleep(0.02)
        self.address = f"http://127.0.0.1:{self.server.servers[0].sockets[0].getsockname()[1]}/"

    def answers(self, question, _say) -> Answer:
        if question.ask == "see":
            scene = tiny_scene("gradient")
            return Answer(scene_json(scene), scene=scene)
        return Answer(json.dumps({question.ask: None}))

    def weigh(self, _model, _usage):
        said = [e for e in self.desk.hosted.room.line if isinstance(e.body, Message)][:-1]
        rows = [
            {"event": e.number, "speaker": e.body.who, "lost_nats": 1.0, "attention": 0.05}
            for e in said
        ]
        speakers = {
            who: {"lost_nats": 1.0, "attention": 0.05 * sum(e.body.who == who for e in said)}
            for who in {e.body.who for e in said}
        }
        return {"messages": rows, "speakers": speakers, "own_attention": 0.2, "unplaced": []}

    def close(self):
        self.desk.closing = self.worker.closing = self.server.should_exit = True
        self.thread.join(30)
        self.desk.close()
        self.worker.close()


@pytest.fixture
def served(tmp_path):
    made = Served(tmp_path / "rooms")
    yield made
    made.close()


@pytest.fixture
def visit(browser, served):
    """Pages on the room; at the end none complained, and nobody else was asked for anything."""
    contexts, said, asked = [], [], []

    def open_page(size=(1440, 900), scheme="light"):
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(served.address + "#tab=room")
        page.locator(".wl-room").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    refused = "409 (Conflict)"  # the browser's own word for a deed that was refused
    assert [one for one in said if refused not in one] == []
    assert [url for url in asked if not url.startswith((served.address, "blob:", "data:"))] == []


def opened(page, title="Rehearsal of every command"):
    page.get_by_role("button", name=f"Open {title}").click()
    page.get_by_role("button", name="Play", exact=True).wait_for()


def messages(page):
    return page.locator(".wl-room-message[data-event]")


def played(page, n):
    page.get_by_role("button", name="Play", exact=True).click()
    messages(page).nth(n - 1).wait_for()
    page.get_by_role("button", name="Play", exact=True).wait_for()


def test_a_room_is_opened_played_and_read(visit):
    page = visit()
    opened(page)
    played(page, 15)
    assert messages(page).count() == 15
    text = page.locator(".wl-room-list").inner_text()
    assert 'done Right\'s !temperature "1.3": from 1 to 1.3' in text
    assert "?image" in text
    assert "was not run" in text
    assert "says that it made or looked up something; this line made nothing" in text
    assert page.locator("code.wl-room-command.wl-room-done").count() == 7
    assert (
        page.locator("mark[title='written in the name of Right']").inner_text() == "[Right]: !leave"
    )
    image = page.locator("img.wl-room-picture")
    page.wait_for_function("document.querySelector('img.wl-room-picture').naturalWidth === 40")
    assert image.get_attribute("alt") == "a line of a test"
    link = page.get_by_role("link", name=HIT.url)
    assert link.get_attribute("rel") == "noopener noreferrer"
    assert "<b>bold</b>" in page.locator(".wl-room-hits").inner_text()
    assert findings(page) == []


def test_strands_go_to_what_a_reply_drew_on(visit):
    page = visit()
    opened(page)
    played(page, 15)
    n = 14 * 15 // 2  # each of 14 replies read every message before it
    assert page.locator(".wl-room-strands path").count() == n
    messages(page).nth(3).focus()
    page.wait_for_function(
        "document.querySelectorAll('.wl-room-strands path:not(.wl-room-away)').length === 3"
    )
    pulls = page.locator(".wl-room-pull").all_inner_texts()
    assert pulls[:4] == ["5 %, +1.00 nats"] * 3 + [""]
    rows = page.locator(".wl-room-reading tbody tr")
    assert rows.count() == 2
    assert "Most read by the others" in page.locator(".wl-room-reading").inner_text()


def test_a_branch_is_taken_and_the_other_can_be_looked_at(visit):
    page = visit()
    opened(page)
    played(page, 15)
    third = messages(page).nth(2)
    third.hover()
    third.get_by_role("button", name="Branch from").click()
    page.wait_for_function("document.querySelectorAll('.wl-room-message[data-event]').length === 3")
    page.get_by_role("button", name="Step").click()
    messages(page).nth(3).wait_for()
    page.get_by_role("button", name="the other branch").first.click()
    assert messages(page).count() == 15
    page.get_by_role("button", name="back to the newest").click()
    assert messages(page).count() == 4


def test_what_a_person_says_is_kept_and_what_is_refused_is_not_lost(visit):
    page, other = visit(), visit((390, 800), "dark")
    opened(page)
    other.reload()
    page.get_by_label("Your message").fill("!leave is no command of mine")
    page.get_by_role("button", name="Say").click()
    for one in (page, other):
        messages(one).nth(1).wait_for()
        assert "is no command of mine" in messages(one).nth(1).inner_text()
    assert page.get_by_label("Your message").input_value() == ""
    page.get_by_label("Your name").fill("Right")
    page.get_by_label("Your message").fill("I am somebody else")
    page.get_by_role("button", name="Say").click()
    page.get_by_text("a participant has it").wait_for()
    assert page.get_by_label("Your message").input_value() == "I am somebody else"
    wide = other.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide[0] <= wide[1]
    assert findings(other) == []


def test_hostile_words_stay_words(visit):
    page = visit()
    opened(page)
    page.get_by_text("Add somebody").click()
    page.get_by_label("name", exact=True).fill("Eve")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("button", name="Remove Right").click()
    page.get_by_role("button", name="Remove Almost").click()
    page.get_by_role("button", name="Step").click()
    messages(page).nth(1).wait_for()
    said = messages(page).nth(1).locator(".wl-room-text")
    assert "<img src=x onerror=alert(1)>" in said.inner_text()
    assert page.locator(".wl-room-list img").count() == 0
    assert (
        "links to a picture from elsewhere; it was not loaded" in messages(page).nth(1).inner_text()
    )


def test_a_room_is_left_and_gone_on_with(visit):
    page = visit()
    opened(page)
    page.get_by_role("button", name="Step").click()
    messages(page).nth(1).wait_for()
    page.get_by_role("button", name="Rooms", exact=True).click()
    page.get_by_role("button", name="Back to Rehearsal of every command").click()
    messages(page).nth(1).wait_for()
    page.get_by_role("button", name="Rooms", exact=True).click()
    page.get_by_role("button", name="Go on with rehearsal-").click()
    messages(page).nth(1).wait_for()
    with page.expect_download() as loading:
        page.get_by_role("button", name="Save as one HTML file").click()
    assert loading.value.suggested_filename.endswith(".html")
