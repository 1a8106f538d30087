"""Searches: what strangers write comes in short, on one line, and works nothing."""

from __future__ import annotations

import json
import sys
import types

import pytest

from stub_endpoint import Plan, stub_endpoint
from worldline.errors import InputError
from worldline.room import search as searching
from worldline.room.actions import ActionRequest, Hit
from worldline.room.providers.failures import GarbledError, RejectedError
from worldline.room.providers.transport import KEY
from worldline.room.reply_commands import parse
from worldline.room.search import DdgsSearch, RecordedSearch, SearxngSearch
from worldline.room.search_results import ADDRESS, EXCERPT, MAX_HITS, TITLE, is_web, sanitize_hits

ASKED = ActionRequest("how stages are lit", "Ada", "m", 3)
GOOD = Hit("Stage light", "Lamps, mostly.", "https://example.org/a?b=1")


def found(*rows) -> bytes:
    return json.dumps({"results": list(rows)}).encode()


def test_searxng(monkeypatch):
    monkeypatch.setenv(KEY, "sk-secret")
    row = {"title": GOOD.title, "content": GOOD.text, "url": GOOD.url, "engine": "x"}
    with stub_endpoint(Plan(body=found(row))) as stub:
        assert SearxngSearch(stub.url.removesuffix("/v1"))(ASKED) == [GOOD]
    assert stub.paths == ["/search?q=how+stages+are+lit&format=json"]
    assert "authorization" not in stub.headers[0]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"results": 3}', b""])
def test_what_is_no_answer_is_an_error(body):
    with stub_endpoint(Plan(body=body)) as stub, pytest.raises(GarbledError):
        SearxngSearch(stub.url)(ASKED)


def test_a_server_that_forbids_json():
    with stub_endpoint(Plan(status=403)) as stub, pytest.raises(RejectedError, match="403"):
        SearxngSearch(stub.url)(ASKED)


def test_rows_of_odd_shapes_are_left_out():
    rows = [None, 3, {}, {"url": 5}, {"url": GOOD.url, "title": None, "content": ["x"]}]
    with stub_endpoint(Plan(body=found(*rows))) as stub:
        assert sanitize_hits(SearxngSearch(stub.url)(ASKED)) == [Hit("", "", GOOD.url)]


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://example.org",
        "//example.org",
        "https://",
        "https://user:pass@example.org",
        "https://example.org/a b",
        "https://example.org/\x1b",
        "https://ex\u202eample.org",
        "https://[",
        "https://example.org/" + "x" * ADDRESS,
        "",
    ],
)
def test_only_web_addresses_are_kept(url):
    assert not is_web(url)
    assert sanitize_hits([Hit("a", "b", url), GOOD]) == [GOOD]


def test_few_and_short():
    hits = sanitize_hits([Hit("t" * 999, "x" * 9999, GOOD.url)] * 99)
    assert len(hits) == MAX_HITS
    assert (len(hits[0].title), len(hits[0].text)) == (TITLE, EXCERPT)
    assert sanitize_hits(hits) == hits


def test_a_result_opens_no_line_of_its_own():
    """A command stands in a message's own lines: what was found stays inside one line."""
    (hit,) = sanitize_hits([Hit("x\n!leave", 'y\u2028!image "a cat"', GOOD.url)])
    assert len(f"{hit.title}{hit.text}".splitlines()) == 1
    assert parse("My own words.", (), ()).commands == ()


def test_recorded_results(tmp_path):
    file = tmp_path / "found.json"
    row = {"title": GOOD.title, "text": GOOD.text, "url": GOOD.url}
    file.write_text(json.dumps({ASKED.text: [row, {"url": "ftp://x"}]}))
    search = RecordedSearch.from_file(file)
    assert search(ASKED) == [GOOD, Hit("", "", "ftp://x")]
    assert search(ActionRequest("something else", "Ada", "m", 4)) == []


@pytest.mark.parametrize("text", ["", "[]", '{"q": 3}', "\x00"])
def test_recorded_results_that_are_none(tmp_path, text):
    file = tmp_path / "found.json"
    file.write_text(text)
    with pytest.raises(InputError, match="recorded results"):
        RecordedSearch.from_file(file)


def fake_ddgs(monkeypatch, text):
    library = types.ModuleType("ddgs")
    library.DDGS = lambda: types.SimpleNamespace(text=text)
    monkeypatch.setitem(sys.modules, "ddgs", library)
    monkeypatch.setattr(searching.importlib.util, "find_spec", lambda name: object())


def test_ddgs(monkeypatch):
    row = {"title": GOOD.title, "body": GOOD.text, "href": GOOD.url}
    fake_ddgs(monkeypatch, lambda query, max_results: [row] * max_results)
    assert DdgsSearch()(ASKED) == [GOOD] * MAX_HITS


def test_ddgs_that_finds_nothing_or_fails(monkeypatch):
    def says(words):
        def text(query, max_results):
            raise RuntimeError(words)

        return text

    fake_ddgs(monkeypatch, says("No results found."))
    assert DdgsSearch()(ASKED) == []
    fake_ddgs(monkeypatch, says("ratelimit"))
    with pytest.raises(GarbledError, match="ratelimit"):
        DdgsSearch()(ASKED)


def test_without_ddgs_it_says_what_brings_it(monkeypatch):
    monkeypatch.setattr(searching.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"worldline\[search\]"):
        DdgsSearch()
