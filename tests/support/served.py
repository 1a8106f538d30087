"""A server in its own process or in this one, and the little client that asks over real sockets."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

STARTS = 120.0  # seconds; a busy machine is no fault of the server
COMMAND = [sys.executable, "-c", "from worldline.apps.cli import main; main()", "serve"]


@dataclass
class Served:
    """A running server: its address, the time when it said so, what it printed."""

    process: subprocess.Popen[str]
    host: str
    port: int
    token: str | None
    began: float
    ready: float
    errors: list[str] = field(default_factory=list)

    def request(self, method: str, path: str, value: Any = None) -> tuple[int, bytes]:
        """(status, body)."""
        link = self._linked(60)
        try:
            self._ask(link, method, path, value)
            got = link.getresponse()
            return got.status, got.read()
        finally:
            link.close()

    def _linked(self, patience: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=patience)

    def _ask(self, link: http.client.HTTPConnection, method: str, path: str, value: Any) -> None:
        body = None if value is None else json.dumps(value)
        headers = {} if body is None else {"Content-Type": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        link.request(method, path, body, headers)

    def submit(self, client: str, **question: Any) -> str:
        """Ask; the name of the question."""
        status, body = self.request(
            "POST", "/api/questions", {"client": client, "question": question}
        )
        assert status == 202, body
        return json.loads(body)["id"]

    def events(self, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """What happens to a question, as it happens."""
        link = self._linked(120)
        try:
            self._ask(link, "GET", f"/api/questions/{name}/events", None)
            got = link.getresponse()
            assert got.status == 200
            event = ""
            for raw in got:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield event, json.loads(line.removeprefix("data: "))
        finally:
            link.close()

    def answered(self, client: str, **question: Any) -> dict[str, Any]:
        """Ask, wait, and give the answer."""
        name = self.submit(client, **question)
        *_, (event, what) = self.events(name)
        assert event == "done", what
        status, body = self.request("GET", f"/api/questions/{name}/answer")
        assert status == 200
        return json.loads(body)

    def stop(self, sig: int = signal.SIGINT) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(sig)
        return self.process.wait(60)


@contextmanager
def serving(*words: str, **environment: str) -> Iterator[Served]:
    """A server on a free port, killed at the end unless it has ended by itself."""
    began = time.monotonic()
    command = [*COMMAND, "--no-browser", *(() if "--port" in words else ("--port", "0")), *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
        env=os.environ | environment,
    )  # fmt: skip
    errors: list[str] = []
    assert process.stdout is not None
    assert process.stderr is not None
    reader = threading.Thread(target=lambda e=process.stderr: errors.extend(e), daemon=True)
    reader.start()
    watch = threading.Timer(STARTS, process.kill)
    watch.start()
    try:
        line = process.stdout.readline()
        found = re.fullmatch(r"worldline is at (http://\S+)\n", line)
        assert found, (line, errors)
        watch.cancel()
        url = urlsplit(found.group(1))
        token = url.fragment.removeprefix("token=") or None
        assert url.hostname is not None
        assert url.port is not None
        yield Served(process, url.hostname, url.port, token, began, time.monotonic(), errors)
    finally:
        watch.cancel()
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join(10)
        process.stdout.close()
        process.stderr.close()


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """`worldline serve` where it is to end by itself."""
    return subprocess.run(
        [*COMMAND, "--no-browser", *words], capture_output=True, text=True, check=False, timeout=120
    )


@contextmanager
def in_thread(app: Any, worker: Any) -> Iterator[str]:
    """An application in a thread of this process; its address. Its worker is closed at the end."""
    import uvicorn

    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + STARTS
    while not server.started:
        assert time.monotonic() < end
        time.sleep(0.05)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        worker.closing = server.should_exit = True
        thread.join(30)
        worker.close()
