"""Hides keys in foreign text: in any case, quoted for a URL, with characters between unseen."""

from __future__ import annotations

import re
from collections.abc import Sequence

from worldline.tokens.sanitize import unseen_in

HIDDEN = "(key)"  # what is shown of a key
LONGEST_GAPS = 1000  # characters that are held back while a key may still go on
_SIGN = re.compile(r"%(?:25)*([0-9a-f]{2})|.", re.DOTALL | re.IGNORECASE)
_UNFINISHED_SIGN = re.compile(r"%[0-9a-f]{0,12}\Z", re.IGNORECASE)


def hide(text: str, secrets: Sequence[str]) -> tuple[str, int]:
    r"""The text without `secrets`, and how many characters at its end may begin one.

    `secrets` are as `folded` has them, the longest first.

    >>> hide("it is SK%2D0123\u200b4567, or sk-0", ("sk-01234567",))
    ('it is (key), or sk-0', 4)
    """
    if not secrets:
        return text, 0
    compared_text, starts = _fold(text)
    parts, shown, after = [], 0, 0
    for match in re.finditer("|".join(map(re.escape, secrets)), compared_text):
        parts += [text[shown : starts[match.start()]], HIDDEN]
        shown, after = _end(text, starts[match.end() - 1]), match.end()
    parts.append(text[shown:])
    sign = _UNFINISHED_SIGN.search(text, shown)
    first = len(text) if sign is None else sign.start()
    before = compared_text[after : sum(start < first for start in starts)]
    for n in range(min(len(secrets[0]) - 1, len(before)), 0, -1):
        if any(n < len(secret) and secret.startswith(before[-n:]) for secret in secrets):
            first = starts[after + len(before) - n]
            break
    n_held = len(text) - first
    return "".join(parts), n_held if n_held <= LONGEST_GAPS else 0


def folded(text: str) -> str:
    """How a text is compared: unquoted, in one case, without what is not seen."""
    return _fold(text)[0]


def _fold(text: str) -> tuple[str, list[int]]:
    """(The same, where each of its characters begins in the text)."""
    compared_chars, starts = [], []
    for sign in _SIGN.finditer(text):
        char = chr(int(sign[1], 16)) if sign[1] else sign[0]
        if not unseen_in(char):
            compared_chars.append(char.lower()[0])
            starts.append(sign.start())
    return "".join(compared_chars), starts


def _end(text: str, start: int) -> int:
    """Where the sign ends that begins there."""
    sign = _SIGN.match(text, start)
    return start if sign is None else sign.end()
