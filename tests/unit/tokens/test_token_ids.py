"""Ids that were made elsewhere, as the tokens of the text that they decode to."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from worldline.errors import InputError
from worldline.tokens.token_ids import ids_of
from worldline.tokens.tokens import tokenize, tokens_of_ids


@pytest.fixture(scope="module")
def byte_pairs():
    """Bytes, two merges ("th", "the") and a special token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<s>", *letters, "th", "the"]
    merges = [("t", "h"), ("th", "e")]
    raw = Tokenizer(models.BPE({word: n for n, word in enumerate(words)}, merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(["<s>"])
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>")


@pytest.mark.parametrize("text", ["the cat", "<s>the cat", "é 中 😀", " the"])
def test_ids_of_a_text_give_what_the_text_gives(byte_pairs, text):
    known = tokenize(byte_pairs, text, add_special_tokens=False)
    assert tokens_of_ids(byte_pairs, list(known.ids)) == known
    assert tokenize(byte_pairs, known.ids) == known


def test_ids_that_no_text_gives_are_kept_as_they_are(byte_pairs):
    ids = byte_pairs.convert_tokens_to_ids(["t", "h", "e", "Ġ", "th"])  # "the" is one token
    tokens = tokens_of_ids(byte_pairs, ids)
    assert tokens.ids == tuple(ids)
    assert (tokens.text, tokens.pieces) == ("the th", ("t", "h", "e", " ", "th"))
    assert tokens.char_spans == ((0, 1), (1, 2), (2, 3), (3, 4), (4, 6))
    assert tokens.exact_offsets


def test_ids_of_half_a_character_have_pieces(byte_pairs):
    whole = tokenize(byte_pairs, "a😀", add_special_tokens=False).ids
    tokens = tokens_of_ids(byte_pairs, whole[:3])
    assert tokens.ids == whole[:3]
    assert tokens.pieces[0] == "a"
    assert not tokens.exact_offsets


def test_an_empty_text_has_no_ids(byte_pairs):
    assert tokens_of_ids(byte_pairs, []).ids == ()


@pytest.mark.parametrize("value", [[[1, 2], [3]], ["a"], [1.0], b"ab", {"ids": [1]}, None, 5])
def test_what_is_no_ids_is_refused(value):
    with pytest.raises(InputError, match=r"^text"):
        ids_of(value)
