"""The arguments of a command: quoted texts or one number, on the command's own line."""

from __future__ import annotations

import re
from dataclasses import dataclass

from worldline.room.inert_regions import BREAKS, line_end

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
class ParsedArguments:
    """Arguments as they were meant, and where they end."""

    arguments: tuple[str, ...]
    end: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there are none: a code, a hint, and how far the fault reaches."""

    code: str
    hint: str
    end: int


def read_arguments(text: str, at: int, n: int, number: bool) -> ParsedArguments | Fault:
    """Read `n` quoted texts, or one number, from `at` on."""
    if number:
        return _number(text, at)
    if n == 0:
        return _no_arguments(text, at)
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
        value = _unescape(text[start + 1 : close])
        end = close + 1
        if (fault := _bad_value(text, value, end)) is not None:
            return fault
        values.append(value)
    return _surplus(text, end, n) or ParsedArguments(tuple(values), end)


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


def _no_opener(text: str, end: int, start: int, n: int, n_read: int) -> Fault | None:
    """Why no quoted text opens at `start`, if none does."""
    char = text[start] if start < len(text) else ""
    if char in _CLOSERS and char:
        if start == end:
            return Fault("space", "a space belongs before the quote", line_end(text, start))
        return None
    if char and char in _SINGLE:
        return Fault("quotes", "the text belongs in double quotes", line_end(text, start))
    if char and char in ":=(,":
        past_blanks = _after_gap(text, start + 1)
        if past_blanks < len(text) and text[past_blanks] in _CLOSERS:
            hint = f"only a space belongs before a quote, no {char}"
            return Fault("space", hint, line_end(text, past_blanks))
    if n_read == 0 and (not char or char in BREAKS):
        past_blanks = _BLANK.match(text, start)
        if past_blanks is not None and text[past_blanks.end() : past_blanks.end() + 1] in _CLOSERS:
            return Fault("line", "the text belongs on the command's own line", end)
    expected_texts = "one quoted text" if n == 1 else f"{n} quoted texts"
    actual_texts = f"{n_read} stand there" if n_read else "none stands there"
    return Fault("arguments", f"it takes {expected_texts} and {actual_texts}", end)


def _after_gap(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at


def _closing(text: str, start: int) -> int | None:
    """Where the quote opened at `start` closes on its line; quotes of the curly kind may nest."""
    closers, depth, at = _CLOSERS[text[start]], 1, start + 1
    end = line_end(text, start)
    while at < end:
        char = text[at]
        if char == "\\":
            at += 2
            continue
        if char in closers:
            depth -= 1
            if not depth:
                return at
        elif char == "“":
            depth += text[start] == "“"
        at += 1
    return None


def _unescape(text: str) -> str:
    return re.sub(r"\\([\\\"“”„])", r"\1", text)


def _bad_value(text: str, value: str, end: int) -> Fault | None:
    if not value.strip():
        return Fault("empty", "the quotes are empty", end)
    if len(value) > LONGEST:
        return Fault("long", f"the text is longer than {LONGEST} characters", end)
    next_char = text[end] if end < len(text) else ""
    if next_char and (next_char.isalnum() or next_char in _CLOSERS or next_char == "_"):
        hint = 'a quote inside the text needs a backslash: \\"'
        return Fault("inner_quote", hint, line_end(text, end))
    return None


def _surplus(text: str, end: int, n: int) -> Fault | None:
    start = _after_gap(text, end)
    if start >= len(text) or text[start] not in _CLOSERS:
        return None
    expected_texts = "one quoted text" if n == 1 else f"{n} quoted texts" if n else "nothing"
    return Fault("arguments", f"it takes {expected_texts} and there is more", line_end(text, start))


def _no_arguments(text: str, at: int) -> ParsedArguments | Fault:
    return _surplus(text, at, 0) or ParsedArguments((), at)


def _number(text: str, at: int) -> ParsedArguments | Fault:
    start = _after_gap(text, at)
    number_match = _NUMBER.match(text, start)
    word_match = _WORD.match(text, start)
    word = word_match[0] if word_match else ""
    if number_match is None or start == at:
        instead = f", not {word[:20]!r}" if word else ""
        end = start + len(word) if word else at
        return Fault("arguments", f"it takes one number{instead}", end)
    if not LOWEST <= float(number_match[0]) <= HIGHEST:
        return Fault("range", f"{number_match[0]} is not between 0 and 2", number_match.end())
    return ParsedArguments((number_match[0],), number_match.end())
