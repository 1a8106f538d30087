"""Who may come in: names that can be told apart, temperatures in range, places that are free."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from worldline.errors import InputError
from worldline.room.command_arguments import HIGHEST, LOWEST
from worldline.room.events import ROOM, Arrival
from worldline.room.look_alikes import look_alike, plain_name
from worldline.room.state import State
from worldline.tokens.sanitize import one_line, unseen_in

LONGEST_NAME = 60
_SIGNS = re.compile(
    r"[\[\]<>{}:*`@\"“”„«»\n\r\t【】〔〕「」『』《》〈〉⟦⟧〖〗❲❳]"
)  # what labels need
_PILE = re.compile("[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]{3}")
_HANGING = frozenset({"Mn", "Me", "Mc"})


def checked_name(name: str) -> str:
    """A name that a label can hold and everybody can see, as given but for spaces.

    Raises: InputError if it is empty, longer than 60 characters, has signs that labels need or
    characters that are not seen, or looks like the room's own.
    """
    name = unicodedata.normalize("NFC", " ".join(name.split(" ")).strip())
    if unseen := unseen_in(name):
        raise InputError(
            f"{_quoted_name(name)}: U+{ord(unseen):04X} in it cannot be seen; take it out"
        )
    name = " ".join(name.split())
    wide = unicodedata.normalize("NFKC", name)
    fits = 1 <= len(name) <= LONGEST_NAME and plain_name(name)
    if not fits or _SIGNS.search(wide) or _SIGNS.search(name):
        raise InputError(
            f"{_quoted_name(name)}: accepted are 1 to {LONGEST_NAME} characters, a letter or a "
            "digit "
            "among them, without square or pointed brackets, colons, quotes, stars and @"
        )
    if (
        _PILE.search(unicodedata.normalize("NFD", name))
        or unicodedata.category(name[0]) in _HANGING
    ):
        raise InputError(
            f"{_quoted_name(name)}: marks stand on nothing or in a pile; take them off"
        )
    if any(look_alike(name, room_name) for room_name in (ROOM, f"the {ROOM}")):
        raise InputError(f"{_quoted_name(name)}: the room itself speaks under it; take another")
    return name


def alike(name: str, names: Iterable[str]) -> str:
    """Which of `names` nobody could tell from `name`; "" for none."""
    return next((other_name for other_name in names if look_alike(name, other_name)), "")


def checked_temperature(value: object) -> float:
    """A temperature in range.

    Raises: InputError if it is no number between 0 and 2.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        if LOWEST <= number <= HIGHEST:
            return number
    raise InputError(f"temperature {value!r}: accepted are 0 to 2")


def free_name(state: State, base_name: str) -> str:
    """`base_name`, or with a number behind it where somebody has it already."""
    name, number = base_name, 2
    while alike(name, state.names):
        name, number = f"{base_name} {number}", number + 1
    return name


def checked_newcomer(state: State, newcomer: Arrival) -> Arrival:
    """The newcomer as it may come in.

    Raises: InputError if the room is full, the name is taken, unusable or looks like another's,
    or the temperature is out of range.
    """
    name = checked_name(newcomer.name)
    present = {member.name for member in state.present}
    if taken_name := alike(name, present):
        raise InputError(f"name {name!r}: {_whose(taken_name, name)}; accepted is another")
    earlier = alike(name, (member for member in state.names if member not in present))
    if earlier and plain_name(earlier) != plain_name(name):
        raise InputError(f"name {name!r}: it looks like {earlier!r}, who spoke here; take another")
    limit = int(state.settings["max_participants"])
    if len(state.present) >= limit:
        raise InputError(
            f"{name}: {len(state.present)} of {limit} places are taken; it did not come in"
        )
    checked_temperature(newcomer.temperature)
    return Arrival(
        name,
        newcomer.model,
        newcomer.persona,
        newcomer.temperature,
        newcomer.invited_by,
        newcomer.scripted,
    )


def _whose(taken_name: str, name: str) -> str:
    if plain_name(taken_name) == plain_name(name):
        return "somebody here has it"
    return f"it looks like {taken_name!r}, who is here"


def _quoted_name(name: str) -> str:
    return f"name {one_line(name, 80)!r}"
