"""What a search found made harmless: few, short, one line each, web addresses only."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from worldline.room.actions import Hit
from worldline.tokens.sanitize import one_line

MAX_HITS, TITLE, EXCERPT, ADDRESS = 5, 200, 500, 500


def sanitize_hits(hits: Iterable[Hit]) -> list[Hit]:
    """The first few hits that have a web address, their texts on one line and capped."""
    clean_hits: list[Hit] = []
    for hit in hits:
        if len(clean_hits) == MAX_HITS:
            break
        if is_web(hit.url):
            title, text = one_line(hit.title, TITLE), one_line(hit.text, EXCERPT)
            clean_hits.append(Hit(title, text, hit.url.strip()))
    return clean_hits


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
