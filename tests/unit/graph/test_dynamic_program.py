"""The programme against every single path, on all grids up to 4 x 5 under random masks."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worldline.errors import InputError
from worldline.graph.dynamic_program import Step, start_at, sweep


@st.composite
def grids(draw):
    """Blocks, columns and a number for every edge; a third of the edges are cut."""
    n_layers, n_pos = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    weight = st.one_of(st.just(0), st.integers(-3, 3).filter(bool), st.integers(1, 4))
    steps = []
    for layer in range(n_layers):
        carry = draw(st.lists(weight, min_size=n_pos, max_size=n_pos))
        kv = [draw(st.lists(weight, min_size=n_pos, max_size=n_pos)) for _ in range(n_pos)]
        steps.append(Step(carry, kv, draw(st.sampled_from([None, *range(layer + 1)]))))
    first = draw(st.integers(0, n_layers - 1))
    return steps, n_pos, first, draw(st.integers(0, n_pos - 1))


def every_path(steps, n_pos, first, pos):
    """(end, weights, hops) of each path from (first, pos) to the top, walked forward."""
    paths = []

    def walk(row, column, weights, hops):
        if row == len(steps):
            paths.append((column, tuple(weights), hops))
            return
        if (weight := steps[row].carry[column]) != 0:
            walk(row + 1, column, [*weights, weight], hops)
        for layer in range(row, len(steps)):  # the blocks that read the K/V of this row
            kv_from = layer if steps[layer].kv_from is None else steps[layer].kv_from
            for j in range(column + 1, n_pos):
                if kv_from == row and (weight := steps[layer].kv[j][column]) != 0:
                    walk(layer + 1, j, [*weights, weight], hops + 1)

    walk(first, pos, [], 0)
    return paths


def top(steps, n_pos, first, pos, max_hops):
    start = start_at(pos, n_pos=n_pos, max_hops=max_hops)
    *_, last = sweep(steps[first:], start, first_row=first)
    return last.tolist()


@settings(max_examples=60, deadline=None)
@given(grids())
def test_sums_over_every_path_by_hops(grid):
    steps, n_pos, _, _ = grid
    graded = Counter()
    for end, weights, hops in every_path(*grid):
        graded[end, hops] += math.prod(weights)
    for max_hops in (len(steps), 1, 0):
        expected = [[graded[j, k] for k in range(max_hops + 1)] for j in range(n_pos)]
        counts = top(*grid, max_hops)
        assert counts == expected
        assert all(type(count) is int for row in counts for count in row)


def test_fractions_stay_exact_and_every_row_is_given_out():
    third = Fraction(1, 3)
    step = Step([third, third], [[0, 0], [third, 0]])
    rows = sweep([step] * 3, start_at(0, n_pos=2, max_hops=1))
    assert [[*row[:, 0], row[1, 1]] for row in rows] == [
        [1, 0, 0],
        [third, 0, third],
        [third**2, 0, 2 * third**2],
        [third**3, 0, 3 * third**3],
    ]


def test_integers_never_wrap():
    step = Step(np.array([2**62, 2**62]), np.full((2, 2), 2**62))
    *_, last = sweep([step] * 2, start_at(0, n_pos=2, max_hops=1))
    assert last.tolist() == [[2**124, 0], [0, 2**125]]


def test_shared_kv_skips_the_blocks_between():
    """Block 1 reads K/V of row 0: column 1 gets 5 from there, not the 2 x 5 of row 1."""
    blocks = [Step([2, 2], [[0, 0], [0, 0]]), Step([3, 3], [[0, 0], [5, 0]], kv_from=0)]
    assert top(blocks, 2, 0, 0, 1) == [[6, 0], [0, 5]]
    # From row 1 on: the K/V of row 0 was made before the paths began.
    assert top(blocks, 2, 1, 0, 1) == [[3, 0], [0, 0]]


@pytest.mark.parametrize("kv_from", [1, -1])
def test_refuses_kv_of_no_row_below(kv_from):
    step = Step([1], [[0]], kv_from)
    with pytest.raises(InputError, match=f"kv_from {kv_from}: a block on row 0 reads rows 0 to 0"):
        list(sweep([step], start_at(0, n_pos=1, max_hops=1)))
