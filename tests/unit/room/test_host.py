"""Rooms that play in a thread while others listen: a desk, ten viewers, closing in the middle."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest

from worldline.errors import InputError
from worldline.room.events import Message
from worldline.room.host import Desk
from worldline.room.providers.chat_model import Delta, Usage
from worldline.room.providers.scripted_model import ScriptedModel

SOON = 20.0


class Slow:
    """Says one word after another until it is let finish."""

    name, scripted, alternates, context_tokens = "slow", False, False, None

    def __init__(self):
        self.go, self.began = threading.Event(), threading.Event()

    def count_tokens(self, _messages):
        return 1

    def reply(self, _messages, _settings):
        while not self.go.is_set():
            yield Delta("word ")
            self.began.set()
            time.sleep(0.002)
        yield Usage()


def wait_for(found):
    end = time.monotonic() + SOON
    while not found():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


@pytest.fixture
def slow():
    made = Slow()
    yield made
    made.go.set()


@pytest.fixture
def desk(tmp_path, slow):
    made = Desk(
        tmp_path / "rooms", {"bundled": ScriptedModel("bundled", ("hm",), True), "slow": slow}
    )
    yield made
    slow.go.set()
    made.close()


def test_a_scenario_plays_to_its_end_and_can_be_gone_on_with(desk):
    hosted = desk.open("rehearsal")
    hosted.play()
    wait_for(lambda: not hosted.talking)
    said = [e for e in hosted.after(0) if isinstance(e.body, Message)]
    assert len(said) == 15
    assert hosted.after(0) == hosted.room.log.events()
    assert hosted.status()["playing"] == "paused"
    assert desk.logs() == [hosted.name]
    again = desk.open(log=hosted.name)
    assert hosted.is_closed
    assert len([e for e in again.after(0) if isinstance(e.body, Message)]) == 15
    assert again.status()["title"] == "Rehearsal of every command"


def test_what_is_being_written_is_seen_before_it_is_an_event(desk, slow):
    hosted = desk.open("rehearsal")
    hosted.room.remove("Right")
    hosted.room.join("Snail", "slow")
    hosted.room.set("mode", "mention")
    hosted.room.say("Host 2", "@Snail please")
    before = hosted.room.state.tip
    hosted.play(1)
    assert slow.began.wait(SOON)
    wait_for(lambda: hosted.piece.text.startswith("word word"))
    assert hosted.piece.speaker == "Snail"
    assert hosted.after(before) == []
    slow.go.set()
    wait_for(lambda: not hosted.talking)
    assert hosted.piece.text == ""
    assert hosted.after(before)[0].body.who == "Snail"


def test_closing_in_the_middle_of_a_reply_lets_the_log_go(desk, slow):
    hosted = desk.open("rehearsal")
    hosted.room.remove("Right")
    hosted.room.remove("Almost")
    hosted.room.join("Snail", "slow")
    hosted.play()
    assert slow.began.wait(SOON)
    desk.open("rehearsal")
    assert hosted.is_closed
    assert not hosted.talking
    with pytest.raises(InputError, match="the room is closed"):
        hosted.play()
    assert desk.open(log=hosted.name).status()["playing"] == "stopped"


def test_a_room_that_talks_is_not_branched(desk, slow):
    hosted = desk.open("rehearsal")
    hosted.room.remove("Right")
    hosted.room.remove("Almost")
    hosted.room.join("Snail", "slow")
    hosted.play()
    assert slow.began.wait(SOON)
    with pytest.raises(InputError, match="pause it, then branch"):
        hosted.branch(1)
    hosted.room.stop()
    wait_for(lambda: not hosted.talking)
    first = next(e.number for e in hosted.after(0) if isinstance(e.body, Message))
    hosted.branch(first)
    assert hosted.room.state.last_message == first


def test_an_error_of_a_model_pauses_the_room_and_is_said(desk, monkeypatch):
    hosted = desk.open("rehearsal")

    def broken(_turns):
        raise ValueError("on\npurpose")

    monkeypatch.setattr(hosted.room, "take_turns", broken)
    hosted.play()
    wait_for(lambda: not hosted.talking)
    assert hosted.after(0)[-2].body.text.startswith("ValueError: on purpose (")
    assert hosted.status()["playing"] == "paused"


def test_each_turn_holds_what_others_share(tmp_path):
    held = []

    @contextmanager
    def hold():
        held.append("in")
        yield
        held.append("out")

    desk = Desk(tmp_path, {"bundled": ScriptedModel("bundled", ("hm",), True)}, hold=hold)
    hosted = desk.open("rehearsal")
    hosted.play(3)
    wait_for(lambda: not hosted.talking)
    assert held == ["in", "out"] * 3
    desk.close()
    with pytest.raises(InputError, match="the server ends"):
        desk.open("rehearsal")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give a scenario or a log"),
        ({"scenario": "rehearsal", "log": "x"}, "give a scenario or a log"),
        ({"scenario": "../relay"}, "accepted are rehearsal, relay"),
        ({"log": "../../etc/passwd"}, "accepted are none"),
        ({"log": "nothing"}, "accepted are none"),
    ],
)
def test_what_is_not_there_is_not_opened(desk, given, said):
    with pytest.raises(InputError, match=said):
        desk.open(**given)


def test_ten_viewers_see_every_event_once(desk):
    hosted = desk.open("rehearsal")
    seen: list[list[int]] = [[] for _ in range(10)]

    def look(found):
        while hosted.talking or hosted.after(len(found)):
            found += [one.number for one in hosted.after(len(found))]
            time.sleep(0.001)

    hosted.play()
    viewers = [threading.Thread(target=look, args=(found,)) for found in seen]
    for one in viewers:
        one.start()
    for one in viewers:
        one.join(SOON)
    assert seen == [list(range(1, hosted.room.log.last + 1))] * 10
