"""Columns cut off, nodes replaced, tokens changed: what holds, and what would be noticed."""

from __future__ import annotations

import json

import pytest
import torch

import worldline as wl
from tiny_runs import loaded
from worldline.experiments.two_highways import EXPERIMENT


def concluded(model, items):
    pairs = [(one, EXPERIMENT.measure(model, one)) for one in items]
    json.dumps(pairs, allow_nan=False)
    return EXPERIMENT.conclude(pairs, 0)


@pytest.mark.parametrize("model_type", ["llama", "gpt_neox", "opt", "mixtral"])
def test_it_holds_of_real_architectures(model_type):
    model = loaded(model_type)
    finding = concluded(model, EXPERIMENT.items(model, 1, 0))
    assert finding.value is not None
    assert finding.value < 1e-5
    assert finding.broken is None
    assert set(finding.numbers["worst"]) >= {"other tokens", "alone", "replaced node", "column 0"}
    assert min(finding.numbers["controls_median"].values()) > 1e-2


def test_a_circuit_whose_answer_comes_by_kv_alone():
    circuit = wl.known_circuits()["chain of 2"]
    model = wl.load_model((circuit.module, circuit.tokenizer))
    item = {
        "key": "by hand",
        "text": "",
        "ids": list(circuit.ids),
        "others": list(circuit.corrupted),
        "columns": [circuit.last],
        "number": 0,
    }
    finding = concluded(model, [item])
    assert finding.value is not None
    assert finding.value < 1e-9
    assert finding.numbers["controls_median"]["control: not cut off"] > 0.1


def leaking(per_token: float, at=slice(None)):
    """`wl.execute` with a way around both highways: all logits depend on all tokens."""
    true = wl.execute

    def execute(model, plan, *rest):
        seen = true(model, plan, *rest)
        seen.logits[:, at] += per_token * torch.tensor(plan.ids).float().sum()
        return seen

    return execute


def test_a_leak_between_columns_is_seen(monkeypatch):
    model = loaded("llama")
    items = EXPERIMENT.items(model, 1, 0)
    monkeypatch.setattr(wl, "execute", leaking(1e-2))
    finding = concluded(model, items)
    assert finding.value is not None
    assert finding.value > 1e-4
    assert finding.broken is not None
    assert "columns before a changed token" in finding.broken


def test_a_leak_past_the_replaced_node_is_seen(monkeypatch):
    model = loaded("llama")
    item = EXPERIMENT.items(model, 1, 0)[0]
    monkeypatch.setattr(wl, "execute", leaking(1e-2, at=slice(item["columns"][-1], None)))
    finding = concluded(model, [item])
    assert finding.numbers["worst"]["replaced node"] > 1e-4
    assert finding.broken is None  # nothing before the column was touched


def test_coarse_numbers_and_other_mixers_are_not_testable():
    half = wl.load_model("tiny:llama", dtype="bfloat16")
    finding = concluded(half, EXPERIMENT.items(half, 2, 0))
    assert finding.untestable is not None
    assert "bfloat16" in finding.untestable
    mamba = loaded("mamba")
    finding = concluded(mamba, EXPERIMENT.items(mamba, 1, 0))
    assert finding.untestable is not None
    assert "no softmax attention" in finding.untestable


def test_items_are_the_same_at_every_call_and_grow():
    model = loaded("llama")
    assert EXPERIMENT.items(model, 2, 3) == EXPERIMENT.items(model, 3, 3)[:2]
