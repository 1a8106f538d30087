"""Texts in, files out: whole or not at all, and refused in words."""

from __future__ import annotations

import json
import sys
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from worldline import atomic_file
from worldline.apps.cli.overwriting import refuse_overwriting
from worldline.errors import InputError
from worldline.places import expanded, is_folder

MOST_BYTES = 1 << 26  # of a text: far more than any model reads


def read_text(text: str | None, file: Path | None, *, keep_newline: bool = False) -> str:
    """The text that was given: an argument, - for standard input, or a file.

    Of a file and of standard input, a byte order mark in front and one newline at the end are no
    part of the text, for editors and echo put them there; a line on standard error says so.

    Raises:
        InputError: none or two were given, it is empty, too long, or not UTF-8.
    """
    if (text is None) == (file is None):
        raise InputError("text: give one: TEXT, - for standard input, or --file F")
    if file is None and text != "-":
        whole = str(text)
        try:
            whole.encode()
        except UnicodeEncodeError as error:  # a byte that the shell passed on as it was
            raise InputError(f"text: not UTF-8 at character {error.start}") from None
    else:
        whole = _decoded(_content(file), "standard input" if file is None else str(file))
        if not keep_newline:
            whole = _without_newline(whole)
    if not whole:
        raise InputError("text: it is empty; give at least one character")
    return whole


def _content(file: Path | None) -> bytes:
    name = "standard input" if file is None else f"--file {file}"
    try:
        if file is not None:
            with expanded(file).open("rb") as source:
                content = source.read(MOST_BYTES + 1)
        elif sys.stdin is None:
            raise InputError("standard input: it is closed")
        else:
            content = sys.stdin.buffer.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"{name}: over {MOST_BYTES:,} bytes; accepted are at most as many")
    return content


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.removeprefix(BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start + (len(BOM_UTF8) if content.startswith(BOM_UTF8) else 0)
        raise InputError(f"{name}: not UTF-8 at byte {at}; accepted is text in UTF-8") from None


def _without_newline(text: str) -> str:
    shorter = text.removesuffix("\n").removesuffix("\r") if text.endswith("\n") else text
    if shorter != text:
        typer.echo(
            "the newline at the end is not part of the text (--keep-newline keeps it)", err=True
        )
    return shorter


def refuse_unwritable(
    *places: str | Path | None,
    reads: Iterable[str | Path | None] = (),
    models: Iterable[str | None] = (),
) -> None:
    """Raise InputError before any work if a file that is asked for cannot or must not be written.

    Args:
        places: Where the command writes; None for what is not asked for, - for standard output.
        reads: Files and folders that it reads: none of them may be written, nor two into one.
        models: The names of models that it reads; None for the bundled one.
    """
    outputs = [Path(place) for place in places if place is not None and str(place) != "-"]
    for place in outputs:
        atomic_file.refuse_unwritable(place)
    if outputs:
        refuse_overwriting(outputs, _read_by(reads, models))


def _read_by(
    reads: Iterable[str | Path | None], models: Iterable[str | None]
) -> Iterator[str | Path]:
    yield from (one for one in reads if one is not None and not is_folder(expanded(one)))
    for name in models:
        from worldline.model.origins import origins

        yield from origins(name)


def make_folder(place: str | Path) -> None:
    """Make the folder that a file is to lie in, where there is none."""
    folder = expanded(place).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{place}: cannot be written ({error.strerror or error})") from None


def write_text(place: str | Path, content: str) -> Path:
    """Write a file whole or not at all; its folder is made where there is none."""
    make_folder(place)
    return atomic_file.write_text(place, content)


def write_bytes(place: str | Path, content: bytes, *, exclusive: bool = False) -> Path:
    """As ``write_text``, for what is no text; ``exclusive`` as there."""
    make_folder(place)
    return atomic_file.write_bytes(place, content, exclusive=exclusive)


def write_json(place: str, value: Any) -> None:
    """Write JSON to a file, or to standard output for -."""
    content = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if place == "-":
        typer.echo(content)
    else:
        write_text(place, content + "\n")
