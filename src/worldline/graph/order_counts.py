"""In how many orders the blocks of a grid can be computed, one after the other."""

from __future__ import annotations

from functools import cache
from math import comb, prod
from typing import Any

import numpy as np

from worldline.arguments import with_checked_arguments
from worldline.errors import InputError, RefusedError

MAX_IDEALS = 10**7
BEYOND = 10**15  # ideals are counted up to here
MAX_CELLS = 150_000
ORDERS = ("coarse", "true")


@with_checked_arguments
def count_orders(n_layers: int, n_pos: int, *, order: str = "coarse", mask: Any = None) -> int:
    """The number of orders in which the blocks B(l, j) of n_layers x n_pos cells can be computed.

    Args:
        n_layers: Blocks above each other.
        n_pos: Positions.
        order: Which blocks wait for which.

            - "coarse", where a block writes its own K/V: (l, i) before (l', j) when l <= l' and
              i <= j. The standard Young tableaux of the rectangle: (L T)! / PRODUCT of the hook
              lengths.
            - "true", where writing K/V is an event W(l, j) of its own, which needs B(l-1, j) alone,
              while B(l, j) needs W(l, i) for every i <= j. Of the blocks that leaves: B(l, j) after
              B(l-1, i) for every i <= j. Orders of the blocks are counted; those that differ only
              in the W between them are one. By dynamic programming over the order ideals, the sets
              of blocks that may be done at some moment.
        mask: Booleans [q_pos, k_pos]: leaves those i <= j that j may read (and j itself, from which
            its residual stream comes); for the true order only.

    Returns:
        The number of orders, a whole number of any size.

    Raises:
        InputError: an unknown order, a size below 1, a mask of another shape or with "coarse".
        RefusedError: more than 10^7 ideals (the number is named), or 150,000 cells.

    Exactness: integer-exact.
    Source: J. S. Frame, G. de B. Robinson, R. M. Thrall, The hook graphs of the symmetric group
    (1954).

    >>> [(count_orders(n, n), count_orders(n, n, order="true")) for n in (2, 3)]
    [(2, 5), (42, 684)]
    """
    for name, size in (("n_layers", n_layers), ("n_pos", n_pos)):
        if size < 1:
            raise InputError(f"{name} {size}: at least 1")
    if order not in ORDERS:
        raise InputError(f"order {order!r}: one of {', '.join(ORDERS)}")
    if n_layers * n_pos > MAX_CELLS:
        raise RefusedError(f"{n_layers * n_pos:,} cells: orders of at most {MAX_CELLS:,}")
    if order == "coarse":
        if mask is not None:
            raise InputError("mask: the coarse order is of all i <= j; take order 'true'")
        return _young_tableaux(n_layers, n_pos)
    reads = _reads(n_pos, mask)
    ideals = _count_ideals(n_layers, n_pos)
    if ideals > MAX_IDEALS:
        number = f"{ideals:,}" if ideals < BEYOND else f"2^{ideals.bit_length() - 1} or more"
        # A mask only takes conditions away, so that under it there are no fewer.
        raise RefusedError(_too_many(n_layers, n_pos, number if mask is None else f"over {number}"))
    return _extensions(n_layers, reads)


def _young_tableaux(n_rows: int, n_columns: int) -> int:
    """The hook length formula, in binomials: dividing two huge factorials takes seconds.

    The hooks of a row multiply to (row + T)! / row!, so that over T! each is C(row + T, T);
    (L T)! / (T!)^L is the product of C(k T, T) for k = 1 to L.
    """
    fillings = prod(comb((row + 1) * n_columns, n_columns) for row in range(n_rows))
    return fillings // prod(comb(row + n_columns, n_columns) for row in range(n_rows))


def _reads(n_pos: int, mask: Any) -> list[list[int]]:
    """For each position the positions whose block one layer below comes first."""
    reads = np.tri(n_pos, dtype=bool)
    if mask is not None:
        mask_array = np.asarray(mask)
        if mask_array.dtype != bool or mask_array.shape != (n_pos, n_pos):
            raise InputError(
                f"mask {list(mask_array.shape)} of {mask_array.dtype}: booleans [q_pos, k_pos] of "
                f"{n_pos} positions"
            )
        reads = reads & mask_array | np.eye(n_pos, dtype=bool)
    return [np.flatnonzero(row).tolist() for row in reads]


def _count_ideals(n_layers: int, n_pos: int) -> int:
    """The number of ideals without a mask, by rows.

    A row whose first p cells are done, and not the next, allows any subset of p cells above it.
    Of p cells, 2^(p-q-1) subsets begin with exactly q < p of them, and one has all p.
    """

    @cache
    def above(rows: int, p: int) -> int:
        if rows == 0:
            return 1
        n_shorter = sum(above(rows - 1, q) << p - q - 1 for q in range(p))
        return above(rows - 1, p) + n_shorter

    for rows in range(n_layers):  # from few rows to many, so that the recursion stays flat
        for p in range(n_pos + 1):
            above(rows, p)
            if above(rows, p) >= BEYOND:
                return above(rows, p)  # a lower bound, long past what is done
    return above(n_layers, n_pos)


def _too_many(n_layers: int, n_pos: int, number: str) -> str:
    return (
        f"the true order of {n_layers} x {n_pos} cells: {number} order ideals; at most "
        f"{MAX_IDEALS:,} are gone through"
    )


def _extensions(n_layers: int, reads: list[list[int]]) -> int:
    """Ways to reach each ideal, ideals of one size at a time.

    In each column the lowest blocks are done, so that an ideal is how many of each column.
    """
    n_pos = len(reads)
    ways_by_ideal, n_ideals = {(0,) * n_pos: 1}, 1
    for _ in range(n_layers * n_pos):
        after: dict[tuple[int, ...], int] = {}
        for heights, ways in ways_by_ideal.items():
            for pos, layer in enumerate(heights):
                if layer < n_layers and all(heights[i] >= layer for i in reads[pos]):
                    ideal = (*heights[:pos], layer + 1, *heights[pos + 1 :])
                    after[ideal] = after.get(ideal, 0) + ways
            if n_ideals + len(after) > MAX_IDEALS:  # under a mask the number is not known before
                raise RefusedError(_too_many(n_layers, n_pos, f"more than {MAX_IDEALS:,}"))
        n_ideals += len(after)
        ways_by_ideal = after
    return ways_by_ideal[(n_layers,) * n_pos]
