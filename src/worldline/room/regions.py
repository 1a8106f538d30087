"""Stretches of a text where nothing is meant: code, quoted lines, reasoning."""

from __future__ import annotations

import re
from collections.abc import Iterable

from worldline.room.events import Span

BREAKS = "\n\r\x0b\x0c\x85\u2028\u2029"
START = rf"(?:\A|(?<=[{BREAKS}]))"
_TOKEN = re.compile(
    rf"{START}[ \t]*(?:(?:[-*+]|\d{{1,9}}[.)])[ \t]+)?"
    rf"(?P<fence>`{{3,}}(?=[^`{BREAKS}]*(?:[{BREAKS}]|\Z))|~{{3,}})"
    rf"|(?P<quote>{START}[ \t]*>[^{BREAKS}]*)"
    r"|(?P<think><(?P<tag>think|thinking|reasoning)>)"
    r"|(?P<ticks>`+)",
    re.IGNORECASE,
)
_LONE_CLOSE = re.compile(r"(?<!`)</(think|thinking|reasoning)>", re.IGNORECASE)
_BLANK = re.compile(rf"[{BREAKS}][ \t]*(?=[{BREAKS}])")


def regions(text: str) -> tuple[Span, ...]:
    """Where code (fenced, inline), quoted lines (`>`) and reasoning (`<think>`) stand, in order.

    A fence or a `<think>` that is never closed goes to the end; a `</think>` that was never
    opened closes what stands before it (some models' templates open it themselves).

    >>> [(one.name, one.start, one.end) for one in regions("a `b` c")]
    [('code', 2, 5)]
    """
    found: list[Span] = []
    at = _unopened(text)
    if at:
        found.append(Span(0, at, "reasoning"))
        at = _rest_of_quote(text, at, found)
    while token := _TOKEN.search(text, at):
        span = _region(text, token)
        if span is None:
            at = token.end()
            continue
        found.append(span)
        at = _rest_of_quote(text, max(span.end, token.end()), found)
    return tuple(found)


def without_reasoning(text: str) -> tuple[str, str]:
    """The text without its reasoning, and the reasoning."""
    spans = [one for one in regions(text) if one.name == "reasoning"]
    if not spans:
        return text, ""
    kept: list[str] = []
    at = 0
    for span in spans:
        kept.append(text[at : span.start])
        at = span.end
    thought = "\n".join(text[one.start : one.end] for one in spans)
    return "".join([*kept, text[at:]]).strip(), thought


def inside(spans: Iterable[Span], place: int) -> Span | None:
    """The first of `spans` that holds the character at `place`."""
    return next((one for one in spans if one.start <= place < one.end), None)


def line_end(text: str, start: int) -> int:
    """Where the line that holds `start` ends."""
    found = re.compile(f"[{BREAKS}]").search(text, start)
    return found.start() if found else len(text)


def _rest_of_quote(text: str, at: int, found: list[Span]) -> int:
    """Past the rest of a quoted line in whose middle a region ended; a line is quoted whole."""
    begin = max(text.rfind(one, 0, at) for one in BREAKS) + 1
    end = line_end(text, at)
    if begin < at < end and text[begin:at].lstrip(" \t").startswith(">"):
        found.append(Span(at, end, "quote"))
        return end
    return at


def _unopened(text: str) -> int:
    close = _LONE_CLOSE.search(text)
    if close is None:
        return 0
    opening = re.compile(f"<{close[1]}>", re.IGNORECASE).search(text, 0, close.start())
    return 0 if opening else close.end()


def _region(text: str, token: re.Match[str]) -> Span | None:
    start = token.start()
    if token["fence"]:
        marks = token["fence"]
        close = re.compile(rf"{START}[ \t]*{marks[0]}{{{len(marks)},}}[ \t]*(?=[{BREAKS}]|\Z)")
        return Span(start, _end(close, text, token.end(), len(text)), "code")
    if token["quote"]:
        return Span(start, token.end(), "quote")
    if token["think"]:
        close = re.compile(f"</{token['tag']}>", re.IGNORECASE)
        return Span(start, _end(close, text, token.end(), len(text)), "reasoning")
    close = re.compile(rf"(?<!`)`{{{len(token['ticks'])}}}(?!`)")
    blank = _BLANK.search(text, token.end())
    end = _end(close, text[: blank.start()] if blank else text, token.end(), 0)
    return Span(start, end, "code") if end else None


def _end(close: re.Pattern[str], text: str, start: int, otherwise: int) -> int:
    found = close.search(text, start)
    return found.end() if found else otherwise
