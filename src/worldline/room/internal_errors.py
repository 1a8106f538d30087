"""A fault of worldline's own, as the room tells of it: in a line, and where it was raised."""

from __future__ import annotations

import traceback
from pathlib import Path

from worldline.room.providers.transport import plain


def fault_line(error: Exception) -> str:
    """What was raised and where, without the keys that are set here.

    >>> fault_line(NameError("name 'x' is not defined"))
    "NameError: name 'x' is not defined"
    """
    error_text = plain(f"{type(error).__name__}: {error}")
    frames = traceback.extract_tb(error.__traceback__)
    return (
        f"{error_text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})"
        if frames
        else error_text
    )
