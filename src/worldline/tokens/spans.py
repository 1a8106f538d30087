"""Which tokens are meant: spans given as numbers or as words of the text, texts side by side."""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from worldline.errors import InputError
from worldline.number_spans import number_span, refuse_no_numbers, starts_with_numbers

if TYPE_CHECKING:
    from worldline.tokens.tokens import Tokens

ALIGNMENTS = ("left", "right", "words")


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


def _is_numeric(given: str) -> bool:
    numeric = re.search(r"\d", given) and not re.search(r"[^\s\d,.-]", given)
    return bool(numeric) and starts_with_numbers(given)


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
