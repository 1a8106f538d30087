"""No address of an endpoint is in a log, an export, or what another endpoint is sent."""

from __future__ import annotations

import json
import re
import socket
from urllib.parse import urlsplit

import pytest

from scripted_rooms import notices
from stub_endpoint import Plan, answer, stub_endpoint
from worldline.room.actions import Deeds
from worldline.room.export_files import as_html, as_json, as_markdown
from worldline.room.images import EndpointImages
from worldline.room.log import Log
from worldline.room.providers.catalog import Catalog
from worldline.room.providers.endpoint import Endpoint
from worldline.room.providers.transport import KEY, Patience, addressless, key_names
from worldline.room.room import Room
from worldline.room.search import SearxngSearch

PATIENCE = Patience(tries=1, first=2.0, total=4.0)
PATH = "QPATHQ"


@pytest.fixture(autouse=True)
def _no_keys_or_proxies(monkeypatch):
    for name in (KEY, "HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("worldline.room.providers.transport._sent_to", {})


def error_of(text: str) -> bytes:
    return json.dumps({"error": {"message": text}}).encode()


#: How an endpoint may fail, from its own address and another's.
FAULTS = {
    "says where it is": lambda own, _: Plan(
        status=500,
        body=error_of(
            f"{own} ({urlsplit(own).netloc}) did not reach 10.1.2.3:99: POST /{PATH}/v1/x"
        ),
    ),
    "a page": lambda own, _: Plan(status=502, body=f"<title>{own} is down".encode()),
    "redirects": lambda _, other: Plan(status=307, headers={"Location": other}, body=b""),
    "no events": lambda own, _: Plan(content_type=f"text/x; at={own}", body=own.encode()),
    "no JSON": lambda own, _: Plan(content_type="application/json", body=own.encode()),
    "among the events": lambda own, _: Plan(events=[error_of(own).decode(), "[DONE]"]),
    "breaks off": lambda *_: Plan(raw=answer()),
    "nothing": lambda *_: Plan(text=""),
    "too late": lambda *_: Plan(before=3.0),
}


def everywhere(room: Room, file) -> str:
    """All that a room leaves behind, and all that is shown of it."""
    files = b"".join(path.read_bytes() for path in file.parent.glob(f"{file.name}*"))
    line = list(room.line)
    pages = (as_json(line), as_html(line), as_markdown(line))
    return files.decode("utf-8", "replace") + "".join(pages)


def refuse_addresses(text: str, *urls: str) -> None:
    assert PATH not in text
    for url in urls:
        host, port = urlsplit(url).hostname, urlsplit(url).port
        assert f"{host}" not in text
        assert not re.search(rf":{port}\b", text)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_endpoint_is_named_and_its_address_is_not(fault, tmp_path):
    file = tmp_path / "two.room"
    with stub_endpoint() as ann, stub_endpoint(Plan(text="hello")) as bo:
        own, other = (f"{stub.url.removesuffix('/v1')}/{PATH}/v1" for stub in (ann, bo))
        ann.plans[:] = [FAULTS[fault](own, other)]
        models = {"m": Endpoint(own, "m", patience=PATIENCE), "n": Endpoint(bo.url, "n")}
        room = Room(Log(file), Catalog(models))
        room.join("Ann", "m")
        room.join("Bo", "n")
        for _ in range(3):
            room.step()
        assert notices(room, "no_reply")[0].startswith("Ann did not answer: ")
        assert bo.asked
        refuse_addresses(everywhere(room, file) + json.dumps(bo.asked), own, other)


def test_nobody_there_a_key_that_cannot_be_sent_and_one_that_went_elsewhere(tmp_path, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/{PATH}"
    file, plain, second = tmp_path / "k.room", "http://a-b.example/v1", "https://second.example/v1"
    monkeypatch.setenv(KEY, "sk-general-0123")
    monkeypatch.setenv(key_names(plain)[-1], "sk-own-0123456")
    urls = ("https://first.invalid/v1", second, plain, closed)
    models = {f"m{n}": Endpoint(url, f"m{n}", patience=PATIENCE) for n, url in enumerate(urls)}
    room = Room(Log(file), Catalog(models))
    for name, model in zip(("Ann", "Bo", "Cy", "Di"), models, strict=True):
        room.join(name, model)
    for _ in urls:
        room.step()
    lines = notices(room, "no_reply")
    assert len(lines) == 4
    assert "is for one host" in lines[1]
    assert "http would send it readable by all" in lines[2]
    found = everywhere(room, file)
    refuse_addresses(found, *urls)
    assert key_names(plain)[-1] not in found


@pytest.mark.parametrize("status", [200, 307, 500])
def test_pictures_and_searches_that_fail_name_no_address(status, tmp_path):
    file = tmp_path / "deeds.room"
    with stub_endpoint() as ann, stub_endpoint() as other:
        ann.plans[:] = [Plan(text='!image "a cat"\n!search "cats"')]
        where = f"{other.url}/{PATH}"
        link = {"url": f"http://elsewhere.example/{PATH}.png", "revised_prompt": where}
        body = json.dumps({"data": [link], "error": where}).encode()
        other.plans[:] = [Plan(status=status, headers={"Location": where}, body=body)]
        deeds = Deeds(
            EndpointImages(where, "painter", patience=PATIENCE),
            SearxngSearch(where, patience=PATIENCE),
        )
        room = Room(Log(file), Catalog({"m": Endpoint(ann.url, "m")}), deeds)
        room.join("Ann", "m")
        room.step()
        room.step()
        found = everywhere(room, file) + json.dumps(ann.asked[-1])
        assert "a cat" in found
        refuse_addresses(found, ann.url, other.url)
        assert "elsewhere.example" not in found


def test_words_that_are_no_address_stay():
    for text in ("502, bad gateway", "version 1.2.3 of http", "a.b-c is not a host"):
        assert addressless(text, "https://b.example/v1") == text
