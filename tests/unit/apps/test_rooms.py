"""The routes of a room, over scripts: opened, played, listened to, refused, exported."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from asgi import call, post, send_request
from worldline.apps.server.access import Rate
from worldline.apps.server.app import make_app
from worldline.room.actions import Deeds, Picture
from worldline.room.host import Desk
from worldline.room.providers.scripted_model import ScriptedModel
from worldline.service.worker import Worker

ABOUT = {"model": "tiny", "example": "t1", "version": "0"}
HOSTS = frozenset({"127.0.0.1"})
SOON = 20.0
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'
DEEDS = Deeds(lambda _asked: Picture(SVG, "image/svg+xml", "a line"))


@pytest.fixture
def desk(tmp_path):
    made = Desk(
        tmp_path, {"bundled": ScriptedModel("bundled", ("hm",), True)}, lambda _catalog: DEEDS,
        lambda _model, _usage: "nothing is known",
    )  # fmt: skip
    yield made
    made.close()


@pytest.fixture
def app(desk):
    worker = Worker(lambda _question, _say: None)
    yield make_app(worker, ABOUT, hosts=HOSTS, rate=Rate(burst=10_000), desk=desk)
    worker.close()


def do(app, **deed):
    return post(app, "/api/room/deeds", deed)


def played(app, desk, **deed):
    assert do(app, do="play", **deed).status == 200
    end = time.monotonic() + SOON
    while desk.open_room.talking:
        assert time.monotonic() < end
        time.sleep(0.005)


def heard(app, after=0, seconds=0.3):
    """What a viewer hears in so many seconds."""
    target = f"/api/room/events?after={after}"
    got = asyncio.run(send_request(app, "GET", target, hangs_up_after_s=seconds))
    parts = [part.split("\n") for part in got.body.decode().strip().split("\n\n")]
    return [
        (part[0].removeprefix("event: "), json.loads(part[1].removeprefix("data: ")))
        for part in parts
        if not part[0].startswith(":")
    ]


def test_without_a_desk_there_are_no_rooms():
    worker = Worker(lambda _question, _say: None)
    app = make_app(worker, ABOUT, hosts=HOSTS, rate=Rate(burst=100))
    assert call(app, "GET", "/api/about").json()["rooms"] is False
    assert call(app, "GET", "/api/room").status == 404
    worker.close()


def test_a_room_is_opened_played_and_heard(app, desk):
    assert call(app, "GET", "/api/about").json()["rooms"] is True
    before = call(app, "GET", "/api/room").json()
    assert before["open"] is None
    assert [one["name"] for one in before["scenarios"]] == [
        "rehearsal", "relay", "round_table", "two_readers",
    ]  # fmt: skip
    opened = post(app, "/api/room", {"scenario": "rehearsal"})
    assert opened.status == 200
    assert opened.json()["open"]["next"] == "Right"
    played(app, desk, turns=2)
    found = heard(app)
    events = [what for name, what in found if name == "event"]
    assert [one["number"] for one in events] == list(range(1, len(events) + 1))
    assert events == [json.loads(json.dumps(one)) for one in events]
    kinds = [one["body"]["kind"] for one in events]
    assert kinds.count("message") == 3
    assert kinds.count("drawn") == 2
    (standing,) = [what for name, what in found if name == "standing"]
    assert standing["spent"]["messages"] == 2
    assert standing["present"][0]["replies"] == 1
    later = [what["number"] for name, what in heard(app, after=len(events) - 1) if name == "event"]
    assert later == [len(events)]


def test_a_picture_and_every_export_come_with_headers_that_let_nothing_run(app, desk):
    post(app, "/api/room", {"scenario": "rehearsal"})
    played(app, desk, turns=1)
    events = [what for name, what in heard(app) if name == "event"]
    (outcome,) = [e["body"] for e in events if e["body"]["kind"] == "outcome"]
    got = call(app, "GET", f"/api/room/pictures/{outcome['result']['picture']}")
    assert (got.status, got.body) == (200, SVG)
    assert got.headers["content-type"] == "image/svg+xml"
    assert "sandbox" in got.headers["content-security-policy"]
    assert call(app, "GET", "/api/room/pictures/none").status == 404
    page = call(app, "GET", "/api/room/export.html")
    assert "sandbox" in page.headers["content-security-policy"]
    assert b"Rehearsal of every command" in page.body
    assert call(app, "GET", "/api/room/export.md").body.startswith(b"*the room's topic")
    whole = call(app, "GET", "/api/room/export.json").json()
    assert [one["number"] for one in whole["events"]] == [one["number"] for one in events]
    assert call(app, "GET", "/api/room/export.docx").status == 422
    assert call(app, "GET", "/api/room/export.md?at=999").status == 404


def test_people_do_what_can_be_done_and_are_told_what_cannot(app, desk):
    assert do(app, do="play").status == 409
    post(app, "/api/room", {"scenario": "rehearsal"})
    assert (
        do(app, do="say", who="Eve", text="<b>hello</b>").json()["tip"]
        == desk.open_room.room.state.tip
    )
    assert do(app, do="say", who="Right", text="hello").message.endswith("accepted is another")
    assert do(app, do="say", who="Eve", text=" ").status == 409
    assert do(app, do="set", what="mode", value="natural").json()["settings"]["mode"] == "natural"
    assert do(app, do="set", what="mode", value="shouting").status == 409
    assert do(app, do="set", what="temperature", value=0.5, who="right").status == 200
    assert do(app, do="set", what="temperature", value=3, who="Right").status == 409
    assert do(app, do="set", what="temperature", value="warm", who="Right").status == 409
    assert do(app, do="join", name="Mia", model="bundled").json()["present"][2]["name"] == "Mia"
    assert "3 of 3 places" in do(app, do="join", name="Noa", model="bundled").message
    assert do(app, do="join", name="Noa", model="http://a.example/v1").status == 409
    assert do(app, do="remove", name="Mia").status == 200
    assert do(app, do="remove", name="Mia").status == 409
    assert do(app, do="limit", dollars=0.5).json()["limits"]["messages"] == 14
    assert do(app, do="limit", messages=1).json()["limits"] == {
        "messages": 1, "tokens": None, "dollars": 0.5,
    }  # fmt: skip
    played(app, desk)
    assert desk.open_room.status()["spent"]["messages"] == 1
    number = next(e.number for e in desk.open_room.after(0) if e.kind == "message")
    assert do(app, do="branch", number=number).status == 200
    assert do(app, do="branch", number=10_000).status == 409
    assert do(app, do="pause").status == 200
    assert do(app, do="stop").json()["playing"] == "stopped"
    assert do(app, do="explode").status == 422
    assert do(app, do="play", turns=0).status == 422
    assert post(app, "/api/room", {"scenario": "nonsense"}).status == 409
    assert post(app, "/api/room", {"log": "../x"}).status == 409


def test_a_viewer_of_a_room_that_is_closed_is_told(app, desk):
    post(app, "/api/room", {"scenario": "rehearsal"})
    hosted = desk.open_room

    async def listening():
        asked = asyncio.ensure_future(send_request(app, "GET", "/api/room/events"))
        await asyncio.sleep(0.2)
        await asyncio.to_thread(hosted.close, "a test")
        return await asyncio.wait_for(asked, SOON)

    got = asyncio.run(listening())
    assert got.body.decode().strip().endswith("event: closed\ndata: {}")
    assert call(app, "GET", "/api/room").json()["open"] is None
