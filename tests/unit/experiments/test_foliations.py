"""Orders of execution: the same logits, how the difference is put, how many orders there are."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

import worldline as wl
from tiny_runs import loaded
from worldline.experiments.foliations import EXPERIMENT, of_largest
from worldline.experiments.law_checks import apart
from worldline.interventions.run_orders import logit_difference


def concluded(model, n=1):
    pairs = [(one, EXPERIMENT.measure(model, one)) for one in EXPERIMENT.items(model, n, 0)]
    return EXPERIMENT.conclude(pairs, 0)


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gpt_neox"])
def test_every_order_gives_the_same_logits(model_type):
    finding = concluded(loaded(model_type))
    assert finding.value is not None
    assert finding.value < 1e-5
    assert set(finding.numbers["worst"]) == {"prefill", "decode", "wavefront", "random", "cone"}
    n_layers, n_pos = finding.numbers["n_layers"], finding.numbers["n_pos"]
    slices = finding.numbers["slices"]
    assert slices["prefill"] == n_layers
    assert slices["decode"] == n_layers * n_pos
    assert set(finding.numbers["longest_chain"].values()) == {n_layers}
    cells = math.factorial(n_layers * n_pos)
    hooks = math.prod(
        n_layers - row + n_pos - column - 1 for row in range(n_layers) for column in range(n_pos)
    )
    assert finding.numbers["orders_log10"] == pytest.approx(math.log10(cells // hooks))


def test_an_order_that_changes_something_is_seen(monkeypatch):
    true = wl.run_orders

    def other(*given):
        seen = true(*given)
        orders = [dataclasses.replace(one, ulp=1e5) for one in seen.orders]
        return dataclasses.replace(seen, orders=orders)

    monkeypatch.setattr(wl, "run_orders", other)
    finding = concluded(loaded("llama"))
    assert finding.value is not None
    assert finding.value > 1e-3


def test_units_in_the_last_place_become_shares_of_the_largest_logit():
    two = torch.linspace(-3, 11, 40).view(4, 10)
    one = two + 1e-3 * torch.linspace(-1, 1, 40).view(4, 10)
    _, ulp = logit_difference(one, two)
    assert of_largest(ulp, two.double().numpy(), "float32") == pytest.approx(apart(one, two))
    assert of_largest(0.0, np.zeros((2, 3)), "float32") == 0


def test_what_cannot_be_run_in_other_orders_is_not_testable():
    finding = concluded(loaded("jamba"))
    assert finding.untestable is not None
