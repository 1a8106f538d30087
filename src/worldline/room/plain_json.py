"""JSON by strangers: bounded in depth, its numbers finite, its texts whole."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

from worldline.errors import InputError
from worldline.text.foreign import GONE, one_line, whole_characters

_HALF = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
DEEPEST = 100  # brackets inside brackets
_TOO_LARGE = 40  # digits of a whole number that every reader takes as it is


def loaded(text: str, halves: Counter[str] | None = None) -> Any:
    """What a JSON text holds; halves of characters that belong together are joined.

    Other halves are refused or, where `halves` counts the texts that hold some, become U+FFFD.

    Raises: InputError, in a line, for what is no JSON, for NaN and infinities, for numbers of
    over 40 digits and for brackets inside more than 100 others.

    >>> loaded('{"a": [1, "b"]}')
    {'a': [1, 'b']}
    """
    _refuse_deep(text)
    try:
        found = json.loads(text, parse_constant=_refused, parse_float=_finite, parse_int=_small)
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{one_line(text, 40)!r}: no JSON: {error}") from None
    return _whole(found, halves) if _HALF.search(text) else found


def _refuse_deep(text: str) -> None:
    depth, inside, at = 0, False, 0
    while at < len(text):
        char = text[at]
        if inside:
            at += char == "\\"
            inside = char != '"'
        elif char == '"':
            inside = True
        elif char in "[{":
            depth += 1
            if depth > DEEPEST:
                raise InputError(f"brackets inside more than {DEEPEST} others; accepted are fewer")
        elif char in "]}":
            depth -= 1
        at += 1


def _refused(name: str) -> Any:
    raise InputError(f"the number {name}: accepted are finite ones")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _refused(digits[:40])


def _small(digits: str) -> int:
    if len(digits.lstrip("-")) > _TOO_LARGE:
        raise InputError(f"the number {digits[:20]}: accepted are at most {_TOO_LARGE} digits")
    return int(digits)


def _whole(found: Any, halves: Counter[str] | None) -> Any:
    if isinstance(found, str):
        return _joined(found, halves)
    if isinstance(found, list):
        return [_whole(one, halves) for one in found]
    if isinstance(found, dict):
        return {_joined(name, halves): _whole(one, halves) for name, one in found.items()}
    return found


def _joined(text: str, halves: Counter[str] | None) -> str:
    whole = whole_characters(text)
    if whole.count(GONE) > text.count(GONE):
        if halves is None:
            shown = one_line(text, 40)
            raise InputError(f"{shown!r}: half a character (a lone surrogate) in a text")
        halves["texts with half a character, now \ufffd"] += 1
    return whole
