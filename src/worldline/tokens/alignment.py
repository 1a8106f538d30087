"""Where each token lies in the text: byte spans from the tokens' own bytes, or from offsets.

A token's own bytes are read off its vocabulary piece in one of two spellings: byte-level BPE
(GPT-2's alphabet, one letter per byte) or SentencePiece (``▁`` is a space, ``<0xE2>`` a byte). If
the own bytes of all tokens, joined, are the text, the spans are proven; no introspection of the
tokenizer is needed, and a normalizer that changed the text makes the proof fail, not the spans.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate, pairwise

from worldline.steps import with_steps

Span = tuple[int, int]
Spelling = Callable[[str | bytes], bytes | None]

_WINDOW, _CONTEXT = 24, 6  # tokens decoded at once, and how many of them go before the next
_MOST_PARTS = 64  # tokens of one character
_BYTE_PIECE = re.compile(r"<0x([0-9A-Fa-f]{2})>")


@cache
def byte_alphabet() -> dict[str, int]:
    """The letter that byte-level BPE writes for each byte, and back: letter -> byte.

    >>> byte_alphabet()["Ġ"], byte_alphabet()["A"]
    (32, 65)
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    unprintable = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {
        chr(256 + place): byte for place, byte in enumerate(unprintable)
    }


def spell_bytes(piece: str | bytes) -> bytes | None:
    r"""Own bytes of a byte-level piece, None if it is not written in that alphabet.

    >>> spell_bytes("Ġæ")
    b' \xe6'
    """
    if isinstance(piece, bytes):
        return piece
    alphabet = byte_alphabet()
    if any(letter not in alphabet for letter in piece):
        return None
    return bytes(alphabet[letter] for letter in piece)


def spell_spaces(piece: str | bytes) -> bytes | None:
    r"""Own bytes of a SentencePiece piece: ``▁`` is a space and ``<0xE6>`` one byte.

    >>> spell_spaces("▁the"), spell_spaces("<0xE6>")
    (b' the', b'\xe6')
    """
    if isinstance(piece, bytes):
        return piece
    if match := _BYTE_PIECE.fullmatch(piece):
        return bytes([int(match[1], 16)])
    return piece.replace("▁", " ").encode()


SPELLINGS: tuple[Spelling, ...] = (spell_bytes, spell_spaces)


class Alignment:
    """Spans of tokens over one text, kept in bytes and given in characters as well."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.raw = text.encode()
        self._starts = [0, *accumulate(len(char.encode()) for char in text)]

    def to_bytes(self, span: Span) -> Span:
        """Byte span of a character span."""
        return self._starts[span[0]], self._starts[span[1]]

    def to_chars(self, span: Span) -> Span:
        """Characters that a byte span touches; an empty span stays empty."""
        first = bisect_right(self._starts, span[0]) - 1
        if span[0] == span[1]:
            return first, first
        return first, bisect_right(self._starts, span[1] - 1)


def walk(
    pieces: Sequence[str | bytes],
    absent: Sequence[bool],
    plain: Sequence[bool],
    raw: bytes,
    spelling: Spelling,
) -> list[Span] | None:
    """Byte spans of pieces whose own bytes, joined, are exactly ``raw``; None if they are not.

    ``absent`` marks tokens that were added around the text, ``plain`` those from the added
    vocabulary, which stand in the text as they are written. SentencePiece puts a space in front of
    a text, and of what follows an added token, that the text need not have: it may be left out.
    """
    spans: list[Span] = []
    at, fresh = 0, True
    for piece, is_absent, is_plain in with_steps(zip(pieces, absent, plain, strict=True)):
        size = 0 if is_absent else _match(piece, is_plain, raw, at, spelling, fresh)
        if size is None:
            return None
        spans.append((at, at + size))
        at += size
        fresh = is_absent or is_plain or (fresh and size == 0)
    return spans if at == len(raw) else None


def _match(
    piece: str | bytes, is_plain: bool, raw: bytes, at: int, spelling: Spelling, fresh: bool
) -> int | None:
    own_bytes = [spelling(piece)]
    if isinstance(piece, str) and (is_plain or "▁" in piece):  # which may stand for itself
        own_bytes.insert(0, piece.encode())
    candidates = [candidate for candidate in own_bytes if candidate is not None]
    for candidate in candidates:
        if raw.startswith(candidate, at):
            return len(candidate)
    if fresh:
        for candidate in candidates:
            if candidate.startswith(b" ") and raw.startswith(candidate[1:], at):
                return len(candidate) - 1
    return None


def from_own_bytes(
    alignment: Alignment,
    pieces: Sequence[str | bytes],
    absent: Sequence[bool],
    plain: Sequence[bool],
) -> list[Span] | None:
    """Byte spans proven by the tokens' own bytes in either spelling, or None."""
    for spelling in SPELLINGS:
        spans = walk(pieces, absent, plain, alignment.raw, spelling)
        if spans is not None:
            return spans
    return None


