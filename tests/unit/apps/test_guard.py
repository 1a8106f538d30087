"""Who may ask: every refusal by itself, before the application sees a request."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from asgi import HOST, call, send_request
from worldline.apps.server import access as guard_
from worldline.apps.server.access import HEADERS, Guard, Rate, loopback
from worldline.errors import InputError

TOKEN = "abcDEF123-_"
HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


class Echo:
    """An application that notes what reached it."""

    def __init__(self):
        self.bodies: list[bytes] = []
        self.scopes: list[str] = []

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope["type"])
        if scope["type"] != "http":
            return
        message = await receive()
        assert not message["more_body"]
        self.bodies.append(message["body"])
        start = {"type": "http.response.start", "status": 200, "headers": [(b"X-Own", b"1")]}
        await send(start)
        await send({"type": "http.response.body", "body": b"reached"})


@pytest.fixture
def echo():
    return Echo()


def guarded(echo, token=None, rate=None) -> Guard:
    return Guard(echo, HOSTS, token, rate or Rate())


def refused(echo, got, status: int, said: str) -> None:
    """Not let through, said in one line, with every header."""
    assert got.status == status
    assert said in got.message
    assert "\n" not in got.message
    assert got.headers["content-type"] == "application/json"
    assert int(got.headers["content-length"]) == len(got.body)
    dressed(got)
    assert echo.bodies == []


def dressed(got) -> None:
    for name, value in HEADERS.items():
        assert got.headers[name.lower()] == value


# --- Host -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8765", "127.0.0.1", "localhost:1", "LocalHost:8765", "[::1]:8765", "[::1]"]
)
def test_its_own_names_are_taken_with_any_port(echo, host):
    assert call(guarded(echo), "GET", "/", host=host).body == b"reached"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example:1",
        "127.0.0.1:8765@evil.example", "", "::1", "[::1", "0.0.0.0:8765", "127.0.0.1:x",
        "127.0.0.1:",
        "127.0.0.1:8765:8765", "127.0.0.1 ", "127.0.0.1:²", "\x00", "x" * 50_000,
    ],
)  # fmt: skip
def test_other_names_are_refused(echo, host):
    got = call(guarded(echo), "GET", "/", host=host)
    refused(echo, got, 421, "this server answers as 127.0.0.1, [::1], localhost")
    assert len(got.body) < 1000


def test_no_host_at_all_is_refused(echo):
    refused(echo, call(guarded(echo), "GET", "/", host=None), 421, "Host ''")


# --- Origin and Sec-Fetch-Site --------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "null", "", "http://127.0.0.1", "http://127.0.0.1:3000",
        "http://localhost:8765", "http://127.0.0.1:8765.evil.example", "http://x@127.0.0.1:8765",
        "http://127.0.0.1:8765/", "ftp://127.0.0.1:8765", "file://", "127.0.0.1:8765",
        "http://[::1", "http://[", "http://127.0.0.1:8765 ", "é", "chrome-extension://abc",
    ],
)  # fmt: skip
def test_other_origins_are_refused(echo, origin, method):
    got = call(guarded(echo), method, "/api/about", headers=[("origin", origin)])
    refused(echo, got, 403, "only this server's own page may ask")


@pytest.mark.parametrize("host", [HOST, "localhost:99", "[::1]:8765", "127.0.0.1"])
def test_its_own_origin_is_taken(echo, host):
    got = call(guarded(echo), "POST", "/", host=host, headers=[("origin", f"http://{host}")])
    assert got.status == 200
    got = call(
        guarded(echo), "POST", "/", host=host.upper(), headers=[("Origin", f"http://{host}")]
    )
    assert got.status == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "Same-Origin", "anything"])
def test_another_sites_page_may_not_ask(echo, site):
    for method in ("POST", "DELETE", "PUT", "OPTIONS", "BREW"):
        got = call(guarded(echo), method, "/x", headers=[("sec-fetch-site", site)])
        refused(echo, got, 403, "only this server's own page may ask")


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_its_own_page_may(echo, site):
    got = call(guarded(echo), "POST", "/x", headers=[("sec-fetch-site", site)])
    assert got.status == 200


# --- the token ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}", f"Bearer  {TOKEN}", f"Bearer {TOKEN} ", f"Bearer {TOKEN.lower()}",
        "Bearer é", "Bearer \x00",
        b"Bearer \xff\xfe", "Bearer " + "x" * 60_000, f"Bearer {TOKEN}, Bearer {TOKEN}",
    ],
)  # fmt: skip
def test_without_the_token_nothing_of_the_api_is_told(echo, given):
    headers = [] if given is None else [("authorization", given)]
    for method, target in (("GET", "/api/about"), ("POST", "/api/questions"), ("GET", "/api/")):
        got = call(guarded(echo, TOKEN), method, target, headers=headers)
        refused(echo, got, 401, "a token is needed")
        assert got.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in got.body.decode()


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_opens_the_api(echo, scheme):
    headers = [("authorization", f"{scheme} {TOKEN}")]
    assert call(guarded(echo, TOKEN), "GET", "/api/about", headers=headers).status == 200


def test_the_page_itself_needs_no_token_and_an_encoded_path_no_less(echo):
    assert call(guarded(echo, TOKEN), "GET", "/").status == 200
    assert call(guarded(echo, TOKEN), "GET", "/static/worldline.js").status == 200
    echo.bodies.clear()
    refused(echo, call(guarded(echo, TOKEN), "GET", "/%61pi/about"), 401, "a token")


def test_the_token_is_compared_in_constant_time(echo, monkeypatch):
    """By hmac.compare_digest, on bytes, whatever was given."""
    seen = []

    def compare(one, two):
        seen.append((one, two))
        return one == two

    monkeypatch.setattr(guard_.hmac, "compare_digest", compare)
    call(guarded(echo, TOKEN), "GET", "/api/x", headers=[("authorization", "Bearer wrong")])
    assert seen == [(b"wrong", TOKEN.encode())]


# --- size and time --------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [str((1 << 20) + 1), "9" * 19, "9" * 5000, "-1", "1e3", "x", ""])
def test_a_length_that_is_too_large_or_none_is_refused_unread(echo, length):
    async def never():
        raise AssertionError("it was read")

    got = call(guarded(echo), "POST", "/x", headers=[("content-length", length)])
    refused(echo, got, 413, "accepted are 1,048,576")


def test_a_body_that_grows_too_large_is_cut_off_where_it_does(echo):
    """In pieces and without a length, as `Transfer-Encoding: chunked` comes."""
    read = 0

    def pieces():
        nonlocal read
        for _ in range(64):
            read += 1
            yield bytes(1 << 16)

    got = call(guarded(echo), "POST", "/x", chunks=pieces())
    refused(echo, got, 413, "accepted are 1,048,576")
    got = call(
        guarded(echo), "POST", "/x", headers=[("content-length", "3")], chunks=[bytes(2 << 20)]
    )
    refused(echo, got, 413, "accepted are 1,048,576")


def test_a_body_of_just_the_size_comes_whole(echo):
    parts = [bytes([n]) * (1 << 16) for n in range(16)]
    assert call(guarded(echo), "POST", "/x", chunks=parts).status == 200
    assert echo.bodies == [b"".join(parts)]


def test_a_slow_body_is_not_waited_for(echo, monkeypatch):
    monkeypatch.setattr(guard_, "MOST_BODY_SECONDS", 0.05)
    start = time.monotonic()
    got = call(guarded(echo), "POST", "/x", chunks=[b"x"] * 1000, slow_s=0.02)
    refused(echo, got, 408, "did not come within 0.05 s")
    assert time.monotonic() - start < 10


def test_what_was_sent_by_half_is_not_acted_on(echo):
    async def main():
        return await send_request(guarded(echo), "POST", "/x", chunks=[b"{}"], hangs_up=True)

    assert asyncio.run(main()) is None
    assert echo.bodies == []


# --- rate -----------------------------------------------------------------------------------------


def test_asking_is_limited_reading_is_not(echo, monkeypatch):
    monkeypatch.setattr(guard_.time, "monotonic", lambda: 100.0)
    guard = guarded(echo, rate=Rate(burst=3, per_second=1))
    for method in ("POST", "DELETE", "POST"):
        assert call(guard, method, "/x").status == 200
    echo.bodies.clear()
    got = call(guard, "POST", "/x")
    refused(echo, got, 429, "accepted are 1 a second")
    assert got.headers["retry-after"] == "1"
    assert call(guard, "GET", "/x").status == 200
    assert call(guard, "POST", "/x", address="127.0.0.9").status == 200
    monkeypatch.setattr(guard_.time, "monotonic", lambda: 101.0)
    assert call(guard, "POST", "/x").status == 200
    assert call(guard, "POST", "/x").status == 429


def test_what_is_refused_for_another_reason_takes_nothing_of_the_rate(echo, monkeypatch):
    monkeypatch.setattr(guard_.time, "monotonic", lambda: 100.0)
    guard = guarded(echo, token=TOKEN, rate=Rate(burst=1, per_second=1))
    for _ in range(5):
        assert call(guard, "POST", "/api/x").status == 401
        assert call(guard, "POST", "/x", host="evil.example").status == 421
    assert call(guard, "POST", "/x").status == 200


def test_a_bucket_fills_no_further_than_its_burst_and_few_addresses_are_kept(monkeypatch):
    rate = Rate(burst=2, per_second=100)
    assert rate.allows("a", 0.0)
    assert [rate.allows("a", 1000.0) for _ in range(3)] == [True, True, False]
    monkeypatch.setattr(guard_, "MOST_ADDRESSES", 10)
    for n in range(100):
        rate.allows(f"{n}", 1000.0)
    assert len(rate.allowances) == 10
    assert "99" in rate.allowances


# --- what else comes ------------------------------------------------------------------------------


def test_every_answer_is_dressed_and_what_the_application_says_stays(echo):
    got = call(guarded(echo), "GET", "/")
    dressed(got)
    assert got.headers["x-own"] == "1"

    async def own(_scope, _receive, send):
        headers = [(b"Cache-Control", b"max-age=9")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    got = call(Guard(own, HOSTS, None, Rate()), "GET", "/")
    assert got.headers["cache-control"] == "max-age=9"
    assert got.headers["x-content-type-options"] == "nosniff"


def test_the_policy_lets_nothing_inline_run():
    policy = dict(
        part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'self'"
    assert policy.keys().isdisjoint({"script-src", "style-src", "connect-src"})  # default holds
    assert not re.search(r"unsafe|\*|https?:", HEADERS["Content-Security-Policy"])
    for name in ("object-src", "base-uri", "form-action", "frame-ancestors"):
        assert policy[name] == "'none'"


def test_web_sockets_are_closed_and_the_lifespan_goes_through(echo):
    sent = []

    async def send(message):
        sent.append(message)

    async def main(kind):
        await guarded(echo)({"type": kind, "headers": []}, None, send)

    asyncio.run(main("websocket"))
    assert sent == [{"type": "websocket.close", "code": 1008}]
    assert echo.scopes == []
    asyncio.run(main("lifespan"))
    assert echo.scopes == ["lifespan"]


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("", False), ("localhost.x", False),
        ("127.0.0.1.x", False), ("::ffff:10.0.0.1", False), ("2130706433", False),
    ],
)  # fmt: skip
def test_what_reaches_this_machine_alone(host, alone):
    assert loopback(host) is alone


# --- what stands before the server ----------------------------------------------------------------

BEFORE = frozenset({"box.example", "[2001:db8::1]"})


def forwarded(echo) -> Guard:
    return Guard(echo, HOSTS, TOKEN, Rate(), BEFORE)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("box.example", "https://box.example"),
        ("Box.Example:8443", "https://box.example:8443"),
        ("127.0.0.1:8765", "https://box.example"),  # a proxy that says its own Host
        ("127.0.0.1:8765", "https://box.example:8443"),
        ("[2001:db8::1]:80", "http://[2001:db8::1]:80"),
        ("127.0.0.1:8765", "http://127.0.0.1:8765"),
    ],
)
def test_a_name_that_is_allowed_may_ask(echo, host, origin):
    headers = [("origin", origin), ("authorization", f"Bearer {TOKEN}")]
    assert call(forwarded(echo), "POST", "/api/x", host=host, headers=headers).status == 200
    headers = headers[:1]
    assert call(forwarded(echo), "POST", "/api/x", host=host, headers=headers).status == 401


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("evil.example", None, 421),
        ("box.example.evil.example", None, 421),
        ("x.box.example", None, 421),
        ("box.example", "https://evil.example", 403),
        ("box.example", "https://x.box.example", 403),
        ("127.0.0.1:8765", "https://box.example.evil.example", 403),
        ("127.0.0.1:8765", "https://x@box.example", 403),
        ("127.0.0.1:8765", "ftp://box.example", 403),
        ("127.0.0.1:8765", "http://127.0.0.1:3000", 403),
        ("127.0.0.1:8765", "null", 403),
    ],
)
def test_other_names_stay_refused(echo, host, origin, status):
    headers = [("authorization", f"Bearer {TOKEN}")]
    headers += [("origin", origin)] if origin else []
    assert call(forwarded(echo), "POST", "/api/x", host=host, headers=headers).status == status


@pytest.mark.parametrize(
    "wrong",
    ["*", "*.example.org", "https://a.org", "a.org:80", "a.org/x", "", "a b", "é", "-a.org"],
)
def test_what_is_no_host_is_not_allowed(wrong):
    with pytest.raises(InputError, match="--allow-host"):
        guard_.host_named(wrong)


def test_serve_refuses_what_is_no_host_before_anything_is_loaded(command, monkeypatch):
    monkeypatch.setattr("worldline.apps.cli.serve._listening", lambda *_: pytest.fail("listens"))
    got = command("serve", "--no-browser", "--allow-host", "https://a.org")
    assert got.code == 2
    assert "accepted is a host's name or address" in " ".join(got.err.split())
