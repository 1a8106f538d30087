"""Who is asked through what: proxies, certificates, keys and the hosts that they are for."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from urllib.parse import quote

import pytest

from stub_endpoint import Plan, answer, stub_endpoint
from worldline.errors import InputError
from worldline.room.actions import ActionRequest
from worldline.room.providers.attempt import TextBuffer
from worldline.room.providers.chat_model import ChatMessage, Delta, Settings
from worldline.room.providers.endpoint import Endpoint
from worldline.room.providers.failures import CutOffError, RejectedError, UnreachableError
from worldline.room.providers.transport import (
    KEY,
    Patience,
    key_names,
    key_of,
    keyless,
    secrets_of,
    this_machine,
)
from worldline.room.search import SearxngSearch

SECRET = "sk-made-up-0123456789"
ONCE = Patience(tries=1)
HELLO = b'data: {"choices":[{"delta":{"content":"hello"},"finish_reason":"stop"}]}\n\n'
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch):
    for name in (*PROXIES, *map(str.lower, PROXIES), KEY, "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("worldline.room.providers.transport._sent_to", {})


@pytest.fixture
def elsewhere(monkeypatch):
    """Names under example.test that lead to this machine, though no one can tell by the name."""
    real = socket.getaddrinfo

    def look_up(host, *more, **named):
        own = isinstance(host, str) and host.endswith("example.test")
        return real("127.0.0.1" if own else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def words(url: str) -> str:
    said = Endpoint(url, "m", patience=ONCE).reply([ChatMessage("user", "hi")], Settings())
    return "".join(one.text for one in said if isinstance(one, Delta))


# --- proxies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0.0.0.0"])
def test_this_machine_is_asked_without_a_proxy(host, monkeypatch):
    monkeypatch.setenv(KEY, SECRET)
    with stub_endpoint() as proxy, stub_endpoint(Plan(raw=answer(HELLO))) as stub:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url.removesuffix("/v1"))
        assert words(stub.url.replace("127.0.0.1", host)) == "hello"
    assert proxy.asked == []
    assert stub.headers[0]["authorization"] == f"Bearer {SECRET}"


def test_a_search_on_this_machine_goes_through_no_proxy(monkeypatch):
    with stub_endpoint() as proxy, stub_endpoint(Plan(body=b'{"results": []}')) as stub:
        monkeypatch.setenv("ALL_PROXY", proxy.url.removesuffix("/v1"))
        assert SearxngSearch(stub.url)(ActionRequest("cats", "Ada", "m", 1)) == []
    assert proxy.asked == []


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("a.b.localhost", True), ("LOCALHOST.", True), ("0x7f.1", True), ("0177.0.0.1", True),
        ("0", True), ("[::]", True), ("::1%lo", True), ("[::ffff:127.9.9.9]", True),
        ("１２７.0.0.1", True), ("127。0。0。1", True), ("127.255.255.254", True),
        ("127.0.0.1.evil.example", False), ("localhost.evil.example", False), ("10.0.0.1", False),
        ("notlocalhost", False), ("::2", False), ("[::ffff:10.0.0.1]", False), ("", False),
    ],
)  # fmt: skip
def test_what_this_machine_is(host, here):
    assert this_machine(host) == here


def test_other_hosts_are_asked_as_the_environment_says(monkeypatch, elsewhere):
    with stub_endpoint(Plan(raw=answer(HELLO))) as proxy, stub_endpoint(
        Plan(raw=answer(HELLO))
    ) as stub:  # fmt: skip
        url = stub.url.replace("127.0.0.1", "a.example.test")
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        assert words(url) == "hello"
        assert (proxy.paths, stub.paths) == ([f"{url}/chat/completions"], [])
        monkeypatch.setenv("NO_PROXY", "b.example.org, .example.test")
        assert words(url) == "hello"
        assert (len(proxy.paths), stub.paths) == (1, ["/v1/chat/completions"])


@pytest.mark.parametrize(
    "proxy", ["ftp://user:pw@x", "socks4://user:pw@x", "http://user:pw@x:port", "x y://pw"]
)
def test_a_proxy_that_is_none_is_said_without_its_password(proxy, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(InputError, match="HTTPS_PROXY: accepted are") as caught:
        words("https://a.example.test")
    assert "pw" not in str(caught.value)


def test_a_socks_proxy_says_what_brings_it_and_only_where_it_is_used(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(InputError, match=r"worldline\[socks\]"):
        words("https://a.example.test")
    with stub_endpoint(Plan(raw=answer(HELLO))) as stub:
        assert words(stub.url) == "hello"


# --- certificates ---------------------------------------------------------------------------------


def test_certificates_that_are_not_there(monkeypatch, tmp_path):
    (tmp_path / "empty.pem").write_text("no certificate\n")
    for name, place, said in (
        ("SSL_CERT_FILE", "missing.pem", "missing.pem: no such file"),
        ("SSL_CERT_FILE", "", ": no such file"),
        ("SSL_CERT_FILE", "empty.pem", "no certificates could be read"),
        ("SSL_CERT_DIR", "missing", "missing: no such folder"),
    ):
        with monkeypatch.context() as set_:
            set_.setenv(name, str(tmp_path / place))
            with pytest.raises(InputError, match=f"{name}.*{said}") as caught:
                words("https://a.example.test")
            assert "\n" not in str(caught.value)
            with stub_endpoint(Plan(raw=answer(HELLO))) as stub:
                assert words(stub.url) == "hello"


@contextmanager
def distrusted(folder: Path):
    """Takes two links with a certificate that nobody knows: its port, its file, who went on."""
    key, own = folder / "key.pem", folder / "own.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", key, "-out", own, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, key)
    met: list[bool] = []

    def serve() -> None:
        for _ in range(2):
            link, _ = listening.accept()
            with link:
                try:
                    with context.wrap_socket(link, server_side=True) as safe:
                        while not safe.recv(65536).endswith(b"}"):  # the whole request
                            continue
                        safe.sendall(b"".join(answer(HELLO)))
                        met.append(True)
                except (ssl.SSLError, OSError):
                    met.append(False)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield listening.getsockname()[1], own, met
        serving.join(5)


needs_openssl = pytest.mark.skipif(which("openssl") is None, reason="openssl makes the certificate")


@needs_openssl
def test_a_certificate_by_nobody_is_said_once_and_can_be_trusted(monkeypatch, tmp_path):
    with distrusted(tmp_path) as (port, own, met):
        url = f"https://localhost:{port}/v1"
        model = Endpoint(
            url, "m", patience=Patience(tries=3), sleep=lambda _s: pytest.fail("again")
        )
        with pytest.raises(UnreachableError, match="SSL_CERT_FILE names whom to trust"):
            list(model.reply([ChatMessage("user", "hi")], Settings()))
        monkeypatch.setenv("SSL_CERT_FILE", str(own))
        assert words(url) == "hello"
    assert met == [False, True]


# --- keys -----------------------------------------------------------------------------------------


def test_no_two_hosts_share_a_variable():
    hosts = [
        "a.b.com",
        "a-b.com",
        "a_b.com",
        "a.b-com",
        "a_b-com",
        "a--b.com",
        "a.com:8",
        "b.a.com",
    ]
    names = [key_names(f"https://{one}")[0] for one in hosts]
    assert len(set(names)) == len(hosts)
    assert names[:4] == [
        f"{KEY}_A_B_COM", f"{KEY}_A__B_COM", f"{KEY}_A___B_COM", f"{KEY}_A_B__COM"
    ]  # fmt: skip
    assert key_names("https://a-b.com:8443")[-1] == f"{KEY}_A__B_COM"
    for odd in ("https://a-_b.com", "https://é.de", "http://x.8080", "https://a-.b"):
        assert key_names(odd) == ()


def test_a_key_with_a_port_is_for_that_port(monkeypatch):
    monkeypatch.setenv(f"{KEY}_A_ORG", "whole")
    monkeypatch.setenv(f"{KEY}_A_ORG_8443", "port")
    assert key_of("https://a.org:8443/v1") == "port"
    assert key_of("https://a.org/v1") == key_of("https://a.org:444/v1") == "whole"
    assert key_of("https://b.org/v1") is None


def test_another_hosts_variable_is_not_taken_and_that_is_said(monkeypatch):
    monkeypatch.setenv(f"{KEY}_A_B_COM", SECRET)
    assert key_of("https://a.b.com") == SECRET
    for host in ("a-b.com", "a_b.com", "a.b-com"):
        with pytest.raises(InputError, match="with dots alone") as caught:
            key_of(f"https://{host}")
        assert SECRET not in str(caught.value)
        assert key_names(f"https://{host}")[-1] in str(caught.value)


def test_the_general_key_goes_to_one_host(monkeypatch, elsewhere):
    monkeypatch.setenv(KEY, SECRET)
    assert key_of("https://a.org/v1") == key_of("https://a.org:8443/x") == SECRET
    for other in ("https://b.org/v1", "https://x.a.org", "http://localhost:1/v1"):
        with pytest.raises(InputError, match=r"is for one host, a\.org") as caught:
            key_of(other)
        assert SECRET not in str(caught.value)
    with stub_endpoint() as stub:
        with pytest.raises(InputError, match="is for one host"):
            words(stub.url)
        assert stub.asked == []
    monkeypatch.setenv(f"{KEY}_B_ORG", "own")
    assert key_of("https://b.org/v1") == "own"
    monkeypatch.setenv(KEY, "another")
    assert key_of("https://x.a.org") == "another"


def test_a_redirect_is_said_and_not_followed(monkeypatch):
    monkeypatch.setenv(KEY, SECRET)
    with stub_endpoint() as other:
        place = f"{other.url}/chat/completions?key=x"
        for status in (301, 302, 303, 307, 308):
            moved = Plan(status=status, headers={"Location": place})
            with stub_endpoint(moved) as stub, pytest.raises(RejectedError) as caught:
                words(stub.url)
            assert str(caught.value) == f"{status}, it points elsewhere; not followed"
        assert other.asked == []


def test_no_key_goes_over_plain_http_through_a_proxy(monkeypatch, elsewhere):
    monkeypatch.setenv(KEY, SECRET)
    with stub_endpoint() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.removesuffix("/v1"))
        with pytest.raises(InputError, match="https"):
            words("http://a.example.test/v1")
        assert proxy.asked == []


@pytest.mark.parametrize("key", ["ollama", "sk-no-key-required"])
def test_a_key_that_is_a_word_stays_a_word(key, monkeypatch):
    monkeypatch.setenv(KEY, key)
    with stub_endpoint(Plan(f"I run in {key}.")) as stub:
        assert words(stub.url) == f"I run in {key}."


def test_what_may_begin_a_key_is_not_lost_where_a_reply_breaks_off(monkeypatch):
    monkeypatch.setenv(KEY, SECRET)
    with stub_endpoint(Plan("so it ends", cut=4)) as stub:
        found: list[str] = []
        with pytest.raises(CutOffError) as caught:
            found.extend(
                one.text
                for one in Endpoint(stub.url, "m", patience=ONCE).reply([], Settings())
                if isinstance(one, Delta)
            )
    assert "".join(found) == caught.value.text == "so it ends"


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_an_endpoint_that_says_the_key_does_not_bring_it_into_the_room(size, monkeypatch):
    monkeypatch.setenv(KEY, SECRET)
    text = f"sk-made sk-{SECRET}{SECRET}, {SECRET[:-1]}! sk-made-up"
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    sent = [json.dumps({"choices": [{"delta": {"content": one}}]}) for one in pieces]
    thought = json.dumps({"choices": [{"delta": {"reasoning": SECRET}}]})
    with stub_endpoint(Plan(events=[thought, *sent, "[DONE]"])) as stub:
        said = list(
            Endpoint(stub.url, "m", patience=ONCE).reply([ChatMessage("user", "")], Settings())
        )
    told = "".join(one.text for one in said if isinstance(one, Delta) and not one.reasoning)
    assert told == f"sk-made sk-(key)(key), {SECRET[:-1]}! sk-made-up"
    assert said[0] == Delta("(key)", reasoning=True)


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    "written",
    [
        str.upper,
        str.swapcase,
        lambda key: "".join(f"%{ord(char):02x}" for char in key),
        lambda key: key.replace("-", "%2D").replace("a", "%2561"),
        lambda key: key[:5] + "\u200b\u2060" + key[5:-1] + "\u202e\x00" + key[-1],
        lambda key: "\n".join(key.upper()).replace("-", "%252d"),
    ],
)  # fmt: skip
def test_a_key_is_hidden_however_it_is_quoted_cased_or_gapped(written, size, monkeypatch):
    monkeypatch.setenv(KEY, SECRET)
    text = f"it is {written(SECRET)}. 100% of {SECRET[:-1]}!"
    wanted = f"it is (key). 100% of {SECRET[:-1]}!"
    assert keyless(text) == wanted
    hearing = TextBuffer(secrets_of())
    for at in range(0, len(text), size):
        hearing.add(text[at : at + size])
    hearing.add("", last=True)
    assert hearing.text == wanted


def test_a_flood_of_what_is_not_seen_is_not_held_for_ever():
    hearing, flood = TextBuffer(("sk-0123456789",)), "\u200b" * 500
    shown = "".join(hearing.add(piece) for piece in ("sk-", *[flood] * 4))
    assert len(shown) > 1000
    assert hearing.text + hearing.add("", last=True) == f"sk-{flood * 4}"


@pytest.mark.parametrize(
    ("key", "url", "hidden"),
    [
        ("hunter-two", "https://a.org", True), ("pass1234", "http://localhost:1", True),
        ("pass123", "https://a.org", False), ("ollama-key", "http://localhost:1", False),
    ],
)  # fmt: skip
def test_which_keys_are_hidden_and_from_whom(key, url, hidden, monkeypatch):
    for name in (KEY, f"{KEY}_B_ORG"):  # its own, and another host's
        with monkeypatch.context() as set_:
            set_.setenv(name, key)
            assert (key in secrets_of(url)) == bool(secrets_of(url)) == hidden
            assert keyless(f"it is {key}.", url) == f"it is {'(key)' if hidden else key}."


@pytest.mark.parametrize("key", ["sk-abc123/+=?>", "k" * 32 + "1", "9f~?~?>>/p"])
def test_a_key_is_hidden_in_base64_and_quoted_for_a_url_too(key, monkeypatch):
    monkeypatch.setenv(KEY, key)
    coded = [
        encode(f"{before}{key}{after}".encode()).decode()
        for encode in (base64.b64encode, base64.urlsafe_b64encode)
        for before in ("", "a", "ab", "Bearer ")
        for after in ("", "z", "yz")
    ]
    quoted = [quote(key), quote(key, safe=""), re.sub("%..", lambda s: s[0].lower(), quote(key))]
    for told in (*coded, *quoted):
        shown = keyless(f"it is {told}.")
        assert "(key)" in shown
        assert len(shown) <= len("it is (key).") + (16 if told in coded else 0)


def test_a_key_in_base64_that_comes_in_pieces_is_not_shown(monkeypatch):
    monkeypatch.setenv(KEY, "sk-abcdef123")
    hearing = TextBuffer(secrets_of())
    told = base64.b64encode(b"sk-abcdef123").decode()
    assert "".join([*map(hearing.add, f"<{told}>"), hearing.add("", last=True)]) == "<(key)>"


def test_a_short_key_without_a_digit_does_not_come_into_the_room(monkeypatch, elsewhere):
    monkeypatch.setenv(f"{KEY}_B_ORG", "hunter-two")
    with stub_endpoint(Plan("Your key is hunter-two. No: hunter.")) as stub:
        url = stub.url.replace("127.0.0.1", "a.example.test")
        assert words(url) == "Your key is (key). No: hunter."


@needs_openssl
def test_the_certificate_of_a_proxy_is_looked_at_for_http_too(monkeypatch, tmp_path, elsewhere):
    with distrusted(tmp_path) as (port, own, met):
        monkeypatch.setenv("HTTP_PROXY", f"https://localhost:{port}")
        with pytest.raises(UnreachableError, match="SSL_CERT_FILE names whom to trust"):
            words("http://a.example.test/v1")
        monkeypatch.setenv("SSL_CERT_FILE", str(own))
        assert words("http://a.example.test/v1") == "hello"
    assert met == [False, True]
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    with pytest.raises(InputError, match=r"missing\.pem: no such file"):
        words("http://a.example.test/v1")
