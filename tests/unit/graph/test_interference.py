"""Coherence, what agrees and what cancels, and the interval of random signs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighted_grids import cancelling, drawn, every_path, questions
from worldline.errors import InputError
from worldline.graph.interference import interference, target_interference
from worldline.graph.node import Node
from worldline.graph.weighted_grid import WeightedGrid, sum_paths

TARGET = Node(layer=2, pos=3)


@given(st.lists(st.integers(-4, 4), max_size=9))
def test_against_every_sign_pattern(values):
    found = interference([float(v) for v in values], grouping="numbers")
    total, sizes = sum(values), [abs(v) for v in values if v]
    assert (found.signed, found.absolute, found.n_values) == (total, sum(sizes), len(sizes))
    assert found.constructive + found.destructive == sum(sizes)
    assert found.constructive - found.destructive == abs(total)
    if not sizes:
        assert found.coherence is None
        assert found.shuffled is None
        return
    assert found.coherence == abs(total) / sum(sizes)
    patterns = list(itertools.product([1, -1], repeat=len(sizes)))
    every = [abs(np.dot(signs, sizes)) / sum(sizes) for signs in patterns]
    every.sort()
    low, high = found.shuffled
    assert sum(c <= low for c in every) >= 0.025 * len(every) > sum(c < low for c in every)
    assert sum(c <= high for c in every) >= 0.975 * len(every) > sum(c < high for c in every)
    assert found.interval == "exact: every sign pattern"


def test_many_values_are_shuffled_with_a_seed():
    values = np.random.default_rng(0).normal(size=400)
    one, two, other = (interference(values, grouping="g", seed=seed) for seed in (1, 1, 2))
    assert one == two != other
    assert "2000 shuffles, seed 1" in one.interval
    relative = np.linalg.norm(values) / np.abs(values).sum()  # sums are near normal
    assert one.shuffled == pytest.approx((0.0313 * relative, 2.2414 * relative), rel=0.35)
    low, high = interference(np.ones(400), grouping="g").shuffled
    assert 0 <= low < high < 0.15


def test_the_shuffle_does_not_see_the_signs():
    values = np.random.default_rng(0).normal(size=30)
    one, two = (interference(v, grouping="g") for v in (values, np.abs(values)))
    assert one.shuffled == two.shuffled
    assert (two.coherence, two.destructive) == (1.0, 0.0)


def test_two_paths_that_cancel_in_part():
    grid = cancelling()
    kv = grid.kv.copy()
    kv[0, 2, 0] = -4.0
    grid = WeightedGrid(carry=grid.carry, kv=kv, pruned=False, name="x")
    paths = target_interference(grid, None, TARGET)
    assert (paths.signed, paths.absolute, paths.n_values) == (16.0, 48.0, 2)
    assert paths.coherence == pytest.approx(1 / 3)
    assert paths.grouping == "paths from row 0 into layer 2, position 3"
    assert target_interference(cancelling(), None, TARGET).coherence == 0.0


@given(questions())
def test_sums_of_every_path(question):
    found, total = target_interference(*question), sum_paths(*question)
    assert found.signed == pytest.approx(total.signed, abs=1e-12)
    assert found.absolute == pytest.approx(total.absolute)


def test_interval_of_more_paths_than_are_listed():
    grid, target = drawn(4, 5, 3), Node(layer=4, pos=4)
    weights = np.array([np.prod(steps) for _, steps in every_path(grid, None, target)])
    found = target_interference(grid, None, target)
    assert found.n_values is None
    assert "estimate" in found.interval
    by_shuffles = interference(weights, grouping="g").shuffled
    relative = np.linalg.norm(weights) / np.abs(weights).sum()
    assert found.shuffled == pytest.approx((0.0313379 * relative, 2.2414027 * relative))
    assert found.shuffled[1] == pytest.approx(by_shuffles[1], rel=0.2)
    assert found.constructive - found.destructive == pytest.approx(abs(weights.sum()))


def test_bad_input():
    with pytest.raises(InputError, match=r"values of shape \(2,\): accepted is one axis"):
        interference([1.0, float("nan")], grouping="g")
    with pytest.raises(InputError, match="grouping '': accepted is the name"):
        interference([1.0], grouping="")
    with pytest.raises(InputError, match="off the grid"):
        target_interference(cancelling(), None, Node(layer=3, pos=1))
