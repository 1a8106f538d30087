"""Counts with residual, MLP and heads apart, against the lattice's."""

from __future__ import annotations

from math import comb, log10

import pytest

from tiny_runs import loaded
from worldline.experiments.model_grid import grid_of, mlp_changes
from worldline.experiments.skips_not_counted import EXPERIMENT


def concluded(model, n=5):
    pairs = [(one, EXPERIMENT.measure(model, one)) for one in EXPERIMENT.items(model, n, 0)]
    return EXPERIMENT.conclude(pairs, 0)


@pytest.mark.parametrize("parallel", [False, True])
def test_the_ratio_by_hand(parallel):
    model = loaded("gpt_neox" if parallel else "llama")
    n, heads = model.config["num_hidden_layers"], model.config["num_attention_heads"]
    assert grid_of(model) == (n, heads, parallel)
    # [x^10] of (c + a / (1 - x))^n: choose j blocks that attention crosses
    c, a, times = (2, heads, 1) if parallel else (1, heads, 2)
    count = sum(comb(n, j) * c ** (n - j) * a**j * comb(9 + j, j - 1) for j in range(1, n + 1))
    finding = concluded(model)
    expected = log10(times**n * count) - log10(comb(10 + n - 1, n - 1))
    assert finding.value == pytest.approx(expected)
    assert finding.low == finding.value == finding.high
    assert finding.numbers["parallel"] is parallel


def test_more_is_told_apart_the_more_paths_there_are():
    finding = concluded(loaded("gpt2"))
    for by in finding.numbers["more_log10"].values():
        assert 0 < by["streams"] < by["blocks"] < by["heads"]


def test_serial_and_parallel_are_measured_and_not_named():
    serial = [change for _, _, change in mlp_changes(loaded("llama"), (4, 7, 5, 9))]
    parallel = [change for _, _, change in mlp_changes(loaded("gptj"), (4, 7, 5, 9))]
    assert min(serial) > 1e-2
    assert max(parallel) == 0
