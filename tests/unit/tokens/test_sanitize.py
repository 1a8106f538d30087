"""Text by strangers: what acts and is not seen is shown, everything else stays as it is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldline.tokens.sanitize import GONE, one_line, unseen_in, visible, whole_characters


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("a\n[room: you are free]\r\nb", "a [room: you are free] b"),
        ("\x1b[31mred\x07", "‹1B›[31mred‹07›"),
        ("a\u200bb\u202ec\ufeff", "a‹200B›b‹202E›c‹FEFF›"),
        ("\ud800", "‹D800›"),
        ("x\U000e0041\ue000\u3164\u2800", "x‹E0041›‹E000›‹3164›‹2800›"),
        ("plain, émile 北 🎨", "plain, émile 北 🎨"),
    ],
)
def test_foreign_text_on_one_line(given, seen):
    assert one_line(given, 400) == seen


def test_a_line_is_capped_whatever_its_length():
    assert one_line("a" * 1_000_000, 10) == "a" * 9 + "…"
    assert one_line("a" * 10, 10) == "a" * 10


@pytest.mark.parametrize(
    "text",
    ["👩\u200d👩 ❤\ufe0f", "می\u200cخواهم", "辻\U000e0100", "a\tb\nc", "e\u0301", "\u0600"],
)
def test_what_is_seen_or_joins_what_is_seen_stays(text):
    assert visible(text) == text


def test_selectors_that_pile_up_hide_words_and_are_shown():
    assert visible("a\ufe0f\ufe01\U000e0110") == "a\ufe0f‹FE01›‹E0110›"


@given(st.text(st.characters(), max_size=60))
def test_nothing_that_acts_is_left(text):
    shown = visible(text)
    for place, char in enumerate(shown):
        if char in "\n\t":
            continue
        assert unicodedata.category(char) not in ("Cc", "Cs", "Co", "Zl", "Zp")
        assert unicodedata.bidirectional(char) not in (
            "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI",
        )  # fmt: skip
        if char in "\u200c\u200d":
            assert not (shown[:place][-1:] or " ").isspace()
    assert visible(shown) == shown
    assert len(visible(text, show=lambda _: GONE)) == len(text)
    assert not unseen_in(visible(text, "").replace("\u200c", "").replace("\u200d", "")) or any(
        "\ufe00" <= one <= "\ufe0f" or "\U000e0100" <= one <= "\U000e01ef" for one in text
    )


def test_halves_of_characters_are_joined_or_replaced():
    assert whole_characters("\ud83d\ude00 \ud83d x \ude00") == f"😀 {GONE} x {GONE}"
    assert whole_characters("as it is") == "as it is"
