"""The settings of a room and of its participants: which there are, and what they may be."""

from __future__ import annotations

from typing import Any

from worldline.errors import InputError
from worldline.room.participants import checked_temperature
from worldline.room.state import DEFAULTS
from worldline.room.turns import checked_mode


def checked_setting(setting: str, value: Any, participant: str) -> Any:
    """A setting's value as it may be; of the room where `participant` is empty.

    Raises: InputError if there is no such setting, or the value cannot be.
    """
    if participant:
        if setting == "temperature":
            return checked_temperature(value)
        if setting not in ("muted", "persona"):
            raise InputError(f"setting {setting!r}: accepted are temperature, muted, persona")
        return bool(value) if setting == "muted" else str(value)
    if setting == "mode":
        return checked_mode(value)
    if setting == "topic":
        return str(value)
    if setting not in DEFAULTS:
        raise InputError(f"setting {setting!r}: accepted are {', '.join(DEFAULTS)}")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise InputError(
            f"{setting} {str(value)[:40]}: accepted are whole numbers from 0 to 2^63 - 1"
        )
    return value
