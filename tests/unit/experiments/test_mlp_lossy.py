"""Hidden numbers that a write keeps whole, in part, or not at all."""

from __future__ import annotations

import json

import numpy as np
import pytest

from passage_runs import tiny_passages
from tiny_runs import loaded
from worldline.experiments import mlp_lossy
from worldline.experiments.mlp_lossy import EXPERIMENT, _readings

DRAW = np.random.default_rng(4)
TEXT_OF = np.repeat(np.arange(40), 40)
HIDDEN = DRAW.standard_normal((len(TEXT_OF), 16)).astype(np.float32)


def shares(write, key):
    noise = DRAW.standard_normal((len(TEXT_OF), 4)).astype(np.float32)
    arrays = {"h1": HIDDEN, "w1": write, "k2": key, "v2": noise}
    found = _readings(arrays, TEXT_OF, 1)
    return {name: found[name]["share"] for name in mlp_lossy.NAMES} | {"best": found["best"]}


def test_a_write_as_wide_as_what_it_is_made_of_loses_nothing():
    found = shares(HIDDEN @ DRAW.standard_normal((16, 16)), HIDDEN[:, :4])
    assert found["write"] > 0.999
    assert found["later"] == pytest.approx(0.25, abs=0.03)
    assert found["both"] > 0.999


def test_a_narrow_write_keeps_its_share_and_later_keys_add_theirs():
    found = shares(HIDDEN[:, :8], HIDDEN[:, 8:12])
    assert found["write"] == pytest.approx(0.5, abs=0.03)
    assert found["best"] == pytest.approx(0.5, abs=0.06)
    assert found["both"] == pytest.approx(0.75, abs=0.03)


def test_a_whole_run(monkeypatch):
    monkeypatch.setattr(mlp_lossy, "read_passages", tiny_passages)
    model = loaded("llama")
    items = EXPERIMENT.items(model, 60, 0)
    measured = [(item, json.loads(json.dumps(EXPERIMENT.measure(model, item)))) for item in items]
    finding = EXPERIMENT.conclude(measured, 0)
    assert [one["layer"] for one in finding.numbers["layers"]] == [0, 1]
    layer = finding.numbers["layers"][0]
    assert (layer["d_mlp"], layer["d_model"]) == (48, 32)
    readers = finding.numbers["readers"]
    assert finding.value == max(one[0] for one in readers.values())
    assert 0.3 < finding.value < 0.95
    assert "0.667 of the directions" in finding.says[0]


def test_a_tokenizer_without_the_words_is_untestable():
    model = loaded("llama")
    item = EXPERIMENT.items(model, 20, 0)[0]
    assert EXPERIMENT.conclude([(item, EXPERIMENT.measure(model, item))], 0).untestable
