"""Being stopped while waiting: what waits for anything outside asks here whether it still may."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from worldline import steps
from worldline.room.providers.failures import StoppedError, TooLateError

STOPPED = "it was stopped"
LOOK_SECONDS = 0.05  # how long a stop goes unnoticed at most
_stopped: ContextVar[Callable[[], bool]] = ContextVar("_stopped", default=lambda: False)
T = TypeVar("T")


@contextmanager
def stoppable(is_stopped: Callable[[], bool]) -> Iterator[None]:
    """What waits or computes inside, in this thread, ends soon after `stopped()` is true.

    What computes here ends at its next step (a block of a model) by `steps.StoppedError`.
    """

    def look() -> None:
        if is_stopped():
            raise steps.StoppedError(STOPPED)

    token = _stopped.set(is_stopped)
    try:
        with steps.stepping(look):
            yield
    finally:
        _stopped.reset(token)


def refuse_stopped() -> None:
    """Raise StoppedError where whoever waits was stopped."""
    if _stopped.get()():
        raise StoppedError(STOPPED)


def wait(seconds: float) -> None:
    """Let time pass. Raises: StoppedError as soon as it is stopped."""
    end = time.monotonic() + seconds
    while (seconds_left := end - time.monotonic()) > 0:
        refuse_stopped()
        time.sleep(min(seconds_left, LOOK_SECONDS))


def call_with_timeout(call: Callable[[], T], seconds: float, call_name: str) -> T:
    """What `call` gives, in a thread that is left behind where it takes too long.

    Raises: TooLateError, naming `call_name`; StoppedError; whatever `call` raises.
    """
    result_queue: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            result_queue.put((call(), None))
        except Exception as error:
            result_queue.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    end = time.monotonic() + seconds
    while True:
        refuse_stopped()
        seconds_left = end - time.monotonic()
        try:
            value, error = result_queue.get(timeout=max(0.0, min(seconds_left, LOOK_SECONDS)))
        except queue.Empty:
            if seconds_left <= 0:
                raise TooLateError(f"{call_name}: nothing came within {seconds:g} s") from None
            continue
        if error is not None:
            raise error
        return value
