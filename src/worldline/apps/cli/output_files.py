"""Texts in, files out: whole or not at all, and refused in words."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from worldline import atomic_file
from worldline.apps.cli.overwrite_checks import refuse_overwriting
from worldline.errors import InputError
from worldline.places import expand_path, is_folder
from worldline.tokens import BOM, WrittenText

MOST_BYTES = 1 << 26  # of a text: far more than any model reads


def read_text(text: str | None, file: Path | None, *, keep_newline: bool = False) -> str:
    """The text alone of `read_written`."""
    return read_written(text, file, keep_newline=keep_newline).text


def read_written(text: str | None, file: Path | None, *, keep_newline: bool = False) -> WrittenText:
    """The text that was given, an argument, - for standard input, or a file; and where it stands.

    Of a file and of standard input, a byte order mark in front and one newline at the end are no
    part of the text, for editors and echo put them there; a line on standard error says so.

    Raises:
        InputError: none or two were given, it is empty, too long, or not UTF-8.
    """
    if (text is None) == (file is None):
        raise InputError("text: give one: TEXT, - for standard input, or --file F")
    if file is None and text != "-":
        words, before, after = str(text), "", ""
        try:
            words.encode()
        except UnicodeEncodeError as error:  # a byte that the shell passed on as it was
            raise InputError(f"text: not UTF-8 at character {error.start}") from None
    else:
        content = _decode_utf8(_content(file), "standard input" if file is None else str(file))
        before = BOM if content.startswith(BOM) else ""
        after = "" if keep_newline else _newline_after(content)
        words = content.removeprefix(before).removesuffix(after)
    if not words:
        raise InputError("text: it is empty; give at least one character")
    if file is None:
        return WrittenText.of_no_file(words, keep_newline=keep_newline)
    return WrittenText(words, str(file), before, after)


def _content(file: Path | None) -> bytes:
    name = "standard input" if file is None else f"--file {file}"
    try:
        if file is not None:
            with expand_path(file).open("rb") as source:
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


def _decode_utf8(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: not UTF-8 at byte {error.start}; accepted is text in UTF-8"
        ) from None


def _newline_after(content: str) -> str:
    """The newline that a text ends in, which is no part of it: a line on standard error says so."""
    if not content.endswith("\n"):
        return ""
    typer.echo("the newline at the end is not part of the text (--keep-newline keeps it)", err=True)
    return "\r\n" if content.endswith("\r\n") else "\n"


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
    yield from (place for place in reads if place is not None and not is_folder(expand_path(place)))
    for name in models:
        from worldline.models import model_origins

        yield from model_origins(name)


def make_folder(place: str | Path) -> None:
    """Make the folder that a file is to lie in, where there is none."""
    folder = expand_path(place).parent
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
