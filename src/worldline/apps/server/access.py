"""Who may ask: Host, Origin, token, size and rate of every request; headers of every answer."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from worldline.errors import InputError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MOST_BODY_BYTES = 1 << 20
MOST_BODY_SECONDS = 10
MOST_ADDRESSES = 4096
LONGEST_NAME = 253
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def loopback(host: str) -> bool:
    """Whether a host name or address reaches this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@dataclass
class Rate:
    """A bucket of `burst` requests for every address, refilled `per_second`."""

    burst: int = 40
    per_second: float = 10.0
    allowances: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def allows(self, address: str, current_time: float) -> bool:
        """Take one request out of the bucket, if there is one."""
        allowance, since = self.allowances.pop(address, (float(self.burst), current_time))
        allowance = min(self.burst, allowance + (current_time - since) * self.per_second)
        self.allowances[address] = (allowance - 1 if allowance >= 1 else allowance), current_time
        while len(self.allowances) > MOST_ADDRESSES:
            self.allowances.popitem(last=False)
        return allowance >= 1


class Guard:
    """ASGI middleware that refuses before anything is read.

    `hosts` are the names under which the server may be addressed, without ports. `forwarded_hosts`
    are those of what stands before it, which may say either name as the Host: pages at one of them,
    at any port, may ask as well, and a token is to be asked with them. A `token` is asked of every
    request to the API where there is one. Only asking is limited in rate: reading what was
    answered is not.
    """

    def __init__(
        self,
        app: Any,
        hosts: frozenset[str],
        token: str | None,
        rate: Rate,
        forwarded_hosts: frozenset[str] = frozenset(),
    ):
        self.app, self.hosts, self.token, self.rate = app, hosts | forwarded_hosts, token, rate
        self.forwarded = forwarded_hosts

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it with the reason."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(send, *refusal)
            return
        try:
            body = await asyncio.wait_for(_body(receive), MOST_BODY_SECONDS)
        except _TooLargeError:
            await _refuse(send, 413, f"a larger request: accepted are {MOST_BODY_BYTES:,} bytes")
        except TimeoutError:
            await _refuse(send, 408, f"the request did not come within {MOST_BODY_SECONDS} s")
        else:
            if body is not None:
                await self.app(scope, _replay_body(body, receive), _with_headers(send))

    def _refusal(self, scope: Message, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if _name(host) not in self.hosts:
            accepted_hosts = ", ".join(sorted(self.hosts))
            return 421, f"Host {host[:100]!r}: this server answers as {accepted_hosts}"
        asks = scope["method"] not in ("GET", "HEAD")
        origin = headers.get("origin")
        if origin is not None and not self._is_own_origin(origin.lower(), host):
            return 403, f"Origin {origin[:100]!r}: only this server's own page may ask"
        if asks and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "only this server's own page may ask"
        api = scope["path"].startswith("/api/")
        if api and self.token is not None and not self._has_token(headers):
            return 401, "a token is needed: open the address that the server printed"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 20 or int(length) > MOST_BODY_BYTES:
            return 413, f"a request of {length[:20]} bytes: accepted are {MOST_BODY_BYTES:,}"
        address = (scope.get("client") or ("",))[0]
        if asks and not self.rate.allows(address, time.monotonic()):
            return 429, f"too many questions: accepted are {self.rate.per_second:g} a second"
        return None

    def _is_own_origin(self, origin: str, host: str) -> bool:
        """Whether a page of this origin is this server's own: https where TLS ends before it."""
        scheme, mark, place = origin.partition("://")
        if not mark or scheme not in ("http", "https"):
            return False
        return place == host.lower() or _name(place) in self.forwarded

    def _has_token(self, headers: dict[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        is_same_token = hmac.compare_digest(given.encode(), (self.token or "").encode())
        return is_same_token and scheme.lower() == "bearer"


def _name(host: str) -> str:
    """A Host header without its port, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()


def host_named(host_text: str) -> str:
    """A name that `--allow-host` takes, in lower case, an IPv6 address in its brackets.

    Raises: InputError for anything else.

    >>> host_named("Box.example.org"), host_named("::1")
    ('box.example.org', '[::1]')
    """
    name = host_text.strip().lower()
    try:
        address = ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        if _HOST.fullmatch(name) and len(name) <= LONGEST_NAME:
            return name
        raise InputError(
            f"--allow-host {host_text[:80]!r}: accepted is a host's name or address, without a "
            "scheme, "
            "a port or *"
        ) from None
    return f"[{address}]" if address.version == 6 else str(address)


class _TooLargeError(Exception):
    """A body is larger than its header said, or said nothing."""


async def _body(receive: Receive) -> bytes | None:
    """All of a request's body; None where whoever sent it hung up before its end."""
    parts, n_bytes, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        n_bytes += len(parts[-1])
        more = message.get("more_body", False)
        if n_bytes > MOST_BODY_BYTES:
            raise _TooLargeError
    return b"".join(parts)


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """A body that was read, to be received once more; then whatever comes, as hanging up."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _with_headers(send: Send) -> Send:
    """Every answer with the headers that keep the page to itself."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [
                *message["headers"],
                *((n.lower().encode(), v.encode()) for n, v in HEADERS.items()
                  if n.lower().encode() not in given),
            ]  # fmt: skip
        await send(message)

    return send_with_headers


async def _refuse(send: Send, status: int, message: str) -> None:
    body = json.dumps({"message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += {429: [(b"retry-after", b"1")], 401: [(b"www-authenticate", b"Bearer")]}.get(
        status, []
    )
    start = {"type": "http.response.start", "status": status, "headers": headers}
    await _with_headers(send)(start)
    await send({"type": "http.response.body", "body": body})
