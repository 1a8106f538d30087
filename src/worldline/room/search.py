"""Searches for a room: a SearXNG server, `ddgs`, or results recorded beforehand.

What is found is text by strangers: the room makes it harmless, whoever found it.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from worldline.errors import InputError
from worldline.foreign_json import read_json_file
from worldline.room.actions import ActionRequest, Hit
from worldline.room.providers.chat_model import ReplyError
from worldline.room.providers.exchange import Request
from worldline.room.providers.failures import GarbledError
from worldline.room.providers.http_requests import fetch, json_of
from worldline.room.providers.stop_signal import call_with_timeout, wait
from worldline.room.providers.transport import Patience, Sleep, base_url, plain
from worldline.room.search_results import MAX_HITS
from worldline.tokens.sanitize import one_line

LONGEST_QUERY = 300
SEARCH = Patience(first=20.0, between=20.0, total=40.0, tries=2)


@dataclass(eq=False)
class SearxngSearch:
    """A SearXNG server, asked for JSON (its settings have to allow that format)."""

    url: str
    patience: Patience = SEARCH
    sleep: Sleep = field(default=wait, repr=False)

    def __post_init__(self) -> None:
        self.url = base_url(self.url, bare="")

    def __call__(self, request: ActionRequest) -> list[Hit]:
        """The hits; raises ReplyError where none could be had."""
        path = "/search?" + urlencode({"q": query_of(request), "format": "json"})
        http_request = Request(self.url, "GET", path, keyed=False)
        raw = fetch(http_request, self.patience, sleep=self.sleep)
        response = json_of(raw, self.url)
        rows = response.get("results") if isinstance(response, dict) else None
        if not isinstance(rows, list):
            raise GarbledError("what it found has no results")
        return [_row(row, "content", "url") for row in rows]


@dataclass(eq=False)
class DdgsSearch:
    """The `ddgs` package, which asks public search engines."""

    def __post_init__(self) -> None:
        if importlib.util.find_spec("ddgs") is None:
            raise InputError('ddgs is not installed; pip install "worldline[search]" brings it')

    def __call__(self, request: ActionRequest) -> list[Hit]:
        """The hits; raises GarbledError where the package fails, TooLateError, StoppedError."""
        failure, rows = "", []
        try:
            client = importlib.import_module("ddgs").DDGS()
            rows = call_with_timeout(
                lambda: client.text(query_of(request), max_results=MAX_HITS), SEARCH.total, "ddgs"
            )
        except ReplyError:
            raise
        except Exception as error:  # it has many kinds, and says none when nothing was found
            failure = plain(error)
        if failure and "no results" not in failure.lower():
            raise GarbledError(f"ddgs: {failure}")
        return [_row(row, "body", "href") for row in rows or ()]


@dataclass(frozen=True, slots=True)
class RecordedSearch:
    """Results recorded beforehand, by query; a query that is not there finds nothing."""

    results: Mapping[str, Sequence[Hit]]

    @classmethod
    def from_file(cls, file: Path) -> RecordedSearch:
        """Out of a JSON file: {"query": [{"title": ..., "text": ..., "url": ...}]}.

        Raises InputError for any other file.
        """
        try:
            recordings = read_json_file(file)
            return cls(
                {q: [_row(row, "text", "url") for row in rows] for q, rows in recordings.items()}
            )
        except (OSError, ValueError, AttributeError, TypeError, RecursionError):
            raise InputError(
                f'recorded results {file}: accepted is JSON, {{"query": [{{"title", "text", '
                '"url"}]}'
            ) from None

    def __call__(self, request: ActionRequest) -> list[Hit]:
        """The hits."""
        return list(self.results.get(query_of(request), ()))


def query_of(request: ActionRequest) -> str:
    """What is searched for: one line, no more than an engine takes."""
    return one_line(request.text, LONGEST_QUERY)


def _row(row: Any, text: str, url: str) -> Hit:
    row = row if isinstance(row, dict) else {}
    values = (row.get(name) for name in ("title", text, url))
    return Hit(*(value if isinstance(value, str) else "" for value in values))
