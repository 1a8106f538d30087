"""The one dynamic programme: row by row up the grid, in any semiring."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from worldline.errors import InputError
from worldline.graph.semirings import Semiring


class Step(NamedTuple):
    """The edges of one block, from row l into row l + 1.

    `carry` [pos] stays in its column; `kv` [q_pos, k_pos] are the K/V edges, of which only those
    from an earlier column count. They start at row `kv_from` (at most l): another than l where
    layers share K/V. Self-attention is part of the carry. An edge that is cut has the weight
    `Semiring.absent` (0; minus infinity for lengths).
    """

    carry: Any
    kv: Any
    kv_from: int | None = None


def sweep(
    steps: Iterable[Step | tuple[Any, Any]], semiring: Semiring, start: Any, *, first_row: int = 0
) -> Iterator[Any]:
    """Give out every row's state, from `start` up: state[j] = sum over all paths that end in j.

    state'[j] = carry[j] (x) state[j] (+) SUM over i < j of kv[j, i] (x) state[i], one per block.
    `start` is the state of row `first_row`; `semiring.unit(n_pos, pos)` starts at one node. K/V
    made in a row below `first_row` carries nothing, since no path has been there.

    **Exactness**: that of the semiring (integer-exact for `Integers`).

    Raises:
        InputError: a step reads K/V of a row above its own, or of a negative one.

    >>> from worldline.graph.semirings import Integers
    >>> step = Step([1, 1, 1], [[0, 0, 0], [1, 0, 0], [1, 1, 0]])
    >>> [state.tolist() for state in sweep([step, step], Integers(), Integers().unit(3, 0))]
    [[1, 0, 0], [1, 1, 1], [1, 2, 3]]
    """
    rows = [start]
    yield start
    for row, step in enumerate(steps, first_row):
        carry, kv, kv_from = Step(*step)
        if kv_from is not None and not 0 <= kv_from <= row:
            raise InputError(f"kv_from {kv_from}: a block on row {row} reads rows 0 to {row}")
        state = rows[-1]
        if kv_from in (None, row):
            after = semiring.step(state, carry, kv)
        elif kv_from < first_row:
            after = semiring.step(state, carry, kv, semiring.zero(len(carry)))
        else:
            after = semiring.step(state, carry, kv, rows[kv_from - first_row])
        rows.append(after)
        yield after
