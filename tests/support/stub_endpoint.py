"""An OpenAI-compatible endpoint in a thread, with faults on demand; standard library only.

Each request takes the next plan off the list (the last one stays): a plan says what is sent.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIXEL = bytes.fromhex(  # one transparent dot, PNG
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)


@dataclass
class Plan:
    """What one request gets. `cut`: after so many events the connection is dropped."""

    text: str = "Hello there."
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None  # sent as it is, instead of events
    content_type: str = "text/event-stream"
    cut: int | None = None
    before: float = 0.0  # seconds before the first event
    between: float = 0.0
    alive: float = 0.0  # seconds of keep-alive comments before the first event
    events: Sequence[str] | None = None  # sent instead of those made of `text`
    reason: str | None = "stop"
    usage: dict[str, Any] | None = None
    done: bool = True
    thought: str = ""
    refusal: str = ""
    raw: Iterable[bytes] | None = None  # all that is sent, the head too, `between` between pieces
    hold: float = 0.0  # seconds that the connection stays open after what is `raw`


def answer(
    *parts: bytes, status: int = 200, type: str = "text/event-stream", more: str = ""
) -> list[bytes]:
    """A `raw` answer: a head without a length, then its body as it is."""
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {type}\r\nConnection: close\r\n{more}\r\n"
    return [head.encode(), *parts]


def dripped(pieces: Sequence[bytes], n_whole: int = 1) -> Iterator[bytes]:
    """The first pieces whole, the rest byte by byte, over and over."""
    yield from pieces[:n_whole]
    rest = b"".join(pieces[n_whole:])
    while True:
        for at in range(len(rest)):
            yield rest[at : at + 1]


@dataclass
class Stub:
    """The running server: where it is, and what it was asked."""

    url: str
    plans: list[Plan]
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    broken: list[float] = field(default_factory=list)  # when a client hung up
    over: threading.Event = field(default_factory=threading.Event)

    def next(self) -> Plan:
        """The plan of this request."""
        return self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]


def events_of(plan: Plan) -> list[str]:
    """The events of a well-behaved reply, one a word."""
    if plan.events is not None:
        return list(plan.events)
    pieces: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if plan.thought:
        pieces.append({"reasoning_content": plan.thought})
    if plan.refusal:
        pieces.append({"refusal": plan.refusal})
    words = plan.text.split(" ") if plan.text else []
    pieces += [{"content": word if n == 0 else f" {word}"} for n, word in enumerate(words)]
    sent = [{"model": "stub-1", "choices": [{"index": 0, "delta": one}]} for one in pieces]
    if plan.reason is not None:
        last = {"index": 0, "delta": {}, "finish_reason": plan.reason}
        sent.append({"model": "stub-1", "choices": [last]})
    if plan.usage is not None:
        sent.append({"model": "stub-1", "choices": [], "usage": plan.usage})
    return [json.dumps(one) for one in sent] + (["[DONE]"] if plan.done else [])


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: Stub

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(size)
        self.stub.asked.append(json.loads(raw) if raw else {})
        self.stub.headers.append({name.lower(): value for name, value in self.headers.items()})
        self.stub.paths.append(self.path)
        plan = self.stub.next()
        try:
            self._send(plan) if plan.raw is None else self._send_raw(plan, plan.raw)
        except OSError:
            self.stub.broken.append(time.monotonic())
            self.close_connection = True

    def _send_raw(self, plan: Plan, pieces: Iterable[bytes]) -> None:
        self.close_connection = True
        for piece in pieces:
            self.wfile.write(piece)
            if self.stub.over.wait(plan.between) if plan.between else self.stub.over.is_set():
                return
        self.stub.over.wait(plan.hold)

    def _send(self, plan: Plan) -> None:
        body = plan.body
        if self.path.startswith("/files/"):
            body = PIXEL
        if self.path.endswith("/models") and body is None and plan.status == 200:
            body = json.dumps({"data": [{"id": "stub-2"}, {"id": "stub-1"}]}).encode()
        if body is not None or plan.status != 200:
            body = body if body is not None else b'{"error": {"message": "as planned"}}'
            self._head(plan, {"Content-Length": str(len(body))})
            self.wfile.write(body)
            return
        self._head(plan, {"Transfer-Encoding": "chunked"})
        self._wait(plan)
        for n, event in enumerate(events_of(plan)):
            if plan.cut is not None and n >= plan.cut:
                self.wfile.flush()
                self.connection.close()
                raise OSError("cut, as planned")
            self._chunk(f"data: {event}\n\n")
            time.sleep(plan.between)
        self.wfile.write(b"0\r\n\r\n")

    def _wait(self, plan: Plan) -> None:
        time.sleep(plan.before)
        end = time.monotonic() + plan.alive
        while time.monotonic() < end:
            self._chunk(": still working\n\n")
            time.sleep(0.02)

    def _head(self, plan: Plan, more: dict[str, str]) -> None:
        self.send_response(plan.status)
        for name, value in ({"Content-Type": plan.content_type} | plan.headers | more).items():
            self.send_header(name, value)
        self.end_headers()

    def _chunk(self, text: str) -> None:
        raw = text.encode()
        self.wfile.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")
        self.wfile.flush()


@contextmanager
def stub_endpoint(*plans: Plan) -> Iterator[Stub]:
    """A server on a free port of this machine."""
    stub = Stub("", list(plans) or [Plan()])
    handler = type("Answer", (_Answer,), {"stub": stub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    stub.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.over.set()
        server.shutdown()
        with suppress(OSError):
            server.server_close()
        thread.join(5)
