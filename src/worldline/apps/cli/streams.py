"""Standard output and error: whatever they can write, closed or not, coloured or not."""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

_ALIKE = {
    "-": "─━–—−‑",
    "=": "═",
    "|": "│┃║▏▎▍",
    "+": "┌┐└┘├┤┬┴┼╭╮╯╰",
    "#": "▌▋▊▉█▓",
    ".": "·•…⋯░",
    ":": "▒",
    ">": "→▸▶",
    "<": "←",
    "^": "↑",
    "v": "↓",
    '"': "“”«»",
    "'": "‘’",
    "x": "×",
    " ": "\u00a0\u2007\u202f",
}
ALIKE = {char: plain for plain, chars in _ALIKE.items() for char in chars}
"""One character of ASCII for what we draw with, so that columns stay where they are."""


def prepare_streams() -> None:
    """Make standard streams fit for any text: what they cannot write is written as an escape.

    A stream that is closed is opened on nothing, lest the next file that is opened take its number
    and be written into.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null_handle = os.open(os.devnull, os.O_RDWR)
            if null_handle != number:
                os.dup2(null_handle, number)
                os.close(null_handle)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    codecs.register_error("worldline", _alike)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="worldline")


def _alike(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    char = error.object[error.start]
    return ALIKE.get(char) or ascii(char)[1:-1], error.start + 1


def wants_color(stream: TextIO) -> bool:
    """Whether a stream is a terminal that shows colours, and nobody asked for none."""
    allows_color = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return allows_color and stream.isatty()


def console(*, stderr: bool = False, **options: object) -> Console:
    """A console that writes no escape codes where no colours are wanted."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    if not wants_color(stream):
        options |= {"force_terminal": False, "color_system": None}
    return Console(stderr=stderr, **options)  # pyright: ignore[reportArgumentType]


def drop_output() -> None:
    """Send what is left in the buffer nowhere, or Python complains of it at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
