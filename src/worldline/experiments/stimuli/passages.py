"""Natural passages, drawn by a seed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

import worldline as wl


@cache
def all_passages() -> tuple[str, ...]:
    """Every passage, in the order of the file."""
    text = (Path(__file__).parent / "passages.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.split("\n") if line)


def draw_passages(n: int, seed: int) -> list[str]:
    """`n` different passages, the first n of an order that the seed alone decides.

    Raises:
        InputError: more than there are.

    >>> draw_passages(2, 0) == draw_passages(3, 0)[:2]
    True
    """
    passages = all_passages()
    if not 1 <= n <= len(passages):
        raise wl.InputError(f"{n} passages: accepted are 1 to {len(passages)}")
    order = np.random.default_rng(seed).permutation(len(passages))
    return [passages[k] for k in order[:n]]


def cut_to(model: wl.LoadedModel, text: str, n_tokens: int) -> wl.Tokens:
    """The first `n_tokens` tokens of a text, as the model reads them.

    Raises:
        InputError: the text has fewer.
    """
    tokens = wl.tokenize(model.tokenizer, text)
    if len(tokens.ids) < n_tokens:
        raise wl.InputError(f"a text of {len(tokens.ids)} tokens: {n_tokens} are asked for")
    return tokens.first(n_tokens)
