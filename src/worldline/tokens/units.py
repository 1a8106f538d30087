"""Tokens put together into words, sentences or chat turns: neighbours, every token in one group."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from worldline.tokens.alignment import Span
from worldline.tokens.chat_templates import NamedSpan
from worldline.tokens.tokens import Tokens

UNSPACED = re.compile(  # scripts that put no space between words
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
BREAKS = "\n\r\x0b\x0c\x85\u2028\u2029"
STOPS, WIDE_STOPS, CLOSING = ".!?\u2026", "\u3002\uff01\uff1f\uff61", "\"'\u2019\u201d\u00bb)]}"
WIDE_CLOSING = "\u300d\u300f\uff09\u3011"
ABBREVIATED = frozenset(
    ("mr", "mrs", "ms", "dr", "prof", "st", "vs", "etc", "cf", "fig", "vol", "e.g", "i.e", "al")
)


@dataclass(frozen=True)
class Grouping:
    """Which group each token is in: groups are runs of neighbours, numbered from 0 up.

    Attributes:
        name: What the groups are.
        group_of: The group of each token.
        spans: The characters of each group without the blanks around them; empty for tokens that
            stand for no text.
        names: What each group is called, where it has a name of its own.

    >>> Grouping("words", (0, 0, 1), ((0, 2), (3, 4)), (None, None)).n_groups
    2
    """

    name: str
    group_of: tuple[int, ...]
    spans: tuple[Span, ...]
    names: tuple[str | None, ...]

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(self.spans)


def words(tokens: Tokens) -> Grouping:
    """A group per word: what stands between blanks, with its punctuation and the blank before it.

    Line breaks are apart, and special tokens groups of their own. In scripts without spaces, and
    where a token crosses words, the token is the least group.
    """
    starts = {*_starts_of_words(tokens.text), *_starts_of_sentences(tokens.text)}
    return _group_tokens("words", tokens, starts)


def sentences(tokens: Tokens) -> Grouping:
    """A group per sentence: up to a full stop and what closes it, or a line break.

    Neither ends a sentence that goes on in lower case, nor does the stop of a common abbreviation,
    of an initial, or of a number that opens a line.

    **Exactness**: a rule, not a parser; that every token is in one group is sure.
    """
    return _group_tokens("sentences", tokens, _starts_of_sentences(tokens.text))


def turns(tokens: Tokens, spans: Sequence[NamedSpan]) -> Grouping:
    """A group per turn of a chat, and one for each run of the template's words between them."""
    starts = sorted({0} | {place for span in spans for place in (span.start, span.end)})
    grouping = _group_tokens("turns", tokens, starts, lone=False)
    names = [
        next((span.name for span in spans if span.start <= low < span.end), None)
        for low, _ in grouping.spans
    ]
    return Grouping("turns", grouping.group_of, grouping.spans, tuple(names))


def groupings(tokens: Tokens, spans: Sequence[NamedSpan] = ()) -> tuple[Grouping, ...]:
    """Words, sentences and, where turns are known, turns: those that put anything together.

    A grouping with a group per token, or with a single group, says nothing and is left out.
    """
    candidates = [words(tokens), sentences(tokens), *([turns(tokens, spans)] if spans else [])]
    return tuple(grouping for grouping in candidates if 1 < grouping.n_groups < len(tokens))


def _group_tokens(
    name: str, tokens: Tokens, starts: Collection[int], lone: bool = True
) -> Grouping:
    """Tokens by the part of the text in which their first letter lies; specials `lone` or not."""
    parts = _parts_of(tokens, starts)
    group_of: list[int] = []
    for pos, (group, special) in enumerate(zip(tokens.groups, tokens.specials, strict=True)):
        shares_character = pos > 0 and group == tokens.groups[pos - 1]  # pieces of one character
        alone = lone and (special or (pos > 0 and tokens.specials[pos - 1]))
        fresh = pos == 0 or (not shares_character and (alone or parts[pos] != parts[pos - 1]))
        group_of.append((group_of[-1] if group_of else -1) + fresh)
    spans = _spans_of(tokens, group_of)
    return Grouping(name, tuple(group_of), spans, (None,) * len(spans))


def _parts_of(tokens: Tokens, starts: Collection[int]) -> list[int]:
    part_of, part, begins = [], -1, set(starts)
    for at in range(len(tokens.text)):
        part += at in begins
        part_of.append(part)
    parts: list[int] = []
    for low, high in tokens.char_spans:
        last_part = parts[-1] if parts else 0
        if low < high:
            letters = (at for at in range(low, high) if not tokens.text[at].isspace())
            last_part = max(last_part, part_of[next(letters, low)])
        parts.append(last_part)
    return parts


