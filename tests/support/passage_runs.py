"""Texts that tiny models know, in the place of passages; models whose queries or keys are fixed."""

from __future__ import annotations

import copy

import torch

from tiny_runs import loaded, some_tokens
from worldline.models.loader import load_model

LENGTH = 24


def tiny_passages(_model, n, seed, most=LENGTH):
    """As `read_passages`, of random tokens."""
    return [some_tokens(min(most, LENGTH), seed=1000 * seed + k) for k in range(n)]


def with_fixed(part: str):
    """A tiny GPT-2 in which "q" or "k" of every head is the same at every position."""
    tiny = loaded("gpt2")
    module = copy.deepcopy(tiny.module)
    draw = torch.Generator().manual_seed(3)
    for block in module.transformer.h:
        width = block.attn.c_attn.weight.shape[0]
        at = slice(0, width) if part == "q" else slice(width, 2 * width)
        with torch.no_grad():
            block.attn.c_attn.weight[:, at] = 0
            block.attn.c_attn.bias[at] = torch.randn(width, generator=draw)
            other = slice(width, 2 * width) if part == "q" else slice(0, width)
            block.attn.c_attn.weight[:, other] *= 20  # so that patterns differ from an even spread
    return load_model((module, tiny.tokenizer))
