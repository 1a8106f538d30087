"""A fault of worldline's own ends one turn, is in the log, and pauses the room."""

from __future__ import annotations

import pytest

from scripted_rooms import notices, of_kind, outcomes, room_of, said
from stub_endpoint import Plan, stub_endpoint
from worldline.errors import InputError
from worldline.room import room as room_module
from worldline.room.host import HostedRoom
from worldline.room.log import Log
from worldline.room.providers import exchange
from worldline.room.providers.catalog import Catalog
from worldline.room.providers.endpoint import Endpoint
from worldline.room.providers.scripted_model import ScriptedModel
from worldline.room.providers.transport import KEY, Patience
from worldline.room.room import Room


class Faulty:
    """A model whose code is broken: before its reply, or in the middle of it."""

    name, scripted, alternates, context_tokens = "faulty", False, False, None

    def __init__(self, late: bool = False) -> None:
        self.late, self.n_asked = late, 0

    def count_tokens(self, _messages):
        return 1

    def reply(self, _messages, _settings):
        self.n_asked += 1
        if not self.late:
            raise NameError("name 'spam' is not defined\x1b[2J")
        return self._broken()

    def _broken(self):
        yield from ScriptedModel("x", ("one two",)).reply((), room_module.Settings())
        raise KeyError("spam")


def faulty_room(model, watch=lambda _event: None) -> Room:
    room = Room(Log(), Catalog({"f": model, "s": ScriptedModel("s", ("hi",), True)}), watch=watch)
    room.join("Ada", "f")
    room.join("Bob", "s")
    return room


@pytest.mark.parametrize(("late", "told"), [(False, "NameError"), (True, "KeyError")])
def test_it_ends_one_turn_and_waits_for_a_person(late, told):
    model = Faulty(late)
    room = faulty_room(model)
    assert room.play(50) == 0
    assert (model.n_asked, room.state.playing) == (1, "paused")
    (line,) = notices(room, "broken")
    assert line.startswith(f"Ada's turn ended in a fault of worldline's own: {told}: ")
    assert "(test_internal_errors.py:" in line
    assert "\x1b" not in line
    assert "\n" not in line
    assert room.play(1) == 1  # the turn is used up
    assert said(room) == [("Bob", "hi")]


def test_a_fault_of_a_parser_is_one_too(monkeypatch):
    def broken(*_args):
        raise TypeError("unhashable")

    monkeypatch.setattr("worldline.room.reply_events.parse", broken)
    room = room_of({"Ada": ["x"], "Bob": ["y"]}, loops=True)
    assert room.play() == 0
    assert len(notices(room, "broken")) == 1
    assert len(of_kind(room.line, "message")) == 0


def test_commands_of_a_turn_that_ended_in_a_fault_have_an_outcome(monkeypatch):
    def broken(*_args):
        raise ZeroDivisionError

    monkeypatch.setattr(room_module, "run", broken)
    room = room_of({"Ada": ['!image "cat"']})
    room.play()
    assert outcomes(room) == [("image", "expired", "its turn ended in a fault")]


def test_a_fault_of_a_measurement_leaves_the_message():
    room = room_of({"Ada": ["one"]}, loops=True)
    room._attribute = lambda *_: 1 / 0
    room.play()
    assert said(room) == [("Ada", "one")]
    assert "ZeroDivisionError" in notices(room, "broken")[0]


def test_whoever_watches_is_no_part_of_the_turn():
    def watch(what):
        if what.__class__.__name__ == "Provisional":
            raise BrokenPipeError

    room = room_of({"Ada": ["x"]})
    room._watch = watch
    with pytest.raises(BrokenPipeError):
        room.play()
    assert notices(room, "broken") == []


def test_a_disk_that_is_full_is_none_of_ours():
    room = room_of({"Ada": ["x"]})

    def full(*_args):
        raise InputError("no space")

    room.log.append = full
    with pytest.raises(InputError, match="no space"):
        room.play()


def test_a_room_with_a_thread_pauses_as_well():
    hosted = HostedRoom("a", lambda watch: faulty_room(Faulty(), watch))
    hosted.play()
    hosted._thread.join(10)
    assert [e.body.code for e in hosted.after(0) if e.kind == "notice"] == ["broken"]
    assert hosted.room.state.playing == "paused"


def test_no_key_is_in_the_line(monkeypatch):
    monkeypatch.setenv(KEY, "sk-very-secret-1234567890")
    model = Faulty()
    model.reply = lambda *_: (_ for _ in ()).throw(ValueError("sent sk-very-secret-1234567890"))
    room = faulty_room(model)
    room.play()
    assert "ValueError: sent (key)" in notices(room, "broken")[0]


def test_a_fault_in_the_thread_of_a_request_is_heard_at_once(monkeypatch):
    def broken(*_args):
        raise NameError("name 'plain' is not defined")

    monkeypatch.setattr(exchange, "failure_of", broken)
    with stub_endpoint(Plan(raw=[b"no HTTP at all\r\n\r\n"])) as stub:
        patience = Patience(30.0, 30.0, 30.0, 30.0)
        room = Room(Log(), Catalog({"m": Endpoint(stub.url, "m", patience=patience)}))
        room.join("Ada", "m")
        room.play()
    assert "NameError" in notices(room, "broken")[0]
