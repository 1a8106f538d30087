"""Spans of tokens: exact for every kind of tokenizer, and never guessed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldline.errors import InputError
from worldline.tokens.tokenizer import tokenizer_in
from worldline.tokens.tokens import decode, names_of, single_token, tokenize

EXACT = (
    "byte-level",
    "byte-level with BOS",
    "pieces, BPE",
    "pieces, unigram",
    "slow byte-level",
    "slow pieces",
)
CHANGING = ("byte-level, NFKC", "slow opaque, NFKC")
TEXTS = st.text(max_size=24) | st.text(alphabet="the cat Paris é日🎉\n<0x41></s>▁ ﬁ½", max_size=24)


def is_orderly(tokens) -> None:
    n_chars, n_bytes = len(tokens.text), len(tokens.text.encode())
    sizes = {len(tokens)} | {len(tokens.pieces), len(tokens.char_spans), len(tokens.byte_spans)}
    sizes |= {len(tokens.groups), len(tokens.specials)}
    assert len(sizes) == 1
    for spans, length in ((tokens.char_spans, n_chars), (tokens.byte_spans, n_bytes)):
        assert all(0 <= start <= end <= length for start, end in spans)
        assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(spans))
    assert all(0 <= after - before <= 1 for before, after in pairwise(tokens.groups))
    starts = [len(tokens.text[:index].encode()) for index in range(n_chars + 1)]
    for (first, last), (low, high) in zip(tokens.char_spans, tokens.byte_spans, strict=True):
        assert starts[first] <= low <= high <= starts[last]


@pytest.mark.parametrize("kind", EXACT)
@given(text=TEXTS)
def test_spans_cover_the_text_and_are_exact(small, kind, text):
    tokens = tokenize(small[kind], text)
    is_orderly(tokens)
    assert tokens.exact_offsets
    assert "".join(tokens.group_texts) == text
    raw = text.encode()
    assert b"".join(raw[start:end] for start, end in tokens.byte_spans) == raw
    assert all(before[1] == after[0] for before, after in pairwise(tokens.byte_spans))


@pytest.mark.parametrize("kind", CHANGING)
@given(text=TEXTS)
def test_a_tokenizer_that_changes_the_text_is_not_taken_for_exact(small, kind, text):
    tokens = tokenize(small[kind], text)
    is_orderly(tokens)
    if tokens.exact_offsets:
        assert all(before[1] <= after[0] for before, after in pairwise(tokens.byte_spans))


@given(text=TEXTS)
def test_slow_and_fast_agree(small, text):
    fast, slow = small["byte-level"], small["slow opaque"]
    a, b = tokenize(fast, text), tokenize(slow, text)
    is_orderly(b)
    assert a.ids == b.ids
    if "\ufffd" not in text:
        assert b.group_texts == a.group_texts
        assert b.char_spans == a.char_spans
        assert not b.exact_offsets or b.byte_spans == a.byte_spans


def test_bytes_of_split_characters(small):
    tokens = tokenize(small["byte-level"], "é 語🎈x")
    raw = tokens.text.encode()
    for token, (start, end) in zip(tokens.ids, tokens.byte_spans, strict=True):
        piece = small["byte-level"].convert_ids_to_tokens([token])[0]
        assert len(piece) == end - start  # one letter for each byte
        assert raw[start:end]
    assert tokens.group_texts[-1] == "x"
    assert any("<0x" in piece for piece in tokens.pieces)


@pytest.mark.parametrize("kind", ["pieces, BPE", "pieces, unigram"])
def test_byte_fallback(small, kind):
    tokens = tokenize(small[kind], "the 日é")
    pieces = dict(zip(tokens.byte_spans, tokens.pieces, strict=True))
    assert pieces[(4, 5)] == "<0xE6>"
    assert pieces[(7, 8)] == "<0xC3>"
    assert tokens.group_texts[-2:] == ("日", "é")
    assert tokens.char_spans[-1] == tokens.char_spans[-2] == (5, 6)


def test_added_and_written_special_tokens(small):
    tokens = tokenize(small["byte-level with BOS"], "a<|end|> b")
    assert tokens.specials[:3] == (True, False, True)
    assert tokens.char_spans[:3] == ((0, 0), (0, 1), (1, 8))
    bare = tokenize(small["byte-level with BOS"], "a", add_special_tokens=False)
    assert bare.specials == (False,)
    slow = tokenize(small["slow byte-level"], "a<|end|>")
    assert slow.char_spans == ((0, 0), (0, 1), (1, 8))


def test_leading_space_that_was_put_there(small):
    tokens = tokenize(small["pieces, BPE"], "the cat", add_special_tokens=False)
    assert tokens.char_spans[0] == (0, 3)
    assert tokens.pieces[0] == "the"
    assert tokenize(small["pieces, BPE"], " the", add_special_tokens=False).pieces == (" the",)


def test_a_ligature_stays_one_group(small):
    tokens = tokenize(small["byte-level, NFKC"], "xﬁz")
    assert not tokens.exact_offsets
    assert tokens.group_texts == ("x", "ﬁ", "z")
    assert tokens.byte_spans == ((0, 1), (1, 4), (1, 4), (4, 5))


def test_unknown_places_are_empty_and_said(small):
    tokens = tokenize(small["slow opaque, NFKC"], "xﬁz")
    assert not tokens.exact_offsets
    assert tokens.char_spans == ((0, 1), (1, 1), (1, 1), (1, 1))


def test_empty_text(small):
    assert len(tokenize(small["byte-level"], "")) == 0
    assert tokenize(small["pieces, BPE"], "").char_spans == ((0, 0),)


def test_lone_surrogate_is_refused(small):
    with pytest.raises(InputError, match=r"character 1 .*U\+D800"):
        tokenize(small["byte-level"], "a\ud800")


def test_decode_keeps_special_tokens(small):
    tokens = tokenize(small["byte-level with BOS"], "the  cat .")
    assert decode(small["byte-level with BOS"], tokens.ids) == "<|end|>the  cat ."


class TestSingleToken:
    def test_one_token(self, small):
        tokenizer = small["byte-level"]
        number = single_token(tokenizer, " cat")
        assert tokenizer.convert_ids_to_tokens([number]) == ["Ġcat"]
        assert single_token(tokenizer, f"id:{number}") == number
        assert single_token(tokenizer, "<|end|>") == 0

    def test_says_how_it_splits(self, small):
        with pytest.raises(InputError, match=r'target " cats" is 2 tokens: " cat" \+ "s"; give'):
            single_token(small["byte-level"], " cats")

    def test_says_that_the_space_is_missing(self, small):
        with pytest.raises(InputError, match='with the leading space, " Paris" is one token'):
            single_token(small["byte-level"], "Paris")

    def test_says_that_the_space_is_too_much(self, small):
        with pytest.raises(InputError, match='without the leading space, "z" is one token'):
            single_token(small["byte-level"], " z")

    def test_bytes_are_named_by_id(self, small):
        with pytest.raises(InputError, match=r'"<0xF0>" \(id:\d+\)'):
            single_token(small["pieces, BPE"], "🎉")

    @pytest.mark.parametrize("kind", ["pieces, BPE", "pieces, unigram"])
    def test_the_space_counts_in_pieces_too(self, small, kind):
        tokenizer = small[kind]
        with_space = single_token(tokenizer, " the" if "BPE" in kind else " Paris")
        piece = tokenizer.convert_ids_to_tokens([with_space])[0]
        assert piece.startswith("▁")
        letter = single_token(tokenizer, "c")
        assert tokenizer.convert_ids_to_tokens([letter]) == ["c"]

    @pytest.mark.parametrize("text", ["id:-1", "id:99999", "id:330"])
    def test_no_such_id(self, small, text):
        with pytest.raises(InputError, match="the ids go from 0 to 329"):
            single_token(small["byte-level"], text)

    def test_not_a_number(self, small):
        with pytest.raises(InputError, match='target "id:cat" is'):
            single_token(small["byte-level"], "id:cat")

    def test_empty(self, small):
        with pytest.raises(InputError, match="empty"):
            single_token(small["byte-level"], "")


class TestNames:
    """What a prediction is called: its text, its bytes, or its number."""

    def test_distinct_ids_have_distinct_names(self, small):
        for tokenizer in small.values():
            ids = list(range(len(tokenizer) + 3))
            names = names_of(tokenizer, ids)
            assert len(set(names)) == len(ids)
            assert all(names)
            assert "\ufffd" not in "".join(names)

    def test_parts_of_characters_are_bytes(self, small):
        tokenizer = small["byte-level"]
        ids = [tokenizer.convert_tokens_to_ids(piece) for piece in ("ä", "a", "Ġ")]
        assert names_of(tokenizer, ids) == ["<0xE4>", "a", " "]

    def test_rows_outside_the_tokenizer(self, small):
        tokenizer = small["byte-level"]
        n_known = len(tokenizer)
        assert names_of(tokenizer, [n_known + 7]) == [f"<id {n_known + 7}>"]
        assert single_token(tokenizer, f"id:{n_known + 7}", n_known + 8) == n_known + 7
        assert single_token(tokenizer, f"<id {n_known + 7}>", n_known + 8) == n_known + 7
        with pytest.raises(InputError, match=f"ids go from 0 to {n_known + 7}"):
            single_token(tokenizer, f"id:{n_known + 8}", n_known + 8)
        with pytest.raises(InputError, match=f"ids go from 0 to {n_known - 1}"):
            single_token(tokenizer, f"id:{n_known}")


class TestTokenizerIn:
    def test_a_processor(self, small):
        class Processor:
            tokenizer = small["byte-level"]

        assert tokenizer_in(Processor()) is small["byte-level"]
        assert tokenizer_in(small["byte-level"]) is small["byte-level"]

    def test_something_else(self):
        with pytest.raises(InputError, match=r"tokenizer str: it has no \.convert_ids_to_tokens"):
            tokenizer_in("gpt2")


@pytest.mark.parametrize("number", ["99999999999999999999", "-5", "-" + "9" * 30])
def test_an_id_is_named_as_it_was_given(small, number):
    with pytest.raises(InputError, match=rf'target "id:{number}": there is no such token'):
        single_token(small["byte-level"], f"id:{number}")
