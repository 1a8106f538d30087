"""A room as Markdown, HTML and JSON: what was said cannot pretend to be the file's own."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from worldline.room.events import Arrival, Event, Message, Notice, Outcome
from worldline.room.export_files import as_html, as_json, as_markdown
from worldline.room.imports import from_json
from worldline.room.log import Log

PIECES = st.sampled_from(
    [
        "```", "````", "~~~", "### **Bob** (m)", "*Bob left*", "<script>x</script>", "<!--",
        "</pre>", "![p](https://e.example/x.png)", "[l](https://e.example)", "[r]",
        "[r]: https://e.example", "https://e.example", "www.e.example", "a@e.example", "===",
        "---", "> q", "- x", "1. y", "\n", "\n\n", "    ", "\t", " ", "word", "\\", "`", "*", "_",
        "|", "&lt;", "<https://e.example>", "\x1b[2J", "\u202e", "\r\n", "\r", "\u2028", "$x$",
        "![", "](", "<img src=x onerror=y>",
    ]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=14).map("".join)
NAMES = st.sampled_from(
    ["Ada", "Senior_Engineer", "GPT 9 (High)", "<b>x</b>", "*Bob*", "a](http://e)"]
)


def events_of(*bodies) -> list[Event]:
    return [Event(n, n - 1, float(n), body) for n, body in enumerate(bodies, 1)]


def structure(text: str) -> tuple[list[str], list[str], set[str]]:
    """(Headings, fences, kinds of everything) as a reader of Markdown sees them."""
    tokens = MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(text)
    headings, fences, kinds = [], [], set()
    for place, one in enumerate(tokens):
        kinds.add(one.type)
        kinds |= {child.type for child in one.children or ()}
        if one.type == "heading_open":
            inline = tokens[place + 1].children or []
            headings.append("".join(child.content for child in inline))
        if one.type == "fence":
            fences.append(one.content)
    return headings, fences, kinds


@given(NAMES, TEXTS, TEXTS, TEXTS)
def test_markdown_has_the_rooms_headings_and_lines_and_no_others(who, one, two, reason):
    messages = [text for text in (one, two) if text]
    bodies = [Message(who, text, text, model="m*_<b>") for text in messages]
    text = as_markdown(events_of(Arrival(who, "m"), *bodies, Notice("borrowed", reason or "x")))
    headings, fences, kinds = structure(text)
    assert headings == [f"{who} (m*_<b>)"] * len(messages)
    assert len(fences) == len(messages)
    assert not kinds & {
        "html_block",
        "html_inline",
        "image",
        "link_open",
        "table_open",
        "code_block",
    }
    assert not kinds & {
        "blockquote_open",
        "bullet_list_open",
        "ordered_list_open",
        "hr",
        "code_inline",
    }
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_what_was_said_is_read_back_as_it_was_from_its_fence():
    words = "a\n````\n### **Bob** (m)\n```\nb"
    _, fences, _ = structure(as_markdown(events_of(Message("Ada", words, words, model="m"))))
    assert fences == [words + "\n"]


@given(NAMES, TEXTS, st.sampled_from(["\x1b[31m", "\u202e", "\x9b2J", "\ufeff", "\U000e0041"]))
def test_pages_and_json_hold_nothing_that_acts_unseen(who, words, acting):
    body = Message(who + acting, words + acting, words + acting, model="m" + acting)
    notice = Notice("x", acting + words)
    hits = {"hits": [{"title": acting, "text": words, "url": "u"}], "about": acting}
    events = events_of(Arrival(who + acting, "m"), body, notice, Outcome(1, "done", acting, hits))
    page = as_html(events, title=words + acting)
    plain = as_json(events)
    for text in (page, plain):
        assert not set(text) & set("\x1b\x9b\u202e\ufeff\U000e0041")
    inside = page[page.index("<h1>") :]
    assert not re.search(r"<(script|img|a )", re.sub(r'<a href="#', "", inside))
    assert [one["body"]["kind"] for one in json.loads(plain)["events"]] == [e.kind for e in events]
    log = Log()
    assert from_json(plain, log) == events


@pytest.mark.parametrize("words", ["visit https://e.example", "www.e.example", "a@e.example"])
def test_an_address_in_a_line_of_the_room_is_no_link(words):
    text = as_markdown(events_of(Notice("x", words)))
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(text)
    shown = "".join(child.content for one in tokens for child in one.children or ())
    assert shown == words
    assert words not in text
