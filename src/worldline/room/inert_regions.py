"""Stretches of a text where nothing is meant: code, quoted lines, reasoning."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worldline.room.events import Span
from worldline.room.reasoning import marks_in, reasoning_in

BREAKS = "\n\r\x0b\x0c\x85\u2028\u2029"
START = rf"(?:\A|(?<=[{BREAKS}]))"
_TOKEN = re.compile(
    rf"{START}[ \t]*(?:(?:[-*+]|\d{{1,9}}[.)])[ \t]+)?"
    rf"(?P<fence>`{{3,}}(?=[^`{BREAKS}]*(?:[{BREAKS}]|\Z))|~{{3,}})"
    rf"|(?P<quote>{START}[ \t]*>[^{BREAKS}]*)"
    r"|(?P<ticks>`+)",
)
_QUOTED = re.compile(r"[ \t]*>")
_TICKS = re.compile("`+")
_CODE_SIGN = re.compile("[`~]")
_BREAK = re.compile(f"[{BREAKS}]")
_BLANK = re.compile(rf"[{BREAKS}][ \t]*(?=[{BREAKS}])")


def regions(text: str) -> tuple[Span, ...]:
    """Where code (fenced, inline), quoted lines (`>`) and reasoning (`<think>`) stand, in order.

    A fence or a mark of reasoning that is never closed goes to the end; see `reasoning` for the
    marks. **Exactness**: linear in the text.

    >>> [(one.name, one.start, one.end) for one in regions("a `b` c")]
    [('code', 2, 5)]
    """
    return tuple(_Scan(text).regions())


def without_reasoning(text: str, starts_inside: bool = False) -> tuple[str, str]:
    """The text without its reasoning, and the reasoning; `starts_inside`: it begins in it."""
    spans = _Scan(text, starts_inside).reasoning
    if not spans:
        return text, ""
    speech_parts: list[str] = []
    at = 0
    for span in spans:
        speech_parts.append(text[at : span.start])
        at = span.end
    reasoning = "\n".join(text[stretch.start : stretch.end] for stretch in spans)
    return "".join([*speech_parts, text[at:]]).strip(), reasoning


def begins_inside(text: str) -> bool | None:
    """Whether a text begins inside reasoning, as its own marks tell; None where none does.

    >>> begins_inside("hm</think>yes"), begins_inside("<think>hm</think>yes"), begins_inside("yes")
    (True, False, None)
    """
    scan = _Scan(text)
    first = next((mark for mark in scan.marks if not mark.weak and not mark.needs_close), None)
    if first is None:
        return None
    before = not first.opens or text[: first.start].strip()
    return bool(before and scan.reasoning and scan.reasoning[0].start < max(1, first.start))


def may_be_code(text: str, start: int) -> bool:
    """Whether the mark at `start`, the end of a text so far, may turn out to stand in code.

    A fence is open there, or something in front of it on its line may open code.
    """
    scan = _Scan(text)
    scan_start = scan.line_of(start)
    for code in scan.codes():
        if not code.is_closed:
            return True
        if code.span.end > scan_start and code.span.name == "code":
            if _CODE_SIGN.search(text, scan_start, max(scan_start, code.span.start)):
                return True
            scan_start = code.span.end
    return bool(_CODE_SIGN.search(text, scan_start))


class Cover:
    """Looks up which of some spans, in order and none over another, holds a place."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = sorted(spans, key=lambda one: one.start)
        self._starts = [one.start for one in self._spans]

    def at(self, place: int) -> Span | None:
        """The span that holds the character at `place`."""
        index = bisect_right(self._starts, place) - 1
        if index < 0 or self._spans[index].end <= place:
            return None
        return self._spans[index]


def line_end(text: str, start: int) -> int:
    """Where the line that holds `start` ends."""
    line_break = _BREAK.search(text, start)
    return line_break.start() if line_break else len(text)


@dataclass(frozen=True, slots=True)
class _Code:
    """A stretch of code, or a quoted line; `is_closed` where it has an end of its own."""

    span: Span
    is_closed: bool


