"""Where a text thinks before it speaks: the marks of reasoning of every family that has some."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from worldline.room.events import Span

_PREFIX = (
    r"(?:ant|(?:begin|end)[_▁ ]of[_▁ ]|(?:start|end)[_▁ ]|inner[_ ]|internal[_ ]"
    r"|(?!no[_:▁-])(?:[a-z0-9]{1,20}[_:▁-]){1,4})"
)
_CORE = (
    r"(?:think(?:ing)?|thoughts?|reasoning|reflections?|scratch[_ -]?pad|monologue"
    r"|chain[_-]of[_-]thoughts?|cot|rumination|deliberation)"
)
_TAIL = (  # what a name of such a mark may end with
    r"(?:[_▁ -](?:process|content|text|blocks?|steps?|traces?|section|log|phase|notes?|begin|start"
    r"|end))"
)
_ANALYSIS = r"(?:(?:begin|end|start|inner|internal|assistant)[_▁-])?(?:of[_▁-])?analysis"
_WORD = rf"(?:(?:{_PREFIX}?{_CORE}|{_ANALYSIS}){_TAIL}{{0,2}}|inner_(?:prefix|suffix))"
_S = "[ \t]{0,4}"
_SIGN = re.compile(
    rf"[<＜〈◁]{_S}[|｜]?{_S}(?P<slash>/?){_S}(?P<word>{_WORD})"
    rf"(?:[ \t]{{1,4}}[\w:-]{{1,30}}=[^<>\n]{{0,80}})?{_S}[|｜]?{_S}[>＞〉▷]"
    r"|<unused\d{1,4}>(?P<numbered>\s{0,4}thoughts?\b)"
    rf"|\[{_S}(?P<ended>/?){_S}(?P<square>think(?:ing)?|thoughts?|reasoning|scratchpad){_S}\]"
    r"|(?P<end><\|(?:end|return|call|assistant(?:_(?:response|answer|final))?)\|>|<channel\|>"
    r"|<unused\d{1,4}>)"
    r"(?:\s{0,4}<\|start\|>\s{0,4}assistant(?=<))?"
    rf"|<\|channel\|?>\s{{0,4}}(?P<channel>[a-z]{{1,20}})(?:{_S}<\|message\|>)?",
    re.IGNORECASE,
)
_ANY_OPENER = re.compile(r"[<＜〈◁\[]")
_ANY_CLOSER = re.compile(r"[>＞〉▷\]]")
_AHEAD = 32  # characters behind a mark that tell whether it is only spoken of
_LONGEST = 160  # characters of a mark
_OPENING_QUOTE = re.compile(r"(?:^|[\s(\[{—–:/])[\"'`“„‘«»‹›「『]\Z")
_CLOSING_QUOTE = re.compile(r"[\"'`”“’«»‹›」』](?=[\s).,;:!?\]}—–/-]|\Z)")
_DETERMINED = re.compile(
    r"\b(?:an?|the|this|that|its|your|my|no|any|each|every|another|first|last|second|opening"
    r"|closing|starting|ending|special|called|named)[ \t]{1,4}\Z",
    re.IGNORECASE,
)
_NOUN = re.compile(
    r"[ \t]{1,4}(?:tags?|tokens?|blocks?|marks?|markers?|elements?|sections?|delimiters?)\b",
    re.IGNORECASE,
)
_LINE_BEGUN = re.compile(r"(?:\A|(?<=[\n\r]))[ \t]*[\"'`“«*_]{0,4}\Z")
_LINE_OVER = re.compile(r"[\"'`”»*_]{0,4}[ \t]*(?=[\n\r]|\Z)")
_ENDING = re.compile(r"^end(?![a-z])|(?:suffix|[_▁ -]end)\Z", re.IGNORECASE)
_BETWEEN = re.compile(r"[ \t]{1,4}(?:and|or|to|und|oder|et|ou|y)[ \t]{1,4}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark: it `opens` reasoning or closes it.

    One that is `weak` closes what is open and means nothing elsewhere. One that `needs_close`
    opens only where a closing one follows: `[thinking]` may be a stage direction. One that is a
    `last_resort` stands in code or in quotes, alone on its line: it closes what no other does.
    """

    start: int
    end: int
    opens: bool
    weak: bool = False
    needs_close: bool = False
    last_resort: bool = False


def marks_in(text: str, code: Sequence[Span] = (), start: int = 0) -> Iterator[Mark]:
    """The marks of reasoning from `start` on, but for those inside `code` or only spoken of.

    **Exactness**: linear in the text.
    """
    around = passed = 0
    for sign in _SIGN.finditer(text, start):
        while around < len(code) and code[around].end <= sign.start():
            around += 1
        if around < len(code) and code[around].start <= sign.start():
            yield from _last_resort(text, _mark_of(sign))
            continue
        if sign.start() < passed:
            continue
        mark = _mark_of(sign)
        if pair := _pair(text, mark):
            passed = pair
        elif _spoken_of(text, mark):
            yield from _last_resort(text, mark)
        else:
            yield mark


def _last_resort(text: str, mark: Mark) -> Iterator[Mark]:
    """A closing mark in code or quotes that has a line to itself, with what stands around it."""
    if mark.opens or mark.weak:
        return
    head, tail = text[max(0, mark.start - 16) : mark.start], text[mark.end : mark.end + 16]
    before, behind = _LINE_BEGUN.search(head), _LINE_OVER.match(tail)
    if before and behind:
        start = mark.start - len(before[0])
        yield Mark(start, mark.end + behind.end(), False, last_resort=True)


