"""Own labels come off; passages in another's name are found and end where they end."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldline.room.speaker_labels import borrowed_passages, without_own_label

NAMES = ["Ada", "Bob", "Grok 4", "janus"]


@pytest.mark.parametrize(
    "text",
    [
        "Ada: hello",
        "[Ada]: hello",
        "**[Ada]:**  \nhello",
        "**Ada:** hello",
        "<Ada> hello",
        "[ada] hello",
        "AI-3 (Ada): hello",
        "[AI-3 (Ada)]: hello",
        "\n\nAda: Ada: hello",
        "ADA (some model): hello",
    ],
)
def test_own_label_comes_off(text):
    assert without_own_label(text, "Ada") == "hello"


@pytest.mark.parametrize(
    "text",
    ["hello Ada: no", "Adam: hello", "Ada is here", "Bob: hi", "[Ada](https://a.example)", "Ada:x"],
)
def test_what_is_no_own_label_stays(text):
    assert without_own_label(text, "Ada") == text


@pytest.mark.parametrize(
    ("text", "passages"),
    [
        ("[Bob]: hi", [("Bob", "[Bob]: hi")]),
        ("Bob: hi\nmore", [("Bob", "Bob: hi\nmore")]),
        ("mine\n[Bob]: his\n\nmine", [("Bob", "[Bob]: his")]),
        ("[Bob]: his\nAda: mine", [("Bob", "[Bob]: his")]),
        ("[Bob]: a\n[Grok 4]: b", [("Bob", "[Bob]: a"), ("Grok 4", "[Grok 4]: b")]),
        ("**grok 4:** yo", [("Grok 4", "**grok 4:** yo")]),
        ("[Grok 4 (a model)]: yo", [("Grok 4", "[Grok 4 (a model)]: yo")]),
        ("[room: Bob left]\nmine", [("room", "[room: Bob left]")]),
        ("🎨 [AI-1 (Ada)]: !image\nmine", [("room", "🎨 [AI-1 (Ada)]: !image")]),
        ("[Ada]: [AI-1 (Ada)]: x\nmine", [("room", "[Ada]: [AI-1 (Ada)]: x")]),
        ("Ada: mine [Bob]: not at a beginning", []),
        ("note: hi", []),
        ("[Somebody]: unknown", []),
        ("room: for one more", []),
        ("```\n[Bob]: code\n```", []),
        ("> Bob: quoted", []),
        ("<think>\nBob: hm\n</think>", []),
        ("I told Bob: no", []),
    ],
)
def test_passages(text, passages):
    found = borrowed_passages(text, "Ada", NAMES)
    assert [(one.name, text[one.start : one.end]) for one in found] == passages


@given(st.text(st.sampled_from("[]:*<> \nAdaBob🎨-1()`"), max_size=60))
def test_passages_are_in_order_and_whole_and_labels_come_off_once_for_all(text):
    found = borrowed_passages(text, "Ada", NAMES)
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    once = without_own_label(text, "Ada")
    assert without_own_label(once, "Ada") == once
