"""Who may come in: names that can be told apart, temperatures in range, places that are free."""

from __future__ import annotations

import re

from worldline.errors import InputError
from worldline.room.arguments import HIGHEST, LOWEST
from worldline.room.events import ROOM, Joined
from worldline.room.naming import plain_name
from worldline.room.state import State

_NAME = re.compile(r"[^\[\]<>(){}:*_`@\"“”\n\r\t]{1,60}")


def checked_name(name: str) -> str:
    """A name that a label can hold, as given but for spaces around it.

    Raises: InputError if it is empty, longer than 60 characters, has signs that labels need, or
    is the room's own.
    """
    name = name.strip()
    if not _NAME.fullmatch(name) or not plain_name(name):
        raise InputError(
            f"name {name[:80]!r}: accepted are 1 to 60 characters without brackets, colons, "
            "quotes, stars, underscores and @"
        )
    if plain_name(name) == ROOM:
        raise InputError(f"name {name!r}: the room itself speaks under it; take another")
    return name


def checked_temperature(value: object) -> float:
    """A temperature in range.

    Raises: InputError if it is no number between 0 and 2.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        if LOWEST <= number <= HIGHEST:
            return number
    raise InputError(f"temperature {value!r}: accepted are 0 to 2")


def free_name(state: State, wanted: str) -> str:
    """`wanted`, or with a number behind it where somebody has it already."""
    taken = {plain_name(one) for one in state.names}
    name, number = wanted, 2
    while plain_name(name) in taken:
        name, number = f"{wanted} {number}", number + 1
    return name


def admitted(state: State, newcomer: Joined) -> Joined:
    """The newcomer as it may come in.

    Raises: InputError if the room is full, the name is taken or unusable, or the temperature is
    out of range.
    """
    name = checked_name(newcomer.name)
    if plain_name(name) in {plain_name(one.name) for one in state.present}:
        raise InputError(f"name {name!r}: somebody here has it; accepted is another")
    limit = int(state.settings["max_participants"])
    if len(state.present) >= limit:
        raise InputError(
            f"{name}: {len(state.present)} of {limit} places are taken; it did not come in"
        )
    checked_temperature(newcomer.temperature)
    return Joined(
        name,
        newcomer.model,
        newcomer.persona,
        newcomer.temperature,
        newcomer.invited_by,
        newcomer.scripted,
    )
