"""Spans of whole numbers as people write them: "3", "2-5", "0-3,7", -1 for the last."""

from __future__ import annotations

import re
from collections.abc import Sequence

from worldline.errors import InputError

MOST_SHOWN = 60  # characters of what was given
_RANGE = re.compile(r"\s*(-?\d{1,18})\s*(?:(?:-|\.\.)\s*(-?\d{1,18})\s*)?")


def number_span(span_text: str, n: int, label: str) -> tuple[int, ...]:
    """The numbers of "3", "2-5" or "0-3,7" below `n`; -1 is the last.

    Raises InputError for anything else, and for numbers from `n` on.

    >>> number_span("0-2,-1", 9, "position")
    (0, 1, 2, 8)
    """
    ranges: list[tuple[int, int]] = []
    for part, ends in _ranges(span_text, label):
        for end in ends:
            if not -n <= end < n:
                raise InputError(f"{label} {end}: accepted are 0 to {n - 1} (-1 is the last)")
        first, last = (end % n for end in ends)
        if last < first:
            raise InputError(f"{label} {part}: it runs backwards")
        ranges.append((first, last))
    numbers: list[int] = []
    for first, last in sorted(ranges):  # each number once, however often ranges name it
        numbers.extend(range(max(first, numbers[-1] + 1 if numbers else 0), last + 1))
    return tuple(numbers)


def refuse_no_numbers(span_text: str | None, label: str) -> None:
    """Raise InputError where `number_span` would, however many numbers there are.

    >>> refuse_no_numbers("0-999999999999", "position")
    """
    if span_text is None:
        return
    for part, (first, last) in _ranges(span_text, label):
        if last < first and (first < 0) == (last < 0):
            raise InputError(f"{label} {part}: it runs backwards")


def starts_with_numbers(text: str) -> bool:
    """Whether the text up to its first comma is a number or a range of them."""
    return _RANGE.match(text.split(",")[0]) is not None


def ranges_text(places: Sequence[int]) -> str:
    """Numbers in words: runs as ranges.

    >>> ranges_text((0, 1, 2, 5))
    '0-2,5'
    """
    runs: list[list[int]] = []
    for place in sorted(places):
        if runs and place == runs[-1][-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _ranges(span_text: str, label: str) -> list[tuple[str, tuple[int, int]]]:
    """Each part between commas with its first and last number, as they are written."""
    ranges = []
    for part in span_text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise InputError(
                f"{label} {span_text[:MOST_SHOWN]!r}: accepted are numbers such as 3, 2-5 or 0-3,7"
            )
        first, last = match.groups()
        ranges.append((part.strip(), (int(first), int(first if last is None else last))))
    return ranges
