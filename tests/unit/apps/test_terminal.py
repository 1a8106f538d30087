"""The room's screen on scripted rooms: what is seen, what orders do, what stays in the log."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from textual import events
from textual.widgets import Static

from worldline.apps.cli import main
from worldline.apps.cli.room import _save
from worldline.apps.terminal import app as screen
from worldline.apps.terminal.app import RoomApp
from worldline.apps.terminal.entries import Telling
from worldline.apps.terminal.input_line import Line
from worldline.apps.terminal.session_start import sit_in
from worldline.apps.terminal.slash_commands import Order, read_order
from worldline.errors import InputError
from worldline.room import most_read
from worldline.room.events import Event, FlowRecord, Message
from worldline.room.host import HostedRoom
from worldline.room.log import Log, Reading
from worldline.room.providers.catalog import Catalog
from worldline.room.providers.chat_model import Delta, Usage
from worldline.room.providers.scripted_model import ScriptedModel
from worldline.room.room import Room

HOSTILE = "[red]x[/red] \x1b[2J\x1b]0;owned\x07 \u202etxt [@click=app.quit]y[/]"


class Slow:
    """Writes a word every 20 ms, many of them."""

    name, scripted, alternates, context_tokens = "slow", True, False, None

    def count_tokens(self, messages):
        return 1

    def reply(self, messages, settings):
        for number in range(500):
            time.sleep(0.02)
            yield Delta(f"word{number} ")
        yield Usage()


class Broken(Slow):
    """Does not answer as a model should."""

    def reply(self, messages, settings):
        raise RuntimeError(HOSTILE)
        yield


def room_made(path, scripts=None, model=None):
    """What opens a room in a file: scripts by name, or Ada alone on one model."""
    models = {f"m{n}": ScriptedModel(f"m{n}", tuple(x)) for n, x in (scripts or {}).items()}
    guests = {"guest": ScriptedModel("guest", ("I came.",))}
    hidden = models if model is None else {"mAda": model}

    def made(watch):
        room = Room(Log(path), Catalog(guests, hidden), None, watch)
        for one in hidden:
            if room.state.find(one[1:]) is None:
                room.join(one[1:], one)
        return room

    return made


@asynccontextmanager
async def sitting(path, scripts=None, model=None, size=(100, 30), turns=None):
    """The screen over a room, as somebody uses it."""
    hosted = HostedRoom("test", room_made(path, scripts, model))
    app = RoomApp(hosted, "You", _save, turns)
    try:
        async with app.run_test(size=size) as pilot:
            yield Sitting(app, pilot, hosted)
    finally:
        hosted.close("the test is over")


class Sitting:
    """Somebody who types, waits and looks."""

    def __init__(self, app, pilot, hosted):
        self.app, self.pilot, self.hosted = app, pilot, hosted

    async def give(self, line):
        typed = self.app.query_one(Line)
        typed.value = line
        await typed.action_submit()
        await self.pilot.pause()

    async def until(self, true, seconds=30.0):
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, self.seen
            await self.pilot.pause(0.02)

    async def quiet(self):
        await self.until(lambda: not self.hosted.talking)
        await self.app._look()
        await self.pilot.pause()

    @property
    def seen(self):
        """Every text of the conversation, from the top down."""
        found = [one for one in self.app.query("#talk Static").results(Static) if one.display]
        return "\n".join(one.content.plain for one in found if hasattr(one.content, "plain"))

    def part(self, name):
        return self.app.query_one(f"#{name}", Static).content.plain

    def said(self):
        bodies = [one.body for one in self.hosted.room.line]
        return [(one.who, one.shown) for one in bodies if isinstance(one, Message)]


def kept(path):
    log = Reading(path)
    try:
        return log.events()
    finally:
        log.close()


TWO = {"Ada": ["One.", "Two.\n!temperature 0.5", "Three."], "Bob": ["Uno.", "Dos.", "Tres."]}


def test_turns_are_played_words_are_said_and_the_panel_follows(tmp_path):
    async def go():
        async with sitting(tmp_path / "a.room", TWO) as me:
            assert "▸ Ada" in me.part("panel")
            await me.give("hello, either/or?")
            await me.give("/play 3")
            await me.quiet()
            assert me.said() == [
                ("You", "hello, either/or?"),
                ("Ada", "One."),
                ("Bob", "Uno."),
                ("Ada", "Two.\n!temperature 0.5"),
            ]
            assert "One." in me.seen
            assert "Ada's !temperature 0.5: done, from 1 to 0.5" in me.seen
            assert "it is being done" not in me.seen
            assert "t 0.5, 2 replies" in me.part("panel")
            assert "▸ Bob" in me.part("panel")
            await me.pilot.press("f6")
            await me.quiet()
            assert me.said()[-1] == ("Bob", "Dos.")
            await me.pilot.press("f5")
            await me.quiet()
            assert ("Bob", "Tres.") in me.said()
            assert "no reply came from anybody" in me.seen

    asyncio.run(go())


def test_orders_change_the_room(tmp_path):
    async def go():
        async with sitting(tmp_path / "a.room", TWO) as me:
            for line in (
                "/mode mention", "/budget 9", "/temperature Bob 1.5", "/mute ada", "/remove bob",
                "/add guest Eve the First",
            ):  # fmt: skip
                await me.give(line)
            await me.until(lambda: me.hosted.room.state.find("Eve the First") is not None)
            state = me.hosted.room.state
            assert state.settings["mode"] == "mention"
            assert state.limits.messages == 9
            assert [(one.name, one.muted) for one in state.present] == [
                ("Ada", True),
                ("Eve the First", False),
            ]
            await me.give("/unmute Ada")
            await me.give("/budget none")
            state = me.hosted.room.state
            assert (state.present[0].muted, state.limits.messages) == (False, None)
            await me.quiet()
            assert "Bob's temperature is now 1.5" in me.seen
            await me.give(f"/save {tmp_path / 'out.md'}")
            await me.until(lambda: "written:" in me.part("answer"))
            assert (tmp_path / "out.md").is_file()
            await me.give("/save out.txt")
            await me.until(lambda: "names that end in .md, .json, .html" in me.part("answer"))
            await me.give("/help")
            assert "/rewind [N]" in me.seen

    asyncio.run(go())


NO_ORDERS = {
    "/paly": "/paly: no such order; accepted are /play",
    "  /zzz [b]": "/zzz: no such order; accepted are /play, /pause, /step",
    "/": "/: no such order; accepted are /play, /pause",
    "/play many": "/play many: accepted are whole numbers from 1",
    "/branch": "/branch: accepted is /branch N: go on from event N",
    "/budget -1": "/budget -1: accepted are whole numbers from 0, or none",
    "/branch 99": "event 99: this room has the events 1 to 2",
    "/rewind": "rewind: nothing was said yet",
    "/mode chaos": "turns 'chaos': accepted are round_robin",
    "/temperature Ada hot": "temperature 'hot': accepted are 0 to 2",
    "/mute Zoe": "'Zoe' is not here; present: Ada, Bob",
    "/add nothing Eve": "model 'nothing': accepted are guest",
    "/add guest": "/add guest: accepted is /add MODEL NAME",
    "/pause now": "/pause now: accepted is /pause",
}


def test_what_is_no_order_is_answered_and_never_said(tmp_path):
    async def go():
        async with sitting(tmp_path / "a.room", TWO) as me:
            for line, answer in NO_ORDERS.items():
                await me.give(line)
                await me.until(lambda answer=answer: answer in me.part("answer"))
            assert len(kept(tmp_path / "a.room")) == 2

    asyncio.run(go())


def test_a_name_of_somebody_here_cannot_be_spoken_under(tmp_path):
    async def go():
        async with sitting(tmp_path / "a.room", TWO) as me:
            me.app._name = "ada"
            await me.give("I am Ada")
            assert "a participant has it" in me.part("answer")
            assert me.app.query_one(Line).value == "I am Ada"  # it can be mended
            assert me.said() == []

    asyncio.run(go())


def test_words_of_orders_keep_the_spaces_of_names():
    assert read_order('/add "big model" Ada the First') == Order(
        "add", ("big model", "Ada the First")
    )
    assert read_order('/temperature "Ada B" 1').words == ("Ada B", "1")
    assert read_order("/REWIND 2").number == 2
    with pytest.raises(InputError, match="accepted is /temperature NAME X"):
        read_order("/temperature Ada")


def test_a_branch_takes_what_came_after_off_the_screen(tmp_path):
    async def go():
        async with sitting(tmp_path / "a.room", TWO) as me:
            await me.give("/play 2")
            await me.quiet()
            await me.give("/rewind")
            await me.quiet()
            assert "One." in me.seen
            assert "Uno." not in me.seen
            ada = next(one for one in kept(tmp_path / "a.room") if one.kind == "message")
            await me.give(f"/branch {ada.parent}")
            await me.quiet()
            assert "One." not in me.seen
            await me.give("/step")
            await me.quiet()
            assert me.said() == [("Ada", "One.")]
            assert me.seen.count("One.") == 1
        assert sum(one.kind == "message" for one in kept(tmp_path / "a.room")) == 3

    asyncio.run(go())


def test_hostile_text_is_shown_as_it_was_written(tmp_path):
    async def go():
        async with sitting(tmp_path / "a.room", {"Ada": [HOSTILE]}) as me:
            await me.give("[bold]said[/bold] \x1b[2J")
            await me.give("/step")
            await me.quiet()
            assert me.said()[0] == ("You", "[bold]said[/bold] \ufffd[2J")
            assert "[red]x[/red] \ufffd[2J\ufffd]0;owned\ufffd \ufffdtxt" in me.seen
            assert "[@click=app.quit]y[/]" in me.seen
            await me.give("/mute [/x\x1b]")
            assert "[/x" in me.part("answer")
            drawn = "".join(one.text for line in lines(me.app) for one in line)
            assert "[red]x[/red]" in drawn
            assert not {"\x1b", "\x07", "\u202e"} & set(drawn)

    asyncio.run(go())


def lines(app):
    """What is on the screen at this moment, as it goes to the terminal."""
    return [list(one) for one in app.screen._compositor.render_strips()]


def test_a_model_that_fails_leaves_the_room_usable(tmp_path):
    async def go():
        async with sitting(tmp_path / "a.room", model=Broken()) as me:
            await me.give("/play")
            await me.quiet()
            assert "RuntimeError: [red]x[/red]" in me.seen
            await me.give("still here")
            assert me.said() == [("You", "still here")]

    asyncio.run(go())


def test_a_reply_streams_and_escape_cuts_it_off(tmp_path):
    async def go():
        async with sitting(tmp_path / "a.room", model=Slow(), turns=1) as me:
            await me.until(lambda: "word1 " in me.seen)
            assert "Ada writes …" in me.seen
            assert "talks" in me.part("head")
            await me.give("I interrupt")
            assert me.said() == [("You", "I interrupt")]
            await me.give("/branch 1")
            assert "pause it" in me.part("answer")
            await me.pilot.press("f5")
            await me.until(lambda: "ends this turn" in me.part("head"))
            await me.pilot.press("f5")
            await me.until(lambda: "talks" in me.part("head"))
            await me.pilot.press("escape")
            await me.quiet()
            assert "writes …" not in me.seen
            assert "Ada did not answer: it was stopped" in me.seen
            assert me.said() == [("You", "I interrupt")]
            await me.pilot.press("escape")
            assert me.part("answer") == "nobody is writing"

    asyncio.run(go())


@pytest.mark.parametrize(("key", "code"), [("ctrl+q", 0), ("ctrl+c", 130)])
def test_leaving_amid_a_reply_keeps_the_log_whole(tmp_path, monkeypatch, key, code):
    def run(app):
        async def go():
            async with app.run_test() as pilot:
                while not app.hosted.piece.text:
                    await pilot.pause(0.02)
                await pilot.press(key)

        asyncio.run(go())

    monkeypatch.setattr(RoomApp, "run", run)
    path = tmp_path / "a.room"
    began = time.monotonic()
    made = room_made(path, model=Slow())
    assert sit_in("a", made, lambda _room: None, "You", _save, 5) == code
    assert time.monotonic() - began < 5
    found = kept(path)
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert found[-1].kind in ("notice", "paused")
    assert not [one for one in found if one.kind == "message"]
    again = made(lambda _event: None)  # nobody holds the log any more
    assert again.state.playing == "stopped"
    again.close()


@pytest.mark.parametrize("size", [(40, 12), (20, 6)])
def test_a_small_terminal_shows_the_newest_words_and_the_line(tmp_path, size):
    async def go():
        async with sitting(tmp_path / "a.room", TWO, size=size, turns=5) as me:
            await me.quiet()
            await me.pilot.pause(0.1)
            line = me.app.query_one(Line).region
            assert line.height >= 1
            assert line.bottom <= size[1]
            drawn = "".join(one.text for row in lines(me.app) for one in row)
            assert "Three." in drawn
            assert not me.app.query_one("#side").display
            await me.pilot.press("f2")
            await me.pilot.pause()
            assert me.app.query_one("#side").region.width == size[0]
            assert not me.app.query_one("#talk").display

    asyncio.run(go())


def test_a_paste_of_several_lines_loses_none(tmp_path):
    async def go():
        async with sitting(tmp_path / "a.room", TWO) as me:
            me.app.query_one(Line).post_message(events.Paste("one\ntwo\r\nthree"))
            await me.pilot.pause()
            await me.pilot.press("enter")
            await me.pilot.pause()
            assert me.said() == [("You", "one two three")]

    asyncio.run(go())


def test_a_long_log_opens_with_its_end_and_says_what_is_hidden(tmp_path, monkeypatch):
    monkeypatch.setattr(screen, "MOST", 5)

    async def go():
        async with sitting(tmp_path / "a.room", TWO) as me:
            for number in range(6):
                await me.give(f"line {number}")
            await me.quiet()
            assert len(me.app.query(".entry")) == 5
            assert "3 earlier lines are in the log" in me.seen
            assert "line 0" not in me.seen
            assert "line 5" in me.seen

    asyncio.run(go())


def flow(read):
    """A flow as the log holds it: all attention on one speaker."""
    numbers = {"lost_nats": 1.0, "attention": 0.5}
    return {"speakers": {read: numbers}, "messages": [{"speaker": read, "event": 1} | numbers]}


def test_a_strip_stands_under_its_reply_and_the_most_read_is_named():
    said = [Event(1, 0, 0.0, Message("Ada", "a", "a", model="m"))]
    said.append(Event(2, 1, 0.0, Message("Bob", "b", "b", model="m")))
    said.append(Event(3, 2, 0.0, FlowRecord(2, flow("Ada"))))
    telling = Telling()
    entries = [telling.entry(one) for one in said]
    strip = entries[2].text
    assert strip.plain.startswith("read [" + "A" * 24 + "] 50 % of its attention")
    assert telling.colour("Ada") in {str(one.style) for one in strip.spans}
    assert most_read(said) == "Ada"
    assert most_read(said[:2]) == ""
    refused = replace(said[2], body=FlowRecord(2, reason="\x1b[2J remote"))
    assert telling.entry(refused).text.plain == "\ufffd[2J remote"


@pytest.fixture
def refused(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("WORLDLINE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def run(*words, terminal=True):
        for stream in (sys.stdin, sys.stdout):
            monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
        monkeypatch.setattr(sys, "argv", ["worldline", "room", *words])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        assert (stop.value.code, said.out, said.err.count("\n")) == (2, "", 1)
        assert not (tmp_path / "data").exists()
        return said.err

    return run


def test_without_a_terminal_or_textual_one_line_says_what_to_do(refused, monkeypatch):
    assert "accepted is --headless" in refused("--scenario", "rehearsal", terminal=False)
    assert "name 'a:b': accepted are 1 to 60" in refused("--name", "a:b")
    monkeypatch.setitem(sys.modules, "textual", None)
    assert 'textual is not installed: pip install "worldline[room]"' in refused()


def test_the_command_opens_the_screen_and_says_where_the_log_is(tmp_path, monkeypatch, capsys):
    def run(app):
        async def go():
            async with app.run_test() as pilot:
                while app.hosted.talking:
                    await pilot.pause(0.02)
                await pilot.press(*"/quit", "enter")

        asyncio.run(go())

    monkeypatch.setattr(RoomApp, "run", run)
    monkeypatch.chdir(tmp_path)
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    words = "room --scenario rehearsal --images none --no-flow --log a.room --turns 2 --out a.md"
    monkeypatch.setattr(sys, "argv", ["worldline", *words.split()])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert "the log: a.room" in capsys.readouterr().out
    assert sum(one.kind == "message" for one in kept("a.room")) == 3
    assert "A picture first." in (tmp_path / "a.md").read_text()


def test_help_loads_neither_torch_nor_textual():
    code = (
        "import sys; import worldline; from worldline.apps.cli import main\n"
        "sys.argv = ['worldline', 'room', '--help']\n"
        "try:\n    main()\nfinally:\n"
        "    print(sorted({'torch', 'textual'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == "[]", done.stderr
    assert "--headless" in done.stdout
