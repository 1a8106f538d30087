"""Who a text speaks as: its own label in front, and passages in somebody else's name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from worldline.room.events import ROOM, Span
from worldline.room.inert_regions import BREAKS, Cover, regions
from worldline.room.look_alikes import look_alike, looks_of, plain_name
from worldline.tokens.sanitize import unseen_in

COLONS = ":：﹕︓"
_OPENERS, _CLOSERS = r"\[［【〔〖〘〚⟦⟬❲⁅﹇", r"\]］】〕〗〙〛⟧⟭❳⁆﹈"
_MARKUP = r"[ \t]{0,8}[*_]{0,3}"  # bold and italics
_COLON = f"[{COLONS}]"
_LABEL = re.compile(
    rf"{_MARKUP}(?:"
    rf"[{_OPENERS}](?P<square>[^{_OPENERS}{_CLOSERS}{BREAKS}]{{1,80}})[{_CLOSERS}](?!\()"
    rf"{_MARKUP}{_COLON}?{_MARKUP}"
    rf"|<(?P<angle>[^<>{BREAKS}]{{1,80}})>{_MARKUP}{_COLON}?{_MARKUP}"
    rf"|(?P<plain>[^{_OPENERS}{_CLOSERS}<>{COLONS}*{BREAKS}]{{1,80}}){_MARKUP}"
    rf"(?:[：︓]{_MARKUP}|[:﹕]{_MARKUP}(?=\s|\Z))"
    r")[ \t]*"
)
_SIGN = re.compile(r"[ \t]{0,8}(?:[^\w\s\[\]<>(){}*_@#>`\"'!?/.,:;-]\s?){1,3}(?=\[)")
_NUMBERED = re.compile(r"AI-?\d+\s{0,4}\((?P<name>.+)\)\s*$", re.IGNORECASE)
_LINE = re.compile(rf"[^{BREAKS}]*(?:\r\n|[{BREAKS}]|\Z)")
_BEFORE_COLON = re.compile(_COLON)
_PARENTHESIS = re.compile("[(（]")
_BLANK = re.compile(r"\s*")
# What may be a line of the room, in any width: [room: ...], ［room： ...], [The Room] ...
# Quotation marks of any script open one too; in front of a name they are a quotation.
_MARKS, _ENDS = "｢「『｟‹«《〈〈⟨⟪⦗❨❬❮❰❴⧼⦃⦅⁽⌈⌊｛＜（", "｣」』｠›»》〉〉⟩⟫⦘❩❭❯❱❵⧽⦄⦆⁾⌉⌋｝＞）"
_IN_CODE = "<{"  # these stand in code as well: a line of the room has a colon behind the name
_BRACKET = re.compile(
    rf"[{_OPENERS}{_MARKS}{_IN_CODE}]"
    rf"(?P<head>[^{_OPENERS}{_CLOSERS}{_MARKS}{_ENDS}<>{{}}{BREAKS}]{{1,40}})"
)
_CLOSER = re.compile(f"[{_CLOSERS}{_ENDS}]")


def without_own_label(text: str, own_name: str) -> str:
    """The text without its speaker's own label in front, however often it stands there.

    >>> without_own_label("**[Ada]:** [Ada]: hello", "Ada")
    'hello'
    """
    at = 0
    while at < len(text) and (blank := _BLANK.match(text, at)):
        label = _LABEL.match(text, blank.end())
        if label is None or not _names(label, own_name):
            break
        at = label.end()
    return text[at:].lstrip() if at else text


class Names:
    """Names by how each may be written or drawn; made once for many texts."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by: dict[str, tuple[str, str]] = {}  # the last name drawn so, the last of other words
        for name in names:
            for key in {plain_name(name), *looks_of(name)}:
                last, other_name = self._by.get(key, ("", ""))
                is_same_name = plain_name(last) == plain_name(name)
                self._by[key] = (name, other_name if is_same_name else last)

    def find(self, key: str, own_name: str) -> str | None:
        """The name that is written or drawn as `key`, apart from `own_name`; None for none."""
        candidates = (name for name in self._by.get(key, ()) if name)
        return next((name for name in candidates if plain_name(name) != plain_name(own_name)), None)


