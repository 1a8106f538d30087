"""One request to an endpoint: typed failures, sane sizes, and the key in no error."""

from __future__ import annotations

import json
import random
import time
from contextlib import contextmanager
from typing import Any

from worldline.room.models.failures import (
    GarbledError,
    RejectedError,
    TooLateError,
    UnreachableError,
)
from worldline.room.models.model import ReplyError
from worldline.room.models.wire import (
    RETRIED,
    Patience,
    Sleep,
    headers_for,
    http,
    may_wait,
    plain,
    retry_after,
    wait_of,
)

LARGEST_BODY_BYTES = 1 << 22


class AgainError(Exception):
    """A failure after which asking again may help; `wait` is what the server asked for."""

    def __init__(self, failure: ReplyError, wait: float | None = None):
        super().__init__(str(failure))
        self.failure, self.wait = failure, wait


@contextmanager
def asked(url: str, method: str, path: str, body: Any, patience: Patience, keyed: bool = True):
    """An open response of status 200; failures are raised outside of what held the key.

    With `keyed` false no key is sent.

    Raises: AgainError where asking again may help, else a ReplyError; InputError for a key that
    must not be sent.
    """
    library, failure = http(), None
    limits = library.Timeout(
        connect=patience.connect,
        read=max(patience.first, patience.between),
        write=30.0,
        pool=10.0,
    )
    headers = headers_for(url) if keyed else {}
    secure = url.startswith("https:")  # without TLS there is nothing to verify, and much to load
    try:
        with (
            library.Client(timeout=limits, follow_redirects=False, verify=secure) as client,
            client.stream(method, url + path, json=body, headers=headers) as response,
        ):
            if response.status_code != 200:
                failure = _status(response, url)
            else:
                yield response
    except library.TransportError as error:
        failure = _broken(error, url)
    except (library.StreamError, library.DecodingError, library.InvalidURL) as error:
        failure = GarbledError(f"{url}: {plain(error, url)}")
    finally:
        headers.clear()
    if failure is not None:
        raise failure


def fetched(
    url: str,
    method: str,
    path: str,
    body: Any,
    patience: Patience,
    *,
    sleep: Sleep = time.sleep,
    keyed: bool = True,
    largest: int = LARGEST_BODY_BYTES,
) -> bytes:
    """The whole answer to one question, asked again where that may help.

    Raises: ReplyError; InputError for a key that must not be sent.
    """
    chance, failed = random.Random(0), 0
    while True:
        deadline = time.monotonic() + patience.total
        try:
            with asked(url, method, path, body, patience, keyed) as response:
                return body_of(response, largest=largest, deadline=deadline)
        except AgainError as error:
            failure, wait = error.failure, error.wait
        failed += 1
        if failed >= patience.tries or not may_wait(wait, patience):
            raise failure
        sleep(wait_of(failed, wait, patience, chance))


def _broken(error: Exception, url: str) -> Exception:
    library, reason = http(), plain(error, url) or type(error).__name__
    if isinstance(error, library.SSEError):
        return GarbledError(f"{url}: {reason}")
    if isinstance(error, library.ConnectTimeout):
        return AgainError(UnreachableError(f"{url}: no connection in time"))
    if isinstance(error, library.TimeoutException):
        return TooLateError(f"{url}: nothing came in time")
    return AgainError(UnreachableError(f"{url}: {reason}"))


def _status(response: Any, url: str) -> Exception:
    """What a status other than 200 means."""
    status = response.status_code
    reason = _reason(body_of(response, partial=True), url)
    failure = RejectedError(f"{url}: {status}" + (f", {reason}" if reason else ""), status)
    if status in RETRIED:
        return AgainError(failure, retry_after(response.headers))
    return failure


def _reason(raw: bytes, url: str) -> str:
    text = raw.decode("utf-8", "replace")
    try:
        found = json.loads(text)
    except ValueError:
        return plain(text, url)
    error = found.get("error", found) if isinstance(found, dict) else found
    if isinstance(error, dict):
        param = error.get("param")
        error = f"{error.get('message', '')}" + (f" ({param})" if param else "")
    return plain(error, url)


def body_of(
    response: Any,
    partial: bool = False,
    largest: int = LARGEST_BODY_BYTES,
    deadline: float | None = None,
) -> bytes:
    """A response's body, as far as it is of a sane size."""
    raw = b""
    for piece in response.iter_bytes():
        raw += piece
        if deadline is not None and time.monotonic() > deadline:
            raise TooLateError("the whole answer did not come in time")
        if len(raw) > largest:
            if partial:
                break
            raise GarbledError(f"an answer of over {largest:,} bytes")
    return raw


def json_of(raw: str | bytes, url: str) -> Any:
    """What JSON says. Raises: GarbledError for anything else."""
    found, wrong = None, False
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        wrong = True
    if wrong:
        shown = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
        raise GarbledError(f"{url}: this is not JSON: {plain(shown[:80], url)}")
    return found
