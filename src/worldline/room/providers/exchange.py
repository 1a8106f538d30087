"""One request in a thread of its own: nobody waits longer than the clock says, or after a stop."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from worldline.errors import InputError
from worldline.room.providers.client import client_for
from worldline.room.providers.deadlines import Clock
from worldline.room.providers.failures import (
    AgainError,
    GarbledError,
    TooLateError,
    UnreachableError,
)
from worldline.room.providers.public_addresses import public_address, uses_proxy
from worldline.room.providers.stop_signal import LOOK_SECONDS, refuse_stopped
from worldline.room.providers.transport import addressless, headers_for, http, plain

HELD = 16  # pieces read ahead of whoever reads them, 1 MiB each at most
JOIN_SECONDS = 0.2
END = object()


@dataclass(frozen=True, slots=True)
class Head:
    """How an answer begins."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of whom: `path` behind the address `url`, with a JSON `body` or none.

    With `with_key` false no key is sent. With `public` nobody is asked but at a public address.
    """

    url: str
    method: str
    path: str
    body: Any = None
    keyed: bool = True
    public: bool = False


class Exchange:
    """A request under way; `head`, then `pieces`. Closing it hangs up, whatever the server does.

    A thread looks up the name, connects, sends and reads, so that a server that never answers, or
    drips, or a name that is never found, holds nobody. With `public` the host is asked at a public
    address only, the one that was checked; where a proxy looks it up, what it is here has to be.

    Raises: InputError for a key, a proxy or certificates that cannot be used.
    """

    def __init__(self, request: Request, clock: Clock) -> None:
        url, self.clock = request.url, clock
        self.url = url
        self._public = request.public
        self._is_pinned = request.public and not uses_proxy(urlsplit(url).hostname or "")
        clock.start("connection")
        self._queue: queue.Queue[Any] = queue.Queue(HELD)
        self._over = threading.Event()
        self._streams: list[Any] = []
        self._head: Head | None = None
        limits = http().Timeout(
            connect=clock.patience.connect,
            read=max(0.01, clock.seconds_left()),
            write=max(0.01, min(30.0, clock.seconds_left())),
            pool=10.0,
        )
        try:
            more = {"headers": headers_for(url) if request.keyed else {}, "json": request.body}
            client = client_for(url, limits, self._is_pinned)
        except InputError as error:
            raise InputError(addressless(str(error), url)) from None
        self._thread = threading.Thread(
            target=self._work,
            args=(client, request.method, url + request.path, more),
            daemon=True,
        )
        self._thread.start()

    def head(self) -> Head:
        """How the answer begins, read once. Raises: AgainError, ReplyError."""
        if self._head is None:
            self._head = self._next(None)
            assert self._head is not None
        return self._head

    def pieces(self, by: float | None = None) -> Iterator[bytes]:
        """The body as it comes, unpacked; no further than the time `by`.

        Raises: AgainError, ReplyError.
        """
        while (piece := self._next(by)) is not END:
            yield piece

    def close(self) -> None:
        """Hang up: the server is to notice at once."""
        self._over.set()
        for stream in list(self._streams):
            hang_up(stream)
        self._thread.join(JOIN_SECONDS)

    def _next(self, by: float | None) -> Any:  # a Head, then bytes, then END
        while True:
            refuse_stopped()
            seconds_left, why = self.clock.due()
            if by is not None:
                seconds_left = min(seconds_left, by - time.monotonic())
            if self.clock.seconds_left() <= 0 or (by is not None and seconds_left <= 0):
                raise TooLateError(f"waited for {why}")
            try:
                item = self._queue.get(timeout=max(0.0, min(seconds_left, LOOK_SECONDS)))
            except queue.Empty:
                if seconds_left <= 0:
                    raise self._late(why) from None
                continue
            if isinstance(item, Exception):
                raise item
            return item

    def _late(self, why: str) -> Exception:
        if self.clock.phase == "connection":
            return AgainError(UnreachableError(f"waited for {why}"))
        return TooLateError(f"waited for {why}")

    def _work(self, client: Any, method: str, address: str, more: dict[str, Any]) -> None:
        try:
            extensions: dict[str, Any] = {"trace": self._on_trace}
            if self._public:
                address = self._public_place(address, more["headers"], extensions)
            with client, client.stream(method, address, **more, extensions=extensions) as response:
                more.clear()
                self._enqueue(Head(response.status_code, response.headers))
                with contextlib.closing(response.iter_bytes()) as pieces:
                    if not all(map(self._enqueue, pieces)):
                        return
            self._enqueue(END)
        except Exception as error:
            try:
                failure = failure_of(error, self.url)
            except Exception as fault:  # else nobody would hear of it before the deadline
                failure = fault
            self._enqueue(failure)

    def _public_place(
        self, address: str, headers: dict[str, str], extensions: dict[str, Any]
    ) -> str:
        """The address, with its host looked up where no proxy does that.

        The name is still what the certificate has to be for. Raises: GarbledError.
        """
        place = http().URL(address)
        name = place.raw_host.decode("ascii")
        public_ip = public_address(name, place.port or 443)
        if not self._is_pinned:
            return address
        headers["Host"] = place.netloc.decode("ascii")
        extensions["sni_hostname"] = name
        return str(place.copy_with(host=public_ip))

    def _enqueue(self, item: object) -> bool:
        while not self._over.is_set():
            with contextlib.suppress(queue.Full):
                self._queue.put(item, timeout=0.1)
                return True
        return False

    def _on_trace(self, step: str, info: Mapping[str, Any]) -> None:
        """Take note of each connection as soon as there is one, to be able to hang it up."""
        if step.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._streams.append(info["return_value"])
        elif step.endswith("send_request_headers.started"):
            if not self._over.is_set():
                self.clock.start("first")
        else:
            return
        if self._over.is_set():  # it came too late: nothing is asked any more
            for stream in self._streams:
                stream.close()
            raise ConnectionAbortedError


def failure_of(error: Exception, url: str) -> Exception:
    """What the library's own exception means."""
    if isinstance(error, GarbledError):
        return error
    library, reason = http(), plain(error, url) or type(error).__name__
    if isinstance(error, library.ConnectTimeout):
        return AgainError(UnreachableError("no connection in time"))
    if isinstance(error, library.TimeoutException):
        return TooLateError("nothing came in time")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return UnreachableError(
            f"its certificate is by nobody that is trusted here ({reason}); SSL_CERT_FILE "
            "names whom to trust"
        )
    if isinstance(error, library.RemoteProtocolError) and "disconnected" not in str(error):
        if "peer closed" in str(error) or "incomplete" in str(error):
            return AgainError(UnreachableError(f"{reason}"))
        return GarbledError(f"{reason}")
    if isinstance(error, (library.TransportError, OSError)):
        return AgainError(UnreachableError(f"{reason}"))
    return GarbledError(f"{reason}")


def hang_up(stream: Any) -> None:
    """Close a connection that another thread may be reading."""
    sock = stream.get_extra_info("socket")
    if isinstance(sock, socket.socket):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