def from_offsets(
    alignment: Alignment,
    offsets: Sequence[Span],
    pieces: Sequence[str | bytes],
    absent: Sequence[bool],
    plain: Sequence[bool],
) -> tuple[list[Span], list[Span], bool]:
    """Byte and character spans from a fast tokenizer's offsets, and whether all are exact.

    Tokens whose offsets overlap share characters: they are told apart by their own bytes where
    these make up the shared characters; else each keeps all of them and the result is not exact.
    """
    chars, exact = _place_offsets(offsets, absent, len(alignment.text))
    spans = [alignment.to_bytes(span) for span in chars]
    for group in _runs(group_of(chars)):
        if len(group) == 1:
            continue
        first, last = spans[group[0]][0], max(spans[index][1] for index in group)
        part = slice(group[0], group[-1] + 1)
        for spelling in SPELLINGS:
            own_spans = walk(
                pieces[part], absent[part], plain[part], alignment.raw[first:last], spelling
            )
            if own_spans is not None:
                spans[part] = [(first + start, first + end) for start, end in own_spans]
                chars[part] = [alignment.to_chars(span) for span in spans[part]]
                break
        else:
            exact = False
    return spans, chars, exact


def from_decoding(
    alignment: Alignment, ids: Sequence[int], absent: Sequence[bool], decode: Callable[..., str]
) -> tuple[list[Span], list[Span], bool]:
    """Byte and character spans without offsets: how far the decoded text grows with each token.

    Exact as long as every token ends with a character. Where the decoded text is not the text, and
    from a replacement character in the text on, spans are empty. Tokens are decoded with a few of
    those before them, not with all: that would take as many steps as the text has tokens, squared.
    """
    text, at, exact, is_aligned = alignment.text.partition("\ufffd")[0], 0, True, True
    chars: list[Span] = []
    decoder = IncrementalDecoder(decode)
    for token, is_absent in with_steps(zip(ids, absent, strict=True)):
        reach = chars[-1][1] if chars else 0
        if is_absent or not is_aligned:
            chars.append((reach, reach))
            continue
        new, partial = decoder.add(token)
        if not decoder.n_before and new.startswith(" ") and not text.startswith(" "):
            new = new[1:]
        is_aligned = text.startswith(new, at) and at + len(new) <= len(text) - partial
        exact = exact and is_aligned and not partial
        chars.append((at, at + len(new) + partial) if is_aligned else (reach, reach))
        at = at + len(new) if is_aligned else at
    exact = exact and at == len(alignment.text)
    return [alignment.to_bytes(span) for span in chars], chars, exact


class IncrementalDecoder:
    """Text of ids as they come, each decoded together with the few before it.

    Those few begin where a character does: some tokenizers give nothing but replacement characters
    for a run of bytes that begins or ends within one.
    """

    def __init__(self, decode: Callable[..., str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._ends = [0]  # how many of these ids end with a whole character
        self._length = 0  # of their text
        self.n_before = 0
        """Characters that came before what was given last."""
        self.n_chars = 0
        """Characters up to the last token that ended with one."""

    def add(self, token: int) -> tuple[str, bool]:
        """What one more token adds that is whole, and whether a part of a character follows."""
        self.n_before = self.n_chars
        self._ids.append(token)
        text = self._decode(self._ids)
        complete_text = text.rstrip("\ufffd")
        if len(self._ids) - self._ends[-1] > _MOST_PARTS:  # no character has as many
            complete_text = text
        new = complete_text[self._length :]
        self._length += len(new)
        self.n_chars += len(new)
        if complete_text == text:
            self._ends.append(len(self._ids))
            if len(self._ids) >= _WINDOW:
                self._forget()
        return new, complete_text != text

    def _forget(self) -> None:
        start = max(end for end in self._ends if end <= len(self._ids) - _CONTEXT)
        self._ids = self._ids[start:]
        self._ends = [end - start for end in self._ends if end >= start]
        self._length = len(self._decode(self._ids))


def group_of(chars: Sequence[Span]) -> list[int]:
    """Number of the character group of each token: tokens that share a character share one.

    >>> group_of([(0, 2), (1, 2), (1, 2), (2, 5)])
    [0, 0, 0, 1]
    """
    groups: list[int] = []
    reach, last = 0, -1
    for start, end in with_steps(chars):
        last += last < 0 or start == end or start >= reach
        groups.append(last)
        reach = max(reach, end)
    return groups


def _runs(groups: Sequence[int]) -> list[list[int]]:
    starts = [i for i, group in enumerate(groups) if i == 0 or groups[i - 1] != group]
    return [list(range(first, last)) for first, last in pairwise([*starts, len(groups)])]


def _place_offsets(
    offsets: Sequence[Span], absent: Sequence[bool], length: int
) -> tuple[list[Span], bool]:
    """Offsets with added tokens placed where they stand; false if some run backwards."""
    chars: list[Span] = []
    at, low, sound = 0, 0, True
    for (start, end), is_absent in with_steps(zip(offsets, absent, strict=True)):
        if is_absent or start == end:
            chars.append((at, at))
            continue
        if start < low or end < at or end > length:
            sound = False
            chars.append((at, at))
            continue
        chars.append((start, end))
        low, at = start, end
    return chars, sound
