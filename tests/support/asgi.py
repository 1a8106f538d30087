"""A request to an ASGI application, byte for byte, with no client that mends it on the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

HOST = "127.0.0.1:8765"


@dataclass
class Got:
    """An answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.json()["message"]


async def send_request(
    app: Any,
    method: str,
    target: str,
    *,
    headers: Iterable[tuple[str, str | bytes]] = (),
    host: str | None = HOST,
    chunks: Iterable[bytes] = (b"",),
    slow_s: float = 0.0,
    hangs_up: bool = False,
    address: str = "127.0.0.1",
    hangs_up_after_s: float | None = None,
) -> Got | None:
    """What the application answers; None where it answers nothing."""
    path, _, query = target.partition("?")
    parts = list(chunks)
    given = [] if host is None else [("host", host)]
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": method, "scheme": "http", "path": unquote(path), "raw_path": path.encode(),
        "query_string": query.encode(), "root_path": "", "server": ("127.0.0.1", 8765),
        "client": (address, 50000),
        "headers": [
            (name.encode(), value.encode("utf-8") if isinstance(value, str) else value)
            for name, value in [*given, *headers]
        ],
    }  # fmt: skip
    sent: list[dict[str, Any]] = []
    ended, at = asyncio.Event(), 0

    async def receive() -> dict[str, Any]:
        nonlocal at
        if at < len(parts):
            await asyncio.sleep(slow_s)
            at += 1
            more = at < len(parts) or hangs_up
            return {"type": "http.request", "body": parts[at - 1], "more_body": more}
        if hangs_up:
            return {"type": "http.disconnect"}
        if hangs_up_after_s is not None:
            await asyncio.sleep(hangs_up_after_s)
            return {"type": "http.disconnect"}
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            ended.set()

    await app(scope, receive, send)
    if not sent:
        return None
    start, *rest = sent
    assert start["type"] == "http.response.start"
    names = {name.decode("latin-1").lower(): v.decode("latin-1") for name, v in start["headers"]}
    assert len(names) == len(start["headers"]), "a header stands twice"
    return Got(start["status"], names, b"".join(part.get("body", b"") for part in rest))


def call(app: Any, method: str, target: str, **options: Any) -> Got:
    """The same, in an event loop of its own."""
    got = asyncio.run(asyncio.wait_for(send_request(app, method, target, **options), 30))
    assert got is not None
    return got


def post(app: Any, target: str, value: Any, **options: Any) -> Got:
    """A JSON body, as a browser's own page sends it."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    given = [("content-type", "application/json"), ("content-length", str(len(body)))]
    headers = [*given, *options.pop("headers", ())]
    return call(app, "POST", target, chunks=[body], headers=headers, **options)
