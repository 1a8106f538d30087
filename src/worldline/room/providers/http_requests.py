"""One question to an endpoint: typed failures, sane sizes, one deadline for all tries."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from worldline.room.providers.chat_model import ReplyError
from worldline.room.providers.deadlines import Clock
from worldline.room.providers.error_replies import complaint_of
from worldline.room.providers.exchange import Exchange, Head, Request
from worldline.room.providers.failures import (
    AgainError,
    GarbledError,
    RejectedError,
    StoppedError,
)
from worldline.room.providers.stop_signal import wait
from worldline.room.providers.transport import RETRIED, Patience, Sleep, plain, retry_after

LARGEST_BODY_BYTES = 1 << 22
LARGEST_ERROR_BYTES = 1 << 16
ERROR_SECONDS = 5.0  # how long the reason of an error is waited for


@contextmanager
def open_exchange(request: Request, clock: Clock) -> Iterator[Exchange]:
    """An exchange whose answer begins with status 200.

    Raises: AgainError where asking again may help, else a ReplyError; InputError for a key, a
    proxy or certificates that cannot be used.
    """
    exchange = Exchange(request, clock)
    try:
        head = exchange.head()
        if head.status != 200:
            raise _refusal(exchange, head)
        yield exchange
    finally:
        exchange.close()


def fetch(
    request: Request,
    patience: Patience,
    *,
    sleep: Sleep = wait,
    largest: int = LARGEST_BODY_BYTES,
) -> bytes:
    """The whole answer to one question, asked again where that may help.

    Raises: ReplyError; InputError for a key, a proxy or certificates that cannot be used.
    """
    chance, n_failures, clock = random.Random(0), 0, Clock(patience)
    while True:
        try:
            with open_exchange(request, clock) as exchange:
                return b"".join(within(exchange.pieces(), largest))
        except AgainError as error:
            failure, asked_to_wait = error.failure, error.wait
        n_failures += 1
        if n_failures >= patience.tries or not clock.may_wait(asked_to_wait):
            raise failure
        sleep(clock.wait_of(n_failures, asked_to_wait, chance))


def within(pieces: Iterator[bytes], largest: int) -> Iterator[bytes]:
    """Pieces of a sane size together. Raises: GarbledError for more."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > largest:
            raise GarbledError(f"an answer of over {largest:,} bytes")
        yield piece


def json_of(raw: str | bytes, url: str) -> Any:
    """What JSON says, which is UTF-8 whatever a header says.

    Raises: GarbledError for anything else.
    """
    text = raw if isinstance(raw, str) else raw.decode("utf-8-sig", "replace")
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    raise GarbledError(f"this is not JSON: {plain(text[:80], url)}")


def _refusal(exchange: Exchange, head: Head) -> Exception:
    """What a status other than 200 means."""
    url, status = exchange.url, head.status
    if 300 <= status < 400 and head.headers.get("location"):
        return RejectedError(f"{status}, it points elsewhere; not followed", status)
    complaint = complaint_of(_reason(exchange), url)
    error_text = f"{status}" + (f", {complaint.reason}" if complaint.reason else "")
    failure = RejectedError(error_text, status, complaint.fields, complaint.roles)
    if status in RETRIED:
        return AgainError(failure, retry_after(head.headers))
    return failure


def _reason(exchange: Exchange) -> bytes:
    """As much of an error's body as comes, in a short time."""
    raw = bytearray()
    try:
        for piece in exchange.pieces(by=time.monotonic() + ERROR_SECONDS):
            raw += piece
            if len(raw) > LARGEST_ERROR_BYTES:
                break
    except StoppedError:
        raise
    except (AgainError, ReplyError):
        pass  # what came so far will do
    return bytes(raw[:LARGEST_ERROR_BYTES])