class _Scan:
    """One text looked through: its code first, then the reasoning that no code holds."""

    def __init__(self, text: str, starts_inside: bool = False) -> None:
        self._text = text
        self._lines = [0, *(match.end() for match in _BREAK.finditer(text))]
        self._blanks = [match.start() for match in _BLANK.finditer(text)]
        self._ticks: dict[int, list[int]] = {}
        for match in _TICKS.finditer(text):
            self._ticks.setdefault(len(match[0]), []).append(match.start())
        self.marks = list(marks_in(text, self._holding()))
        self.reasoning = reasoning_in(text, self.marks, starts_inside)

    def regions(self) -> Iterator[Span]:
        """Code, quoted lines and reasoning."""
        reasoning = iter(self.reasoning)
        following = next(reasoning, None)
        for code in self.codes(Cover(self.reasoning)):
            at = code.span.start
            while following is not None and following.start < code.span.end:
                if at < following.start:
                    yield Span(at, following.start, code.span.name)
                yield following
                at, following = max(at, following.end), next(reasoning, None)
            if at < code.span.end:
                yield Span(at, code.span.end, code.span.name)
        while following is not None:
            yield following
            following = next(reasoning, None)

    def _holding(self) -> list[Span]:
        """Code in which a mark is only spoken of: fences that are closed, and ticks on a line."""
        spans: list[Span] = []
        for code in self.codes():
            name, start, end = code.span.name, code.span.start, code.span.end
            if name == "code" and not code.is_closed:
                break
            is_multiline = self._text[start] in "`~" and self.line_of(start) != self.line_of(
                end - 1
            )
            if name == "code" and (self._fence_at(start) or not is_multiline):
                spans.append(code.span)
        return spans

    def _fence_at(self, start: int) -> bool:
        token = _TOKEN.match(self._text, start)
        return token is not None and bool(token["fence"])

    def codes(self, reasoning: Cover | None = None) -> Iterator[_Code]:
        """Code and quoted lines in order; code that begins inside reasoning is none."""
        reasoning = reasoning or Cover(())
        text, at = self._text, 0
        while token := _TOKEN.search(text, at):
            reasoning_span = reasoning.at(token.start())
            if reasoning_span is not None and not token["quote"]:
                at = max(reasoning_span.end, token.start() + 1)
                continue
            code = self._code(token)
            at = token.end()
            if code is None:
                continue
            yield code
            at = max(at, code.span.end)
            quote_rest = None if token["quote"] else self._rest_of_quote(at)
            if quote_rest is not None:
                yield _Code(quote_rest, True)
                at = quote_rest.end

    def _code(self, token: re.Match[str]) -> _Code | None:
        start, text = token.start(), self._text
        if token["quote"]:
            return _Code(Span(start, token.end(), "quote"), True)
        if token["fence"]:
            marks = token["fence"]
            close = re.compile(
                rf"{START}[ \t]*{marks[0]}{{{len(marks)},}}[ \t]*(?=[{BREAKS}]|\Z)"
            ).search(text, token.end())
            end = close.end() if close else len(text)
            return _Code(Span(start, end, "code"), close is not None)
        size = len(token["ticks"])
        tick_starts = self._ticks.get(size, [])
        place = bisect_right(tick_starts, start)
        if place == len(tick_starts):
            return None
        blank = bisect_right(self._blanks, token.end() - 1)
        if blank < len(self._blanks) and self._blanks[blank] < tick_starts[place]:
            return None
        return _Code(Span(start, tick_starts[place] + size, "code"), True)

    def line_of(self, place: int) -> int:
        """Where the line of a place begins."""
        return self._lines[bisect_right(self._lines, place) - 1]

    def _rest_of_quote(self, at: int) -> Span | None:
        """The rest of a quoted line in whose middle code ended; a line is quoted whole."""
        begin = self.line_of(at)
        sign = _QUOTED.match(self._text, begin)
        end = line_end(self._text, at) if sign and sign.end() <= at else at
        return Span(at, end, "quote") if begin < at < end else None
