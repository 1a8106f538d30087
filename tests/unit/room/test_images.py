"""Pictures: an endpoint's, a diffusion model's, and the portrait of the flow."""

from __future__ import annotations

import base64
import json
import socket
import sys
import types
from xml.etree import ElementTree

import pytest

from stub_endpoint import PIXEL, Plan, stub_endpoint
from tiny_folder import tiny_folder
from worldline.errors import InputError
from worldline.models.loader import LoadedModel, load_model
from worldline.room import images
from worldline.room.actions import ActionRequest
from worldline.room.images import DiffusersImages, EndpointImages, Portraits, kind_of
from worldline.room.portrait import LONGEST, portrait
from worldline.room.providers.chat_model import ReplyError
from worldline.room.providers.exchange import Request
from worldline.room.providers.failures import (
    GarbledError,
    RejectedError,
    StoppedError,
    UnreachableError,
)
from worldline.room.providers.http_requests import fetch
from worldline.room.providers.public_addresses import is_public
from worldline.room.providers.stop_signal import stoppable
from worldline.room.providers.transport import KEY, Patience

ASKED = ActionRequest("the sea at night", "Ada", "tiny", 3)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> LoadedModel:
    return load_model(str(tiny_folder(tmp_path_factory.mktemp("tiny"), n_pos=256)))


def answer(**row) -> bytes:
    return json.dumps({"data": [row]}).encode()


def packed(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def test_a_picture_from_an_endpoint():
    with stub_endpoint(Plan(body=answer(b64_json=packed(PIXEL)))) as stub:
        picture = EndpointImages(stub.url, "painter")(ASKED)
    assert (picture.content, picture.type) == (PIXEL, "image/png")
    assert picture.about == "made by painter"
    assert stub.paths == ["/v1/images/generations"]
    assert stub.asked[0] == {
        "model": "painter", "prompt": "the sea at night", "n": 1, "size": "1024x1024",
        "response_format": "b64_json",
    }  # fmt: skip


def test_what_it_drew_instead_is_said_on_one_line():
    row = {"b64_json": packed(PIXEL), "revised_prompt": "a\nsea\u202e" + "!" * 500}
    with stub_endpoint(Plan(body=answer(**row))) as stub:
        about = EndpointImages(stub.url, "painter")(ASKED).about
    assert "it drew: a sea‹202E›!!" in about
    assert len(about) < 300


def test_a_link_is_fetched_without_the_key(monkeypatch):
    monkeypatch.setenv(KEY, "sk-secret")
    with stub_endpoint() as stub:
        place = stub.url.removesuffix("/v1")
        stub.plans[:] = [Plan(body=answer(url=f"{place}/files/one.png?x=1")), Plan()]
        picture = EndpointImages(stub.url, "painter")(ASKED)
    assert picture.content == PIXEL
    assert ["authorization" in one for one in stub.headers] == [True, False]


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"b64_json": "not base64!"},
        {"b64_json": packed(b"<svg onload='x'/>")},
        {"b64_json": packed(b"")},
        {"url": "file:///etc/passwd"},
        {"url": "http://elsewhere.example/x.png"},
        {"url": "https://user:pass@elsewhere.example/x.png"},
    ],
)
def test_what_is_no_picture_is_refused(row):
    with stub_endpoint(Plan(body=answer(**row))) as stub, pytest.raises(GarbledError):
        EndpointImages(stub.url, "painter")(ASKED)
    assert len(stub.paths) == 1


PRIVATE = [
    "127.0.0.1", "169.254.169.254", "10.0.0.1", "100.64.0.1", "192.168.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1%lo", "fc00::1", "fec0::1", "ff02::1", "::127.0.0.1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::", "64:ff9b::10.0.0.1",
    "2001:0:1:2:3:4:80ff:fffe",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_no_public_address(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "64:ff9b::1.1.1.1"])
def test_what_is_a_public_address(address):
    assert is_public(address)


@pytest.fixture
def no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::1]", "[::ffff:127.0.0.1]", "a.test",
             "１２７.0.0.1", "localhost"],
)  # fmt: skip
@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:9"])
def test_an_endpoint_cannot_have_the_inner_network_asked(host, proxy, monkeypatch, no_proxy):
    if proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda at, *a, **k: real("10.0.0.1" if at == "a.test" else at, *a, **k),
    )
    asked: list[object] = []
    connect = socket.create_connection
    with socket.create_server(("127.0.0.1", 0)) as inner, stub_endpoint() as stub:
        port = inner.getsockname()[1]

        def connected(place, *a, **k):
            asked.append(place)
            return connect(place, *a, **k)

        monkeypatch.setattr(socket, "create_connection", connected)
        stub.plans[:] = [Plan(body=answer(url=f"https://{host}:{port}/x.png"))]
        with pytest.raises(GarbledError, match=r"no public network|IDNA"):
            EndpointImages(stub.url, "painter")(ASKED)
    assert len(asked) == 1  # the endpoint itself


def test_another_port_of_the_endpoints_own_host_is_not_asked():
    with stub_endpoint() as other, stub_endpoint() as stub:
        stub.plans[:] = [Plan(body=answer(url=f"{other.url}/files/one.png"))]
        with pytest.raises(GarbledError, match="its picture lies where none is fetched from"):
            EndpointImages(stub.url, "painter")(ASKED)
    assert other.paths == []


def test_a_link_that_is_redirected_is_not_followed():
    with stub_endpoint() as other, stub_endpoint() as stub:
        link = stub.url.removesuffix("/v1") + "/moved"
        moved = Plan(status=302, headers={"Location": f"{other.url}/files/one.png"})
        stub.plans[:] = [Plan(body=answer(url=link)), moved]
        with pytest.raises(RejectedError, match="not followed"):
            EndpointImages(stub.url, "painter")(ASKED)
    assert other.paths == []


