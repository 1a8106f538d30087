"""Words, sentences and turns: every token in one group, groups of neighbours, nothing lost."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldline.tokens.chat_templates import NamedSpan
from worldline.tokens.tokens import Tokens, tokenize
from worldline.tokens.units import groupings, sentences, turns, words

KINDS = (
    "byte-level",
    "byte-level with BOS",
    "byte-level, NFKC",
    "pieces, BPE",
    "pieces, unigram",
    "slow opaque, NFKC",
)
TEXTS = st.text(max_size=30) | st.text(
    alphabet="the cat Paris. é日本。🎉\n\r\t'\u200d\u0301\u2028<s>9,ﬁ", max_size=40
)


def made(*pieces: str, specials: tuple[int, ...] = (), empty: tuple[int, ...] = ()) -> Tokens:
    """Tokens that are these pieces; those in `empty` stand for no text."""
    spans, at = [], 0
    for pos, piece in enumerate(pieces):
        length = 0 if pos in empty else len(piece)
        spans.append((at, at + length))
        at += length
    n = len(pieces)
    text = "".join(piece for pos, piece in enumerate(pieces) if pos not in empty)
    special = tuple(pos in specials for pos in range(n))
    return Tokens(
        text, (7,) * n, pieces, tuple(spans), tuple(spans), tuple(range(n)), special, True
    )


def shown(grouping, tokens) -> list[str]:
    return [tokens.text[low:high] for low, high in grouping.spans]


def of(grouping) -> str:
    return "".join(map(str, grouping.group_of))


def is_orderly(grouping, tokens) -> None:
    """Covering, contiguous and monotone; spans in order, inside the text, tokens' own."""
    group_of, n = grouping.group_of, grouping.n_groups
    assert len(group_of) == len(tokens)
    assert sorted(set(group_of)) == list(range(n))
    assert all(after - before in (0, 1) for before, after in pairwise(group_of))
    assert len(grouping.names) == n
    assert all(0 <= low <= high <= len(tokens.text) for low, high in grouping.spans)
    assert all(a[0] <= b[0] for a, b in pairwise(grouping.spans))
    for (before, after), (a, b) in zip(pairwise(tokens.groups), pairwise(group_of), strict=True):
        assert before != after or a == b  # the pieces of a character stay together
    for group, (low, high) in enumerate(grouping.spans):
        mine = [s for s, g in zip(tokens.char_spans, group_of, strict=True) if g == group]
        covered = [(a, b) for a, b in mine if a < b]
        if covered:
            whole = tokens.text[covered[0][0] : covered[-1][1]]
            assert tokens.text[low:high] == (whole.strip() or whole)
        else:
            assert low == high


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXTS, cuts=st.lists(st.integers(0, 30), max_size=4))
def test_every_token_is_in_one_group_of_neighbours(small, kind, text, cuts):
    tokens = tokenize(small[kind], text)
    places = sorted(min(cut, len(text)) for cut in cuts)
    spans = [NamedSpan(f"user {n}", *ends) for n, ends in enumerate(pairwise(places))][::2]
    for grouping in (words(tokens), sentences(tokens), turns(tokens, spans)):
        is_orderly(grouping, tokens)


@given(text=TEXTS)
def test_a_sentence_is_made_of_whole_words(small, text):
    tokens = tokenize(small["byte-level"], text)
    word, sentence = words(tokens).group_of, sentences(tokens).group_of
    assert len(set(zip(word, sentence, strict=True))) == len(set(word))


def test_words_take_their_punctuation_and_the_blank_before_them():
    tokens = made(
        "The", " cap", "ital", " of", " ", "Fr", "ance", ",", "\n", "\n", "is", "n't", " ."
    )
    found = words(tokens)
    assert shown(found, tokens) == ["The", "capital", "of", "France,", "\n\n", "isn't", "."]
    assert of(found) == "0112333344556"


def test_marks_and_joined_emoji_stay_with_what_they_follow():
    tokens = made("e", "\u0301", "t", " 👩", "\u200d", "🚀", " か", "\u3099", "\u00a0", "x", " ")
    assert of(words(tokens)) == "00011122334"
    tokens = made("\u05e9", "\u05dc", "\u05d5\u05dd", "\u202e", " \u0645")
    assert of(words(tokens)) == "00001"


def test_without_spaces_the_token_is_the_word():
    tokens = made("私は", "日本", "の", "首", "都", "。", "สวัส", "ดี", " cat", "日", "X")
    assert of(words(tokens)) == "01234456789"


def test_a_token_across_words_is_where_its_first_letter_is():
    tokens = made("ab", "c de", "f", " g")
    assert of(words(tokens)) == "0012"


def test_special_and_empty_tokens():
    tokens = made("<s>", "<s>", "a", "", "b", "</s>", "c", specials=(0, 1, 5), empty=(0, 3))
    assert of(words(tokens)) == "0122234"
    assert words(tokens).spans[0] == (0, 0)
    assert of(sentences(tokens)) == "0122234"
    assert words(made()).n_groups == 0


SENTENCES = [
    ("He left. She stayed!  Why? No", ["He left.", "She stayed!", "Why?", "No"]),
    ("It cost 3.14 euros. and more.", ["It cost 3.14 euros. and more."]),
    ("Dr. Who met J. Smith. Then", ["Dr. Who met J. Smith.", "Then"]),
    ('"Go." he said. "Now." Yes', ['"Go." he said.', '"Now."', "Yes"]),
    ("Wait... Really?! Yes", ["Wait...", "Really?!", "Yes"]),
    ("a list\n- One\n- Two\n\nnext", ["a list", "- One", "- Two", "next"]),
    ("1. Load it.\n2. Go. In 1999. Yes", ["1. Load it.", "2. Go.", "In 1999.", "Yes"]),
    ("wrapped\nlines go on\r\nstill", ["wrapped\nlines go on\r\nstill"]),
    ("今日は。明日「も」。」はい", ["今日は。", "明日「も」。」", "はい"]),
    ("Ends. ", ["Ends."]),
    ("", []),
]


@pytest.mark.parametrize(("text", "expected"), SENTENCES)
def test_sentences(text, expected):
    tokens = made(*text)
    assert shown(sentences(tokens), tokens) == expected


def test_turns_and_the_words_of_the_template_between_them():
    tokens = made(
        "<s>",
        "user",
        "\n",
        "Hi",
        " there",
        "</s>",
        "\n",
        "<s>",
        "bot",
        "\n",
        "Yo",
        specials=(0, 5, 7),
    )
    text = tokens.text
    spans = [
        NamedSpan("user 0", text.index("Hi"), text.index("</s>")),
        NamedSpan("assistant 1", text.index("Yo"), len(text)),
    ]
    found = turns(tokens, spans)
    assert of(found) == "00011222223"
    assert found.names == (None, "user 0", None, "assistant 1")


def test_groupings_that_put_nothing_together_are_left_out():
    assert groupings(made("a", " b", " c")) == ()
    assert [each.name for each in groupings(made("a", "b", " c"))] == ["words"]
    several = made("A", "b", ".", " C", "d", ".")
    assert [each.name for each in groupings(several)] == ["words", "sentences"]
    span = NamedSpan("user 0", 3, 6)
    assert [each.name for each in groupings(several, [span])] == ["words", "sentences", "turns"]
