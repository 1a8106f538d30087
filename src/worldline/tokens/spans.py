"""Which tokens are meant: spans given as numbers or as words of the text, texts side by side."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from worldline.errors import InputError

if TYPE_CHECKING:
    from worldline.tokens.tokens import Tokens

ALIGNMENTS = ("left", "right", "words")
MORE_THAN_ANY = 10**18  # NUMBERS has as many digits
NUMBERS = re.compile(r"\s*(-?\d{1,18})\s*(?:(?:-|\.\.)\s*(-?\d{1,18})\s*)?")


def number_span(span_text: str, n: int, label: str) -> tuple[int, ...]:
    """The numbers of "3", "2-5" or "0-3,7" below `n`; -1 is the last.

    Raises InputError for anything else, and for numbers from `n` on.

    >>> number_span("0-2,-1", 9, "position")
    (0, 1, 2, 8)
    """
    numbers: set[int] = set()
    for part in span_text.split(","):
        match = NUMBERS.fullmatch(part)
        if match is None:
            raise InputError(f"{label} {span_text!r}: accepted are numbers such as 3, 2-5 or 0-3,7")
        ends = [int(digits) for digits in match.groups() if digits is not None]
        for end in ends:
            if not -n <= end < n:
                raise InputError(f"{label} {end}: accepted are 0 to {n - 1} (-1 is the last)")
        first, last = (end % n for end in (ends[0], ends[-1]))
        if last < first:
            raise InputError(f"{label} {part.strip()}: it runs backwards")
        numbers |= set(range(first, last + 1))
    return tuple(sorted(numbers))


def positions_of(tokens: Tokens, span_text: str, label: str = "position") -> tuple[int, ...]:
    """The tokens of a span: numbers ("3", "2-5", "0,4", -1 is the last), "all", or words of it.

    Words mean every token that shares a character with them; they must stand in the text once.

    Raises InputError for numbers outside the text, and words that are not in it, or twice.
    """
    if span_text.strip() == "all":
        return tuple(range(len(tokens)))
    if _is_numeric(span_text):
        return number_span(span_text, len(tokens), label)
    start, stop = _words_at(tokens.text, span_text, label)
    return tuple(
        pos
        for pos, (low, high) in enumerate(tokens.char_spans)
        if low < high and low < stop and start < high
    )


def refuse_unwritten(text: str, given: str | None, what: str) -> None:
    """Raise InputError for a span that no tokens of `text` can make good: before any are made."""
    if given is None or given.strip() == "all":
        return
    if _is_numeric(given):
        refuse_no_numbers(given, what)
    else:
        _words_at(text, given, what)


def refuse_no_numbers(given: str | None, what: str) -> None:
    """Raise InputError where `number_span` would, however many there are."""
    if given is not None:
        number_span(given, MORE_THAN_ANY, what)


def _is_numeric(given: str) -> bool:
    numeric = re.search(r"\d", given) and not re.search(r"[^\s\d,.-]", given)
    return bool(numeric and NUMBERS.match(given.split(",")[0]))


def _words_at(text: str, given: str, what: str) -> tuple[int, int]:
    """Where words stand in a text, which must be at one place."""
    wanted = given if given in text else given.strip()
    places = [m.start() for m in re.finditer(re.escape(wanted), text)] if wanted else []
    if len(places) != 1:
        stands = (
            f"stands in the text {len(places)} times" if places else "does not stand in the text"
        )
        raise InputError(
            f"{what} {given!r}: it {stands}; accepted are words that stand in it "
            'once, numbers such as 3 or 2-5, or "all"'
        )
    return places[0], places[0] + len(wanted)


def counterparts(ours: Tokens, theirs: Tokens, align: str | None = None) -> tuple[int | None, ...]:
    """For every token of ours its position in the other text, or None.

    `align`: "left" (n-th to n-th), "right" (n-th from the end), "words" (n-th word to n-th word,
    its tokens from the left); None only for texts of one length.

    Raises InputError for an unknown alignment, or none where the lengths differ.
    """
    n, n_theirs = len(ours), len(theirs)
    if align is None:
        if n != n_theirs:
            raise InputError(
                f"the text that is patched in has {n_theirs} tokens, this one {n}: name an "
                f"alignment,"
                " left, right or words"
            )
        return tuple(range(n))
    if align not in ALIGNMENTS:
        raise InputError(f"align={align!r}: accepted are {', '.join(ALIGNMENTS)}")
    if align == "left":
        return tuple(pos if pos < n_theirs else None for pos in range(n))
    if align == "right":
        return tuple(pos - n + n_theirs if pos >= n - n_theirs else None for pos in range(n))
    mine, their_words = _words(ours), _words(theirs)
    matches: list[int | None] = [None] * n
    for our_positions, their_positions in zip(mine, their_words, strict=False):
        for pos, counterpart in zip(our_positions, their_positions, strict=False):
            matches[pos] = counterpart
    return tuple(matches)


def _words(tokens: Tokens) -> list[list[int]]:
    """The positions of each word; a token belongs to the word in which its last letter lies."""
    bounds = [m.span() for m in re.finditer(r"\S+", tokens.text)]
    stops = [stop for _, stop in bounds]
    words: list[list[int]] = [[] for _ in bounds]
    for pos, (low, high) in enumerate(tokens.char_spans):
        at = bisect_left(stops, high)  # the first word that ends no earlier
        if low < high and at < len(bounds) and bounds[at][0] < high:
            words[at].append(pos)
    return words


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
