"""A tiny model in a folder, as `--model` takes it."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


def tiny_folder(place: Path, n_pos: int = 32, seed: int = 0) -> Path:
    """Write it, for at most `n_pos` tokens: letters, and "the" as one token; a chat template."""
    torch.manual_seed(seed)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the")]
    pieces = ["<|end|>", *letters, *("".join(pair) for pair in merges)]
    raw = Tokenizer(models.BPE({p: n for n, p in enumerate(pieces)}, merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(["<|end|>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<|end|>")
    tokenizer.chat_template = (
        "{% for m in messages %}<|end|>{{ m.role }}:{{ m.content }}{% endfor %}"
    )
    config = LlamaConfig(
        vocab_size=len(pieces), hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=n_pos,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place
