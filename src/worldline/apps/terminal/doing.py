"""Orders carried out in a room that plays in its own thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from worldline.apps.terminal.orders import Order
from worldline.errors import InputError
from worldline.places import expanded
from worldline.room.events import Paused
from worldline.room.hosting import Hosted
from worldline.room.room import Room

Save = Callable[[Room, Path], Path]
SLOW = frozenset({"add", "save"})  # loads a model, writes a file


def carried_out(order: Order, hosted: Hosted, save: Save) -> str:
    """Do what an order asks; what there is to say of it, "" where the room says it itself.

    Raises: InputError where it cannot be done.
    """
    if hosted.closed:
        raise InputError("the room is closed")
    if order.name == "save":
        return f"written: {save(hosted.room, expanded(order.words[0]))}"
    answer = _DEEDS[order.name](order, hosted)
    return answer if isinstance(answer, str) else ""


def play(hosted: Hosted, turns: int | None = None) -> None:
    """Take turns; a pause that was asked for and has not come yet is taken back."""
    if hosted.talking and hosted.room.state.playing == "paused":
        hosted.room.append(Paused("playing"))
    hosted.play(turns)


def pause_or_play(hosted: Hosted) -> None:
    """The one key for both."""
    if hosted.talking and hosted.room.state.playing == "playing":
        hosted.room.pause()
    else:
        play(hosted)


def step(hosted: Hosted) -> None:
    """One turn.

    Raises: InputError while turns are being taken.
    """
    _refuse_talking(hosted, "take a single turn")
    hosted.play(1)


def stop(hosted: Hosted) -> str:
    """Cut off the reply that is being written; says so where there is none."""
    if not hosted.talking:
        return "nobody is writing"
    hosted.room.stop("cut off by hand")
    return ""


def _pause(hosted: Hosted) -> str:
    if not hosted.talking:
        return "nobody is talking"
    hosted.room.pause()
    return ""


def _rewind(hosted: Hosted, messages: int) -> None:
    _refuse_talking(hosted, "rewind")
    hosted.room.rewind(messages)


def _limit(hosted: Hosted, word: str) -> None:
    limits = hosted.room.state.limits
    messages = None if word == "none" else int(word)
    hosted.room.limit(messages, limits.tokens, limits.dollars)


def _add(hosted: Hosted, model: str, name: str) -> None:
    catalog = hosted.room.catalog
    hosted.room.join(name, catalog.find(model) or model)


def _temperature(hosted: Hosted, name: str, word: str) -> None:
    try:
        value = float(word)
    except ValueError:
        raise InputError(f"temperature {word[:40]!r}: accepted are 0 to 2") from None
    hosted.room.set("temperature", value, name)


def _refuse_talking(hosted: Hosted, what: str) -> None:
    if hosted.talking:
        raise InputError(f"the room talks: /pause it or /stop it, then {what}")


_DEEDS: dict[str, Callable[[Order, Hosted], object]] = {
    "play": lambda order, hosted: play(hosted, order.number),
    "pause": lambda _order, hosted: _pause(hosted),
    "step": lambda _order, hosted: step(hosted),
    "stop": lambda _order, hosted: stop(hosted),
    "branch": lambda order, hosted: hosted.branch(order.number or 0),
    "rewind": lambda order, hosted: _rewind(hosted, order.number or 1),
    "mode": lambda order, hosted: hosted.room.set("mode", order.words[0]),
    "budget": lambda order, hosted: _limit(hosted, order.words[0]),
    "add": lambda order, hosted: _add(hosted, *order.words),
    "remove": lambda order, hosted: hosted.room.remove(order.words[0]),
    "temperature": lambda order, hosted: _temperature(hosted, *order.words),
    "mute": lambda order, hosted: hosted.room.set("muted", True, order.words[0]),
    "unmute": lambda order, hosted: hosted.room.set("muted", False, order.words[0]),
}
