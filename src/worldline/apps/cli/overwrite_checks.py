"""No output takes the place of what the same command reads, or writes, elsewhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from worldline.atomic_file import written_directly
from worldline.errors import InputError
from worldline.places import expand_path, is_folder

NO_PART_OF_A_MODEL = frozenset({".html", ".csv", ".parquet", ".graphml"})
"""Endings of what may lie in a model's own folder, for no model is read from such files."""

Marks = frozenset[object]


def refuse_overwriting(outputs: Sequence[Path], reads: Iterable[str | Path]) -> None:
    """Raise InputError if two outputs are one file, or one is a file that is read.

    Files are the same if they are one on the disk, by whatever names or links; of a folder that is
    read no file is an output, and none that a model could be read from is added to it. What is no
    file (a pipe, /dev/null) loses nothing.

    Raises:
        InputError: naming the output.
    """
    marked_outputs = [
        (place, _marks(place)) for place in map(expand_path, outputs) if not written_directly(place)
    ]
    for index, (place, marks) in enumerate(marked_outputs):
        if any(marks & earlier_marks for _, earlier_marks in marked_outputs[:index]):
            raise InputError(
                f"{place}: two outputs would be written there; accepted is a name for each"
            )
    for input_path in map(expand_path, reads):
        input_marks = _marks_of_all(input_path)
        folder = os.path.realpath(input_path) if is_folder(input_path) else None
        for place, marks in marked_outputs:
            if marks & input_marks:
                raise _overwrite_error(
                    place, f"this command reads it{f' in {input_path}' if folder else ''}"
                )
            if folder and place.suffix.lower() not in NO_PART_OF_A_MODEL and _inside(place, folder):
                raise _overwrite_error(
                    place, f"it would lie in {input_path}, which this command reads"
                )
    for number, name in enumerate(("standard input", "standard output", "standard error")):
        with suppress(OSError):
            stream = _of_disk(os.fstat(number))
            for place, marks in marked_outputs:
                if stream & marks:
                    raise _overwrite_error(place, f"{name} is that file")


def _overwrite_error(place: Path, why: str) -> InputError:
    return InputError(f"{place}: cannot be written ({why}); accepted is a file of its own")


def _marks(place: Path) -> Marks:
    """What tells a file from others: where its name leads to, and itself if it is there."""
    marks: set[object] = {os.path.normcase(os.path.realpath(place))}
    with suppress(OSError, ValueError):
        marks |= _of_disk(place.stat())
    return frozenset(marks)


def _of_disk(file_status: os.stat_result) -> Marks:
    return frozenset(
        [(file_status.st_dev, file_status.st_ino)] if stat.S_ISREG(file_status.st_mode) else []
    )


def _marks_of_all(input_path: Path) -> Marks:
    """The marks of a file, or of every file in a folder, but those that no model is read from."""
    if not is_folder(input_path):
        return _marks(input_path)
    return frozenset().union(*map(_marks, _files_of(input_path)))


def _files_of(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        yield from (
            Path(where, name)
            for name in names
            if Path(name).suffix.lower() not in NO_PART_OF_A_MODEL
        )


def _inside(place: Path, folder: str) -> bool:
    return Path(os.path.realpath(place)).is_relative_to(folder)
