"""Run by test_killing.py in a process of its own: rooms killed at random points, and resumed.

Prints one line of JSON. A run is killed at a random time, or at a random step of SQLite's own
machine (so also inside a transaction); what it had shown by then is known from a pipe.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

from worldline.room.actions import Deeds, Hit, Picture
from worldline.room.events import Command, Event, Message, Outcome, encode
from worldline.room.log import Log, Reading, line_of
from worldline.room.providers.catalog import Catalog
from worldline.room.providers.scripted_model import ScriptedModel
from worldline.room.reply_commands import parse
from worldline.room.room import Room

TURNS = 9
LINES = (
    'hello !image "one"\n!temperature 1.2',
    '!search "two" then !image "two"',
    '[Bob]: hi\n\n?image "three"\n!list_models',
)


def catalog() -> Catalog:
    return Catalog(
        {name: ScriptedModel(name, tuple(f"{name}: {x}" for x in LINES)) for name in "ABC"}
    )


def deeds() -> Deeds:
    return Deeds(
        lambda asked: Picture(asked.text.encode() * 500, "image/png", "made"),
        lambda asked: [Hit(asked.text, "!leave", "https://a.example")],
    )


def run(path: str, shown: int | None, kill_after: int | None) -> None:
    """Start or resume a room and take it to its end, telling each event through a pipe."""

    def tell(event: object) -> None:
        if shown is not None and isinstance(event, Event):
            os.write(shown, f"{event.number} {encode(event.body)}\n".encode())

    log = Log(path)
    if kill_after is not None:
        left = [kill_after]

        def count() -> int:
            left[0] -= 1
            if left[0] <= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return 0

        log._base.set_progress_handler(count, 7)
    room = Room(log, catalog(), deeds(), watch=tell)
    for name in "ABC":
        if name not in {one.name for one in room.state.present}:
            room.join(name, name)
    if room.state.limits.messages is None:
        room.limit(messages=TURNS)
    room.play()
    room.close()


def said(events: list[Event]) -> list[tuple[str, str]]:
    return [(e.body.who, e.body.text) for e in events if isinstance(e.body, Message)]


def lines_from(pipe: int) -> list[str]:
    got = b""
    while piece := os.read(pipe, 65536):
        got += piece
    os.close(pipe)
    return [line for line in got.decode().split("\n") if line]


def killed(path: str, chance: random.Random, longest: float, steps: int) -> tuple[bool, list[str]]:
    """One run in a process that is killed; whether it was, and what it had shown."""
    reading, writing = os.pipe()
    by_step = chance.random() < 0.6
    kill_after = chance.randrange(1, steps) if by_step else None
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            run(path, writing, kill_after)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    if not by_step:
        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0005, longest))
        signal.sigwait([signal.SIGALRM])
        os.kill(child, signal.SIGKILL)
    lines = lines_from(reading)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), "the room itself failed"
    return status != 0, lines


def checked(path: str, shown: list[str], expected: list[tuple[str, str]]) -> int:
    """What must hold once a killed room was resumed to its end; how many commands expired."""
    reading = Reading(path)
    events = reading.events()
    assert [e.number for e in events] == list(range(1, len(events) + 1)), "a gap"
    assert line_of(events) == events, "a branch that nobody asked for"
    log = {f"{e.number} {encode(e.body)}" for e in events}
    assert set(shown) <= log, "something that was shown is lost"
    assert said(events) == expected, "a message lost or doubled"
    commands = [e.number for e in events if isinstance(e.body, Command)]
    for one in events:
        if isinstance(one.body, Message):
            n_given = sum(
                isinstance(e.body, Command) and e.body.message == one.number for e in events
            )
            meant = parse(one.body.shown, one.body.borrowed).commands
            assert n_given == len(meant), "a command lost or doubled"
    ended = [e.body for e in events if isinstance(e.body, Outcome)]
    assert sorted(one.command for one in ended) == commands, "not one outcome a command"
    for one in ended:
        if "picture" in one.result:
            assert reading.content(one.result["picture"])[1]
    reading.close()
    return sum(one.end == "expired" for one in ended)


def main(times: int, seed: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    chance = random.Random(seed)
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a kill is no power cut
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        whole = str(Path(folder) / "whole.room")
        began = os.times().elapsed
        run(whole, None, None)
        longest = os.times().elapsed - began + 0.01
        base = Reading(whole)
        expected = said(base.events())
        base.close()
        kills = expired = partial = 0
        for number in range(10 * times):
            if kills >= times:
                break
            path = str(Path(folder) / f"{number}.room")
            shown: list[str] = []
            for _ in range(chance.choice((1, 1, 2))):  # some are killed again while resuming
                died, lines = killed(path, chance, longest, 900)
                kills += died
                shown += lines
                partial += died and bool(lines)
            run(path, None, None)
            expired += checked(path, shown, expected)
            for one in Path(folder).glob(f"{number}.room*"):
                one.unlink()
        sys.stdout.write(
            json.dumps(
                {
                    "kills": kills,
                    "expired": expired,
                    "partial": partial,
                    "messages": len(expected),
                    "torch": "torch" in sys.modules,
                }
            )
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
