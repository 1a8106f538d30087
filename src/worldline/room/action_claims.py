"""Passages which say that something was done, though saying so does nothing."""

from __future__ import annotations

import re

from worldline.room.events import Span
from worldline.room.inert_regions import BREAKS, Cover, regions

_MAKING = (
    r"(?:generat|creat|draw|paint|render|produc|design|sketch|illustrat|attach|upload|shar|post"
    r"|send|mak|search|brows|googl)(?:e?s|ed|ing|e)?"
)
_THING = (
    r"(?:image|picture|photo|meme|drawing|painting|illustration|portrait|cover|graph|chart"
    r"|diagram|sketch|poster|comic|gif|web|internet)s?"
)
_KINDS = {
    "action": re.compile(
        rf"(?<![*\w])\*(?!\*)[^*{BREAKS}]{{0,40}}?\b{_MAKING}\b[^*]{{0,200}}?\b{_THING}\b"
        r"(?:[^*]{0,800}\*)?",
        re.IGNORECASE,
    ),
    "entrance": re.compile(
        rf"(?<![*\w])\*(?!\*)[^*{BREAKS}]{{1,80}}\b(?:has|have|just)?\s*(?:joined|entered|left|enters"
        rf"|joins|leaves)\s+(?:the\s+)?(?:chat|room|conversation|channel)\b[^*{BREAKS}]{{0,80}}\*",
        re.IGNORECASE,
    ),
    "attachment": re.compile(
        r"[<\[(](?:image|picture|photo|file|meme)s?\s+(?:is\s+|was\s+)?"
        r"(?:attached|generated|created|included|sent|here)[^<>\[\]()]{0,40}[>\])]",
        re.IGNORECASE,
    ),
    "picture": re.compile(
        rf"!\[[^\]{BREAKS}]{{0,500}}\]\([^){BREAKS}]{{1,500}}\)|<img\b[^>]{{0,500}}>",
        re.IGNORECASE,
    ),
}
BADGES = {
    "action": "says that it made or looked up something; this line made nothing",
    "entrance": "says that somebody came or went; see the room's own lines for who did",
    "attachment": "says that a picture is attached; none is",
    "picture": "links to a picture from elsewhere; it was not loaded",
}


def claims(text: str) -> tuple[Span, ...]:
    """Where a text says that something was done, in order; the name is a key of `BADGES`.

    Code, quoted lines and reasoning claim nothing.

    >>> [one.name for one in claims("*draws a picture of a cat*")]
    ['action']
    """
    quiet = Cover(regions(text))
    spans = [
        Span(match.start(), match.end(), name)
        for name, pattern in _KINDS.items()
        for match in pattern.finditer(text)
        if quiet.at(match.start()) is None
    ]
    spans.sort(key=lambda span: (span.start, -span.end))
    disjoint: list[Span] = []
    for candidate in spans:
        if not disjoint or candidate.start >= disjoint[-1].end:
            disjoint.append(candidate)
    return tuple(disjoint)
