"""Ranks, correlations, recall, areas and intervals, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from worldline.experiments.faithfulness.curves import SHARES
from worldline.experiments.faithfulness.scores import (
    area,
    correlation,
    drawn_anew,
    interval_of,
    mean_of,
    rank_correlation,
    recall,
    told_apart,
    value_of,
)

SMALL = arrays(np.float64, st.integers(2, 12), elements=st.integers(-4, 4).map(float))


@given(SMALL, st.integers(0, 10**6))
def test_correlations_are_of_ranks_and_of_values(one, seed):
    two = np.random.default_rng(seed).normal(size=len(one))
    if np.ptp(one) == 0:
        assert correlation(one, two) is None
        assert rank_correlation(one, two) is None
        return
    assert correlation(one, two) == pytest.approx(np.corrcoef(one, two)[0, 1])
    assert rank_correlation(one, np.exp(one)) == pytest.approx(1)
    assert rank_correlation(one, -one) == pytest.approx(-1)


def test_recall_counts_ties_by_their_chance():
    effects = np.array([5.0, -4.0, 3.0, 2.0, 0.0])
    assert recall(np.array([9.0, -9.0, 0.0, 0.0, 0.0]), effects, top=2) == 1
    assert recall(np.array([0.0, 0.0, 9.0, 9.0, 0.0]), effects, top=2) == 0
    assert recall(np.ones(5), effects, top=2) == pytest.approx(2 / 5)
    assert recall(np.ones(5), effects, top=4) is None  # no more than four have an effect


@pytest.mark.parametrize("axis", ["linear", "log"])
def test_the_area_is_the_mean_height(axis):
    assert area(np.full(len(SHARES) + 2, 0.7), axis) == pytest.approx(0.7)
    x = np.array([0.0, *SHARES, 1.0])
    assert area(x, "linear") == pytest.approx(0.5)
    assert area(np.log10(np.maximum(x, 1e-3)), "log") == pytest.approx(-1.5)


def test_intervals_hold_the_value_and_shrink():
    few, many = (np.random.default_rng(0).normal(size=n) for n in (8, 200))
    widths = []
    for values in (few, many):
        mean = mean_of(values.tolist())
        low, high = interval_of(drawn_anew(mean, len(values)))
        assert value_of(mean, len(values)) == pytest.approx(values.mean())
        assert low < values.mean() < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
    assert interval_of(drawn_anew(mean_of([3.0]), 1)) == [None, None]
    assert interval_of(drawn_anew(mean_of([None, None]), 2)) == [None, None]
    assert value_of(mean_of([None, None]), 2) is None
    assert value_of(mean_of([None, 2.0, 2.0, 2.0, 2.0]), 5) == 2.0


def test_two_measures_are_told_apart_prompt_by_prompt():
    """Both go up and down with the prompts; what counts is their difference on each."""
    draw = np.random.default_rng(0)
    hard = draw.normal(size=24)
    one, two, noise = hard + 0.1, hard, hard + 0.1 * draw.normal(size=24)

    def differ(a, b):
        pair = [drawn_anew(mean_of(each.tolist()), 24) for each in (a, b)]
        return told_apart(pair[0] - pair[1])

    assert differ(one, two)  # each 0.1 better, though the intervals of the means overlap widely
    low, high = interval_of(drawn_anew(mean_of(one.tolist()), 24))
    assert low < two.mean() < high
    assert not differ(two, one)
    assert not differ(noise, two)
    assert not differ(two, noise)
    assert not told_apart(drawn_anew(mean_of([1.0]), 1))  # one prompt tells nothing