def _spans_of(tokens: Tokens, group_of: Sequence[int]) -> tuple[Span, ...]:
    spans: list[Span] = []
    ends = [at for at, (a, b) in enumerate(pairwise([*group_of, -1])) if a != b]
    first = 0
    for last in ends:
        text_spans = [span for span in tokens.char_spans[first : last + 1] if span[0] < span[1]]
        low, high = (
            (text_spans[0][0], text_spans[-1][1]) if text_spans else tokens.char_spans[first]
        )
        text = tokens.text[low:high]
        if text.strip():
            low, high = low + len(text) - len(text.lstrip()), high - len(text) + len(text.rstrip())
        spans.append((low, high))
        first = last + 1
    return tuple(spans)


def _kind(char: str) -> str:
    """The kind of a character: blank, break, alone (no spaces in its script) or word."""
    if char in BREAKS:
        return "break"
    if char.isspace():
        return "blank"
    return "alone" if UNSPACED.match(char) else "word"


def _starts_of_words(text: str) -> list[int]:
    starts, before = [], ""
    for at, char in enumerate(text):
        kind = _kind(char)
        mark = unicodedata.category(char)[0] == "M" and before not in ("blank", "break")
        if mark or (kind == "word" and before == "alone" and not char.isalnum()):
            continue  # it belongs to what it follows
        if before != "blank" and (kind != before or kind == "alone"):
            starts.append(at)
        before = kind
    return starts


def _starts_of_sentences(text: str) -> list[int]:
    return [0, *(end for end in _ends_of_sentences(text) if end < len(text.rstrip()))]


def _ends_of_sentences(text: str) -> list[int]:
    ends, at = [], 0
    while at < len(text):
        end = _end_of_sentence(text, at)
        if end:
            ends.append(end)
        at = max(at + 1, end)
        if not end and text[at - 1] in STOPS and _goes_on(text, at):
            at = _past(text, at, lambda c: c in STOPS)  # of a run that goes on no stop ends it
    return ends


def _goes_on(text: str, at: int) -> bool:
    """Whether a sentence goes on after the stops of which `at` is one, or follows the last."""
    end = _past(text, at, lambda c: c in STOPS)
    end = _past(text, end, lambda c: c in CLOSING)
    after = _past(text, end, str.isspace)
    return after == end or (after < len(text) and text[after].islower())


def _end_of_sentence(text: str, at: int) -> int:
    """Where a sentence that ends with what stands at `at` ends; 0 if none ends there."""
    char, end = text[at], at + 1
    if char in WIDE_STOPS:
        return _past(text, end, lambda c: c in STOPS + WIDE_STOPS + WIDE_CLOSING + CLOSING)
    if char in STOPS:
        if _goes_on(text, end) or (char == "." and _is_abbreviation(text, at)):
            return 0
        end = _past(text, end, lambda c: c in STOPS)
        end = _past(text, end, lambda c: c in CLOSING)
        after = _past(text, end, str.isspace)
        return max([end, *(place + 1 for place in _breaks(text, end, after))])
    if _kind(char) == "break":
        after = _past(text, end, str.isspace)
        breaks = _breaks(text, at, after)
        n_lines = len(breaks) - text.count("\r\n", at, after)
        goes_on = after < len(text) and text[after].islower() and n_lines == 1
        return 0 if goes_on else breaks[-1] + 1
    return 0


def _breaks(text: str, start: int, end: int) -> list[int]:
    return [place for place in range(start, end) if text[place] in BREAKS]


def _past(text: str, at: int, belongs: Callable[[str], bool]) -> int:
    while at < len(text) and belongs(text[at]):
        at += 1
    return at


def _is_abbreviation(text: str, stop: int) -> bool:
    first = stop
    while first > 0 and not text[first - 1].isspace():
        first -= 1
    word = text[first:stop].lstrip("([\"'\u201c\u2018")
    is_list_number = word.isdecimal() and text[first - 1 : first] in (
        "",
        *BREAKS,
    )  # "1." opens a line
    return is_list_number or word.lower() in ABBREVIATED or (len(word) == 1 and word.isupper())


UNGROUPED = 60  # tokens that all have their label in a page 1,440 pixels wide


def page_groups(tokens: Tokens, turns: Sequence[NamedSpan]) -> tuple[Grouping, ...]:
    """The groupings that a picture offers: none for a text whose tokens all have room."""
    return groupings(tokens, turns) if len(tokens) > UNGROUPED else ()
