"""Tiny models as LoadedModel, with a tokenizer that only names ids, and tokens made by hand."""

from __future__ import annotations

import functools

import torch

from worldline.models.known_circuits import NamesIds
from worldline.models.loader import LoadedModel, load_model
from worldline.models.tiny_models import tiny_ids, tiny_model
from worldline.tokens.tokens import Tokens

FLOAT32, FLOAT64 = torch.float32, torch.float64


def loaded(model_type: str, dtype=FLOAT32, attn_implementation: str | None = None) -> LoadedModel:
    """A tiny model of a type; the same object for the same type, so that nothing may change it."""
    return _loaded(model_type, dtype, attn_implementation)


@functools.cache
def _loaded(model_type, dtype, attn_implementation):
    module = tiny_model(model_type, dtype=dtype, attn_implementation=attn_implementation)
    if dtype is FLOAT64 and hasattr(module, "set_experts_implementation"):
        module.set_experts_implementation("eager")  # torch's grouped products know no float64
    return load_model((module, NamesIds()))


def tokens_of(ids) -> Tokens:
    """Tokens made by hand: each id is one piece of the text."""
    pieces = tuple(f"t{number} " for number in ids)
    ends = [sum(map(len, pieces[: n + 1])) for n in range(len(pieces))]
    spans = tuple(zip([0, *ends[:-1]], ends, strict=True)) if pieces else ()
    return Tokens(
        text="".join(pieces),
        ids=tuple(map(int, ids)),
        pieces=pieces,
        char_spans=spans,
        byte_spans=spans,
        groups=tuple(range(len(pieces))),
        specials=(False,) * len(pieces),
        exact_offsets=True,
    )


def some_tokens(length: int, seed: int = 0) -> Tokens:
    """Random ordinary tokens."""
    return tokens_of(tiny_ids(length, seed=seed)[0].tolist())
