"""What runs over passages leave behind: rows of states, keys and values, text by text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import worldline as wl
from worldline.experiments.experiment import Item
from worldline.experiments.stimuli.passages import draw_passages

if TYPE_CHECKING:
    from jaxtyping import Float, Int

MOST_TOKENS = 128

RowArrays = dict[str, np.ndarray]


@dataclass
class Rows:
    """Arrays [row, dim] by name, rows of all texts below each other; `text_of` tells whose.

    Kept in half precision, which rounds a number by at most 5e-4 of itself.
    """

    arrays: dict[str, np.ndarray]
    text_of: Int[np.ndarray, " row"]
    facts: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays


def part_items(n: int, seed: int, n_tested: int, at_once: int) -> list[Item]:
    """`n_tested` layers or pairs of them, `at_once` an item, all over the same `n` passages."""
    draw_passages(n, seed)  # more than there are is refused here
    parts = -(-n_tested // at_once)
    return [
        {"key": f"part {part}", "part": part, "of": parts, "wanted": n_tested,
         "texts": n, "seed": seed}
        for part in range(parts)
    ]  # fmt: skip


def read_passages(
    model: wl.LoadedModel, n: int, seed: int, most: int = MOST_TOKENS
) -> list[wl.Tokens]:
    """`n` passages as the model reads them, each cut to its first `most` tokens.

    Raises:
        InputError: more passages than there are, or words that the tokenizer does not know.
    """
    passages = [wl.tokenize(model.tokenizer, text) for text in draw_passages(n, seed)]
    return [passage.first(min(most, len(passage))) for passage in passages]


def collect(
    model: wl.LoadedModel,
    texts: Sequence[wl.Tokens],
    keep: Sequence[str],
    take: Callable[[wl.Trace], RowArrays],
    on_done: Callable[[int], None] | None = None,
) -> Rows:
    """Record every text and keep what `take` takes of each, in half precision.

    An array that is not taken of every text is left out.
    """
    lists: dict[str, list[np.ndarray]] = {}
    text_of: list[np.ndarray] = []
    for number, tokens in enumerate(texts):
        row_arrays = take(wl.record(model, tokens, keep=keep))
        for name, rows in row_arrays.items():
            lists.setdefault(name, []).append(clip_to_half(rows))
        text_of.append(np.full(len(next(iter(row_arrays.values()))), number))
        if on_done is not None:
            on_done(number + 1)
    common_names = [name for name, parts in lists.items() if len(parts) == len(texts)]
    # one array at a time, so that rows are not held twice
    arrays = {name: np.concatenate(lists.pop(name)) for name in common_names}
    return Rows(arrays, np.concatenate(text_of))


def clip_to_half(rows: np.ndarray) -> np.ndarray:
    """In half precision; what it cannot hold is held at its largest number."""
    return np.clip(rows, -65504, 65504).astype(np.float16)


def state_rows(trace: wl.Trace, row: int) -> Float[np.ndarray, "pos d_model"]:
    """One row of the residual stream without column 0, each state divided by its RMS."""
    states = plain(trace.resid[row])[1:]
    return states / np.sqrt(np.mean(states**2, axis=1, keepdims=True))


def head_rows(array: Any) -> Float[np.ndarray, "pos dim"] | None:
    """[head, pos, d_head] as [pos, head x d_head] without column 0; None of None."""
    if array is None:
        return None
    heads = plain(array)
    return heads.transpose(1, 0, 2).reshape(heads.shape[1], -1)[1:]


def plain(tensor: Any) -> np.ndarray:
    """A tensor's numbers in float32."""
    return tensor.detach().float().cpu().numpy()


def spread_over(n: int, count: int) -> list[int]:
    """`count` whole numbers below n, evenly spread, first and last among them.

    >>> spread_over(30, 4)
    [0, 10, 19, 29]
    """
    return sorted({round(point) for point in np.linspace(0, n - 1, max(1, min(n, count)))})
