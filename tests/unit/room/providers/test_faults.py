"""Endpoints that do whatever a server can do: a reply with the right words, or one line in time."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from stub_endpoint import Plan, answer, dripped, stub_endpoint
from worldline.room.providers.chat_model import ChatMessage, Delta, ReplyError, Settings, Usage
from worldline.room.providers.endpoint import Endpoint
from worldline.room.providers.failures import (
    CutOffError,
    GarbledError,
    RejectedError,
    StoppedError,
    TooLateError,
)
from worldline.room.providers.stop_signal import call_with_timeout, stoppable
from worldline.room.providers.transport import KEY, Patience

SAID = (
    ChatMessage("system", "You are Ada."),
    ChatMessage("user", "Bob: a"),
    ChatMessage("user", "Cay: b"),
)
SHORT = Patience(connect=0.3, first=0.3, between=0.3, total=0.3, tries=3, wait=0.01)
LATE = 0.5  # seconds that may pass beyond what was allowed


@pytest.fixture(autouse=True)
def _no_keys_or_proxies(monkeypatch):
    for name in (KEY, "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


def event(delta, reason=None, **more) -> bytes:
    sent = {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}
    return b"data: " + json.dumps(sent).encode() + b"\n\n"


def words(text: str) -> bytes:
    return event({"content": text})


def told(value: object) -> bytes:
    return json.dumps(value).encode()


END = event({}, "stop")
DONE = b"data: [DONE]\n\n"
HELLO = words("hel") + words("lo") + END + DONE


def heard(model: Endpoint) -> tuple[str, str, Usage]:
    """(words, thoughts, usage)."""
    *deltas, usage = model.reply(SAID, Settings())
    assert isinstance(usage, Usage)
    told = [one for one in deltas if isinstance(one, Delta)]
    return (
        "".join(one.text for one in told if not one.reasoning),
        "".join(one.text for one in told if one.reasoning),
        usage,
    )


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds + LATE


# --- how a reply is spelled -----------------------------------------------------------------------

JSON = "application/json"
WHOLE = {"choices": [{"message": {"content": "hello"}}]}
LEGACY = '{"choices":[{"delta":{"content":"hello"}}]}'
REPLIES: dict[str, tuple[list[bytes], str]] = {
    "a mark of the byte order": (answer(b"\xef\xbb\xbf" + HELLO), "hello"),
    "another charset": (
        answer("data: {}\n\n".format(LEGACY.replace("hello", "你好")).encode(), END,
               type="text/event-stream; charset=iso-8859-1"),
        "你好",
    ),
    "JSON of another charset": (
        answer('{"choices":[{"message":{"content":"你好"}}]}'.encode(),
               type="application/json; charset=latin-1"),
        "你好",
    ),
    "CRLF": (answer(HELLO.replace(b"\n", b"\r\n")), "hello"),
    "CR": (answer(HELLO.replace(b"\n", b"\r")), "hello"),
    "no space after data:": (answer(HELLO.replace(b"data: ", b"data:")), "hello"),
    "comments and keep-alives": (answer(b": ping\n\n", HELLO[:20], HELLO[20:], b":\n\n"), "hello"),
    "an event over two lines": (
        answer(b'data: {"choices":\ndata: [{"delta":{"content":"hello"}}]}\n\n' + END), "hello"
    ),
    "names and numbers of events": (
        answer(b"id: 1\nevent: message\nretry: 5\n" + HELLO), "hello"
    ),
    "no [DONE]": (answer(words("hello"), END), "hello"),
    "no finish_reason": (answer(words("hello"), DONE), "hello"),
    "the last event without its end": (answer(words("hello"), END.rstrip()), "hello"),
    "empty reasons on the way": (
        answer(event({"content": "hel"}, ""), event({"content": "lo"}, "null"), END), "hello"
    ),
    "delta: null": (answer(event(None), HELLO), "hello"),
    "choices: null": (answer(b'data: {"choices": null, "usage": null}\n\n', HELLO), "hello"),
    "a ping without choices": (answer(b'data: {"type": "ping"}\n\n', HELLO), "hello"),
    "parts": (
        answer(event({"content": [{"type": "text", "text": one} for one in ("hel", "lo")]}), END),
        "hello",
    ),
    "thoughts among the parts": (
        answer(event({"content": [{"type": "thinking", "thinking": [{"text": "hm"}]},
                                  {"type": "text", "text": "hello"}]}), END),
        "hello",
    ),
    "message in place of delta": (
        answer(b"data: " + told(WHOLE) + b"\n\n" + END), "hello"
    ),
    "the whole once more at the end": (
        answer(words("hello"), b"data: " + told(WHOLE) + b"\n\n", DONE), "hello"
    ),
    "text in place of delta": (answer(b'data: {"choices":[{"text":"hello"}]}\n\n', END), "hello"),
    "JSON though events were asked": (answer(told(WHOLE), type=JSON), "hello"),
    "JSON called events": (answer(told(WHOLE)), "hello"),
    "JSON after white space": (answer(b"\n \n", told(WHOLE), type=JSON), "hello"),
    "events called JSON": (answer(HELLO, type=JSON), "hello"),
    "events called text": (answer(HELLO, type="text/plain"), "hello"),
    "halves of a character": (
        answer(b'data: {"choices":[{"delta":{"content":"ok \\ud83d"}}]}\n\n',
               b'data: {"choices":[{"delta":{"content":"\\ude00!"}}]}\n\n', END),
        "ok \U0001f600!",
    ),
    "halves with others between": (
        answer(b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n', event({}), b": x\n\n",
               b'data: {"choices":[{"delta":{"content":"\\ude00"}}]}\n\n', END),
        "\U0001f600",
    ),
    "halves in parts": (
        answer(b'data: {"choices":[{"delta":{"content":[{"text":"\\ud83d"},{"text":"\\ude00"}]}}]}'
               b"\n\n", END),
        "\U0001f600",
    ),
    "a half that stays alone": (
        answer(b'data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\n', words("b"), END), "a?b"
    ),
    "a half at the end": (
        answer(b'data: {"choices":[{"delta":{"content":"a\\ud83d"}}]}\n\n', END), "a?"
    ),
    "a character cut by the network": (
        answer(*(bytes([one]) for one in "data: {}\n\n".format(LEGACY.replace("hello", "é😀"))
                 .encode()), END),
        "é😀",
    ),
    "packed": (
        answer(gzip.compress(HELLO), more="Content-Encoding: gzip\r\n"), "hello"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REPLIES)
def test_the_words_come_as_they_were_said(name):
    raw, expected = REPLIES[name]
    with stub_endpoint(Plan(raw=raw)) as stub:
        assert heard(Endpoint(stub.url, "m", patience=Patience(tries=1)))[0] == expected
    assert len(stub.asked) == 1


def test_thoughts_in_parts_are_no_words():
    raw, _ = REPLIES["thoughts among the parts"]
    with stub_endpoint(Plan(raw=raw)) as stub:
        assert heard(Endpoint(stub.url, "m"))[:2] == ("hello", "hm")


USAGE = {"prompt_tokens": 3, "completion_tokens": 1}


@pytest.mark.parametrize(
    "last",
    [
        b"data: " + told({"usage": USAGE}) + b"\n\n" + DONE,
        b"data: " + told({"choices": [], "usage": USAGE}) + b"\n\n" + DONE,
        b"data: " + told({"choices": None, "usage": USAGE}) + b"\n\n",
        event({}, usage=USAGE) + DONE,
        b"data: " + told({"usage": USAGE}) + b"\n\n" + b"data: " + told({"usage": None}) + b"\n\n",
    ],
)
def test_what_it_took_comes_after_the_end(last):
    with stub_endpoint(Plan(raw=answer(words("hello"), END, last))) as stub:
        said, _, usage = heard(Endpoint(stub.url, "m"))
    assert (said, usage) == ("hello", Usage(3, 1))


def test_a_connection_that_stays_open_after_the_end_holds_nobody(monkeypatch):
    monkeypatch.setattr("worldline.room.providers.endpoint.END_SECONDS", 0.1)
    with stub_endpoint(Plan(raw=answer(words("hello"), END), hold=20)) as stub, within(0.1):
        assert heard(Endpoint(stub.url, "m"))[0] == "hello"


# --- what a server refuses ------------------------------------------------------------------------


def refusal(body: object, status: int) -> Plan:
    raw = body if isinstance(body, bytes) else told(body)
    return Plan(raw=answer(raw, status=status, type=JSON))


def places(*names: str) -> dict[str, object]:
    return {
        "detail": [
            {
                "type": "extra_forbidden",
                "loc": ["body", name],
                "msg": "Extra inputs are not allowed",
            }
            for name in names
        ]
    }


@pytest.mark.parametrize(
    ("body", "status", "gone"),
    [
        (places("seed"), 422, {"seed"}),
        (places("seed", "stream_options"), 422, {"seed", "stream_options"}),
        ({"error": {"message": "Unsupported parameter", "param": "seed"}}, 400, {"seed"}),
        ({"error": {"message": "Unknown field 'seed'. Known: temperature, max_tokens"}}, 400,
         {"seed"}),
        ({"message": "stream_options is not allowed here"}, 400, {"stream_options"}),
        ({"detail": "temperature: not supported"}, 422, {"temperature"}),
        ([{"error": {"message": "no seed please"}}], 400, {"seed"}),
        ({"error": {"message": "streaming is off: stream must be false", "param": "stream"}}, 400,
         {"stream", "stream_options"}),
        (b"unknown field: seed", 400, {"seed"}),
    ],
)  # fmt: skip
def test_a_field_that_is_refused_is_left_out(body, status, gone):
    with stub_endpoint(refusal(body, status), Plan(raw=answer(HELLO))) as stub:
        said, _, usage = heard(Endpoint(stub.url, "m", sleep=lambda _s: pytest.fail("waited")))
    assert said == "hello"
    assert set(stub.asked[0]) - set(stub.asked[1]) == gone
    assert set(usage.left_out) == gone & {"temperature", "seed"}


def test_one_name_of_the_limit_then_the_other():
    first = {"error": {"message": "Use 'max_completion_tokens' instead", "param": "max_tokens"}}
    with stub_endpoint(refusal(first, 400), Plan(raw=answer(HELLO))) as stub:
        assert heard(Endpoint(stub.url, "m"))[2].left_out == ()
    assert (stub.asked[1]["max_completion_tokens"], "max_tokens" in stub.asked[1]) == (400, False)
    both = [refusal(first, 400), refusal(places("max_completion_tokens"), 422)]
    with stub_endpoint(*both, Plan(raw=answer(HELLO))) as stub:
        assert heard(Endpoint(stub.url, "m"))[2].left_out == ("max_tokens",)


def test_a_word_that_only_holds_a_name_is_not_it():
    told = {"error": {"message": "the stream_optionsets were reseeded"}}
    with stub_endpoint(refusal(told, 400)) as stub, pytest.raises(RejectedError):
        heard(Endpoint(stub.url, "m"))
    assert len(stub.asked) == 1


ALTERNATE = "Conversation roles must alternate user/assistant/user/assistant/..."
NO_SYSTEM = "System role not supported"


@pytest.mark.parametrize("status", [400, 422, 500])
@pytest.mark.parametrize(
    ("said", "roles"),
    [
        ({"error": {"code": 500, "message": ALTERNATE}}, ["system", "user"]),
        ({"detail": ALTERNATE}, ["system", "user"]),
        ({"detail": [{"loc": ["body", "messages", 2, "role"], "msg": "bad role"}]},
         ["system", "user"]),
        ({"message": "After the optional system message, the roles must alternate"},
         ["system", "user"]),
        (b"raise_exception in chat template: roles", ["system", "user"]),
        ({"error": "consecutive user messages are not allowed"}, ["system", "user"]),
        ({"error": {"message": "jinja2.exceptions.TemplateError: bad order"}}, ["system", "user"]),
        ({"error": {"message": "the last message must be by a user"}}, ["system", "user"]),
    ],
)  # fmt: skip
def test_roles_are_put_as_the_server_wants_them(said, roles, status):
    with stub_endpoint(refusal(said, status), Plan(raw=answer(HELLO))) as stub:
        model = Endpoint(stub.url, "m", sleep=lambda _s: pytest.fail("waited"))
        assert heard(model)[0] == heard(model)[0] == "hello"
    asked = [[one["role"] for one in body["messages"]] for body in stub.asked]
    assert asked == [["system", "user", "user"], roles, roles]


@pytest.mark.parametrize("status", [200, 400])
def test_what_is_refused_among_the_events_is_put_otherwise_too(status):
    told_ = [{"error": {"code": 500, "message": ALTERNATE}}, {"error": {"message": "no seed"}}]
    first, second = (
        Plan(raw=answer(b"data: " + told(one) + b"\n\n")) if status == 200 else refusal(one, 400)
        for one in told_
    )
    with stub_endpoint(first, second, Plan(raw=answer(HELLO))) as stub:
        model = Endpoint(stub.url, "m", sleep=lambda _s: pytest.fail("waited"))
        assert heard(model)[0] == "hello"
    assert [len(one["messages"]) for one in stub.asked] == [3, 2, 2]
    assert ["seed" in one for one in stub.asked] == [True, True, False]


@pytest.mark.parametrize(
    "said",
    [
        "system overloaded", "operating system error", "the system is busy",
        "'max_tokens' is too large: 400; the maximum context length is 300",
    ],
)  # fmt: skip
def test_other_complaints_change_nothing(said):
    with stub_endpoint(refusal({"error": {"message": said}}, 400)) as stub:
        with pytest.raises(RejectedError):
            heard(Endpoint(stub.url, "m"))
        assert len(stub.asked) == 1


@pytest.mark.parametrize("n", [300, 470, 900, 960])
@pytest.mark.parametrize("type_", ["text/event-stream", JSON])
def test_what_is_nested_deep_is_one_line(n, type_):
    part = '{"type":"thinking","thinking":['
    parts = '{"choices":[{"delta":{"content":[' + part * (n // 2) + "]}" * (n // 2) + "]}}]}"
    for text in ("[" * n + "]" * n, '{"error":' * n + "1" + "}" * n, '{"a":' * n + "1" + "}" * n,
                 parts, f'{{"choices":{"[" * n + "]" * n}}}'):  # fmt: skip
        raw = text.encode() if type_ == JSON else f"data: {text}\n\n".encode() + END
        with stub_endpoint(Plan(raw=answer(raw, type=type_))) as stub, pytest.raises(ReplyError):
            heard(Endpoint(stub.url, "m", patience=Patience(tries=1)))


def test_an_answer_cut_in_the_middle_of_an_event_broke_off():
    half = END[:30]
    with stub_endpoint(Plan(raw=answer(half)), Plan(raw=answer(HELLO))) as stub:
        assert heard(Endpoint(stub.url, "m", sleep=lambda _s: None))[0] == "hello"
    with stub_endpoint(Plan(raw=answer(words("One"), half))) as stub:
        with pytest.raises(CutOffError, match="broke off"):
            heard(Endpoint(stub.url, "m"))
        assert len(stub.asked) == 1


def test_what_goes_wrong_after_the_end_is_no_part_of_the_reply():
    with stub_endpoint(Plan(raw=answer(words("hello"), END, b"data: oops\n\n", DONE))) as stub:
        assert heard(Endpoint(stub.url, "m"))[0] == "hello"


def test_the_system_text_goes_to_the_user_where_it_has_no_role():
    plan = refusal({"error": {"message": NO_SYSTEM}}, 500)
    with stub_endpoint(plan, plan, Plan(raw=answer(HELLO))) as stub:
        assert heard(Endpoint(stub.url, "m"))[0] == "hello"
    last = stub.asked[-1]["messages"]
    assert last == [{"role": "user", "content": "You are Ada.\n\nBob: a\n\nCay: b"}]


def test_roles_that_suit_it_in_no_shape_end_in_its_own_words():
    with stub_endpoint(refusal({"detail": ALTERNATE}, 400)) as stub:
        with pytest.raises(RejectedError, match="must alternate"):
            heard(Endpoint(stub.url, "m"))
        assert len(stub.asked) == 3
    with stub_endpoint(*[refusal({"detail": ALTERNATE}, 400)] * 3, Plan(raw=answer(HELLO))) as stub:
        model = Endpoint(stub.url, "m")
        with pytest.raises(RejectedError):
            heard(model)
        assert heard(model)[0] == "hello"
    assert [one["role"] for one in stub.asked[-1]["messages"]] == ["system", "user", "user"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"detail": "Invalid API key"}, "401, Invalid API key"),
        ({"detail": [{"loc": ["body", "model"], "msg": "no such"}]}, "401, no such (model)"),
        ({"error": "plain"}, "401, plain"),
        ({"error": {"message": "m", "param": "p"}}, "401, m (p)"),
        ({"message": "top"}, "401, top"),
        ({"title": "Problem", "status": 401}, "401, Problem"),
        ({"errors": [{"message": "one"}, {"message": "two"}]}, "401, one; two"),
        ([{"error": {"message": "listed"}}], "401, listed"),
        (b"<html><head><title>502 Bad Gateway</title></head>", "401, 502 Bad Gateway"),
        (b"<!doctype html><p>", "401, a page of HTML"),
        (b"just text", "401, just text"),
        (b"", "401"),
        (b"[" * 5000, "401, ["),
        ({"detail": {"detail": {"detail": "deep"}}}, "401, deep"),
        (b'{"detail":' * 900 + b'"x"' + b"}" * 900, "401"),
    ],
)  # fmt: skip
def test_the_reason_is_read(body, said):
    with stub_endpoint(refusal(body, 401)) as stub, pytest.raises(RejectedError) as caught:
        heard(Endpoint(stub.url, "m"))
    assert str(caught.value).startswith(said)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'data: {"error": {"message": "overloaded"}}\n\n', "overloaded"),
        (b'data: {"error": "overloaded"}\n\n', "overloaded"),
        (b'data: {"detail": "overloaded"}\n\n', "overloaded"),
        (b'data: {"object": "error", "message": "overloaded", "code": 400}\n\n', "overloaded"),
        (b'event: error\ndata: {"message": "overloaded"}\n\n', "overloaded"),
        (event({}, "error"), "ended with an error"),
    ],
)
def test_an_error_among_the_events(raw, said):
    with stub_endpoint(Plan(raw=answer(raw))) as stub, pytest.raises(RejectedError, match=said):
        heard(Endpoint(stub.url, "m"))
    with stub_endpoint(Plan(raw=answer(words("One"), raw))) as stub:
        with pytest.raises(CutOffError, match=said) as caught:
            heard(Endpoint(stub.url, "m"))
        assert caught.value.text == "One"


def test_what_broke_off_says_what_it_took():
    raw = answer(words("One two"), event({"content": "!"}, usage=USAGE))
    with stub_endpoint(Plan(raw=raw)) as stub, pytest.raises(CutOffError) as caught:
        heard(Endpoint(stub.url, "m", prices={"m": (1e6, 2e6)}))
    assert caught.value.usage == Usage(3, 1, 5.0, "broken off")


# --- time, size and stopping ----------------------------------------------------------------------

HEAD = answer()[0]
ERROR = answer(status=500, type=JSON)[0]
TYPED = answer(type=JSON)[0]
SILENT: dict[str, Callable[[], Plan]] = {
    "never answers": lambda: Plan(raw=[], hold=20),
    "drips its head": lambda: Plan(raw=dripped([HEAD[:16], b"X: a\r\n"]), between=0.02),
    "drips events": lambda: Plan(raw=dripped([HEAD, b": ping\n\n"]), between=0.02),
    "floods keep-alives": lambda: Plan(raw=itertools.chain([HEAD], itertools.repeat(b": x\n"))),
    "drips a line": lambda: Plan(raw=dripped([HEAD, b"data: xxxx"]), between=0.02),
    "drips JSON": lambda: Plan(raw=dripped([TYPED, b"{     "]), between=0.02),
    "drips spaces": lambda: Plan(raw=dripped([TYPED, b"     "]), between=0.02),
    "drips an error": lambda: Plan(raw=dripped([ERROR, b"no "]), between=0.02),
    "stops in its body": lambda: Plan(raw=[TYPED, b'{"choices": ['], hold=20),
    "drips empty pieces": lambda: Plan(raw=(x for x in itertools.chain([HEAD],
                                       itertools.repeat(event({})))), between=0.02),
    "drips words": lambda: Plan(raw=(x for x in itertools.chain([HEAD],
                                itertools.repeat(words("a")))), between=0.02),
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_the_deadline_holds_whatever_it_does(name):
    with stub_endpoint(SILENT[name]()) as stub, within(SHORT.total):
        kind = RejectedError if name == "drips an error" else TooLateError
        kind = CutOffError if name == "drips words" else kind
        with pytest.raises(kind, match=r"500, no no|waited for"):
            heard(Endpoint(stub.url, "m", patience=SHORT))


@pytest.mark.parametrize("name", SILENT)
def test_a_stop_ends_it_whatever_it_does(name):
    stop = threading.Event()
    with stub_endpoint(SILENT[name]()) as stub, stoppable(stop.is_set):
        threading.Timer(0.1, stop.set).start()
        with within(0.1), pytest.raises((StoppedError, CutOffError), match="it was stopped"):
            heard(Endpoint(stub.url, "m", patience=Patience()))


def test_a_stop_ends_the_wait_before_another_try():
    stop = threading.Event()
    plan = Plan(status=503, headers={"Retry-After": "20"})
    with stub_endpoint(plan) as stub, stoppable(stop.is_set):
        threading.Timer(0.1, stop.set).start()
        with within(0.1), pytest.raises(StoppedError):
            heard(Endpoint(stub.url, "m"))


@pytest.fixture
def lost_name(monkeypatch):
    """A name that is looked up for ever."""
    over, real = threading.Event(), socket.getaddrinfo

    def look_up(host, *more, **named):
        if host == "lost.example":
            over.wait(20)
            raise socket.gaierror("over")
        return real(host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    yield "http://lost.example"
    over.set()


def test_a_name_that_is_never_found(lost_name):
    with within(0.3), pytest.raises(ReplyError, match="waited for"):
        heard(Endpoint(lost_name, "m", patience=SHORT))
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with stoppable(stop.is_set), within(0.1), pytest.raises(StoppedError):
        heard(Endpoint(lost_name, "m"))


def test_all_tries_together_have_one_deadline():
    patience = Patience(total=0.5, tries=50, wait=0.2, longest_wait=0.2)
    with stub_endpoint(Plan(status=500)) as stub, within(0.5), pytest.raises(ReplyError):
        heard(Endpoint(stub.url, "m", patience=patience))
    assert len(stub.asked) < 10


def test_it_accepts_and_closes():
    with stub_endpoint(Plan(raw=[])) as stub, pytest.raises(ReplyError):
        heard(Endpoint(stub.url, "m", patience=Patience(tries=2, wait=0.01)))
    assert len(stub.asked) == 2


def packed(piece: bytes) -> Iterator[bytes]:
    """A packed answer that unpacks to a thousand times its size."""
    pack = zlib.compressobj(9, wbits=31)
    for _ in range(200):
        yield pack.compress(piece)


MIB = bytes(1 << 20)
GZIP = "Content-Encoding: gzip\r\n"
LARGE: dict[str, Callable[[], Iterator[bytes]]] = {
    "a line without an end": lambda: itertools.chain([HEAD, b"data: "], itertools.repeat(MIB)),
    "an event without an end": lambda: itertools.chain(
        [HEAD], itertools.repeat(b"data: x\n" * 100_000)
    ),
    "JSON without an end": lambda: itertools.chain([TYPED, b'{"a": "'], itertools.repeat(MIB)),
    "a packed line": lambda: itertools.chain(answer(b"", more=GZIP), packed(b"data:" + MIB)),
    "packed JSON": lambda: itertools.chain(answer(b"", type=JSON, more=GZIP), packed(b"{" + MIB)),
    "packed comments": lambda: itertools.chain(
        answer(b"", more=GZIP), packed(b": " + MIB.replace(b"\0", b"x") + b"\n")
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_too_large_is_not_read_to_its_end(name):
    with (
        stub_endpoint(Plan(raw=LARGE[name]())) as stub,
        within(10),
        pytest.raises(GarbledError, match=r"over|exceeded"),
    ):
        heard(Endpoint(stub.url, "m"))


def test_an_error_without_an_end_is_read_to_its_beginning():
    raw = itertools.chain([ERROR.replace(b"500", b"400"), b"no, "], itertools.repeat(b"x" * 65536))
    with (
        stub_endpoint(Plan(raw=raw)) as stub,
        within(2),
        pytest.raises(RejectedError, match="400, no, x") as caught,
    ):
        heard(Endpoint(stub.url, "m"))
    assert len(str(caught.value)) < 300


def test_any_call_can_be_waited_for():
    assert call_with_timeout(lambda: 5, 1.0, "x") == 5
    with pytest.raises(ZeroDivisionError):
        call_with_timeout(lambda: 1 // 0, 1.0, "x")
    over = threading.Event()
    with within(0.1), pytest.raises(TooLateError, match=r"ddgs: nothing came within 0\.1 s"):
        call_with_timeout(over.wait, 0.1, "ddgs")
    with stoppable(lambda: True), within(0), pytest.raises(StoppedError):
        call_with_timeout(over.wait, 20.0, "x")
    over.set()
