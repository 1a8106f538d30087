"""Text that was UTF-8, was read as Windows-1254, and is to be what it was again."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNDEFINED = frozenset({0x81, 0x8D, 0x8E, 0x8F, 0x90, 0x9D, 0x9E})  # gone when read as 1254
_RUN = re.compile(r"[^\x00-\x7f]+")
# Signs that programs print; one that lost a byte is known again, where no other would fit.
_SIGNS: tuple[str, ...] = (
    "🎨",
    "🔍",
    "🌡️",
    "❌",
    "🎵",
    "🎶",
    "🎸",
    "🎹",
    "🎧",
    "🏆",
    "👍",
    "🐍",
    "💎",
    "\ufe0f",
)
_JOINT = b"\xe2\x80"  # a closing curly quote or the joint of two signs, without its last byte
GONE = "\ufffd"


@dataclass(frozen=True, slots=True)
class RepairedText:
    """The text as it was: characters put right, of these guessed, and those beyond repair."""

    text: str
    mended: int = 0
    guessed: int = 0
    gone: int = 0


def mend(text: str) -> RepairedText:
    """Undo UTF-8 read as Windows-1254, if that is what happened; else the text as it is.

    Seven bytes have no sign in Windows-1254 and are lost: a closing curly quote and signs that
    programs often print are known without them, any other becomes U+FFFD.

    >>> mend("MÃ¼nchen").text
    'München'
    """
    totals = RepairedText("")
    parts: list[str] = []
    at = 0
    for run in _RUN.finditer(text):
        piece = _repair_run(run[0])
        parts += [text[at : run.start()], piece.text]
        at = run.end()
        totals = RepairedText(
            "",
            totals.mended + piece.mended,
            totals.guessed + piece.guessed,
            totals.gone + piece.gone,
        )
    if not totals.mended or totals.mended < totals.gone:
        return RepairedText(text)
    repaired_text = "".join([*parts, text[at:]])
    return RepairedText(repaired_text, totals.mended, totals.guessed, totals.gone)


def _repair_run(run: str) -> RepairedText:
    """One run of characters beyond ASCII."""
    parts: list[str] = []
    n_mended = n_guessed = n_gone = at = 0
    while at < len(run):
        raw = _bytes(run[at : at + _AHEAD])
        sign, n_sign_bytes = _known_sign(raw, parts)
        if sign:
            parts.append(sign)
            at, n_guessed = at + n_sign_bytes, n_guessed + 1
            continue
        n_char_bytes = _whole_char_length(raw)
        if n_char_bytes:
            parts.append(raw[:n_char_bytes].decode("utf-8"))
            at, n_mended = at + n_char_bytes, n_mended + 1
            continue
        n = _broken_char_length(raw)
        parts.append(GONE if n else run[at])
        at, n_gone = at + max(n, 1), n_gone + bool(n)
    return RepairedText("".join(parts), n_mended, n_guessed, n_gone)


def _known_sign(raw: bytes, before: list[str]) -> tuple[str, int]:
    """A sign that can be told without the byte that it lost, and how many bytes are left of it."""
    for sign, damaged_bytes in _DAMAGED.items():
        if raw.startswith(damaged_bytes) and not _goes_on(raw, len(damaged_bytes)):
            return sign, len(damaged_bytes)
    if raw.startswith(_JOINT) and not _goes_on(raw, 2):
        joint = bool(before) and ord(before[-1][0]) > 0x1F000 and len(raw) > 2
        return ("\u200d" if joint else "”"), 2
    return "", 0


def _goes_on(raw: bytes, at: int) -> bool:
    return at < len(raw) and 0x80 <= raw[at] < 0xC0


def _bytes(run: str) -> bytes:
    """The bytes that a run was read from, up to the first sign that Windows-1254 has not."""
    raw = bytearray()
    for char in run:
        try:
            raw += char.encode("cp1254")
        except UnicodeEncodeError:
            break
    return bytes(raw)


def _length(lead: int) -> int:
    return 2 if 0xC2 <= lead < 0xE0 else 3 if 0xE0 <= lead < 0xF0 else 4 if lead < 0xF5 else 0


def _whole_char_length(raw: bytes) -> int:
    """How many bytes a whole character at the front takes; 0 where there is none."""
    if not raw or raw[0] < 0xC2:
        return 0
    n = _length(raw[0])
    try:
        raw[:n].decode("utf-8", "strict")
    except UnicodeDecodeError:
        return 0
    return n if n and len(raw) >= n else 0


def _broken_char_length(raw: bytes) -> int:
    """How many bytes belong to a character that lost some; 0 where it is no such thing."""
    if not raw or raw[0] < 0xC2 or not _length(raw[0]):
        return 0
    n = 1
    while n < min(len(raw), _length(raw[0])) and 0x80 <= raw[n] < 0xC0:
        n += 1
    return n if n > 1 else 0


def _damaged_bytes(sign: str) -> bytes:
    raw = sign.encode("utf-8")
    kept_bytes = bytes(byte for byte in raw if byte not in _UNDEFINED)
    return kept_bytes if kept_bytes != raw else b""


_DAMAGED = {
    sign: kept
    for sign, kept in sorted(
        ((sign, _damaged_bytes(sign)) for sign in _SIGNS), key=lambda one: -len(one[1])
    )
    if kept
}
_AHEAD = max(map(len, _DAMAGED.values())) + 2  # no sign, and what would go on with it, is longer
