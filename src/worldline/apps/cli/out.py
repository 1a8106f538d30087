"""Texts in, files out: whole or not at all, and refused in words."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import typer

from worldline.errors import InputError


def read_text(text: str | None, file: Path | None) -> str:
    """The text that was given: an argument, - for standard input, or a file.

    Raises:
        InputError: none or two were given, it is empty, or it is not UTF-8.
    """
    if (text is None) == (file is None):
        raise InputError("text: give one: TEXT, - for standard input, or --file F")
    try:
        if file is not None:
            found = file.expanduser().read_bytes().decode("utf-8")  # line ends as they are
        elif text == "-":
            found = sys.stdin.buffer.read().decode("utf-8")
        else:
            found = str(text)
    except UnicodeDecodeError as error:
        raise InputError(f"text: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise InputError(f"--file {file}: {error.strerror or error}") from None
    if not found:
        raise InputError("text: it is empty; give at least one character")
    return found


def refuse_unwritable(*places: str | Path | None) -> None:
    """Raise InputError before any work if a file that is asked for cannot be written."""
    for place in places:
        if place is None or str(place) == "-":
            continue
        path = Path(place).expanduser()
        if path.is_dir():
            raise InputError(f"{place}: is a folder; name a file")
        if _is_device(path):
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(path.name + ".part")
            part.touch()
            part.unlink()
        except OSError as error:
            raise InputError(f"{place}: cannot be written ({error.strerror or error})") from None


def _is_device(path: Path) -> bool:
    """Whether something is there that is no file, such as /dev/null: never to be replaced."""
    return path.exists() and not path.is_file()


def write_text(place: str | Path, content: str) -> Path:
    """Write a file whole or not at all; what is no file (a pipe, /dev/null) is written to."""
    return _written(place, lambda path: path.write_text(content, encoding="utf-8"))


def write_bytes(place: str | Path, content: bytes) -> Path:
    """As ``write_text``, for what is no text, or text whose line ends are to stay."""
    return _written(place, lambda path: path.write_bytes(content))


def _written(place: str | Path, write: Callable[[Path], Any]) -> Path:
    path = Path(place).expanduser()
    part = path if _is_device(path) else path.with_name(path.name + ".part")
    try:
        write(part)
        if part != path:
            part.replace(path)
    except OSError as error:
        if part != path:
            with suppress(OSError):
                part.unlink()
        raise InputError(f"{place}: cannot be written ({error.strerror or error})") from None
    return path


def write_json(place: str, value: Any) -> None:
    """Write JSON to a file, or to standard output for -."""
    content = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if place == "-":
        typer.echo(content)
    else:
        write_text(place, content + "\n")
