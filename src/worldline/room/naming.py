"""Who a text speaks as: its own label in front, and passages in somebody else's name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from worldline.room.events import ROOM, Span
from worldline.room.regions import BREAKS, inside, regions

_MARKUP = r"[ \t]*[*_]{0,3}"
_LABEL = re.compile(
    rf"{_MARKUP}(?:"
    rf"\[(?P<square>[^\[\]{BREAKS}]{{1,80}})\](?!\(){_MARKUP}:?{_MARKUP}"
    rf"|<(?P<angle>[^<>{BREAKS}]{{1,80}})>{_MARKUP}:?{_MARKUP}"
    rf"|(?P<plain>[^\[\]<>:*_{BREAKS}]{{1,80}}){_MARKUP}:{_MARKUP}(?=\s|\Z)"
    r")[ \t]*"
)
_SIGN = re.compile(r"[ \t]*(?:[^\w\s\[\]<>(){}*_@#>`\"'!?/.,:;-]\s?){1,3}(?=\[)")
_NUMBERED = re.compile(r"AI-?\d+\s*\((?P<name>.+)\)\s*$", re.IGNORECASE)
_LINE = re.compile(rf"[^{BREAKS}]*(?:\r\n|[{BREAKS}]|\Z)")


def plain_name(name: str) -> str:
    """A name as it is compared: letters and digits only, case aside.

    >>> plain_name("Claude-3 Opus") == plain_name("claude 3 opus")
    True
    """
    return "".join(one for one in name.casefold() if one.isalnum())


def without_own_label(text: str, own: str) -> str:
    """The text without its speaker's own label in front, however often it stands there.

    >>> without_own_label("**[Ada]:** [Ada]: hello", "Ada")
    'hello'
    """
    at = 0
    while at < len(text):
        start = at + len(text[at:]) - len(text[at:].lstrip())
        label = _LABEL.match(text, start)
        if label is None or not _names(label, own):
            break
        at = label.end()
    return text[at:].lstrip() if at else text


def borrowed(text: str, own: str, names: Iterable[str]) -> tuple[Span, ...]:
    """Passages of `text` in the name of another, or of the room, in order.

    A passage opens with a label at the beginning of a line and goes to the next blank line or
    label. A line in the room's own manner (its name, or a participant's number) is that line
    only. Labels inside code, quoted lines and reasoning count for nothing.
    """
    others = {plain_name(one): one for one in (*names, ROOM) if plain_name(one) != plain_name(own)}
    quiet = regions(text)
    found: list[Span] = []
    open_at, open_name = 0, ""
    for line in _LINE.finditer(text):
        start, end = line.span()
        blank = not line[0].strip()
        name = None if blank or inside(quiet, start) else _label_of(line[0], own, others)
        if open_name and (blank or name is not None):
            found.append(_passage(text, open_at, start, open_name))
            open_name = ""
        if name == ROOM:
            found.append(_passage(text, start, end, ROOM))
        elif name:
            open_at, open_name = start, name
    if open_name:
        found.append(_passage(text, open_at, len(text), open_name))
    return tuple(found)


def _label_of(line: str, own: str, others: dict[str, str]) -> str | None:
    """Whose label a line opens with: another's, the room's, "" for its own; None for none."""
    sign = _SIGN.match(line)
    at = sign.end() if sign else 0
    found: str | None = None
    while label := _LABEL.match(line, at):
        name = _whose(label, own, others)
        if name is None:
            break
        found, at = name, label.end()
    return found


def _whose(label: re.Match[str], own: str, others: dict[str, str]) -> str | None:
    said = (label["square"] or label["angle"] or label["plain"]).strip()
    if _NUMBERED.match(said) or plain_name(said.split(":")[0]) == ROOM:
        return ROOM if not label["plain"] or _NUMBERED.match(said) else None
    if _names(label, own):
        return ""
    return next((others[one] for one in _spellings(said) if one in others), None)


def _names(label: re.Match[str], name: str) -> bool:
    said = label["square"] or label["angle"] or label["plain"]
    return plain_name(name) in _spellings(said)


def _spellings(said: str) -> Sequence[str]:
    """What a label may mean: "AI-2 (Ada)" is Ada, and so is "Ada (some model)"."""
    said = said.strip()
    numbered = _NUMBERED.match(said)
    if numbered:
        return [plain_name(numbered["name"])]
    return [plain_name(said), plain_name(said.split("(")[0])]


def _passage(text: str, start: int, end: int, name: str) -> Span:
    return Span(start, start + len(text[start:end].rstrip()), name)
