"""Ranks and dimensions of what is known, and the command's table."""

from __future__ import annotations

import numpy as np
import pytest

import worldline as wl
from passage_runs import tiny_passages
from tiny_runs import loaded
from worldline.apps.cli.capacity import notes_of, table_of
from worldline.experiments.capacity import capacity
from worldline.experiments.spectra import (
    Moments,
    cross_products,
    dimension_interval,
    participation,
    spectrum_of,
)

DRAW = np.random.default_rng(1)


def test_the_rank_is_that_of_the_map():
    moments = Moments()
    through = DRAW.standard_normal((12, 3)) @ DRAW.standard_normal((3, 8))
    for _ in range(5):
        moments.add((DRAW.standard_normal((40, 12)) @ through + 5).astype(np.float32))
    found = spectrum_of(moments.correlations(), 1e-5)
    assert (found.width, found.rank) == (8, 3)
    assert 1 < found.participation <= found.entropy <= 3.0001
    assert spectrum_of(moments.correlations(first=6), 1e-5).rank == 2


def test_participation_does_not_depend_on_the_number_of_samples():
    """100 samples of 30 even directions: the plain ratio says 23, blocks apart say 30."""
    text_of = np.repeat(np.arange(48), 5)
    values = DRAW.standard_normal((240, 30)).astype(np.float32)
    traces, cross = cross_products(values, text_of)
    assert participation(traces, cross) == pytest.approx(30, rel=0.15)
    one = {"traces": traces.tolist(), "cross": cross.tolist(), "d_model": 30}
    value, low, high = dimension_interval([one], 0, draws=200)
    assert low < 1.15
    assert high > 0.85
    assert value == pytest.approx(participation(traces, cross) / 30)
    narrow = values.copy()
    narrow[:, 10:] = 0
    assert participation(*cross_products(narrow, text_of)) == pytest.approx(10, rel=0.15)


def test_a_model_layer_by_layer():
    model = loaded("gpt_bigcode")
    found = capacity(model, tiny_passages(model, 30, 0))
    assert found["schema"] == "worldline.capacity/1"
    assert found["states"] == 30 * 23
    for one in found["layers"]:  # 4 heads of 8 read the one K and V of 8; the stream has 32
        assert one["rank_v"] == one["width_v"] == 8
        assert one["rank_kv"] == one["width_kv"] == 16
        assert one["cached"] == 0.5
        assert one["chance"] < 0.1 < one["v"]["share"]
    # in passes over some layers at a time the numbers are the same
    parts = capacity(model, tiny_passages(model, 30, 0), at_once=360)
    for one, two in zip(found["layers"], parts["layers"], strict=True):
        assert one["v"]["share"] == pytest.approx(two["v"]["share"], abs=1e-6)
    assert table_of(found).row_count == len(found["layers"])
    assert "ten an input" in " ".join(notes_of(found))


def test_too_few_texts():
    model = loaded("llama")
    with pytest.raises(wl.InputError, match="least is 10"):
        capacity(model, tiny_passages(model, 4, 0))
