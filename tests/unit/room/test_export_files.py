"""Out as Markdown, JSON and one page; back in from JSON; run again and compared."""

from __future__ import annotations

import json
import random
import sqlite3
from html.parser import HTMLParser

import pytest

from scripted_rooms import DEEDS, clock, room_of, said
from worldline.errors import InputError
from worldline.room.actions import Deeds, Picture
from worldline.room.events import Message
from worldline.room.export_files import as_html, as_json, as_markdown
from worldline.room.imports import from_json
from worldline.room.log import Log
from worldline.room.providers.catalog import Catalog
from worldline.room.providers.chat_model import Delta, Usage
from worldline.room.providers.scripted_model import ScriptedModel
from worldline.room.replay import renumber, replay
from worldline.room.room import Room

EVIL = "<script>alert(1)</script> ![x](https://a.example/x.png) <img src=x onerror=y> *draws a cat*"


def busy():
    room = room_of(
        {
            "Ada": ['one !image "a"', '!temperature 1.5 @"', EVIL, "four", "five"],
            "Bob": ['uno !search "b"', "[Ada]: not I", '!add_ai "Cleo" "hi"', "!leave", "x"],
        },
        guests={"Cleo": ["Hello.\n!mute_self"]},
        mode="natural",
    )
    room.say("Host", "go <b>on</b> & on")
    room.play(8)
    return room


