"""Orders that a person types: a line that begins with / and never is said aloud."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from worldline.errors import InputError
from worldline.room.hosting import Hosted

Run = Callable[[Hosted, list[str]], object]


@dataclass(frozen=True, slots=True)
class Order:
    """How it is typed, what it does, and how many words it takes."""

    form: str
    does: str
    least: int
    most: int
    run: Run


def _whole(word: str) -> int:
    if not word.isdecimal():
        raise InputError(f"{word!r}: accepted are whole numbers")
    return int(word)


def _warmth(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise InputError(f"temperature {word!r}: accepted are 0 to 2") from None


def _rewind(hosted: Hosted, words: list[str]) -> object:
    if hosted.talking:
        raise InputError("the room talks: pause it, then rewind")
    return hosted.room.rewind(_whole(words[0]) if words else 1)


ORDERS: dict[str, Order] = {
    "play": Order("/play [N]", "turns are taken, N or until paused", 0, 1,
                  lambda hosted, words: hosted.play(_whole(words[0]) if words else None)),
    "pause": Order("/pause", "no turn after this one", 0, 0,
                   lambda hosted, _words: hosted.room.pause("by a person")),
    "step": Order("/step", "one turn", 0, 0, lambda hosted, _words: hosted.play(1)),
    "stop": Order("/stop", "the reply that is being written ends", 0, 0,
                  lambda hosted, _words: hosted.room.stop("by a person")),
    "branch": Order("/branch N", "go on from event N", 1, 1,
                    lambda hosted, words: hosted.branch(_whole(words[0]))),
    "rewind": Order("/rewind [N]", "back to before the latest N messages", 0, 1, _rewind),
    "mode": Order("/mode M", "round_robin, mention, natural or step", 1, 1,
                  lambda hosted, words: hosted.room.set("mode", words[0])),
    "budget": Order("/budget N", "at most N replies", 1, 1,
                    lambda hosted, words: hosted.room.limit(_whole(words[0]))),
    "add": Order("/add MODEL NAME", "somebody comes in", 2, 9,
                 lambda hosted, words: hosted.room.join(" ".join(words[1:]), words[0])),
    "remove": Order("/remove NAME", "somebody is shown out", 1, 9,
                    lambda hosted, words: hosted.room.remove(" ".join(words))),
    "temperature": Order("/temperature NAME X", "0 to 2", 2, 9,
                         lambda hosted, words: hosted.room.set(
                             "temperature", _warmth(words[-1]), " ".join(words[:-1]))),
    "mute": Order("/mute NAME", "silent until somebody addresses it", 1, 9,
                  lambda hosted, words: hosted.room.set("muted", True, " ".join(words))),
    "unmute": Order("/unmute NAME", "may speak again", 1, 9,
                    lambda hosted, words: hosted.room.set("muted", False, " ".join(words))),
}  # fmt: skip
OWN = {
    "save": "/save FILE writes .html, .md or .json",
    "help": "/help lists the orders",
    "quit": "/quit ends; the log stays",
}


def obey(hosted: Hosted, line: str) -> None:
    """Do what a line orders.

    Raises: InputError for an unknown order, with the closest ones, or for what cannot be done.
    """
    name, *words = line[1:].split() or [""]
    if name not in ORDERS:
        known = [*ORDERS, *OWN]
        near = difflib.get_close_matches(name, known, 3) or known
        raise InputError(f"/{name}: accepted are {', '.join(f'/{one}' for one in near)}")
    order = ORDERS[name]
    if not order.least <= len(words) <= order.most:
        raise InputError(f"{line.strip()}: accepted is {order.form}")
    order.run(hosted, words)


def help_lines() -> list[str]:
    """Every order with what it does."""
    return [*(f"{one.form}: {one.does}" for one in ORDERS.values()), *OWN.values()]
