"""An answer as events: a stream of them, or one JSON text where the endpoint does not stream."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from worldline.room.providers.chunks import Chunk, chunk_of, whole_of
from worldline.room.providers.exchange import Exchange, Head
from worldline.room.providers.failures import GarbledError
from worldline.room.providers.http_requests import json_of, within
from worldline.room.providers.transport import http, plain

LARGEST_EVENT_BYTES = 1 << 20
LARGEST_STREAM_BYTES = 1 << 26
LARGEST_WHOLE_BYTES = 1 << 22
TOO_DEEP = "what it sent is nested too deep"


def chunks_of(exchange: Exchange, head: Head) -> Iterator[Chunk]:
    """The pieces of a reply, whether they come as events or as one JSON text.

    Which it is, its first character says: servers send either under the other's type.

    Raises: AgainError, ReplyError.
    """
    url = exchange.url
    start, pieces = _split_start(exchange.pieces())
    all_pieces = chain([start], pieces)
    if start[:1] in (b"{", b"["):
        exchange.clock.start("next")
        raw = b"".join(within(all_pieces, LARGEST_WHOLE_BYTES))
        yield _whole_chunk(raw, url)
        return
    kind = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "text/event-stream" and not start.startswith((b"data", b":", b"event", b"id")):
        raise GarbledError(f"it sent {plain(kind) or 'nothing'}, not events")
    library, text = http(), _Text(all_pieces)
    fault = ""
    try:
        for event in library.EventSource(text, LARGEST_EVENT_BYTES):
            data = event.data.strip()
            if data == "[DONE]":
                yield Chunk(done=True)
                return
            if text.has_ended and not _is_json(data):  # cut off in the middle
                return
            if data:
                yield chunk_of(json_of(data, url), url, event.event == "error")
    except library.SSEError as error:
        fault = plain(error, url)
    except RecursionError:
        fault = TOO_DEEP
    if fault:
        raise GarbledError(f"{fault}")


def _split_start(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """What comes first, without a mark of the byte order and without white space; and the rest."""
    start = b""
    for piece in pieces:
        start = (start + piece).removeprefix(codecs.BOM_UTF8).lstrip()
        if len(start) >= len(codecs.BOM_UTF8):
            break
    return start, pieces


def _whole_chunk(raw: bytes, url: str) -> Chunk:
    with suppress(RecursionError):
        return whole_of(json_of(raw, url), url)
    raise GarbledError(f"{TOO_DEEP}")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


class _Text:
    """A stream of bytes as the library's reader of events takes it: UTF-8, whatever was claimed.

    An event that the end of the answer cuts off counts as one.
    """

    headers = {"content-type": "text/event-stream"}  # noqa: RUF012
    request = None

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.has_ended = False

    def iter_text(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for piece in within(self._pieces, LARGEST_STREAM_BYTES):
            yield decoder.decode(piece)
        self.has_ended = True
        yield decoder.decode(b"", True) + "\n\n"
