"""Every kind of small tokenizer, by name."""

from __future__ import annotations

import pytest

from small_tokenizers import Slow, byte_level, sentence_piece


@pytest.fixture(scope="session")
def small() -> dict[str, object]:
    """Every kind of tokenizer by name."""
    return {
        "byte-level": byte_level(),
        "byte-level with BOS": byte_level(bos=True),
        "byte-level, NFKC": byte_level(nfkc=True),
        "pieces, BPE": sentence_piece("bpe"),
        "pieces, unigram": sentence_piece("unigram"),
        "slow byte-level": Slow(byte_level(bos=True)),
        "slow pieces": Slow(sentence_piece("bpe")),
        "slow opaque": Slow(byte_level(), opaque=True),
        "slow opaque, NFKC": Slow(byte_level(nfkc=True), opaque=True),
    }
