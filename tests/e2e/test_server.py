"""`worldline serve` with the bundled model: a real process, real sockets, its end in many ways."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time

import pytest

from served import Served, command, serving
from worldline.models.cache_folder import cache_root
from worldline.session import observe
from worldline.views.html import scene_json

pytestmark = pytest.mark.bundled
EXAMPLE = "The capital of France is"
LONG_TOKENS = 1024
SOON = 20.0  # seconds, where the goal is one: a busy machine is no fault of the server


@pytest.fixture(scope="module")
def server(bundled):
    with serving() as one:
        yield one


@pytest.fixture(scope="module")
def long_text(bundled) -> str:
    """A text of exactly 1,024 tokens."""
    words = "When Mary and John went to the store, John gave a drink to Mary and she said thanks. "
    ids = bundled.tokenizer(words * 100)["input_ids"][:LONG_TOKENS]
    text = bundled.tokenizer.decode(ids)
    assert len(bundled.tokenizer(text)["input_ids"]) == LONG_TOKENS
    return text


def timeless(answer: dict) -> dict:
    """An answer without when it was made and how long parts of it took."""
    whole = json.loads(json.dumps(answer))
    whole.pop("created", None)
    for order in (whole.get("orders") or {}).get("orders", ()):
        order.pop("seconds")
    return whole


def until(true, seconds: float = SOON) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_the_page_and_the_example_come_soon(server, bundled, record_property):
    asked = time.monotonic()
    status, body = server.request("GET", "/api/about")
    about = json.loads(body)
    assert (status, about["model"], about["example"]) == (200, "smollm2-135m-instruct", EXAMPLE)
    assert b"static/worldline.js" in server.request("GET", "/")[1]
    scene = server.answered("client-example", ask="trace", text=about["example"], paths=False)
    took = time.monotonic() - asked
    record_property("seconds_to_first_answer", round(took, 2))
    assert scene["predictions"][0]["token"] == " Paris"
    here = json.loads(scene_json(observe(EXAMPLE, bundled, paths=False).scene))
    assert [e["src"] for e in scene["edges"][:5]] == [e["src"] for e in here["edges"][:5]]
    weights = [edge["weight"] for edge in scene["edges"]]
    assert weights == pytest.approx([edge["weight"] for edge in here["edges"]], abs=1e-4)


QUESTIONS = (
    {"ask": "trace", "text": EXAMPLE, "paths": False},
    {"ask": "cut", "text": EXAMPLE, "edges": ["*.*:3>4"], "how": "mask"},
    {"ask": "cut", "each": True, "how": "mask", "text": "The cat sat on the"},
    {"ask": "hops", "text": EXAMPLE, "max_hops": 2, "sink": "counted"},
)


N_ASKED = (2, 2, 2, 2, 1, 1, 1, 1, 1, 1)  # by each of ten clients; each question at least twice


def test_ten_clients_at_once_get_what_each_would_get_alone(server):
    alone = [timeless(server.answered("client-alone", **one)) for one in QUESTIONS]
    assert alone[1]["cut"]["change_nats"] < -0.1
    time.sleep(1.0)  # the rate allows a burst of forty, and ten a second
    found: dict[int, list[dict]] = {}
    wrong: list[BaseException] = []

    def client(n: int) -> None:
        try:
            asked = [QUESTIONS[(n + k) % len(QUESTIONS)] for k in range(N_ASKED[n])]
            found[n] = [timeless(server.answered(f"client-{n:04}", **one)) for one in asked]
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert wrong == []
    assert len(found) == 10
    for n, answers in found.items():
        assert len(answers) == N_ASKED[n]
        for k, answer in enumerate(answers):
            assert answer == alone[(n + k) % len(QUESTIONS)]


@pytest.mark.parametrize(
    "question",
    [
        {"ask": "save"},
        {"ask": "hops", "max_hops": 3, "sink": "counted"},
        {"ask": "cone", "at": "12,3", "directions": 1},
        {"ask": "cut", "each": True, "how": "mask"},
        {"ask": "orders"},
    ],
    ids=lambda question: "each" if "each" in question else question["ask"],
)
def test_a_long_run_can_be_stopped(server, long_text, question, record_property):
    name = server.submit("client-stops", text=long_text, **question)
    events, took = server.events(name), None
    for event, what in events:
        if event == "progress" and what["steps"] >= 8 and took is None:
            took = time.monotonic()
            assert server.request("DELETE", f"/api/questions/{name}")[0] == 204
    assert (event, what) == ("cancelled", {"why": "cancelled"})
    assert took is not None
    took = time.monotonic() - took
    record_property("seconds_to_stop", round(took, 2))
    assert took < SOON


def test_a_newer_question_supersedes_at_once(server, long_text):
    first = server.submit("client-hasty", ask="save", text=long_text)
    scene = server.answered("client-hasty", ask="trace", text=EXAMPLE, paths=False)
    assert scene["predictions"][0]["token"] == " Paris"
    *_, (event, what) = server.events(first)
    assert (event, what) == ("cancelled", {"why": "superseded by a newer question"})


def test_hanging_up_stops_the_run(server, long_text):
    name = server.submit("client-leaves", ask="save", text=long_text)
    events = server.events(name)
    next(event for event, _ in events if event == "progress")
    events.close()
    watching = server.events(name)
    *_, (event, what) = watching
    assert (event, what) == ("cancelled", {"why": "cancelled"})


def test_what_is_sent_over_a_real_socket_and_is_wrong(server):
    """Refusals that close the connection are read to their end, and the server goes on."""
    head = f"POST /api/questions HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    for extra, status in (
        ("Content-Length: 99999999\r\n\r\n", 413),
        ("Transfer-Encoding: chunked\r\n\r\n" + "10000\r\n" + "x" * 65536 + "\r\n" * 1, 413),
        ("Origin: http://evil.example\r\nContent-Length: 0\r\n\r\n", 403),
        ("Sec-Fetch-Site: same-site\r\nContent-Length: 0\r\n\r\n", 403),
        ("Content-Length: 9\r\nContent-Length: 8\r\n\r\n", 400),
        ("Host: evil.example\r\nContent-Length: 0\r\n\r\n", 400),
        ("no header at all\r\n\r\n", 400),
    ):
        with socket.create_connection((server.host, server.port), timeout=60) as link:
            sent = (head + extra).encode()
            link.sendall(sent)
            if "chunked" in extra:
                for _ in range(17):
                    link.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            assert link.recv(1000).startswith(f"HTTP/1.1 {status} ".encode()), extra[:60]
    with socket.create_connection((server.host, server.port), timeout=60) as link:
        link.sendall(
            b"GET /../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        assert b"root:" not in link.recv(65536)
    assert server.request("GET", "/api/about")[0] == 200


# --- beginnings and ends --------------------------------------------------------------------------


def folder_of(server: Served):
    """Where the files of a server are: a folder named by machine and process."""
    root = cache_root() / "serve"
    return next(root.glob(f"*-{server.process.pid}-*"), root / "gone")


def test_killed_in_the_middle_of_a_run_it_starts_again_clean(bundled, long_text):
    with serving() as first:
        assert folder_of(first).is_dir()
        (folder_of(first) / "trace1.safetensors").write_text("left over")
        name = first.submit("client-killed", ask="save", text=long_text)
        next(event for event, what in first.events(name) if event == "progress" and what["steps"])
        assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    assert folder_of(first).is_dir()
    with serving("--port", str(first.port)) as second:
        assert second.port == first.port
        assert not folder_of(first).exists()
        assert [file.name for file in folder_of(second).iterdir()] == [".worldline"]
        scene = second.answered("client-again", ask="trace", text=EXAMPLE, paths=False)
        assert scene["predictions"][0]["token"] == " Paris"
        interrupted_while_it_works(second, long_text)


def interrupted_while_it_works(server: Served, long_text: str) -> None:
    """Ctrl+C with a run going on and a page that listens: the end is said, and soon."""
    name = server.submit("client-ctrl-c", ask="save", text=long_text)
    events = server.events(name)
    next(event for event, what in events if event == "progress" and what["steps"])
    server.process.send_signal(signal.SIGINT)
    *_, (event, what) = events
    assert (event, what) == ("cancelled", {"why": "the server ends"})
    assert server.process.wait(60) in (0, 130)
    until(lambda: not folder_of(server).exists())
    assert "Traceback" not in "".join(server.errors)
    assert "ERROR" not in "".join(server.errors)


def test_beyond_loopback_the_token_is_demanded(bundled):
    with serving("--host", "0.0.0.0", "Two words") as server:
        assert server.token is not None
        assert len(server.token) >= 32
        assert json.loads(server.request("GET", "/api/about")[1])["example"] == "Two words"
        assert server.request("GET", "/")[0] == 200
        kept, server.token = server.token, None
        assert server.request("GET", "/api/about")[0] == 401
        assert server.request("DELETE", "/api/questions/x")[0] == 401
        server.token = kept[:-1]
        assert server.request("GET", "/api/about")[0] == 401
        assert server.stop(signal.SIGINT) in (0, 130)
        assert "Traceback" not in "".join(server.errors)


def test_a_port_that_is_taken_is_one_line(bundled):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = command("--port", str(port))
    refused(done, f"--host 127.0.0.1 --port {port}: cannot listen there (Address already in use)")


@pytest.mark.parametrize("words", [("--host", "203.0.113.7"), ("--host", ""), ("--port", "70000")])
def test_a_place_that_is_none_is_one_line(words):
    refused(command(*words), words[0])


def refused(done, said: str) -> None:
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("worldline: ")
    assert said in line
