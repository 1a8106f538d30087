"""Server-sent events with a deadline for the first, for each further one, and for all."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from worldline.room.models.wire import Patience, http

LARGEST_EVENT_BYTES = 1 << 20
HELD = 256  # events read ahead of whoever reads them
END = object()


class LateError(Exception):
    """Nothing came in time; says what was waited for, and how long."""


@dataclass(eq=False)
class Clock:
    """When the next piece of a reply is due; `heard` once its first words have come."""

    patience: Patience
    began: float
    heard: bool = False

    def left(self) -> tuple[float, str]:
        """(Seconds until it is late, what is waited for)."""
        times = self.patience
        left = self.began + times.total - time.monotonic()
        step = times.between if self.heard else times.first
        if left < step:
            return max(0.0, left), f"the whole reply within {times.total:g} s"
        return step, f"the {'next' if self.heard else 'first'} piece within {step:g} s"


def events(response: Any, clock: Clock) -> Generator[str]:
    """What each event of a response says, as it comes.

    A thread reads the socket, so that a server that sends only keep-alives is late all the same.
    Closing the iterator closes the connection.

    Raises: LateError; whatever the connection raises.
    """
    held: queue.Queue[Any] = queue.Queue(HELD)
    done = threading.Event()
    thread = threading.Thread(target=_pump, args=(response, held, done), daemon=True)
    thread.start()
    try:
        while True:
            wait, why = clock.left()
            try:
                got = held.get(timeout=wait)
            except queue.Empty:
                raise LateError(why) from None
            if got is END:
                return
            if isinstance(got, Exception):
                raise got
            yield got
    finally:
        done.set()
        hang_up(response)
        thread.join(1.0)


def _pump(response: Any, held: queue.Queue[Any], done: threading.Event) -> None:
    def put(one: object) -> None:
        while not done.is_set():
            with contextlib.suppress(queue.Full):
                held.put(one, timeout=0.1)
                return

    try:
        for event in http().EventSource(response, LARGEST_EVENT_BYTES):
            put(event.data)
            if done.is_set():
                return
    except Exception as error:
        put(error)
    else:
        put(END)


def hang_up(response: Any) -> None:
    """Close a connection that another thread may be reading: the server is to notice at once."""
    stream = getattr(response, "extensions", {}).get("network_stream")
    sock = None if stream is None else stream.get_extra_info("socket")
    if isinstance(sock, socket.socket):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
