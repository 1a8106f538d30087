"""Where the count of paths passes 10^80: known places, found by halving."""

from __future__ import annotations

from math import comb

import pytest

import worldline as wl
from tiny_runs import loaded
from worldline.experiments.beyond_atoms import EXPERIMENT, least_distance
from worldline.experiments.law_checks import context_of
from worldline.experiments.model_grid import Grid


@pytest.mark.parametrize(("n_layers", "m"), [(30, 6680), (80, 273), (126, 147)])
def test_known_distances_of_the_lattice(n_layers, m):
    assert least_distance(Grid(n_layers, 1, False), "lattice") == m
    assert comb(m + n_layers - 1, m) > 10**80 >= comb(m + n_layers - 2, m - 1)


def test_one_block_never_passes():
    assert least_distance(Grid(1, 4, False), "lattice") is None


def test_many_heads_pass_at_once():
    assert least_distance(Grid(126, 128, False), "heads") == 0


def test_a_tiny_model_passes_far_beyond_its_context():
    model = loaded("llama")
    items = EXPERIMENT.items(model, 5, 0)
    finding = EXPERIMENT.conclude([(one, EXPERIMENT.measure(model, one)) for one in items], 0)
    n_layers, context = finding.numbers["n_layers"], context_of(model)
    assert finding.value is not None
    assert finding.value == int(finding.numbers["least_positions"]["lattice"]) / context
    assert finding.value > 1  # two blocks have m + 1 paths
    assert finding.low == finding.value == finding.high
    assert n_layers == model.config["num_hidden_layers"]


def test_a_model_of_one_block_is_not_testable():
    circuit = wl.known_circuits()["cancelling in a layer"]
    model = wl.load_model((circuit.module, circuit.tokenizer))
    pairs = [(one, EXPERIMENT.measure(model, one)) for one in EXPERIMENT.items(model, 1, 0)]
    finding = EXPERIMENT.conclude(pairs, 0)
    assert finding.untestable is not None
    assert "never" in finding.untestable


@pytest.mark.bundled
def test_the_bundled_model():
    model = wl.load_model()
    items = EXPERIMENT.items(model, 1, 0)
    finding = EXPERIMENT.conclude([(one, EXPERIMENT.measure(model, one)) for one in items], 0)
    assert finding.value == 6680 / 8192