class Page(HTMLParser):
    """The tags of a page, and the text outside of its head."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_json_brings_back_every_branch_and_picture():
    room = busy()
    room.rewind(3)
    room.play(2)
    events = room.log.events()
    text = as_json(events, room.log.content)
    log = Log()
    assert from_json(text, log) == events == log.events()
    assert as_json(log.events(), log.content) == text
    assert json.loads(text)["contents"]
    again = Room(log, room.catalog, DEEDS)
    assert (again.state, again.line) == (room.state, room.line)
    with pytest.raises(InputError, match="new log"):
        from_json(text, log)


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: "not json",
        lambda whole: "[]",
        lambda whole: json.dumps({**whole, "format": "other"}),
        lambda whole: json.dumps({**whole, "events": whole["events"][1:]}),
        lambda whole: json.dumps({**whole, "events": [{**whole["events"][0], "parent": 1}]}),
        lambda whole: json.dumps({**whole, "events": [{"number": 1}]}),
        lambda whole: json.dumps({**whole, "events": [{**whole["events"][0], "body": {}}]}),
        lambda whole: json.dumps({**whole, "contents": {"x": {"base64": "é"}}}),
    ],
)
def test_json_that_is_no_room_is_refused_and_the_log_stays_empty(change):
    whole = json.loads(as_json(busy().log.events()))
    log = Log()
    with pytest.raises(InputError):
        from_json(change(whole), log)
    assert log.events() == []


def test_the_page_needs_nothing_else_and_shows_text_as_text():
    room = busy()
    page = Page(as_html(room.line, room.log.content, title="A <b>title</b>"))
    tags = [tag for tag, _ in page.tags]
    assert "script" not in tags
    assert "b" not in tags
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        assert (attributes.get("src", "data:image/") or "").startswith("data:image/")
        assert "href" not in attributes
    assert tags.count("article") == len(said(room))
    assert tags.count("img") == 1
    for _, text in said(room):
        assert text in page.text
    assert 'Ada\'s !image "a": done' in page.text
    marks = [attributes["title"] for tag, attributes in page.tags if tag == "mark"]
    assert marks == ["written in the name of Ada"]
    assert "it was not loaded" in page.text
    assert "scripted" in page.text


def test_where_a_picture_is_lost_every_form_says_so_and_holds_the_rest(tmp_path):
    path = tmp_path / "a.room"
    room = room_of({"Ada": ['one !image "a"', 'two !image "b"', "three"]}, path)
    room.play(3)
    room.close()
    base = sqlite3.connect(path)
    base.execute("DELETE FROM contents WHERE bytes = ?", (b"picture of a",))
    base.commit()
    base.close()
    log = Log(path)
    events = log.events()
    lost = "the picture is lost: the room's log does not hold it"
    page, markdown = as_html(events, log.content), as_markdown(events, log.content)
    plain = as_json(events, log.content)
    assert page.count("the picture is lost") == markdown.count("the picture is lost") == 1
    assert page.count("<img ") == 1
    for text in (page, markdown):
        assert "three" in text
        assert text.index("the picture is lost") < text.index("two")
    contents = json.loads(plain)["contents"].values()
    assert [one.get("lost") for one in contents] == [lost, None]
    again = Log()
    assert from_json(plain, again) == events
    assert as_json(events, again.content) == plain
    assert as_markdown(events).count("the picture is lost") == 0  # where nobody could look
    log.close()


def test_a_picture_that_is_none_is_not_put_into_the_page():
    deeds = Deeds(lambda _asked: Picture(b"<script>", "text/html", "x"))
    room = room_of({"Ada": ['!image "a"']}, deeds=deeds)
    room.play(1)
    assert "<img" not in as_html(room.line, room.log.content)


def test_markdown_has_every_message_under_its_speaker():
    room = busy()
    text = as_markdown(room.line)
    for who, words in said(room):
        assert f"**{who}**" in text
        assert words in text
    assert "*Bob left: of its own accord*" in text


def test_a_run_again_is_the_same_bit_for_bit():
    room = busy()
    again = replay(room.line, room.catalog)
    assert (again.differs, again.reason) == (0, "")
    assert len(again.events) == len(room.line)
    room.rewind(4)
    room.play(3)
    line = room.line
    assert [e.number for e in line] != list(range(1, len(line) + 1))
    again = replay(line, room.catalog)
    assert again.differs == 0
    assert [e.body for e in renumber(line)][-1].kind == line[-1].kind


def test_a_person_who_spoke_while_a_reply_streamed_is_where_they_were():
    hook = []

    class Told(ScriptedModel):
        __slots__ = ()

        def reply(self, messages, settings):
            if hook:
                hook.pop()()
            yield Delta(f"I read {len(messages)} messages")
            yield Usage()

    room = Room(Log(clock=clock()), Catalog({"m": Told("m", ())}))
    room.join("Ada", "m")
    hook.append(lambda: room.say("Host", "wait"))
    room.play(2)
    assert next(text for _, text in said(room)) == "wait"
    assert replay(room.line, room.catalog).differs == 0


def test_the_first_event_that_differs_is_named():
    room = room_of({"Ada": ["one", "two", "three"], "Bob": ["uno", "dos"]})
    room.play(5)
    other = Catalog(
        {
            "mAda": ScriptedModel("mAda", ("one", "twice", "three")),
            "mBob": room.catalog.model("mBob"),
        }
    )
    found = replay(room.line, other)
    body = renumber(room.line)[found.differs - 1].body
    assert isinstance(body, Message)
    assert body.text == "two"
    assert found.at == 2
    assert "text" in found.reason
    shorter = Catalog({"mAda": ScriptedModel("mAda", ("one",)), "mBob": room.catalog.model("mBob")})
    found = replay(room.line, shorter)
    assert "message in the first run, a notice in the second" in found.reason


def test_models_that_sample_by_their_seed_run_again_the_same_and_a_branch_differs():
    class Dice(ScriptedModel):
        __slots__ = ()

        def reply(self, messages, settings):
            yield Delta(str(random.Random(settings.seed).random()))
            yield Usage()

    room = Room(Log(clock=clock()), Catalog({"m": Dice("m", ())}))
    room.join("Ada", "m")
    room.join("Bob", "m")
    room.play(4)
    first = said(room)
    assert len({text for _, text in first}) == 4
    assert replay(room.line, room.catalog).differs == 0
    room.rewind(2)
    room.play(2)
    assert said(room)[:2] == first[:2]
    assert not {text for _, text in said(room)[2:]} & {text for _, text in first[2:]}
    assert replay(room.line, room.catalog).differs == 0
