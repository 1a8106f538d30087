"""The routes over a worker: what each answers, how it is headed, and that every refusal is JSON."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from html.parser import HTMLParser

import pytest

from asgi import call, post, send_request
from claims_pictures import claims_picture
from tiny_scenes import TEXT, tiny_scene
from worldline.apps.server import app as app_
from worldline.apps.server.access import HEADERS, Rate
from worldline.apps.server.app import make_app
from worldline.service.answers import Answer
from worldline.service.worker import Worker
from worldline.steps import step
from worldline.views.html import scene_json
from worldline.views.schema.claims import ClaimsPicture
from worldline.views.schema.json_schemas import STATIC

ABOUT = {"model": "tiny", "example": TEXT, "version": "0"}
HOSTS = frozenset({"127.0.0.1"})
CLIENT = "client_of-tests"
SOON = 20.0
SOURCES = {
    "how": "mask", "target": "t1 ", "target_before": -1.0,
    "change_nats": [*(-0.25 * n for n in range(5)), 0.0],
    "after": [*[{"token": "</script>", "id": 1, "logprob": -2.0}] * 5, None],
}  # fmt: skip


class Stub:
    """Answers at once, but for the texts `wait` and `raise`."""

    def __init__(self, folder):
        self.folder, self.go = folder, threading.Event()

    def __call__(self, question, say) -> Answer:
        if question.text == "wait":
            say("waiting")
            while not self.go.is_set():
                step()
                time.sleep(0.001)
        if question.text == "raise":
            raise ValueError("on purpose")
        if question.ask == "trace":
            scene = tiny_scene("gradient")
            return Answer(scene_json(scene), scene=scene)
        if question.ask == "cut":
            return Answer(json.dumps({"sources": SOURCES}), scene_parts={"sources": SOURCES})
        if question.ask == "paths":
            paths = tiny_scene("gradient").paths
            return Answer('{"paths": null, "paths_left_out": null}', paths=paths)
        place = self.folder / f"{question.text[:8]}.safetensors"
        place.write_bytes(b"\0arrays")
        return Answer('{"bytes": 7}', file=place)


@pytest.fixture
def stub(tmp_path):
    return Stub(tmp_path)


@pytest.fixture
def worker(stub):
    made = Worker(stub)
    yield made
    stub.go.set()
    made.close()


@pytest.fixture
def app(worker):
    return make_app(worker, ABOUT, hosts=HOSTS, rate=Rate(burst=10_000))


def question(ask: str, text: str = TEXT, **more):
    kind = {"ask": "cut", "each": True, "how": "mask"} if ask == "sources" else {"ask": ask}
    return {"client": CLIENT, "question": {"text": text, **kind, **more}}


def asked(app, worker, ask: str, text: str = TEXT, **more) -> str:
    """Ask and wait; the name of the question."""
    got = post(app, "/api/questions", question(ask, text, **more))
    assert got.status == 202, got.body
    name = got.json()["id"]
    end = time.monotonic() + SOON
    while not worker.get(name).has_ended:
        assert time.monotonic() < end
        time.sleep(0.002)
    return name


def dressed(got) -> None:
    for name, value in HEADERS.items():
        assert got.headers[name.lower()] == value


def events_of(got) -> list[tuple[str, dict]]:
    assert got.headers["content-type"].startswith("text/event-stream")
    found = []
    for part in got.body.decode().strip().split("\n\n"):
        if not part.startswith(":"):
            event, data = part.split("\n")
            found.append((event.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


# --- the page -------------------------------------------------------------------------------------


class Seen(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside in ("script", "style") and data.strip():
            self.inline.append(data)


def test_the_page_has_nothing_inline_and_asks_this_server_only(app):
    got = call(app, "GET", "/")
    assert got.status == 200
    assert got.headers["content-type"] == "text/html; charset=utf-8"
    dressed(got)
    seen = Seen()
    seen.feed(got.body.decode())
    assert seen.inline == []
    assert "style" not in {tag for tag, _ in seen.tags}
    for _, attributes in seen.tags:
        assert not [name for name in attributes if name == "style" or name.startswith("on")]
        for name in ("src", "href"):
            place = attributes.get(name) or "data:,"
            assert re.fullmatch(r"static/worldline\.(js|css)|data:,", place)
    wanted = {attributes.get("src") or attributes.get("href") for _, attributes in seen.tags}
    assert {"static/worldline.js", "static/worldline.css"} <= wanted


@pytest.mark.parametrize(
    ("name", "kind"), [("worldline.js", "text/javascript"), ("worldline.css", "text/css")]
)
def test_static_files(app, name, kind):
    got = call(app, "GET", f"/static/{name}")
    assert got.status == 200
    assert got.headers["content-type"] == f"{kind}; charset=utf-8"
    assert got.body == (STATIC / name).read_bytes()
    dressed(got)


@pytest.mark.parametrize(
    "name",
    [
        "../app.py", "..%2fapp.py", "%2e%2e%2f%2e%2e%2fapp.py", "..\\app.py", "%2e%2e/html.py", "",
        "scene.schema.json", "/etc/passwd", "%2fetc%2fpasswd", "worldline.js/", "worldline.js%00",
        "worldline.js%00.css", "WORLDLINE.JS", "./worldline.js", "....//worldline.js",
        "%c0%ae%c0%ae",
        "worldline.js;x", "x" * 5000,
    ],
)  # fmt: skip
def test_other_names_never_reach_the_file_system(app, name, monkeypatch):
    def never(*_args, **_kwargs):
        raise AssertionError("a file was asked for")

    monkeypatch.setattr(app_, "FileResponse", never)
    got = call(app, "GET", f"/static/{name}")
    assert got.status in (307, 404), got.body
    assert len(got.body) < 1000
    dressed(got)


def test_about_says_who_answers(app):
    got = call(app, "GET", "/api/about")
    assert (got.status, got.json()) == (200, ABOUT | {"rooms": False})
    dressed(got)


# --- a question -----------------------------------------------------------------------------------


def test_a_question_its_events_and_its_answer(app, worker):
    got = post(app, "/api/questions", question("trace"))
    assert (got.status, got.json().keys()) == (202, {"id"})
    assert got.headers["content-type"] == "application/json"
    name = got.json()["id"]
    got = call(app, "GET", f"/api/questions/{name}/events")
    assert got.status == 200
    dressed(got)
    found = events_of(got)
    assert [event for event, _ in found if event != "progress"] == ["queued", "done"]
    got = call(app, "GET", f"/api/questions/{name}/answer")
    assert (got.status, got.headers["content-type"]) == (200, "application/json")
    assert got.json() == json.loads(scene_json(tiny_scene("gradient")))
    again = call(app, "GET", f"/api/questions/{name}/events")
    assert events_of(again) == found  # told from the start to whoever comes late


def test_what_was_refused_is_an_event_and_no_answer(app, worker):
    name = asked(app, worker, "trace", "raise")
    got = call(app, "GET", f"/api/questions/{name}/events")
    event, what = events_of(got)[-1]
    assert event == "failed"
    assert "ValueError: on purpose" in what["message"]
    got = call(app, "GET", f"/api/questions/{name}/answer")
    assert (got.status, got.message) == (409, "the question is failed: it has no answer")


def test_stopping_a_question(app, worker):
    name = post(app, "/api/questions", question("trace", "wait")).json()["id"]
    assert call(app, "GET", f"/api/questions/{name}/answer").status == 409
    got = call(app, "DELETE", f"/api/questions/{name}")
    assert (got.status, got.body) == (204, b"")
    dressed(got)
    got = call(app, "GET", f"/api/questions/{name}/events")
    assert events_of(got)[-1] == ("cancelled", {"why": "cancelled"})
    assert call(app, "DELETE", f"/api/questions/{name}").status == 204


def test_a_newer_question_supersedes_and_another_clients_does_not(app, worker, stub):
    first = post(app, "/api/questions", question("trace", "wait")).json()["id"]
    other = question("trace") | {"client": "somebody-else"}
    second = post(app, "/api/questions", other).json()["id"]
    assert not worker.get(first).stop.is_set()
    third = post(app, "/api/questions", question("trace")).json()["id"]
    found = events_of(call(app, "GET", f"/api/questions/{first}/events"))
    assert found[-1] == ("cancelled", {"why": "superseded by a newer question"})
    for name in (second, third):
        assert events_of(call(app, "GET", f"/api/questions/{name}/events"))[-1][0] == "done"


def test_whoever_hangs_up_stops_what_they_wait_for(app, worker):
    name = post(app, "/api/questions", question("trace", "wait")).json()["id"]

    async def listen():
        return await send_request(app, "GET", f"/api/questions/{name}/events", hangs_up_after_s=0.2)

    asyncio.run(asyncio.wait_for(listen(), SOON))
    end = time.monotonic() + SOON
    while not worker.get(name).has_ended:
        assert time.monotonic() < end
        time.sleep(0.002)
    assert worker.get(name).state == "cancelled"


def test_a_full_queue_is_said(stub):
    worker = Worker(stub, most_waiting=1)
    app = make_app(worker, ABOUT, hosts=HOSTS)
    try:
        for n in range(2):
            ask = question("trace", "wait") | {"client": f"client{n:04}"}
            assert post(app, "/api/questions", ask).status == 202
            while n == 0 and worker.waiting:
                time.sleep(0.002)
        got = post(app, "/api/questions", question("trace"))
        assert (got.status, got.message) == (503, "1 questions wait already: ask again in a moment")
        dressed(got)
    finally:
        worker.close()


@pytest.mark.parametrize("method_and_path", [
    ("GET", "/events"), ("GET", "/answer"), ("GET", "/trace.safetensors"), ("GET", "/page.html"),
    ("DELETE", ""),
])  # fmt: skip
@pytest.mark.parametrize("name", ["unknown", "%00", "..", "é%ff", "x" * 3000, "%22%0d%0aX-Evil:1"])
def test_unknown_names(app, method_and_path, name):
    method, path = method_and_path
    got = call(app, method, f"/api/questions/{name}{path}")
    assert got.status == 404
    assert len(got.message) < 500
    assert got.headers["content-type"] == "application/json"
    assert "x-evil" not in got.headers
    dressed(got)


# --- what is wrong --------------------------------------------------------------------------------

HALF = b'{"client": "client00", "question": {"ask": "trace", "text": "\\ud800"}}'
HALF_NAME = b'{"client": "client00", "question": {"ask": "trace", "text": "x", "\\ud800": 1}}'
DEEP = b'{"client": "client00", "question": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def hops(number: bytes) -> bytes:
    head = b'{"client": "client00", "question": {"ask": "hops", "text": "x", "max_hops": '
    return head + number + b"}}"


LONG = json.dumps(
    {"client": "client00", "question": {"ask": "trace", "text": "x", "y" * 900_000: 1}}
).encode()
WRONG_TAG = json.dumps(
    {"client": "client00", "question": {"ask": "z" * 900_000, "text": "x"}}
).encode()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 422, "must be given"), (b"{", 422, "JSON"), (b"null", 422, "an object"),
        (b"[]", 422, "an object"), (b"{}", 422, "client: "), (b"not-json", 422, "accepted is JSON"),
        (b"\xff\xfe", 422, "JSON"), (HALF, 422, "text: "), (HALF_NAME, 422, "unicode"),
        (DEEP, 400, ""), (LONG, 422, "y"), (WRONG_TAG, 422, "'trace', "),
        (hops(b"NaN"), 422, "max_hops"), (hops(b"1e999"), 422, "max_hops"),
        (hops(b"9" * 9999), 400, ""),
    ],
)  # fmt: skip
def test_bodies_that_are_no_question(app, worker, body, status, said):
    got = post(app, "/api/questions", body)
    assert got.status == status, got.body
    assert said in got.message
    assert "\n" not in got.message
    assert len(got.body) < 3000
    dressed(got)
    assert not worker.jobs


@pytest.mark.parametrize(
    "change",
    [
        {"ask": "dance"}, {"ask": None}, {"text": ""}, {"text": "x" * 200_001}, {"text": 3},
        {"chat": "maybe"}, {"by": "magic"}, {"top": -1}, {"top": 20_001}, {"top": 1.5},
        {"target": ""},
        {"target": "x" * 201}, {"how": "patch"}, {"extra": 1}, {"paths": "some"},
    ],
)  # fmt: skip
def test_questions_out_of_bounds(app, worker, change):
    whole = question("trace") | {"question": {"ask": "trace", "text": "x"} | change}
    got = post(app, "/api/questions", whole)
    assert got.status == 422
    assert re.match(r"\w+", got.message)
    assert not worker.jobs


@pytest.mark.parametrize(
    "client",
    [
        "", "short", "x" * 65, "with space", "ümlaut-x", None, "a/b/c/d/e", "nul\0nul0",
        "line\nbreak", "trailing\n",
    ],
)  # fmt: skip
def test_clients_names(app, worker, client):
    got = post(app, "/api/questions", question("trace") | {"client": client})
    assert got.status == 422
    assert got.message.startswith(("client ", "client:"))
    assert not worker.jobs


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None]
)
def test_forms_of_other_pages_are_no_questions(app, worker, kind):
    """What a page elsewhere may send without asking this server first is never taken."""
    body = json.dumps(question("trace")).encode()
    headers = [] if kind is None else [("content-type", kind)]
    got = call(app, "POST", "/api/questions", headers=headers, chunks=[body])
    assert got.status == 422
    assert "application/json" in got.message
    assert not worker.jobs


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404), ("GET", "/api/nowhere", 404), ("PUT", "/api/questions", 405),
        ("GET", "/api/questions", 405), ("POST", "/", 405), ("BREW", "/api/about", 405),
        ("GET", "/docs", 404), ("GET", "/openapi.json", 404), ("HEAD", "/", 405),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said_as_everything_else(app, method, path, status):
    got = call(app, method, path)
    assert got.status == status
    assert path in got.message
    assert got.headers["content-type"] == "application/json"
    dressed(got)


def test_an_error_of_its_own_is_dressed_and_tells_no_secrets(worker, monkeypatch):
    app = make_app(worker, ABOUT, hosts=HOSTS)
    monkeypatch.setattr(app_, "render_page", lambda: 1 / 0)
    sent = []

    async def main():
        with pytest.raises(ZeroDivisionError):  # goes on to the log
            await send_request(Coverage(app, sent), "GET", "/")

    asyncio.run(main())
    start, body = sent
    assert start["status"] == 500
    assert json.loads(body["body"]) == {"message": "an error of worldline's own: ZeroDivisionError"}
    names = {name.decode() for name, _ in start["headers"]}
    assert {name.lower() for name in HEADERS} <= names


class Coverage:
    """An application whose messages are kept though it raises."""

    def __init__(self, app, sent):
        self.app, self.sent = app, sent

    async def __call__(self, scope, receive, send):
        async def keep(message):
            self.sent.append(message)
            await send(message)

        await self.app(scope, receive, keep)


# --- files ----------------------------------------------------------------------------------------


def test_the_file_of_a_trace(app, worker, stub):
    name = asked(app, worker, "save")
    assert call(app, "GET", f"/api/questions/{name}/answer").json() == {"bytes": 7}
    got = call(app, "GET", f"/api/questions/{name}/trace.safetensors")
    assert (got.status, got.body) == (200, b"\0arrays")
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"] == 'attachment; filename="trace.safetensors"'
    dressed(got)
    for place in stub.folder.iterdir():
        place.unlink()
    assert call(app, "GET", f"/api/questions/{name}/trace.safetensors").status == 404
    other = asked(app, worker, "trace")
    assert call(app, "GET", f"/api/questions/{other}/trace.safetensors").status == 404


def test_an_exported_page_holds_the_scene_and_what_altered_runs_said(app, worker):
    see = asked(app, worker, "trace")
    plain = call(app, "GET", f"/api/questions/{see}/page.html")
    assert plain.status == 200
    assert plain.headers["content-type"] == "text/html; charset=utf-8"
    assert plain.headers["content-disposition"] == 'attachment; filename="worldline.html"'
    dressed(plain)
    assert inside(plain)["altered"] is None
    parts = [asked(app, worker, ask) for ask in ("sources", "paths")]
    got = call(app, "GET", f"/api/questions/{see}/page.html?with={parts[0]}&with={parts[1]}")
    assert got.status == 200
    scene = inside(got)
    assert scene["altered"]["sources"] == SOURCES | {
        "reproduce": None, "precision": {}, "powerless": [], "note": None,
    }  # fmt: skip
    assert scene["paths"] == tiny_scene("gradient").paths.model_dump(mode="json")
    assert b"</script>" not in got.body.split(b'id="worldline-scene">')[1].split(b"</script>\n")[0]
    own = re.search(rb'content="(default-src[^"]+)"', got.body).group(1).decode()
    assert "unsafe" not in own
    assert call(app, "GET", f"/api/questions/{see}/page.html?with={see}").status == 200


def inside(got) -> dict:
    """The Scene in an exported file."""
    found = re.search(rb'id="worldline-scene">(.*?)</script>', got.body, flags=re.S)
    return json.loads(found.group(1))


def test_what_does_not_belong_on_an_exported_page(app, worker):
    see = asked(app, worker, "trace")
    page = f"/api/questions/{see}/page.html"
    assert call(app, "GET", f"{page}?with=unknown").status == 404
    other = asked(app, worker, "sources", "t1 t2 t3")
    got = call(app, "GET", f"{page}?with={other}")
    assert (got.status, got.message) == (409, "a run of another text")
    chat = asked(app, worker, "sources", chat=True)
    assert call(app, "GET", f"{page}?with={chat}").status == 409
    failed = asked(app, worker, "trace", "raise")
    assert call(app, "GET", f"{page}?with={failed}").status == 404
    assert call(app, "GET", f"{page}?" + "&".join([f"with={see}"] * 9)).status == 422
    assert call(app, "GET", f"/api/questions/{other}/page.html").status == 404  # no Scene


def test_the_description_of_the_api_is_behind_the_token(worker):
    app = make_app(worker, ABOUT, hosts=HOSTS, token="secret-token")
    assert call(app, "GET", "/api/openapi.json").status == 401
    headers = [("authorization", "Bearer secret-token")]
    got = call(app, "GET", "/api/openapi.json", headers=headers)
    assert got.json()["paths"].keys() >= {"/api/about", "/api/questions"}


def test_answers_are_forgotten_with_their_files(app, worker, stub, monkeypatch):
    monkeypatch.setattr("worldline.service.worker.MOST_KEPT", 2)
    names = [asked(app, worker, "save", f"text {n}") for n in range(3)]
    assert call(app, "GET", f"/api/questions/{names[0]}/answer").status == 404
    assert len(list(stub.folder.iterdir())) == 2


# --- the claims -----------------------------------------------------------------------------------


def test_without_claims_there_is_null_and_the_file_has_none(app, worker):
    got = call(app, "GET", "/api/claims")
    assert (got.status, got.body) == (200, b"null")
    dressed(got)
    name = asked(app, worker, "trace")
    saved = call(app, "GET", f"/api/questions/{name}/page.html").body.decode()
    assert 'id="worldline-claims"' not in saved


def test_the_claims_are_as_they_are_now_and_go_into_the_file(worker):
    found = [claims_picture(), claims_picture().model_copy(update={"verdicts": ()})]
    app = make_app(worker, ABOUT, hosts=HOSTS, claims=lambda: found[0])
    got = call(app, "GET", "/api/claims")
    assert ClaimsPicture.model_validate_json(got.body) == found[0]
    assert b"</script>" not in got.body
    dressed(got)
    name = asked(app, worker, "trace")
    saved = call(app, "GET", f"/api/questions/{name}/page.html").body.decode()
    assert saved.count('id="worldline-claims"') == 1
    del found[0]
    assert call(app, "GET", "/api/claims").json()["verdicts"] == []
    schemas = call(app, "GET", "/api/openapi.json").json()["components"]["schemas"]
    assert "ClaimsPicture" in schemas
