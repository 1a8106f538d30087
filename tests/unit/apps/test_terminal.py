"""The room in the terminal, on scripts: keys, orders, hostile words, leaving in the middle."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
from textual.widgets import Input, RichLog, Static

from scripted_rooms import room_of
from worldline.apps.terminal.app import RoomApp
from worldline.errors import InputError
from worldline.room.events import Message
from worldline.room.hosting import Hosted
from worldline.room.log import Log, Reading
from worldline.room.models.catalog import Catalog
from worldline.room.models.model import Delta, ReplyError, Usage
from worldline.room.room import Room

SOON = 20.0
LINES = {"Ada": ["one", "two", "three"], "Bob": ["first", "second", "third"]}


def hosted_on(path=":memory:", scripts=LINES, **settings):
    """A scripted room whose events the app sees."""

    def made(watch):
        room = room_of(scripts, path, **settings)
        room._watch = room._branch._watch = watch
        return room

    return Hosted("a test", made)


def refuse(place: Path) -> Path:
    raise InputError(f"/save {place}: accepted are names that end in .md")


def on_screen(app) -> str:
    return "\n".join(line.text for line in app.query_one(RichLog).lines)


def note(app) -> str:
    return str(app.query_one("#note", Static).render())


def drive(hosted, *, size=(100, 30), turns=None, save=refuse):
    """Run the app with a coroutine that drives it; the app is checked when it has ended."""

    def with_(what):
        async def run():
            app = RoomApp(hosted, save, "You", turns)
            async with app.run_test(size=size) as pilot:
                await what(app, pilot)
            assert app.return_code in (0, None)

        try:
            asyncio.run(asyncio.wait_for(run(), 60))
        finally:
            hosted.close("the test ends")

    return with_


async def until(app, pilot, found):
    end = time.monotonic() + SOON
    while not found():
        assert time.monotonic() < end, on_screen(app)
        await pilot.pause(0.02)
        app.look()


async def typed(app, pilot, line):
    app.query_one(Input).value = line
    await pilot.press("enter")
    await pilot.pause()


def test_it_plays_by_a_key_and_shows_what_is_said():
    hosted = hosted_on()

    async def what(app, pilot):
        await pilot.press("f6")
        await until(app, pilot, lambda: "one" in on_screen(app) and not hosted.talking)
        await pilot.press("f5")
        await until(app, pilot, lambda: "no reply came from anybody" in on_screen(app))
        text = on_screen(app)
        assert [word in text for word in ("three", "third", "Ada joined", "Bob (m")] == [
            True, True, False, True,
        ]  # fmt: skip
        assert "> Ada" in str(app.query_one("#side", Static).render())

    drive(hosted)(what)


def test_turns_are_taken_at_once_where_so_many_are_asked():
    hosted = hosted_on()

    async def what(app, pilot):
        await until(app, pilot, lambda: "first" in on_screen(app) and not hosted.talking)
        assert "two" not in on_screen(app)

    drive(hosted, turns=2)(what)


def test_what_is_typed_is_said_or_obeyed_and_an_unknown_order_is_neither():
    hosted = hosted_on()

    async def what(app, pilot):
        await typed(app, pilot, "hello [red]all[/red]")
        assert "hello [red]all[/red]" in on_screen(app)
        await typed(app, pilot, "/plya")
        assert note(app).startswith("/plya: accepted are /play")
        assert app.query_one(Input).value == "/plya"
        await typed(app, pilot, "/temperature Ada 0.5")
        assert "Ada's temperature is now 0.5" in on_screen(app)
        await typed(app, pilot, "/temperature Ada warm")
        assert "accepted are 0 to 2" in note(app)
        await typed(app, pilot, "/mode shouting")
        assert "accepted are round_robin" in note(app)
        await typed(app, pilot, "/budget 1")
        await typed(app, pilot, "/play")
        await until(app, pilot, lambda: "the budget of 1 replies is used up" in on_screen(app))
        await typed(app, pilot, "/branch x")
        assert "accepted are whole numbers" in note(app)
        await typed(app, pilot, "/branch")
        assert "accepted is /branch N" in note(app)
        await typed(app, pilot, "/save somewhere.txt")
        assert "accepted are names that end in .md" in note(app)
        await typed(app, pilot, "/help")
        assert "/rewind [N]: back to before the latest N messages" in on_screen(app)
        said = [e.body.who for e in hosted.room.line if isinstance(e.body, Message)]
        assert said == ["You", "Ada"]

    drive(hosted)(what)


def test_another_branch_is_drawn_from_its_beginning():
    hosted = hosted_on()

    async def what(app, pilot):
        await typed(app, pilot, "/play 3")
        await until(app, pilot, lambda: "two" in on_screen(app) and not hosted.talking)
        await typed(app, pilot, "/rewind 2")
        await until(app, pilot, lambda: "the conversation goes on from event" in on_screen(app))
        assert "one" in on_screen(app)
        assert "first" not in on_screen(app)

    drive(hosted)(what)


def test_hostile_words_stay_words():
    words = "[bold]x[/bold] \x1b[31mred\x07"
    hosted = hosted_on(scripts={"Ada": [words]})

    async def what(app, pilot):
        await pilot.press("f6")
        await until(app, pilot, lambda: "[bold]x[/bold] \ufffd[31mred\ufffd" in on_screen(app))

    drive(hosted)(what)


class Broken:
    name, scripted, alternates, context_tokens = "broken", False, False, None

    def __init__(self):
        self.began, self.go = threading.Event(), threading.Event()

    def count_tokens(self, _messages):
        return 1

    def reply(self, _messages, _settings):
        yield Delta("half a ")
        self.began.set()
        while not self.go.is_set():
            yield Delta("word ")
            time.sleep(0.005)
        raise ReplyError("the host went away")
        yield Usage()


def broken_room(path, model):
    def made(watch):
        room = Room(Log(path), Catalog({"broken": model}), watch=watch)
        room.join("Ada", "broken")
        return room

    return Hosted("a test", made)


def test_a_reply_is_seen_as_it_comes_and_its_failure_is_said(tmp_path):
    model = Broken()
    hosted = broken_room(tmp_path / "a.room", model)

    async def what(app, pilot):
        await pilot.press("f6")
        await until(app, pilot, lambda: "half a word" in str(app.query_one("#writing").render()))
        model.go.set()
        await until(app, pilot, lambda: "did not answer: the host went away" in on_screen(app))
        assert str(app.query_one("#writing").render()) == ""

    drive(hosted)(what)


def test_leaving_in_the_middle_keeps_the_log_whole(tmp_path):
    model = Broken()
    hosted = broken_room(tmp_path / "a.room", model)

    async def what(app, pilot):
        await pilot.press("f6")
        await until(app, pilot, model.began.is_set)
        await pilot.press("ctrl+q")

    drive(hosted)(what)
    reading = Reading(tmp_path / "a.room")
    kinds = [one.kind for one in reading.events()]
    reading.close()
    assert kinds[0] == "joined"
    assert "message" not in kinds
    assert not hosted.talking


@pytest.mark.parametrize("size", [(40, 12), (60, 20), (140, 50)])
def test_any_terminal_shows_the_conversation_and_the_line(size):
    hosted = hosted_on(scripts={"Ada": ["word " * 40]})

    async def what(app, pilot):
        await pilot.press("f6")
        await until(app, pilot, lambda: "word word" in on_screen(app))
        assert app.query_one(Input).region.height >= 1
        assert app.query_one(Input).region.bottom <= size[1]
        assert app.query_one("#side").display is (size[0] >= 72)

    drive(hosted, size=size)(what)
