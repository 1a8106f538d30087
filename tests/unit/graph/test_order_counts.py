"""Orders of execution: known values, all orders tried one by one, and what is refused."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from worldline.errors import InputError, RefusedError
from worldline.graph import order_counts as orders
from worldline.graph.order_counts import count_orders


@pytest.mark.parametrize(
    ("size", "coarse", "true"), [((2, 2), 2, 5), ((3, 3), 42, 684), ((3, 4), 462, 77_664)]
)
def test_known_values(size, coarse, true):
    assert count_orders(*size) == coarse
    assert count_orders(*size, order="true") == true


def tried(n_layers, n_pos, mask, order):
    """Every order of the blocks, W being done as soon as it can be."""
    cells = list(product(range(n_layers), range(n_pos)))
    good = 0
    for sequence in permutations(cells):
        at = {cell: n for n, cell in enumerate(sequence)}
        if order == "coarse":
            good += all(
                at[a] < at[b]
                for a in cells
                for b in cells
                if a != b and a[0] <= b[0] and a[1] <= b[1]
            )
        else:
            good += all(
                at[layer - 1, i] < at[layer, j]
                for layer, j in cells
                for i in range(j + 1)
                if layer and (i == j or mask[j, i])
            )
    return good


@pytest.mark.parametrize("size", [(1, 4), (4, 1), (2, 3), (3, 2), (2, 4), (4, 2)])
def test_against_every_order(size):
    everyone = np.ones((size[1], size[1]), dtype=bool)
    assert count_orders(*size) == tried(*size, everyone, "coarse")
    assert count_orders(*size, order="true") == tried(*size, everyone, "true")
    near = ~np.tri(size[1], k=-2, dtype=bool)
    assert count_orders(*size, order="true", mask=near) == tried(*size, near, "true")
    alone = np.zeros_like(near)  # without its own K/V a block still needs its residual stream
    assert count_orders(*size, order="true", mask=alone) == tried(*size, alone, "true")


@pytest.mark.parametrize("size", [(1, 5), (3, 3), (2, 6), (4, 4)])
def test_ideals_are_counted_before_they_are_gone_through(size, monkeypatch):
    """The limit set at the number of ideals is enough, one less refuses, with and without it."""
    n_ideals = orders._count_ideals(*size)
    everyone = np.ones((size[1], size[1]), dtype=bool)
    monkeypatch.setattr(orders, "MAX_IDEALS", n_ideals)
    found = count_orders(*size, order="true")
    assert count_orders(*size, order="true", mask=everyone) == found
    monkeypatch.setattr(orders, "MAX_IDEALS", n_ideals - 1)
    alone = np.eye(size[1], dtype=bool)  # columns that never meet: (L + 1)^T ideals
    with pytest.raises(RefusedError, match=f" {n_ideals:,} order ideals"):
        count_orders(*size, order="true")
    with pytest.raises(RefusedError, match=f"over {n_ideals:,} order ideals"):
        count_orders(*size, order="true", mask=alone)
    free = (size[0] + 1) ** size[1]
    monkeypatch.setattr(orders, "MAX_IDEALS", free)
    assert count_orders(*size, order="true", mask=alone) >= found
    monkeypatch.setattr(orders, "MAX_IDEALS", max(n_ideals, free - 1))
    if free > n_ideals:
        with pytest.raises(RefusedError, match=f"more than {free - 1:,} order ideals"):
            count_orders(*size, order="true", mask=alone)


@pytest.mark.parametrize(
    ("size", "number"), [((1, 24), "16,777,216 order"), ((30, 1000), r"2\^\d+ or more order")]
)
def test_too_many_ideals(size, number):
    with pytest.raises(RefusedError, match=f"{size[0]} x {size[1]} cells: {number} ideals"):
        count_orders(*size, order="true")


def test_too_many_cells():
    with pytest.raises(RefusedError, match="200,000 cells"):
        count_orders(200, 1_000)


@pytest.mark.parametrize(
    ("args", "change", "line"),
    [
        ((0, 2), {}, "n_layers 0: at least 1"),
        ((2, -1), {}, "n_pos -1: at least 1"),
        ((2, 2), {"order": "total"}, "order 'total': one of coarse, true"),
        ((2, 2), {"mask": np.ones((2, 2), dtype=bool)}, "take order 'true'"),
        ((2, 2), {"order": "true", "mask": np.ones((3, 3), dtype=bool)}, r"mask \[3, 3\] of bool"),
        ((2, 2), {"order": "true", "mask": np.ones((2, 2))}, "float64: booleans"),
    ],
)
def test_wrong_input_is_one_line(args, change, line):
    with pytest.raises(InputError, match=line):
        count_orders(*args, **change)
