"""Readers of synthetic arrays whose shares are known."""

from __future__ import annotations

import numpy as np
import pytest

import worldline as wl
from worldline.experiments.linear_probes import (
    allowed_inputs,
    best_of_width,
    read_out,
    share_of,
    shares_interval,
    standardise,
)

DRAW = np.random.default_rng(0)
TEXT_OF = np.repeat(np.arange(40), 50)
STATE = DRAW.standard_normal((len(TEXT_OF), 16)).astype(np.float32)


def test_a_map_that_can_be_inverted_is_read_whole():
    reading = read_out(STATE @ DRAW.standard_normal((16, 16)), STATE, TEXT_OF)
    assert reading.share > 0.9999
    assert (reading.inputs, reading.available_inputs, reading.samples) == (16, 16, 1000)
    assert len(reading.total) == 20


def test_half_of_the_dimensions_give_half_of_the_variance():
    assert read_out(STATE[:, :8] * 100 + 3, STATE, TEXT_OF).share == pytest.approx(0.5, abs=0.02)
    assert best_of_width(STATE, TEXT_OF, 8) == pytest.approx(0.5, abs=0.05)


def test_noise_and_shuffled_rows_give_nothing():
    noise = DRAW.standard_normal(STATE.shape)
    assert abs(read_out(noise, STATE, TEXT_OF).share) < 0.03
    assert abs(read_out(STATE, STATE, TEXT_OF, shuffle=1).share) < 0.03


def test_known_noise_gives_the_known_share():
    """Read in state + noise of equal variance: half, at best."""
    reading = read_out(STATE + DRAW.standard_normal(STATE.shape), STATE, TEXT_OF)
    assert reading.share == pytest.approx(0.5, abs=0.03)
    value, low, high = shares_interval([reading.json()], 0)
    assert value == pytest.approx(reading.share, abs=1e-6)
    assert low < 0.5 < high
    assert high - low < 0.06


def test_texts_not_rows_are_held_out():
    """What only tells texts apart is no help on other texts."""
    own = np.random.default_rng(5).standard_normal((40, 16))
    reading = read_out(np.eye(40)[TEXT_OF], own[TEXT_OF] + 0.01 * STATE, TEXT_OF)
    assert reading.share < 0.1


def test_more_inputs_than_samples_allow_become_components():
    wide = np.concatenate([STATE] * 20, axis=1)
    reading = read_out(wide, STATE, TEXT_OF)
    assert allowed_inputs(TEXT_OF) == 100
    assert (reading.inputs, reading.available_inputs) == (100, 320)
    assert reading.share > 0.999


def test_a_rare_large_number_weighs_as_one_dimension():
    """One dimension jumps in a held-out text alone; the others are read all the same."""
    jumps = STATE.copy()
    jumps[60, 3] = 1e4
    assert read_out(STATE, jumps, TEXT_OF).share > 0.85


def test_standardised_leaves_out_what_does_not_vary():
    values = np.concatenate([STATE, np.full((len(STATE), 2), 7.0)], axis=1)
    found = standardise(values, TEXT_OF % 2 == 0)
    assert found.shape == STATE.shape
    np.testing.assert_allclose((found**2).mean(0), 1, rtol=1e-4)


def test_what_is_refused():
    with pytest.raises(wl.InputError, match="readers of 9 texts: least is 10"):
        read_out(STATE[:450], STATE[:450], TEXT_OF[:450])
    with pytest.raises(wl.InputError, match="must vary"):
        read_out(np.ones_like(STATE), STATE, TEXT_OF)
    assert share_of([4.0], [4.0]) == 0
