"""Searches for a room: a SearXNG server, `ddgs`, or results recorded beforehand.

What is found is text by strangers: few, short, one line each, nothing in it works.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from worldline.errors import InputError
from worldline.room.deeds import ADDRESS, EXCERPT, MAX_HITS, TITLE, Asked, Hit
from worldline.room.models.asking import fetched, json_of
from worldline.room.models.failures import GarbledError
from worldline.room.models.wire import Patience, Sleep, base_url, plain

LONGEST_QUERY = 300
SEARCH = Patience(first=20.0, between=20.0, total=40.0, tries=2)


@dataclass(eq=False)
class SearxngSearch:
    """A SearXNG server, asked for JSON (its settings have to allow that format)."""

    url: str
    n: int = MAX_HITS
    patience: Patience = SEARCH
    sleep: Sleep = field(default=time.sleep, repr=False)

    def __post_init__(self) -> None:
        self.url = base_url(self.url, bare="")

    def __call__(self, asked: Asked) -> list[Hit]:
        """The hits; raises ReplyError where none could be had."""
        path = "/search?" + urlencode({"q": query_of(asked), "format": "json"})
        raw = fetched(self.url, "GET", path, None, self.patience, sleep=self.sleep, keyed=False)
        found = json_of(raw, self.url)
        rows = found.get("results") if isinstance(found, dict) else None
        if not isinstance(rows, list):
            raise GarbledError(f"{self.url}: what it found has no results")
        return kept((_row(row, "content", "url") for row in rows), self.n)


@dataclass(eq=False)
class DdgsSearch:
    """The `ddgs` package, which asks public search engines."""

    n: int = MAX_HITS

    def __post_init__(self) -> None:
        if importlib.util.find_spec("ddgs") is None:
            raise InputError('ddgs is not installed; pip install "worldline[search]" brings it')

    def __call__(self, asked: Asked) -> list[Hit]:
        """The hits; raises GarbledError where the package fails."""
        failure, rows = "", []
        try:
            rows = importlib.import_module("ddgs").DDGS().text(query_of(asked), max_results=self.n)
        except Exception as error:  # it has many kinds, and says none when nothing was found
            failure = plain(error)
        if failure and "no results" not in failure.lower():
            raise GarbledError(f"ddgs: {failure}")
        return kept((_row(row, "body", "href") for row in rows or ()), self.n)


@dataclass(frozen=True, slots=True)
class RecordedSearch:
    """Results recorded beforehand, by query; a query that is not there finds nothing."""

    results: Mapping[str, Sequence[Hit]]
    n: int = MAX_HITS

    @classmethod
    def read(cls, file: Path) -> RecordedSearch:
        """Out of a JSON file: {"query": [{"title": ..., "text": ..., "url": ...}]}.

        Raises InputError for any other file.
        """
        try:
            found = json.loads(file.read_text("utf-8"))
            return cls({q: [_row(row, "text", "url") for row in rows] for q, rows in found.items()})
        except (OSError, ValueError, AttributeError, TypeError):
            raise InputError(
                f'recorded results {file}: accepted is JSON, {{"query": [{{"title", "text", '
                '"url"}]}'
            ) from None

    def __call__(self, asked: Asked) -> list[Hit]:
        """The hits."""
        return kept(self.results.get(query_of(asked), ()), self.n)


def kept(hits: Iterable[Hit], n: int = MAX_HITS) -> list[Hit]:
    """The first `n` hits that have a web address, their texts inert and capped."""
    found: list[Hit] = []
    for hit in hits:
        if len(found) == min(n, MAX_HITS):
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


def query_of(asked: Asked) -> str:
    """What is searched for: one line, no more than an engine takes."""
    return inert(asked.text, LONGEST_QUERY)


def _row(row: Any, text: str, url: str) -> Hit:
    row = row if isinstance(row, dict) else {}
    found = (row.get(name) for name in ("title", text, url))
    return Hit(*(one if isinstance(one, str) else "" for one in found))
