"""A tiny Llama in memory, in a folder and in a GGUF file, each with a byte-level tokenizer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGES = [("Ġ", "Ġ"), ("Ċ", "Ċ"), ("t", "h"), ("th", "e")]
VOCABULARY = [*SPECIAL, *LETTERS, *("".join(pair) for pair in MERGES)]
WIDTH, HIDDEN, HEADS, KV_HEADS, LAYERS = 32, 64, 4, 2, 2


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    ids = {piece: number for number, piece in enumerate(VOCABULARY)}
    raw = Tokenizer(models.BPE(ids, MERGES))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token=SPECIAL[1])


@pytest.fixture
def tiny_module() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(VOCABULARY),
            hidden_size=WIDTH,
            intermediate_size=HIDDEN,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            num_key_value_heads=KV_HEADS,
            max_position_embeddings=64,
            tie_word_embeddings=False,
        )
    )


@pytest.fixture
def tiny_folder(tmp_path, tiny_module, tiny_tokenizer) -> Path:
    folder = tmp_path / "tiny"
    tiny_module.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, so that no converted model is left in the user's."""
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory) -> Callable[[str], Path]:
    """Makes a GGUF file whose tokenizer names a way to split words."""

    def make(words: str = "smollm") -> Path:
        file = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
        write_gguf(file, words)
        return file

    return make


def write_gguf(file: Path, words: str) -> None:
    writer = gguf.GGUFWriter(str(file), "llama")
    _write_shape(writer)
    _write_tokenizer(writer, words)
    random = np.random.default_rng(0)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, (random.standard_normal(shape) * 0.1).astype(np.float32))

    add("token_embd.weight", len(VOCABULARY), WIDTH)
    for layer in range(LAYERS):
        for name, rows in (("q", WIDTH), ("k", WIDTH // 2), ("v", WIDTH // 2), ("output", WIDTH)):
            add(f"blk.{layer}.attn_{name}.weight", rows, WIDTH)
        add(f"blk.{layer}.ffn_gate.weight", HIDDEN, WIDTH)
        add(f"blk.{layer}.ffn_up.weight", HIDDEN, WIDTH)
        add(f"blk.{layer}.ffn_down.weight", WIDTH, HIDDEN)
        add(f"blk.{layer}.attn_norm.weight", WIDTH)
        add(f"blk.{layer}.ffn_norm.weight", WIDTH)
    add("output_norm.weight", WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_shape(writer: Any) -> None:
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(VOCABULARY))


def _write_tokenizer(writer: Any, words: str) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(words)
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(VOCABULARY) - len(SPECIAL)))
    writer.add_token_merges([" ".join(pair) for pair in MERGES])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template("{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}")


@pytest.fixture
def without_network(monkeypatch) -> None:
    """Any attempt to resolve a name or to connect fails the test, whatever catches errors."""
    import socket

    tried: list[Any] = []

    def refuse(*place: Any, **_: Any) -> None:
        tried.append(place)
        raise OSError("this test allows no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert tried == []


@pytest.fixture
def remove_files() -> Callable[..., None]:
    def remove(folder: Path, *patterns: str) -> None:
        for pattern in patterns:
            for entry in folder.glob(pattern):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    return remove
