"""What a room can have done outside itself: pictures and searches, by whoever offers them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


class DeclinedError(RuntimeError):
    """Whoever was asked says no, and why: the command is refused, it did not fail."""


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """What a command asks for: the text, by whom, with which model, in which message."""

    text: str
    asker: str
    model: str
    message: int


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, and in a line what it is and who made it.

    `name` is set where the log has the bytes already: they are not stored again.
    """

    content: bytes
    type: str
    about: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """One result of a search, as the searcher gave it."""

    title: str
    text: str
    url: str


def _no_picture(_request: ActionRequest) -> Picture:
    raise DeclinedError("this room has nothing that makes pictures")


def _no_search(_request: ActionRequest) -> Sequence[Hit]:
    raise DeclinedError("this room has nothing to search with")


@dataclass(frozen=True, slots=True)
class Deeds:
    """Who draws and who searches; as it stands, both decline."""

    draw: Callable[[ActionRequest], Picture] = _no_picture
    search: Callable[[ActionRequest], Sequence[Hit]] = _no_search