def reasoning_in(text: str, marks: Iterable[Mark]) -> list[Span]:
    """The stretches of reasoning, in order: from each opening mark to the one that closes it.

    Where none closes it, it goes to the end: a limit cut it off. A closing mark that nothing
    opened (a chat template did, before the text) closes everything before it.

    >>> reasoning_in("hm</think>yes", marks_in("hm</think>yes"))
    [Span(start=0, end=10, name='reasoning')]
    """
    every = list(marks)
    listed = [one for one in every if not one.last_resort]
    last_close = max((one.start for one in listed if not one.opens and not one.weak), default=-1)
    found: list[Span] = []
    depth = begun = 0
    for one in listed:
        if one.opens:
            if one.needs_close and last_close < one.start:
                continue
            begun = begun if depth else one.start
            depth += 1
        elif depth:
            depth = 0 if one.weak else depth - 1
            if not depth:
                found.append(Span(begun, one.end, "reasoning"))
        elif found and found[-1].end == one.start:
            found[-1] = Span(found[-1].start, one.end, "reasoning")
        elif not one.weak:
            found = [Span(0, one.end, "reasoning")]
    if depth:
        spoken = (one.end for one in every if one.last_resort and one.start > begun)
        found.append(Span(begun, next(spoken, len(text)), "reasoning"))
    return found


class Hushed:
    """A reply as it streams, without its reasoning: what may be a mark waits until it is known.

    **Exactness**: linear in the reply. What was given out is never taken back, so a mark that
    opens without need (in a fence of code) silences the rest; the whole reply tells better.
    With `opened` the reply begins inside its reasoning; where that is not known (None) nothing is
    given out before a mark tells, or `begin_outside`.
    """

    def __init__(self, opened: bool | None = False) -> None:
        self._text = ""
        self._at = 0  # what is before it was given out, or held back for good
        self._depth = int(bool(opened))
        self._just_closed = False  # reasoning ended right before what comes next
        self.unsure = opened is None
        self._waiting: list[str] = []  # words, or reasoning that a template opened

    def begin_outside(self) -> str:
        """The reply does not begin inside its reasoning; what waited to know that."""
        self.unsure, waiting = False, "".join(self._waiting)
        self._waiting.clear()
        return waiting

    def more(self, piece: str) -> str:
        """What of the reply may be shown, now that `piece` came."""
        shown = self._more(piece)
        if not self.unsure:
            return shown
        self._waiting.append(shown)
        return ""

    def _more(self, piece: str) -> str:
        kept = max(0, self._at - _AHEAD)  # what tells whether a mark is only spoken of
        self._text, self._at = self._text[kept:] + piece, self._at - kept
        given: list[str] = []
        while sign := _ANY_OPENER.search(self._text, self._at):
            self._go_to(sign.start(), given)
            end = self._past_sign(given)
            if not end:
                return "".join(given)
            self._go_to(end, given)
        self._go_to(len(self._text), given)
        return "".join(given)

    def _go_to(self, end: int, given: list[str]) -> None:
        if end > self._at:
            if not self._depth:
                given.append(self._text[self._at : end])
            self._just_closed = False
        self._at = end

    def _past_sign(self, given: list[str]) -> int:
        """Past what stands in front, once it is known what that is; 0 until then."""
        text, at = self._text, self._at
        sign = _SIGN.match(text, at)
        if sign is None:
            return self._past_other(at)
        if len(text) < sign.end() + _AHEAD:
            return 0
        mark = _mark_of(sign)
        if pair := _pair(text, mark):
            return pair
        if _spoken_of(text, mark):
            return mark.end
        if mark.opens:
            if self.unsure:
                given.insert(0, self.begin_outside())
            self._depth += 1
        elif self._depth or not mark.weak or self._just_closed:
            if not self._depth and not self._just_closed:
                given.clear()  # all of it was reasoning
                self._waiting.clear()
                self.unsure = False
            self._at = mark.end  # the mark itself is no word
            self._depth = 0 if mark.weak else max(0, self._depth - 1)
            self._just_closed = not self._depth
        return mark.end

    def _past_other(self, at: int) -> int:
        """Past a sign that begins no mark; 0 while it may become one."""
        short = len(self._text) - at < _LONGEST
        closed = _ANY_CLOSER.search(self._text, at, at + _LONGEST)
        if short and (closed is None or len(self._text) < closed.end() + _AHEAD):
            return 0
        return at + 1


def _mark_of(sign: re.Match[str]) -> Mark:
    start, end = sign.span()
    if sign["channel"]:
        return Mark(start, end, sign["channel"].casefold() != "final")
    if sign["end"]:
        return Mark(start, end, False, weak=True)
    if sign["square"]:
        quiet = not sign["square"].isupper()
        return Mark(start, end, not sign["ended"], needs_close=quiet and not sign["ended"])
    if sign["numbered"]:
        return Mark(start, end, True)
    return Mark(start, end, not (sign["slash"] or _ENDING.search(sign["word"])))


def _pair(text: str, mark: Mark) -> int:
    """Where "<think> and </think>" ends, which only speaks of the two; 0 for anything else."""
    between = _BETWEEN.match(text, mark.end) if mark.opens else None
    other = _SIGN.match(text, between.end()) if between else None
    return other.end() if other and not _mark_of(other).opens else 0


def _spoken_of(text: str, mark: Mark) -> bool:
    """Whether a mark stands alone in quotes, or as in "the <think> tag"."""
    before = text[max(0, mark.start - 16) : mark.start]
    if _OPENING_QUOTE.search(before) and _CLOSING_QUOTE.match(text, mark.end):
        return True
    return bool(_DETERMINED.search(before) and _NOUN.match(text, mark.end))
