"""Whose turn it is, in each way of taking turns."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from scripted_rooms import notices, room_of, said
from worldline.errors import InputError
from worldline.room.turns import mentioned_participants

LINES = ["a", "b", "c", "d", "e", "f", "g", "h"]


def speakers(room):
    return [who for who, _ in said(room) if who != "Host"]


def test_round_robin_is_in_the_order_of_joining():
    room = room_of({"Ada": LINES, "Bob": LINES, "Cleo": LINES})
    assert room.play(7) == 7
    assert speakers(room) == ["Ada", "Bob", "Cleo", "Ada", "Bob", "Cleo", "Ada"]


def test_a_newcomer_is_next_and_a_person_changes_nothing():
    room = room_of({"Ada": LINES, "Bob": LINES}, guests={"Cleo": LINES})
    room.play(1)
    room.say("Host", "go on")
    room.join("Cleo", "Cleo")
    room.play(4)
    assert speakers(room) == ["Ada", "Bob", "Cleo", "Ada", "Bob"]


def test_on_mention_whoever_is_addressed_speaks():
    room = room_of(
        {"Ada": ["@Cleo?", "x"], "Bob": ["y"], "Cleo Clark": ["@ada!", "z"]}, mode="mention"
    )
    room.play(4)
    assert speakers(room) == ["Ada", "Cleo Clark", "Ada", "Bob"]


def test_natural_turns_follow_the_seed_favour_the_addressed_and_never_repeat_a_speaker():
    def run(seed, lines):
        room = room_of(dict.fromkeys(("Ada", "Bob", "Cleo"), lines), loops=True, mode="natural")
        room.set("seed", seed)
        room.play(150)
        return speakers(room)

    one = run(1, ["hi"])
    assert one == run(1, ["hi"])
    assert one != run(2, ["hi"])
    assert all(a != b for a, b in itertools.pairwise(one))
    assert min(Counter(one).values()) > 30  # nobody is left out
    assert Counter(run(1, ["@Bob"]))["Bob"] > Counter(one)["Bob"] + 5


def test_step_takes_one_turn_a_time():
    room = room_of({"Ada": LINES, "Bob": LINES}, mode="step")
    assert room.play() == 1
    assert room.play(9) == 1
    assert speakers(room) == ["Ada", "Bob"]


def test_the_silent_are_passed_over_until_they_are_addressed():
    room = room_of({"Ada": ["!mute_self", "back"], "Bob": ["x", "@Ada?", "y"]})
    room.play(4)
    assert speakers(room) == ["Ada", "Bob", "Bob", "Ada"]
    assert room.state.present[0].muted is False


def test_where_nobody_can_speak_the_room_says_so_and_pauses():
    room = room_of({"Ada": ["!leave"]})
    assert room.play() == 1
    assert notices(room, "ended") == ["nobody here can speak"]
    assert room.state.playing == "paused"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@Gemini 3 Pro hello", ["Gemini 3 Pro"]),
        ("@gemini hello", ["Gemini 3 Pro"]),
        ("@opus, and @GROK4!", ["Claude 3 Opus", "Grok 4"]),
        ("@Claude 3 Opus", ["Claude 3 Opus"]),
        ("@Claude Opus 4.5 you", ["Claude Opus 4.5"]),
        ("mail me: a@gemini.example", []),
        ("@everyone", []),
        ("@x", []),
        ("no one", []),
    ],
)
def test_mentions(text, names):
    everyone = ["Gemini 3 Pro", "Claude 3 Opus", "Claude Opus 4.5", "Grok 4"]
    room = room_of({}, guests={n: ["hi"] for n in everyone})
    for name in everyone:
        room.join(name, name)
    assert [one.name for one in mentioned_participants(text, room.state.present)] == names


def test_an_unknown_way_of_taking_turns_is_refused():
    with pytest.raises(InputError, match="round_robin"):
        room_of({}, mode="shouting")