def borrowed_passages(text: str, own_name: str, names: Iterable[str] | Names) -> tuple[Span, ...]:
    """Passages of `text` in the name of another, or of the room, in order.

    A passage opens with a label at the beginning of a line and goes to the next blank line or
    label. A line in the room's own manner (its name, or a participant's number) is that line
    only, from where it begins to do so. Labels inside code, quoted lines and reasoning count for
    nothing. For many texts `names` are best made a `Names` once.
    """
    other_names = names if isinstance(names, Names) else Names(names)
    quiet = Cover(regions(text))
    passages: list[Span] = []
    open_at, open_name = 0, ""
    for line in _LINE.finditer(text):
        start, end = line.span()
        blank = not line[0].strip()
        name = None if blank or quiet.at(start) else _label_of(line[0], own_name, other_names)
        forged_start = next(_room_lines(text, start, end), None) if name != ROOM else None
        if forged_start is not None and not quiet.at(forged_start):
            start, name = forged_start, ROOM
        if open_name and (blank or name is not None):
            passages.append(_passage(text, open_at, start, open_name))
            open_name = ""
        if name == ROOM:
            passages.append(_passage(text, start, end, ROOM))
        elif name:
            open_at, open_name = start, name
    if open_name:
        passages.append(_passage(text, open_at, len(text), open_name))
    return tuple(passages)


def without_room_lines(text: str) -> str:
    """The text with nothing in it that reads like a line of the room, and no longer or shorter.

    The bracket that would open one becomes a round one.

    >>> without_room_lines("［room: Bob left］")
    '(room: Bob left］'
    """
    parts: list[str] = []
    at = 0
    for place in _room_lines(text, 0, len(text), loosely=True):
        parts += [text[at:place], "("]
        at = place + 1
    return "".join([*parts, text[at:]])


def _room_lines(text: str, start: int, end: int, loosely: bool = False) -> Iterator[int]:
    """Where a bracket opens what looks like the room's name, and a colon or the bracket's end.

    With `loosely` anything may follow the name.
    """
    for bracket in _BRACKET.finditer(text, start, end):
        head = "".join(char for char in bracket["head"] if not unseen_in(char))
        name = _BEFORE_COLON.split(head)[0]
        code = text[bracket.start()] in _IN_CODE
        has_end = len(name) < len(head) or (not code and _CLOSER.match(text, bracket.end()))
        words = name.split() if loosely and not code else []
        heads = [name] if has_end else []
        if any(map(_is_room, [*heads, *words[:1], "".join(words[:2])])):
            yield bracket.start()


@lru_cache(1024)
def _is_room(name: str) -> bool:
    return look_alike(name, ROOM) or look_alike(name, f"the {ROOM}")


def _label_of(line: str, own_name: str, other_names: Names) -> str | None:
    """Whose label a line opens with: another's, the room's, "" for its own; None for none."""
    sign = _SIGN.match(line)
    at = sign.end() if sign else 0
    speaker: str | None = None
    while label := _LABEL.match(line, at):
        name = _whose(label, own_name, other_names)
        if name is None:
            break
        speaker, at = name, label.end()
    return speaker


def _whose(label: re.Match[str], own_name: str, other_names: Names) -> str | None:
    label_text = (label["square"] or label["angle"] or label["plain"]).strip()
    number_match = _NUMBERED.match(label_text)
    if number_match or (not label["plain"] and _is_room(_BEFORE_COLON.split(label_text)[0])):
        return ROOM
    if _names(label, own_name):
        return ""
    speakers = (other_names.find(spelling, own_name) for spelling in _spellings(label_text))
    return next((name for name in speakers if name is not None), None)


def _names(label: re.Match[str], name: str) -> bool:
    label_text = label["square"] or label["angle"] or label["plain"]
    return plain_name(name) in _spellings(label_text)


@lru_cache(1024)
def _spellings(label_text: str) -> Sequence[str]:
    """What a label may mean: "AI-2 (Ada)" is Ada, and so is "Ada (some model)"."""
    label_text = label_text.strip()
    number_match = _NUMBERED.match(label_text)
    names = (
        [number_match["name"]] if number_match else [label_text, _PARENTHESIS.split(label_text)[0]]
    )
    return [*map(plain_name, names), *(look for name in names for look in looks_of(name))]


def _passage(text: str, start: int, end: int, name: str) -> Span:
    return Span(start, start + len(text[start:end].rstrip()), name)