def test_the_address_that_was_checked_is_connected_to(monkeypatch, no_proxy):
    looked: list[str] = []

    def look_up(host, port, *more, **named):
        """A name that changes: public once, this machine ever after."""
        looked.append(host)
        address = "1.1.1.1" if len(looked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    places: list[object] = []

    def connect(place, *more, **named):
        places.append(place)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(UnreachableError):
        fetch(Request("https://changes.test", "GET", "/x", public=True), Patience(tries=1))
    assert (looked, places) == (["changes.test"], [("1.1.1.1", 443)])


@pytest.mark.parametrize("link", ["https://[::1", "https://a:port/x", "https://", "//a/x"])
def test_a_link_that_is_no_address_is_refused(link):
    with stub_endpoint(Plan(body=answer(url=link))) as stub, pytest.raises(GarbledError):
        EndpointImages(stub.url, "painter")(ASKED)


def test_a_field_that_is_refused_is_left_out():
    wrong = Plan(status=400, body=b'{"error": {"message": "unknown response_format"}}')
    with stub_endpoint(wrong, Plan(body=answer(b64_json=packed(PIXEL)))) as stub:
        EndpointImages(stub.url, "painter")(ASKED)
    assert "response_format" not in stub.asked[1]


def test_failures_are_asked_again_and_then_typed():
    waits: list[float] = []
    with stub_endpoint(Plan(status=500)) as stub, pytest.raises(RejectedError, match="500"):
        EndpointImages(stub.url, "painter", sleep=waits.append)(ASKED)
    assert len(waits) == 3


@pytest.mark.parametrize(
    ("raw", "kind"),
    [(PIXEL, "image/png"), (b"\xff\xd8\xff\xe0", "image/jpeg"), (b"RIFF....WEBP", "image/webp")],
)
def test_kinds_are_told_by_the_bytes(raw, kind):
    assert kind_of(raw) == kind


# --- diffusers -----------------------------------------------------------------------------------


def test_without_diffusers_it_says_what_brings_it(monkeypatch):
    monkeypatch.setattr(images.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"worldline\[images\]"):
        DiffusersImages("owner/name")


class Drawn:
    def save(self, out, format):
        out.write(PIXEL)


def fake_diffusers(monkeypatch, call):
    made = types.SimpleNamespace(from_pretrained=lambda name, use_safetensors: call)
    library = types.ModuleType("diffusers")
    library.AutoPipelineForText2Image = made
    monkeypatch.setitem(sys.modules, "diffusers", library)
    monkeypatch.setattr(images.importlib.util, "find_spec", lambda name: object())


def test_a_picture_from_a_diffusion_model(monkeypatch):
    fake_diffusers(monkeypatch, lambda text: types.SimpleNamespace(images=[Drawn()]))
    picture = DiffusersImages("owner/name")(ASKED)
    assert (picture.content, picture.type) == (PIXEL, "image/png")
    assert picture.about == "made by owner/name in this process"


def test_a_diffusion_model_that_fails(monkeypatch):
    def fails(text):
        raise RuntimeError("out of\nmemory")

    fake_diffusers(monkeypatch, fails)
    with pytest.raises(ReplyError, match="out of memory"):
        DiffusersImages("owner/name")(ASKED)


def test_a_diffusion_model_ends_between_two_of_its_steps(monkeypatch):
    steps = []

    class Pipeline:
        def __call__(self, text, callback_on_step_end=None):
            for n in range(50):
                steps.append(n)
                callback_on_step_end(self, n, 0, {})

    fake_diffusers(monkeypatch, Pipeline())
    with stoppable(lambda: len(steps) == 3), pytest.raises(StoppedError, match="it was stopped"):
        DiffusersImages("owner/name")(ASKED)
    assert steps == [0, 1, 2]


# --- the portrait --------------------------------------------------------------------------------


def test_a_portrait_says_what_it_is(model):
    drawn = portrait(model, "the sea")
    assert drawn.about.startswith("not a drawing of the prompt but a portrait of the flow")
    root = ElementTree.fromstring(drawn.svg)
    assert root.find("{*}title").text == drawn.about
    strands = root.findall(".//{*}path")
    n_reads = 2 * 2 * (5 * 4 // 2)  # layers, heads, pairs of "the", " ", "s", "e", "a"
    assert f"the {len(strands)} strongest of {n_reads} reads" in drawn.about


def test_a_portrait_is_the_same_again(model):
    assert portrait(model, "the sea").svg == portrait(model, "the sea").svg


def test_a_long_prompt_is_drawn_in_part_and_says_so(model):
    assert f"of 100 tokens the first {LONGEST}" in portrait(model, "x" * 100).about


def test_nothing_in_a_prompt_gets_into_the_drawing(model):
    drawn = portrait(model, '<script>&"\x00\x1b</text>\u202e')
    root = ElementTree.fromstring(drawn.svg)  # a control character would not parse
    kinds = {one.tag.rpartition("}")[2] for one in root.iter()}
    assert kinds == {"svg", "title", "rect", "text", "tspan", "line", "g", "path"}


def test_a_portrait_of_nothing_is_refused(model):
    with pytest.raises(InputError, match="at least one word"):
        portrait(model, "")


def test_whose_model_is_portrayed(model):
    own = Portraits(lambda name: model, lambda: pytest.fail("not asked for"))(ASKED)
    assert own.type == "image/svg+xml"
    assert "cannot be looked into" not in own.about
    other = Portraits(lambda name: None, lambda: model)(ASKED)
    assert other.about.endswith("Ada's own model (tiny) cannot be looked into")
