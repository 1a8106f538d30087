"""Orders carried out in a room that plays in its own thread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from worldline.apps.terminal.slash_commands import Order
from worldline.errors import InputError
from worldline.places import expand_path
from worldline.room import HostedRoom, PlayState, Room

Save = Callable[[Room, Path], Path]
SLOW = frozenset({"add", "save"})  # loads a model, writes a file


def carried_out(order: Order, open_room: HostedRoom, save: Save) -> str:
    """Do what an order asks; what there is to say of it, "" where the room says it itself.

    Raises: InputError where it cannot be done.
    """
    if open_room.is_closed:
        raise InputError("the room is closed")
    if order.name == "save":
        return f"written: {save(open_room.room, expand_path(order.words[0]))}"
    answer = _DEEDS[order.name](order, open_room)
    return answer if isinstance(answer, str) else ""


def play(open_room: HostedRoom, turns: int | None = None) -> None:
    """Take turns; a pause that was asked for and has not come yet is taken back."""
    if open_room.talking and open_room.room.state.playing == "paused":
        open_room.room.append(PlayState("playing"))
    open_room.play(turns)


def pause_or_play(open_room: HostedRoom) -> None:
    """The one key for both."""
    if open_room.talking and open_room.room.state.playing == "playing":
        open_room.room.pause()
    else:
        play(open_room)


def step(open_room: HostedRoom) -> None:
    """One turn.

    Raises: InputError while turns are being taken.
    """
    _refuse_talking(open_room, "take a single turn")
    open_room.play(1)


def stop(open_room: HostedRoom) -> str:
    """Cut off the reply that is being written; says so where there is none."""
    if not open_room.talking:
        return "nobody is writing"
    open_room.room.stop("cut off by hand")
    return ""


def _pause(open_room: HostedRoom) -> str:
    if not open_room.talking:
        return "nobody is talking"
    open_room.room.pause()
    return ""


def _rewind(open_room: HostedRoom, messages: int) -> None:
    _refuse_talking(open_room, "rewind")
    open_room.room.rewind(messages)


def _limit(open_room: HostedRoom, word: str) -> None:
    limits = open_room.room.state.limits
    messages = None if word == "none" else int(word)
    open_room.room.limit(messages, limits.tokens, limits.dollars)


def _add(open_room: HostedRoom, model: str, name: str) -> None:
    catalog = open_room.room.catalog
    open_room.room.join(name, catalog.find(model) or model)


def _temperature(open_room: HostedRoom, name: str, word: str) -> None:
    try:
        value = float(word)
    except ValueError:
        raise InputError(f"temperature {word[:40]!r}: accepted are 0 to 2") from None
    open_room.room.set("temperature", value, name)


def _refuse_talking(open_room: HostedRoom, action: str) -> None:
    if open_room.talking:
        raise InputError(f"the room talks: /pause it or /stop it, then {action}")


_DEEDS: dict[str, Callable[[Order, HostedRoom], object]] = {
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
