"""The client of OpenAI-compatible endpoints, against a server with faults."""

from __future__ import annotations

import json
import logging
import random
import socket
import sys
import time
import traceback
from pathlib import Path

import pytest

import worldline
from stub_endpoint import Plan, stub_endpoint
from worldline.errors import InputError
from worldline.room.providers.chat_model import (
    ChatMessage,
    Delta,
    Model,
    ReplyError,
    Settings,
    Usage,
)
from worldline.room.providers.endpoint import Endpoint
from worldline.room.providers.failures import (
    CutOffError,
    EmptyError,
    GarbledError,
    RefusedReplyError,
    RejectedError,
    TooLateError,
    UnreachableError,
)
from worldline.room.providers.transport import (
    KEY,
    Patience,
    base_url,
    key_of,
    retry_after,
)

ASKED = (ChatMessage("system", "You are Ada."), ChatMessage("user", "Bob: hello"))
SETTINGS = Settings(temperature=0.7, seed=5, max_tokens=50)
SECRET = "sk-verysecret-0123456789"
PACKAGE = Path(worldline.__file__).parent


@pytest.fixture(autouse=True)
def _no_keys_of_the_machine(monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


def endpoint(stub, **more) -> tuple[Endpoint, list[float]]:
    waits: list[float] = []
    return Endpoint(stub.url, "stub-1", sleep=waits.append, **more), waits


def said(model: Endpoint) -> tuple[str, Usage]:
    *deltas, usage = model.reply(ASKED, SETTINGS)
    assert isinstance(usage, Usage)
    return "".join(d.text for d in deltas if isinstance(d, Delta) and not d.reasoning), usage


def test_it_is_a_model_of_the_room():
    model = Endpoint("http://localhost:1", "m")
    assert isinstance(model, Model)
    assert (model.name, model.url) == ("m", "http://localhost:1/v1")
    assert not model.scripted


def test_a_reply_comes_in_pieces_and_its_usage_last():
    usage = {"prompt_tokens": 12, "completion_tokens": 2, "cost": 0.25}
    with stub_endpoint(Plan("Hello there.", usage=usage)) as stub:
        found = list(endpoint(stub)[0].reply(ASKED, SETTINGS))
    assert found == [Delta("Hello"), Delta(" there."), Usage(12, 2, 0.25, "stop", "stub-1")]


def test_what_is_asked():
    with stub_endpoint() as stub:
        said(endpoint(stub)[0])
    assert stub.paths == ["/v1/chat/completions"]
    (body,) = stub.asked
    assert body == {
        "model": "stub-1",
        "messages": [
            {"role": "system", "content": "You are Ada."},
            {"role": "user", "content": "Bob: hello"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.7,
        "max_tokens": 50,
        "seed": 5,
    }


def test_the_users_prices_come_first():
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 500_000, "cost": 9.0}
    with stub_endpoint(Plan(usage=usage)) as stub:
        model, _ = endpoint(stub, prices={"stub-1": (2.0, 4.0)})
        assert said(model)[1].price == pytest.approx(4.0)
        assert said(endpoint(stub)[0])[1].price == 9.0
    with stub_endpoint(Plan()) as stub:
        assert said(endpoint(stub, prices={"stub-1": (2.0, 4.0)})[0])[1].price is None


def test_an_endpoint_that_does_not_stream():
    whole = {"choices": [{"message": {"content": "All at once."}}], "usage": {"prompt_tokens": 3}}
    plan = Plan(body=json.dumps(whole).encode(), content_type="application/json; charset=utf-8")
    with stub_endpoint(plan) as stub:
        assert said(endpoint(stub)[0]) == ("All at once.", Usage(3, None, None, "stop", ""))


def test_thoughts_are_apart():
    with stub_endpoint(Plan("Yes.", thought="Hm.")) as stub:
        first, *_ = endpoint(stub)[0].reply(ASKED, SETTINGS)
        assert first == Delta("Hm.", reasoning=True)
        assert said(endpoint(stub)[0])[0] == "Yes."


def test_the_models_of_an_endpoint():
    with stub_endpoint() as stub:
        assert endpoint(stub)[0].models() == ["stub-1", "stub-2"]
    with (
        stub_endpoint(Plan(body=b'{"x": 1}')) as stub,
        pytest.raises(GarbledError, match="no data"),
    ):
        endpoint(stub)[0].models()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
def test_it_asks_again_with_growing_waits(status):
    with stub_endpoint(*[Plan(status=status)] * 3, Plan("At last.")) as stub:
        model, waits = endpoint(stub, patience=Patience(wait=1.0))
        assert said(model)[0] == "At last."
    assert len(stub.asked) == 4
    assert [0.5 * 2**n <= one <= 2**n for n, one in enumerate(waits)] == [True] * 3
    assert len(set(waits)) == 3


def test_it_gives_up_in_the_end():
    with stub_endpoint(Plan(status=500)) as stub:
        model, waits = endpoint(stub)
        with pytest.raises(RejectedError, match="500, as planned"):
            said(model)
    assert (len(stub.asked), len(waits)) == (4, 3)


def test_it_waits_as_long_as_it_is_asked_to():
    with stub_endpoint(Plan(status=429, headers={"Retry-After": "7"}), Plan()) as stub:
        model, waits = endpoint(stub)
        said(model)
    assert 7 <= waits[0] < 8


def test_too_long_a_wait_is_not_made():
    with stub_endpoint(Plan(status=429, headers={"Retry-After": "3600"}), Plan()) as stub:
        model, waits = endpoint(stub)
        with pytest.raises(RejectedError, match="429"):
            said(model)
    assert not waits


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
def test_a_no_is_final(status):
    with stub_endpoint(Plan(status=status)) as stub:
        model, waits = endpoint(stub)
        with pytest.raises(RejectedError) as caught:
            said(model)
    assert caught.value.status == status
    assert (len(stub.asked), waits) == (1, [])


@pytest.mark.parametrize("name", ["stream_options", "seed", "temperature", "max_tokens"])
def test_a_field_that_is_refused_is_left_out_from_then_on(name):
    wrong = Plan(status=400, body=json.dumps({"error": {"message": f"unknown: {name}"}}).encode())
    with stub_endpoint(wrong, Plan()) as stub:
        model, _ = endpoint(stub)
        said(model)
        said(model)
    assert [name in body for body in stub.asked] == [True, False, False]
    assert ("max_completion_tokens" in stub.asked[-1]) == (name == "max_tokens")


def test_no_server_at_all():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    waits: list[float] = []
    model = Endpoint(f"http://127.0.0.1:{port}", "m", sleep=waits.append)
    with pytest.raises(UnreachableError):
        said(model)
    assert len(waits) == 3


def test_a_stream_cut_before_a_word_is_asked_for_again():
    with stub_endpoint(Plan(cut=1), Plan("Whole.")) as stub:
        assert said(endpoint(stub)[0])[0] == "Whole."
    assert len(stub.asked) == 2


@pytest.mark.parametrize(
    "plan", [Plan("One two three.", cut=3), Plan("One two", reason=None, done=False)]
)
def test_a_stream_cut_after_a_word_is_not(plan):
    with stub_endpoint(plan, Plan("Other words.")) as stub:
        model, waits = endpoint(stub)
        with pytest.raises(CutOffError) as caught:
            said(model)
    assert caught.value.text == "One two"
    assert "after 7 characters" in str(caught.value)
    assert (len(stub.asked), waits) == (1, [])


def test_an_error_among_the_events():
    wrong = json.dumps({"error": {"message": "overloaded", "code": 529}})
    with stub_endpoint(Plan(events=[wrong])) as stub, pytest.raises(RejectedError, match="overl"):
        said(endpoint(stub)[0])
    late = json.dumps({"choices": [{"delta": {"content": "One"}}]})
    with stub_endpoint(Plan(events=[late, wrong])) as stub, pytest.raises(CutOffError):
        said(endpoint(stub)[0])


GARBAGE = [
    Plan(events=["not json"]),
    Plan(events=["[1, 2]"]),
    Plan(events=["{}"]),
    Plan(events=['"\x07bell"']),
    Plan(events=["[" * 100_000]),
    Plan(body=b"<html>\x00\xff", content_type="text/html"),
    Plan(body=b"", content_type="application/json"),
    Plan(body=b"\xff\xfe", content_type="application/json"),
    Plan(events=["x" * (2 << 20)]),
    Plan(body=b"data: x\n\n", headers={"Content-Encoding": "gzip"}),
]


@pytest.mark.parametrize("plan", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_an_error_in_words(plan):
    with stub_endpoint(plan) as stub, pytest.raises(GarbledError) as caught:
        said(endpoint(stub)[0])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_pieces_of_odd_shapes_are_read_past():
    odd = [
        {"choices": []},
        {"choices": [None]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"content": 5}}], "usage": [], "model": 7},
        {"choices": [{"delta": {"content": [{"text": "a"}, 3]}}]},
        {"choices": [{"delta": {"content": "\ud800b"}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": True, "cost": "x"}},
    ]
    with stub_endpoint(Plan(events=[json.dumps(one) for one in odd])) as stub:
        text, usage = said(endpoint(stub)[0])
    assert text == "a?b"
    assert usage == Usage(None, None, None, "stop", "")


def test_garbage_of_any_kind_is_one_of_our_errors():
    chance = random.Random(0)
    kinds = ["text/event-stream", "application/json"]
    plans = [
        Plan(body=chance.randbytes(chance.randrange(60)), content_type=chance.choice(kinds))
        for _ in range(60)
    ]
    with stub_endpoint(*plans) as stub:
        model, _ = endpoint(stub, patience=Patience(tries=1))
        for _ in plans:
            with pytest.raises(ReplyError):
                said(model)


@pytest.mark.parametrize(
    ("plan", "kind", "words"),
    [
        (Plan(""), EmptyError, "said nothing"),
        (Plan("  "), EmptyError, "said nothing"),
        (Plan("", reason="length"), EmptyError, r"\(length\)"),
        (Plan("", thought="Hm."), EmptyError, "only thought"),
        (Plan("", reason="content_filter"), RefusedReplyError, "declined"),
    ],
)
def test_no_reply_is_typed(plan, kind, words):
    with stub_endpoint(plan) as stub, pytest.raises(ReplyError, match=words) as caught:
        said(endpoint(stub)[0])
    assert isinstance(caught.value, kind)


@pytest.mark.parametrize(
    ("plan", "ending"),
    [
        (Plan("Half", reason="length"), "length"),
        (Plan("Half", reason="content_filter"), "refused"),
        (Plan("", refusal="I cannot."), "refused"),
    ],
)
def test_how_a_reply_ended(plan, ending):
    with stub_endpoint(plan) as stub:
        assert said(endpoint(stub)[0])[1].ending == ending


@pytest.mark.parametrize(
    ("plan", "patience", "words"),
    [
        (Plan(before=3), Patience(first=0.2, between=0.1), "in time|first piece"),
        (Plan(alive=3), Patience(first=0.2), "first piece within 0.2 s"),
        (Plan(alive=3), Patience(total=0.2), "whole reply within 0.2 s"),
    ],
)
def test_a_slow_server_is_not_waited_for(plan, patience, words):
    with stub_endpoint(plan) as stub:
        began = time.monotonic()
        with pytest.raises(TooLateError, match=words):
            said(endpoint(stub, patience=patience)[0])
        assert time.monotonic() - began < 2.5
    assert len(stub.asked) == 1


def test_a_server_that_stops_in_the_middle():
    with (
        stub_endpoint(Plan("One two three", between=1.0)) as stub,
        pytest.raises(CutOffError, match="next piece within"),
    ):
        said(endpoint(stub, patience=Patience(between=0.2))[0])


def test_closing_it_hangs_up():
    with stub_endpoint(Plan("word " * 500, between=0.01)) as stub:
        reply = endpoint(stub)[0].reply(ASKED, SETTINGS)
        next(reply)
        reply.close()
        end = time.monotonic() + 5
        while not stub.broken and time.monotonic() < end:
            time.sleep(0.02)
        assert stub.broken


# --- keys and addresses --------------------------------------------------------------------------


def test_the_key_is_sent_and_shown_nowhere(monkeypatch, caplog):
    monkeypatch.setenv(KEY, SECRET)
    caplog.set_level(logging.DEBUG)
    echo = json.dumps({"error": {"message": f"bad key Bearer {SECRET}"}}).encode()
    plans = (
        Plan(status=401, body=echo),
        Plan(body=echo, content_type="text/html"),
        Plan(events=[SECRET]),
        Plan("One two", cut=2),
        Plan(before=1.0),
    )
    # where the server itself sends the key back, only what is said and logged can be kept clean
    for plan in plans:
        with stub_endpoint(plan) as stub:
            model, _ = endpoint(stub, patience=Patience(first=0.2, between=0.2, tries=1))
            with pytest.raises(ReplyError) as caught:
                said(model)
        assert stub.headers[0]["authorization"] == f"Bearer {SECRET}"
        seen: BaseException | None = caught.value
        while seen is not None:
            assert SECRET not in f"{seen} {seen!r} {vars(seen)}"
            seen = seen.__context__
        for frame, _ in traceback.walk_tb(caught.value.__traceback__):
            if SECRET not in str(plan) and PACKAGE in Path(frame.f_code.co_filename).parents:
                assert SECRET not in repr({n: v for n, v in frame.f_locals.items() if n != "key"})
        assert SECRET not in repr(model)
    assert SECRET not in caplog.text


def test_a_hosts_own_key_comes_first(monkeypatch):
    monkeypatch.setenv(KEY, "general")
    monkeypatch.setenv("WORLDLINE_ROOM_KEY_API_EXAMPLE_ORG", "own")
    assert key_of("https://api.example.org/v1") == "own"
    assert key_of("https://other.org/v1") == "general"


def test_no_key_no_header():
    with stub_endpoint() as stub:
        said(endpoint(stub)[0])
    assert "authorization" not in stub.headers[0]


def test_a_key_never_goes_over_plain_http(monkeypatch):
    monkeypatch.setenv(KEY, SECRET)
    with pytest.raises(InputError, match="https") as caught:
        key_of("http://example.org/v1")
    assert SECRET not in str(caught.value)
    for local in ("http://localhost:1/v1", "http://127.0.0.1:1/v1", "http://[::1]:1/v1"):
        assert key_of(local) == SECRET


@pytest.mark.parametrize("wrong", ["a b", "a\nb", "schlüssel"])
def test_a_key_that_no_header_can_hold(monkeypatch, wrong):
    monkeypatch.setenv(KEY, wrong)
    with pytest.raises(InputError, match="characters") as caught:
        key_of("https://example.org/v1")
    assert wrong not in str(caught.value)


def test_keyring_is_asked_last(monkeypatch):
    class Ring:
        @staticmethod
        def get_password(service, user):
            return f"{service} {user}".replace(" ", "/")

    import worldline.room.providers.transport as wire

    monkeypatch.setitem(sys.modules, "keyring", Ring)
    monkeypatch.setattr(wire.importlib.util, "find_spec", lambda name: object())
    assert key_of("https://example.org/v1") == "worldline/example.org"
    monkeypatch.setenv(KEY, "env")
    assert key_of("https://example.org/v1") == "env"


def test_no_redirect_is_followed():
    with stub_endpoint() as other:
        moved = Plan(status=307, headers={"Location": f"{other.url}/chat/completions"})
        with stub_endpoint(moved) as stub, pytest.raises(RejectedError, match="307"):
            said(endpoint(stub)[0])
        assert not other.asked


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://localhost:11434", "http://localhost:11434/v1"),
        ("https://openrouter.ai/api/v1/", "https://openrouter.ai/api/v1"),
        (" http://[::1]:80/x ", "http://[::1]:80/x"),
    ],
)
def test_addresses(given, url):
    assert base_url(given) == url


@pytest.mark.parametrize(
    "wrong",
    ["localhost:1", "ftp://x", "http://", "", "http://a:b@x", "http://x:99999", "http://x/?k=1"],
)
def test_other_addresses_are_refused(wrong):
    with pytest.raises(InputError, match="address") as caught:
        base_url(wrong)
    assert "b@" not in str(caught.value)


def test_when_to_come_back():
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, current_time=20.0) == 40.0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


def test_without_the_library_it_says_what_brings_it(monkeypatch):
    import worldline.room.providers.transport as wire

    monkeypatch.setattr(wire.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"worldline\[room\]"):
        said(Endpoint("http://localhost:1", "m"))


@pytest.mark.parametrize(
    ("usage", "taken"),
    [
        ({"prompt_tokens": 10**40, "completion_tokens": 10**30, "cost": 10**400}, (None,) * 3),
        ({"prompt_tokens": 10**12 + 1, "completion_tokens": 2, "cost": 1e308}, (None, 2, None)),
        ({"prompt_tokens": 10**12, "completion_tokens": 2, "cost": 1e9}, (10**12, 2, 1e9)),
    ],
)
def test_more_than_anybody_can_count_or_pay_is_no_number(usage, taken):
    with stub_endpoint(Plan(usage=usage)) as stub:
        found = said(endpoint(stub)[0])[1]
    assert (found.tokens_in, found.tokens_out, found.price) == taken
