"""Where a text thinks before it speaks: the marks of reasoning of every family that has some."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
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
_MOST_ASKED = 16  # marks of a reply that streams
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
    around = pair_end = 0
    for sign in _SIGN.finditer(text, start):
        while around < len(code) and code[around].end <= sign.start():
            around += 1
        if around < len(code) and code[around].start <= sign.start():
            yield from _last_resort(text, _mark_of(sign))
            continue
        if sign.start() < pair_end:
            continue
        mark = _mark_of(sign)
        if pair := _pair(text, mark):
            pair_end = pair
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


def reasoning_in(text: str, marks: Iterable[Mark], starts_inside: bool = False) -> list[Span]:
    """The stretches of reasoning, in order: from each opening mark to the one that closes it.

    Where none closes it, it goes to the end: a limit cut it off. A closing mark that nothing
    opened (a chat template did, before the text) closes everything before it. With `starts_inside`
    the text is known to begin inside, and is reasoning to its end where none closes that; a text
    that begins with a mark of its own begins there.

    >>> reasoning_in("hm</think>yes", marks_in("hm</think>yes"))
    [Span(start=0, end=10, name='reasoning')]
    >>> reasoning_in("hm", (), starts_inside=True)
    [Span(start=0, end=2, name='reasoning')]
    """
    every = list(marks)
    regular_marks = [candidate for candidate in every if not candidate.last_resort]
    last_close = max(
        (
            candidate.start
            for candidate in regular_marks
            if not candidate.opens and not candidate.weak
        ),
        default=-1,
    )
    spans: list[Span] = []
    starts_inside = starts_inside and not _begins_with_a_mark(text, regular_marks)
    least = depth = int(starts_inside)  # a weak mark closes no reasoning that no mark opened
    span_start = 0
    for mark in regular_marks:
        if mark.opens:
            if mark.needs_close and last_close < mark.start:
                continue
            span_start = span_start if depth else mark.start
            depth += 1
        elif depth:
            depth = least if mark.weak else depth - 1
            if not depth:
                least = 0
                spans.append(Span(span_start, mark.end, "reasoning"))
        elif spans and spans[-1].end == mark.start:
            spans[-1] = Span(spans[-1].start, mark.end, "reasoning")
        elif not mark.weak:
            spans = [Span(0, mark.end, "reasoning")]
    if depth:
        resort_ends = (
            candidate.end
            for candidate in every
            if candidate.last_resort and candidate.start > span_start
        )
        spans.append(Span(span_start, next(resort_ends, len(text)), "reasoning"))
    return spans


def _begins_with_a_mark(text: str, marks: Sequence[Mark]) -> bool:
    """Whether nothing but blanks stands before the first mark, and it opens reasoning."""
    first = marks[0] if marks else None
    if first is None or not first.opens or first.needs_close:
        return False
    return not text[: first.start].strip()


def _never(_text: str, _start: int) -> bool:
    return False


class ReasoningFilter:
    """A reply as it streams, without its reasoning: what may be a mark waits until it is known.

    **Exactness**: linear in the reply. What was given out is never taken back, so a mark that
    opens without need (in a fence of code) silences the rest; the whole reply tells better.
    With `starts_inside` the reply begins inside its reasoning; where that is not known (None)
    nothing is given out before a mark tells, or `begin_outside`. `uncertain` is asked, of the reply
    up to the end of a mark that would end reasoning, and of where the mark begins, whether it may
    turn out to stand in code, where it ends nothing: nothing more is given out then.
    """

    def __init__(
        self, starts_inside: bool | None = False, uncertain: Callable[[str, int], bool] = _never
    ) -> None:
        self._text = ""
        self._at = 0  # what is before it was given out, or held back for good
        self._least = self._depth = int(bool(starts_inside))
        self._just_closed = False  # reasoning ended right before what comes next
        self._blank = True  # nothing but blanks came so far
        self._parts: list[str] = []  # all that came
        self._uncertain, self._n_code_checks, self._silent = uncertain, 0, False
        self.unsure = starts_inside is None
        self._waiting: list[str] = []  # words, or reasoning that a template opened

    def begin_outside(self) -> str:
        """The reply does not begin inside its reasoning; what waited to know that."""
        self.unsure, waiting = False, "".join(self._waiting)
        self._waiting.clear()
        return waiting

    def more(self, piece: str) -> str:
        """What of the reply may be shown, now that `piece` came."""
        self._parts.append(piece)
        if self._silent:
            return ""
        shown_text = self._more(piece)
        if not self.unsure:
            return shown_text
        self._waiting.append(shown_text)
        return ""

    def _more(self, piece: str) -> str:
        n_dropped = max(0, self._at - _AHEAD)  # what tells whether a mark is only spoken of
        self._text, self._at = self._text[n_dropped:] + piece, self._at - n_dropped
        pieces: list[str] = []
        while not self._silent and (sign := _ANY_OPENER.search(self._text, self._at)):
            self._go_to(sign.start(), pieces)
            end = self._past_sign(pieces)
            if not end:
                return "".join(pieces)
            self._go_to(end, pieces)
        self._go_to(len(self._text), pieces)
        return "".join(pieces)

    def _go_to(self, end: int, pieces: list[str]) -> None:
        if end > self._at:
            passage = self._text[self._at : end]
            if not self._depth and not self._silent:
                pieces.append(passage)
            self._just_closed = False
            self._blank = self._blank and not passage.strip()
        self._at = end

    def _past_sign(self, pieces: list[str]) -> int:
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
            self._open(mark, pieces)
        elif self._depth or not mark.weak or self._just_closed:
            self._close(mark, pieces)
        return mark.end

    def _open(self, mark: Mark, pieces: list[str]) -> None:
        begins = self._blank and not mark.needs_close  # the reply, with a mark of its own
        if begins:
            self._depth = self._least = 0
        if self.unsure and begins:
            pieces.insert(0, self.begin_outside())
        elif self.unsure:  # what stands before it is speech, or what a template opened
            self._silent = True
        self._depth += 1

    def _close(self, mark: Mark, pieces: list[str]) -> None:
        depth = self._least if mark.weak else max(0, self._depth - 1)
        if not depth and self._in_code(mark):
            self._silent = True
            return
        if not self._depth and not self._just_closed:
            pieces.clear()  # all of it was reasoning
            self._waiting.clear()
            self.unsure = False
        self._at = mark.end  # the mark itself is no word
        self._depth, self._blank = depth, False
        self._just_closed = not depth
        self._least = self._least if depth else 0

    def _in_code(self, mark: Mark) -> bool:
        """Whether a mark may stand in code; asked for a few marks only."""
        self._n_code_checks += 1
        if self._n_code_checks > _MOST_ASKED:
            return True
        reply = "".join(self._parts)
        self._parts = [reply]
        by = len(reply) - len(self._text)
        return self._uncertain(reply[: by + mark.end], by + mark.start)

    def _past_other(self, at: int) -> int:
        """Past a sign that begins no mark; 0 while it may become one."""
        short = len(self._text) - at < _LONGEST
        closer = _ANY_CLOSER.search(self._text, at, at + _LONGEST)
        if short and (closer is None or len(self._text) < closer.end() + _AHEAD):
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
    second_sign = _SIGN.match(text, between.end()) if between else None
    return second_sign.end() if second_sign and not _mark_of(second_sign).opens else 0


def _spoken_of(text: str, mark: Mark) -> bool:
    """Whether a mark stands alone in quotes, or as in "the <think> tag"."""
    before = text[max(0, mark.start - 16) : mark.start]
    if _OPENING_QUOTE.search(before) and _CLOSING_QUOTE.match(text, mark.end):
        return True
    return bool(_DETERMINED.search(before) and _NOUN.match(text, mark.end))
