"""Serial and parallel blocks: told apart by dependence, not by name."""

from __future__ import annotations

import json

import pytest

import worldline as wl
from tiny_runs import loaded
from worldline.experiments import block_order
from worldline.experiments.block_order import EXPERIMENT, OTHER_TYPES


@pytest.fixture
def few_types(monkeypatch):
    monkeypatch.setattr(block_order, "OTHER_TYPES", ("gpt2", "phi"))


def concluded(model, n=2):
    pairs = [(one, EXPERIMENT.measure(model, one)) for one in EXPERIMENT.items(model, n, 0)]
    json.dumps(pairs, allow_nan=False)
    return EXPERIMENT.conclude(pairs, 0)


@pytest.mark.usefixtures("few_types")
@pytest.mark.parametrize("model_type", ["llama", "mixtral"])
def test_serial_blocks_depend_at_every_node(model_type):
    finding = concluded(loaded(model_type))
    assert (finding.value, finding.low, finding.high, finding.n) == (1, 1, 1, 2)
    assert finding.numbers["least_change"] > 1e-3
    assert finding.numbers["other_types"] == {"gpt2": 1.0, "phi": 0.0}
    assert finding.bounds is not None
    assert finding.bounds.startswith("holds here; not for phi,")


@pytest.mark.usefixtures("few_types")
@pytest.mark.parametrize("model_type", ["gpt_neox", "cohere"])
def test_parallel_blocks_never_do(model_type):
    finding = concluded(loaded(model_type))
    assert finding.value == 0
    assert finding.numbers["median_change"] == 0
    assert finding.bounds is None  # the number decides: it does not hold here


def test_a_switch_in_the_configuration_decides_and_not_the_type():
    module = wl.load_model("tiny:gpt_neox").module
    for block in module.base_model.layers:
        block.use_parallel_residual = False
    model = wl.load_model((module, loaded("gpt_neox").tokenizer))
    item = EXPERIMENT.items(model, 1, 0)[0]
    finding = EXPERIMENT.conclude([(item, EXPERIMENT.measure(model, item))], 0)
    assert finding.value == 1


@pytest.mark.usefixtures("few_types")
def test_blocks_without_an_mlp_are_not_testable():
    circuit = wl.known_circuits()["chain of 2"]
    model = wl.load_model((circuit.module, circuit.tokenizer))
    item = {"key": "by hand", "ids": list(circuit.ids), "text": "", "type": None, "seed": 0}
    finding = EXPERIMENT.conclude([(item, EXPERIMENT.measure(model, item))], 0)
    assert finding.untestable is not None
    assert "has an MLP term" in finding.untestable


def test_about_ten_types_stand_beside_the_model():
    names = [one["type"] for one in EXPERIMENT.items(loaded("llama"), 1, 0)]
    assert names == [None, *OTHER_TYPES]
    assert len(OTHER_TYPES) >= 10
