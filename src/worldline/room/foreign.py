"""Text by strangers made harmless: few, short, one line each, web addresses only."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from urllib.parse import urlsplit

from worldline.room.deeds import Hit

MAX_HITS, TITLE, EXCERPT, ADDRESS = 5, 200, 500, 500


def kept(hits: Iterable[Hit]) -> list[Hit]:
    """The first few hits that have a web address, their texts inert and capped."""
    found: list[Hit] = []
    for hit in hits:
        if len(found) == MAX_HITS:
            break
        if is_web(hit.url):
            found.append(Hit(inert(hit.title, TITLE), inert(hit.text, EXCERPT), hit.url.strip()))
    return found


def is_web(url: str) -> bool:
    """Whether an address is http or https, of a host, printable, and names no user."""
    url = url.strip()
    if not url.isascii() or not url.isprintable() or " " in url or len(url) > ADDRESS:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def inert(text: str, longest: int) -> str:
    r"""Foreign text on one line, capped, with every character that acts but is not seen shown.

    Control and format characters, overrides of direction among them, become their numbers.

    >>> inert("a\u202eb\nc", 40)
    'a<U+202E>b c'
    """
    line = " ".join(text.split())
    shown = "".join(_visible(one) for one in line)
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def _visible(char: str) -> str:
    unseen = unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn"}
    return f"<U+{ord(char):04X}>" if unseen else char
