"""Whatever reads a model's words takes work that grows with them, not with their square.

Work is counted, not timed: the calls of Python and of its built-ins at two lengths.
`bench/room_readers.py` has the times.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections import Counter
from collections.abc import Callable

import pytest

from worldline.room.action_claims import claims
from worldline.room.events import Arrival, Command, Event, Message
from worldline.room.inert_regions import regions
from worldline.room.mojibake import mend
from worldline.room.other_formats import load_json
from worldline.room.reasoning import ReasoningFilter
from worldline.room.reply_commands import LONGEST_READ, MOST_FOUND, parse
from worldline.room.speaker_labels import borrowed_passages, without_own_label, without_room_lines
from worldline.room.state import Participant, after, state_of
from worldline.room.turns import mentioned_participants
from worldline.tokens.sanitize import visible

PEOPLE = [Participant(name, "m", "", 1.0, False, 0) for name in ("Ada", "Bob", "李雷")]
PIECES = [
    "!leave ", '!image "a"', '"!image "', "!imagine ", "!temperature a ", "?image 'x' ", "`a`` ",
    "```\n", "> `a\n", "@Ada ", "@李雷", "<", "<think>", "</think>", "[THINK]", "[thinking] ",
    "[a:", "[room: ", "é", "Ã¼", "Ada: ", "Bob: x\n", "*draws a ", "![", "\u202e", "\ud800",
    "!abc ", "“",
]  # fmt: skip


def hushed(text: str) -> None:
    quiet = ReasoningFilter()
    for at in range(0, len(text), 16):
        quiet.more(text[at : at + 16])


READERS: dict[str, Callable[[str], object]] = {
    "parse": parse,
    "regions": regions,
    "hushed": hushed,
    "claims": claims,
    "borrowed": lambda text: borrowed_passages(text, "Ada", ("Ada", "Bob")),
    "without_own_label": lambda text: without_own_label(text, "Ada"),
    "without_room_lines": without_room_lines,
    "mentioned": lambda text: mentioned_participants(text, PEOPLE),
    "mend": mend,
    "visible": visible,
    "loaded": lambda text: load_json(json.dumps([text]), Counter()),
}


def calls(read: Callable[[str], object], text: str) -> int:
    """How many calls reading a text takes."""
    n = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal n
        n += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        read(text)
    finally:
        sys.setprofile(before)
    return n


@pytest.mark.parametrize("name", READERS)
def test_work_grows_with_the_text(name):
    for piece in PIECES:
        read = READERS[name]
        n = 400 // len(piece) + 1
        short, long = calls(read, piece * n), calls(read, piece * 8 * n)
        assert long <= 20 * short, piece  # eight times the text; 64 were its square


def room_events(n: int) -> list[Event]:
    """A room of n who come, speak, ask for something, and speak again."""
    arrivals = [Arrival(f"P{at}", "m") for at in range(n)]
    messages = [Message(f"P{at}", "x", "x") for at in range(n)]
    bodies = [*arrivals, *messages, *[Command(1, "P0", 0, 1, "leave")] * n, *messages]
    return [Event(at, at - 1, 0.0, body) for at, body in enumerate(bodies, 1)]


def test_the_state_of_a_room_takes_time_that_grows_with_its_events():
    """Timed, for what a copy of a table takes is no call."""

    def seconds(n: int) -> float:
        events, start = room_events(n), time.process_time()
        state = state_of(events)
        taken = time.process_time() - start
        assert len(state.present) == len(state.pending) == len(state.replies) == n
        return taken

    short, long = (min(seconds(n) for _ in range(3)) for n in (500, 4000))
    assert long <= 24 * short  # eight times the events; 64 were their square


def test_one_more_event_leaves_the_state_before_it_as_it_was():
    events = room_events(2)
    states = [state_of(events[:n]) for n in range(len(events) + 1)]
    for before, event, then in zip(states, events, states[1:], strict=False):
        kept = copy.deepcopy(before)
        assert after(before, event) == then
        assert before == kept


def test_a_reply_of_any_length_has_a_bounded_number_of_findings():
    for text in (
        "!leave " * 28_000,
        '!image "a"' * 20_000,
        '"a"!image "' * 20_000,
        "!imag " * 30_000,
    ):
        found = parse(text)
        n = sum(map(len, (found.commands, found.repeats, found.near, found.imitations)))
        assert MOST_FOUND <= n <= MOST_FOUND + 1, text[:20]
        assert found.near[-1].code == "many"


def test_what_stands_beyond_what_is_read_does_not_run_and_is_said():
    found = parse("a\n" * (LONGEST_READ // 2) + "!leave")
    assert not found.commands
    assert [one.code for one in found.near] == ["many"]
