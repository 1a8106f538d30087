"""The arguments of a command: quoted texts or one number, on the command's own line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from worldline.room.regions import BREAKS, line_end

SPACE = "[ \t\xa0]"
LONGEST = 4000  # characters of one argument
LOWEST, HIGHEST = 0.0, 2.0  # temperatures
_GAP = re.compile(f"{SPACE}*")
_BLANK = re.compile(r"\s*")
_WORD = re.compile(r"\S{1,400}")
_CLOSERS = {'"': '"', "“": "”", "„": "“”", "”": "”"}
_SINGLE = "'‘’`«»"
_QUOTING = _SINGLE + "".join(_CLOSERS)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?![\w%])(?![.,/-]\w)")


@dataclass(frozen=True, slots=True)
class Read:
    """Arguments as they were meant, and where they end."""

    arguments: tuple[str, ...]
    end: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there are none: a code, a hint, and how far the fault reaches."""

    code: str
    hint: str
    end: int


def read_arguments(text: str, at: int, n: int, number: bool) -> Read | Fault:
    """Read `n` quoted texts, or one number, from `at` on."""
    if number:
        return _number(text, at)
    if n == 0:
        return _nothing(text, at)
    values: list[str] = []
    end = at
    while len(values) < n:
        start = _after_gap(text, end)
        fault = _no_opener(text, end, start, n, len(values))
        if fault is not None:
            return fault
        close = _closing(text, start)
        if close is None:
            return Fault("unclosed", "the quote is not closed on its line", line_end(text, at))
        value = _unescaped(text[start + 1 : close])
        end = close + 1
        if (fault := _bad_value(text, value, end)) is not None:
            return fault
        values.append(value)
    return _surplus(text, end, n) or Read(tuple(values), end)


def past_quotes(text: str, at: int) -> int:
    """Where the quoted texts that stand from `at` on end; the line's end if one is not closed."""
    while True:
        start = _after_gap(text, at)
        if start >= len(text) or text[start] not in _QUOTING:
            return at
        close = _closing(text, start) if text[start] in _CLOSERS else None
        if close is None:
            return line_end(text, at)
        at = close + 1


def _no_opener(text: str, end: int, start: int, n: int, found: int) -> Fault | None:
    """Why no quoted text opens at `start`, if none does."""
    here = text[start] if start < len(text) else ""
    if here in _CLOSERS and here:
        if start == end:
            return Fault("space", "a space belongs before the quote", line_end(text, start))
        return None
    if here and here in _SINGLE:
        return Fault("quotes", "the text belongs in double quotes", line_end(text, start))
    if here and here in ":=(,":
        then = _after_gap(text, start + 1)
        if then < len(text) and text[then] in _CLOSERS:
            hint = f"only a space belongs before a quote, no {here}"
            return Fault("space", hint, line_end(text, then))
    if found == 0 and (not here or here in BREAKS):
        then = _BLANK.match(text, start)
        if then is not None and text[then.end() : then.end() + 1] in _CLOSERS:
            return Fault("line", "the text belongs on the command's own line", end)
    wanted = "one quoted text" if n == 1 else f"{n} quoted texts"
    got = f"{found} stand there" if found else "none stands there"
    return Fault("arguments", f"it takes {wanted} and {got}", end)


def _after_gap(text: str, at: int) -> int:
    found = _GAP.match(text, at)
    return found.end() if found else at


def _closing(text: str, start: int) -> int | None:
    """Where the quote opened at `start` closes on its line; quotes of the curly kind may nest."""
    closers, depth, at = _CLOSERS[text[start]], 1, start + 1
    end = line_end(text, start)
    while at < end:
        here = text[at]
        if here == "\\":
            at += 2
            continue
        if here in closers:
            depth -= 1
            if not depth:
                return at
        elif here == "“":
            depth += text[start] == "“"
        at += 1
    return None


def _unescaped(text: str) -> str:
    return re.sub(r"\\([\\\"“”„])", r"\1", text)


def _bad_value(text: str, value: str, end: int) -> Fault | None:
    if not value.strip():
        return Fault("empty", "the quotes are empty", end)
    if len(value) > LONGEST:
        return Fault("long", f"the text is longer than {LONGEST} characters", end)
    then = text[end] if end < len(text) else ""
    if then and (then.isalnum() or then in _CLOSERS or then == "_"):
        hint = 'a quote inside the text needs a backslash: \\"'
        return Fault("inner_quote", hint, line_end(text, end))
    return None


def _surplus(text: str, end: int, n: int) -> Fault | None:
    start = _after_gap(text, end)
    if start >= len(text) or text[start] not in _CLOSERS:
        return None
    wanted = "one quoted text" if n == 1 else f"{n} quoted texts" if n else "nothing"
    return Fault("arguments", f"it takes {wanted} and there is more", line_end(text, start))


def _nothing(text: str, at: int) -> Read | Fault:
    return _surplus(text, at, 0) or Read((), at)


def _number(text: str, at: int) -> Read | Fault:
    start = _after_gap(text, at)
    found = _NUMBER.match(text, start)
    said = _WORD.match(text, start)
    word = said[0] if said else ""
    if found is None or start == at:
        shown = f", not {word[:20]!r}" if word else ""
        end = start + len(word) if word else at
        return Fault("arguments", f"it takes one number{shown}", end)
    if not LOWEST <= float(found[0]) <= HIGHEST:
        return Fault("range", f"{found[0]} is not between 0 and 2", found.end())
    return Read((found[0],), found.end())
