"""Orders: lines that begin with /, what each wants, and which one was nearly meant."""

from __future__ import annotations

import re
from dataclasses import dataclass

from worldline.errors import InputError
from worldline.room import MODES, closest

MARK = "/"
_FIRST = re.compile(r'"([^"]+)"\s*(.*)|(\S+)\s*(.*)')


@dataclass(frozen=True, slots=True)
class Form:
    """How an order is written, what it does, and between how many words it takes."""

    name: str
    takes: str
    does: str
    least: int = 0
    most: int = 0

    @property
    def usage(self) -> str:
        """The order as it is typed."""
        return f"{MARK}{self.name} {self.takes}".rstrip()


@dataclass(frozen=True, slots=True)
class Order:
    """An order that can be carried out as far as its words go."""

    name: str
    words: tuple[str, ...] = ()

    @property
    def number(self) -> int | None:
        """The only word as a whole number; None where there is none."""
        return int(self.words[0]) if self.words else None


FORMS: tuple[Form, ...] = (
    Form("play", "[N]", "take turns, N at most", 0, 1),
    Form("pause", "", "no further turn after this one"),
    Form("step", "", "one turn"),
    Form("stop", "", "cut off the reply that is being written"),
    Form("branch", "N", "go on from event N", 1, 1),
    Form("rewind", "[N]", "go back to before the latest N messages", 0, 1),
    Form("mode", "M", f"{', '.join(MODES[:-1])} or {MODES[-1]}", 1, 1),
    Form("budget", "N", "replies at most; none: no limit", 1, 1),
    Form("add", "MODEL NAME", "comes in; quote a model with spaces", 2, 2),
    Form("remove", "NAME", "goes out", 1, 1),
    Form("temperature", "NAME X", "how freely words are drawn, 0 to 2", 2, 2),
    Form("mute", "NAME", "is silent until called by @name", 1, 1),
    Form("unmute", "NAME", "may speak again", 1, 1),
    Form("save", "FILE", "write it: .html, .md or .json", 1, 1),
    Form("help", "", "this list"),
    Form("quit", "", "leave; the log stays"),
)
_BY_NAME = {one.name: one for one in FORMS}
_NUMBERED = {"play": 1, "branch": 0, "rewind": 1}  # and the least that the number may be


def is_order(line: str) -> bool:
    """Whether a line is an order, to be carried out or refused, and never said aloud.

    >>> is_order(" /pause"), is_order("either/or")
    (True, False)
    """
    return line.lstrip().startswith(MARK)


def read_order(line: str) -> Order:
    """The order that a line gives.

    Raises: InputError where there is no such order, or its words are not what it takes.

    >>> read_order("/temperature Ada the First 0.7")
    Order(name='temperature', words=('Ada the First', '0.7'))
    """
    name, _, argument_text = line.strip().removeprefix(MARK).partition(" ")
    form = _BY_NAME.get(name.casefold())
    if form is None:
        raise InputError(f"{MARK}{name[:40]}: no such order; accepted are {_nearest(name)}")
    words = _words(form, argument_text.strip())
    if not form.least <= len(words) <= form.most:
        raise InputError(f"{line.strip()[:60]}: accepted is {form.usage}: {form.does}")
    if form.name in _NUMBERED and words:
        _check_number(words[0], _NUMBERED[form.name], form)
    if form.name == "budget" and words[0] != "none":
        _check_number(words[0], 0, form)
    return Order(form.name, words)


def order_list() -> list[tuple[str, str]]:
    """Each order as it is typed, and what it does."""
    return [(form.usage, form.does) for form in FORMS]


def _words(form: Form, argument_text: str) -> tuple[str, ...]:
    """An order's words; names keep their spaces."""
    if not argument_text:
        return ()
    if form.most == 2 and form.name == "add":
        first = _FIRST.fullmatch(argument_text)
        pair = (first[1] or first[3], first[2] or first[4]) if first else (argument_text, "")
    elif form.most == 2:
        before, _, last = argument_text.rpartition(" ")
        pair = before.strip(), last
    else:
        return (argument_text,)
    return tuple(_unquote(word) for word in pair if word)


def _unquote(word: str) -> str:
    return word[1:-1] if len(word) > 2 and word[0] == word[-1] == '"' else word


def _check_number(word: str, least: int, form: Form) -> None:
    if not (word.isascii() and word.isdigit() and len(word) <= 9) or int(word) < least:
        also = ", or none" if form.name == "budget" else ""
        raise InputError(
            f"{MARK}{form.name} {word[:40]}: accepted are whole numbers from {least}{also}"
        )


def _nearest(name: str) -> str:
    near = closest(name, _BY_NAME)
    order_names = ", ".join(f"{MARK}{order_name}" for order_name in near or _BY_NAME)
    return f"{order_names}; {MARK}help lists all" if near else order_names
