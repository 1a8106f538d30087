"""The one dynamic programme: row by row up the grid, counting ways by their number of hops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from worldline.errors import InputError


class Step(NamedTuple):
    """The edges of one block, from row l into row l + 1, as numbers of ways.

    `carry` [pos] stays in its column; `kv` [q_pos, k_pos] are the K/V edges, of which only those
    from an earlier column count. They start at row `kv_from` (at most l): another than l where
    layers share K/V. Self-attention is part of the carry. An edge that is cut is 0.
    """

    carry: Any
    kv: Any
    kv_from: int | None = None


def sweep(steps: Iterable[Step], start: np.ndarray, *, first_row: int = 0) -> Iterator[np.ndarray]:
    """Give out every row's counts [pos, hops], from `start` up: over all paths that end there.

    count'[j, k] = carry[j] count[j, k] + SUM over i < j of kv[j, i] count[i, k - 1], per block: a
    polynomial in z whose z^k counts the paths of k hops, cut where the last axis ends. `start` is
    row `first_row`; K/V made in a row below it carries nothing, since no path has been there.

    **Exactness**: integer-exact; arrays of `object` hold Python integers, which never wrap.

    Raises:
        InputError: a step reads K/V of a row above its own, or of a negative one.

    >>> step = Step([1, 1, 1], [[0, 0, 0], [1, 0, 0], [1, 1, 0]])
    >>> *_, top = sweep([step, step], start_at(0, n_pos=3, max_hops=2))
    >>> top.tolist()
    [[1, 0, 0], [0, 2, 0], [0, 2, 1]]
    """
    rows = [start]
    yield start
    for row, (carry, kv, kv_from) in enumerate(steps, first_row):
        src_row = row if kv_from is None else kv_from
        if not 0 <= src_row <= row:
            raise InputError(f"kv_from {kv_from}: a block on row {row} reads rows 0 to {row}")
        after = np.asarray(carry).astype(object)[:, None] * rows[-1]
        if src_row >= first_row:
            reads = np.tril(np.asarray(kv).astype(object), -1)
            after[:, 1:] += reads @ rows[src_row - first_row][:, :-1]
        rows.append(after)
        yield after


def start_at(pos: int, *, n_pos: int, max_hops: int) -> np.ndarray:
    """A row [pos, hops] that only the path of no steps has reached, at `pos`."""
    counts = np.full((n_pos, max_hops + 1), 0, dtype=object)
    counts[pos, 0] = 1
    return counts
