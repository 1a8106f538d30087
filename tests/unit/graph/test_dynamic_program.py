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
from worldline.graph.dynamic_program import Step, sweep
from worldline.graph.semirings import (
    Absolutes,
    Expectation,
    Integers,
    Lengths,
    Polynomials,
    Reals,
)


@st.composite
def grids(draw):
    """Blocks, columns and a weight for every edge; a third of the edges are cut."""
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
    found = []

    def walk(row, column, weights, hops):
        if row == len(steps):
            found.append((column, tuple(weights), hops))
            return
        if (weight := steps[row].carry[column]) != 0:
            walk(row + 1, column, [*weights, weight], hops)
        for layer in range(row, len(steps)):  # the blocks that read the K/V of this row
            kv_from = layer if steps[layer].kv_from is None else steps[layer].kv_from
            for j in range(column + 1, n_pos):
                if kv_from == row and (weight := steps[layer].kv[j][column]) != 0:
                    walk(layer + 1, j, [*weights, weight], hops + 1)

    walk(first, pos, [], 0)
    return found


def top(grid, ring):
    steps, n_pos, first, pos = grid
    *_, last = sweep(steps[first:], ring, ring.unit(n_pos, pos), first_row=first)
    return last


@settings(max_examples=60, deadline=None)
@given(grids())
def test_sums_over_every_path(grid):
    steps, n_pos, _, _ = grid
    paths = every_path(*grid)
    signed, absolute, graded = Counter(), Counter(), Counter()
    for end, weights, hops in paths:
        signed[end] += math.prod(weights)
        absolute[end] += abs(math.prod(weights))
        graded[end, hops] += math.prod(weights)
    columns = range(n_pos)
    assert top(grid, Integers()).tolist() == [signed[j] for j in columns]
    assert top(grid, Reals()).tolist() == [signed[j] for j in columns]
    assert top(grid, Absolutes()).tolist() == [absolute[j] for j in columns]
    for max_hops in (len(steps), 1):
        expected = [[graded[j, k] for k in range(max_hops + 1)] for j in columns]
        assert top(grid, Polynomials(max_hops)).tolist() == expected
        assert top(grid, Polynomials(max_hops, dtype=np.float64)).tolist() == expected


@settings(max_examples=30, deadline=None)
@given(grids())
def test_counts_and_entropies_of_every_path(grid):
    steps, n_pos, first, pos = grid
    ones = [
        Step([int(c != 0) for c in s.carry], (np.array(s.kv) != 0).astype(int), s.kv_from)
        for s in steps
    ]
    count = Counter(end for end, _, _ in every_path(*grid))
    got = top((ones, n_pos, first, pos), Integers())
    assert got.tolist() == [count[j] for j in range(n_pos)]
    assert all(type(number) is int for number in got.tolist())

    positive = [Step(np.abs(s.carry), np.abs(s.kv), s.kv_from) for s in steps]
    sums = top((positive, n_pos, first, pos), Expectation())
    for j in range(n_pos):
        weights = np.array([abs(math.prod(w)) for end, w, _ in every_path(*grid) if end == j])
        assert sums[j, 0] == pytest.approx(weights.sum())
        assert sums[j, 1] == pytest.approx(-(weights * np.log(weights)).sum(), rel=1e-9, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(grids())
def test_the_longest_path(grid):
    steps, n_pos, first, pos = grid

    def cut(weights):
        return np.where(np.array(weights) == 0, -math.inf, np.array(weights, dtype=float))

    lengths = [Step(cut(s.carry), cut(s.kv), s.kv_from) for s in steps]
    longest = dict.fromkeys(range(n_pos), -math.inf)
    for end, weights, _ in every_path(*grid):
        longest[end] = max(longest[end], sum(weights))
    assert top((lengths, n_pos, first, pos), Lengths()).tolist() == list(longest.values())


def test_fractions_stay_exact_and_every_row_is_given_out():
    third = Fraction(1, 3)
    step = Step([third, third], [[0, 0], [third, 0]])
    rows = [row.tolist() for row in sweep([step] * 3, Integers(), Integers().unit(2, 0))]
    assert rows == [[1, 0], [third, third], [third**2, 2 * third**2], [third**3, 3 * third**3]]


def test_shared_kv_skips_the_blocks_between():
    """Block 1 reads K/V of row 0: column 1 gets 5 from there, not the 2 x 5 of row 1."""
    blocks = [Step([2, 2], [[0, 0], [0, 0]]), Step([3, 3], [[0, 0], [5, 0]], kv_from=0)]
    *_, last = sweep(blocks, Integers(), Integers().unit(2, 0))
    assert last.tolist() == [6, 5]
    *_, last = sweep(blocks[1:], Integers(), Integers().unit(2, 0), first_row=1)
    assert last.tolist() == [3, 0]  # K/V of row 0 was made before the paths began


@pytest.mark.parametrize("kv_from", [1, -1])
def test_refuses_kv_of_no_row_below(kv_from):
    step = Step([1], [[0]], kv_from)
    with pytest.raises(InputError, match=f"kv_from {kv_from}: a block on row 0 reads rows 0 to 0"):
        list(sweep([step], Integers(), Integers().unit(1, 0)))
