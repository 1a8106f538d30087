"""The hop curve: losses and hops needed, recomputed from the copies' logits, and its ends."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import worldline as wl
from tiny_runs import FLOAT64, loaded, some_tokens, tokens_of
from worldline.graph.edits import HopBudget
from worldline.interventions.hop_curve import curves_scene, hop_curve, hop_curves
from worldline.models.known_circuits import chain
from worldline.runs.execution import execute
from worldline.runs.hop_budgets import copies_of
from worldline.runs.noise_floor import likeliest_tokens
from worldline.runs.plan import Plan
from worldline.runs.run_logits import Said


@pytest.fixture(scope="module")
def curve(cache):
    return hop_curve(loaded("llama", FLOAT64), some_tokens(9))


def losses(logits, ids):
    return -logits.log_softmax(-1)[range(len(ids) - 1), ids[1:]].numpy()


@pytest.mark.parametrize("sink", ["counted", "free"])
def test_against_the_copies(sink):
    model, tokens = loaded("llama", FLOAT64), some_tokens(9)
    found = hop_curve(model, tokens, sink=sink, max_hops=2, at_once=2)
    ids = list(tokens.ids)
    full = execute(model, Plan(tokens.ids)).logits[0]
    copies = list(copies_of(model, Plan(tokens.ids, budget=HopBudget(2, sink))))
    for b, copy in enumerate(copies):
        np.testing.assert_allclose(
            found.token_loss_nats[b, 1:], losses(copy.logits, ids), atol=1e-9
        )
    assert found.loss_full_nats == pytest.approx(losses(full, ids).mean(), abs=1e-9)
    assert found.state_gain_nats == pytest.approx(found.loss_nats[1] - found.loss_full_nats)
    tops = [copy.logits.argmax(-1).tolist() for copy in copies]
    true = full.argmax(-1).tolist()
    for j in range(1, 9):
        agree = [top[j - 1] == true[j - 1] for top in tops]
        least = next((h for h in range(3) if all(agree[h:])), None)
        assert found.hops_needed[j] == least
    assert found.hops_needed[0] is None
    assert found.hops_needed_close[0] is None


def test_the_largest_budget_is_the_model(curve):
    assert curve.budgets[-1] == min(curve.norm_ratio.shape[1] - 1, 8)
    assert curve.loss_nats[-1] == pytest.approx(curve.loss_full_nats, abs=1e-6)
    assert all(need is not None for need in curve.hops_needed[1:])
    np.testing.assert_allclose(curve.norm_ratio[-1], 1, rtol=1e-5)
    assert "every larger budget is the full run" in curve.tail
    assert json.dumps(curve.json(), allow_nan=False)


@pytest.mark.parametrize(("name", "seed"), [("llama", 1), ("opt", 3)])
def test_rounding_does_not_decide_which_token_comes_first(name, seed):
    """The largest budget is the full run and rounds otherwise: bitwise, other tokens come first."""
    curve = hop_curve(loaded(name, torch.bfloat16), some_tokens(48, seed), at_once=8)
    assert None not in curve.hops_needed[1:]
    assert min(curve.likeliest_least_logits[1:]) > 0.0


def test_the_likeliest_tokens_are_those_within_rounding():
    rows = [[8.0, 7.9375, 3.0], [7.0, 8.0, 7.875], [8.0, 7.75, 7.8125], [1.0, 2.0, 8.0]]
    plain = torch.tensor([rows], dtype=torch.bfloat16)  # steps of 1/16 below 16, at 8 and above
    tokens, least = likeliest_tokens(Said(plain), Said(plain), 4)
    assert tokens.tolist() == [[0, 1], [1, 2], [0, 0], [2, 2]]
    assert least.tolist() == [0.125] * 4
    change = torch.tensor([0.5, -0.5, 0.0])
    tokens, least = likeliest_tokens(Said(plain), Said(plain.double() + change), 4)
    assert least.tolist() == pytest.approx([3 * (2 * 1 / 6) ** 0.5] * 4)
    assert tokens.tolist() == [[0, 1, 0], [1, 2, 0], [0, 2, 1], [2, 2, 2]]


def test_a_chain_of_three_hops_needs_three():
    """A circuit built by hand: no fewer hops bring the value, and the budget says so."""
    circuit = chain((0, 1, 2), 3)
    model = wl.load_model((circuit.module, circuit.tokenizer))
    ids = tuple(circuit.ids)
    values = []
    for copy in copies_of(model, Plan(ids, budget=HopBudget(3))):
        logits = copy.logits[-1].double()
        values.append(float(logits[circuit.target] - logits[circuit.versus]))
    full = execute(model, Plan(ids)).logits[0, -1].double()
    assert values[3] == pytest.approx(float(full[circuit.target] - full[circuit.versus]), abs=1e-3)
    assert max(values[:3]) < values[3] / 2
    tokens = tokens_of(ids)
    whole = hop_curve(model, tokens)
    none = hop_curve(model, tokens, layers=[1], max_hops=1)
    assert none.loss_nats[1] == pytest.approx(none.loss_full_nats, abs=1e-6)  # one layer, one hop
    assert whole.loss_full_nats == pytest.approx(none.loss_full_nats)


def test_ends(curve):
    model, tokens = loaded("llama", FLOAT64), some_tokens(9)
    assert "unproven" in hop_curve(model, tokens, max_hops=1).tail
    early = hop_curve(model, tokens, stop_within_nats=100.0)
    assert len(early.budgets) == 2
    assert "on request" in early.tail
    near = hop_curve(model, tokens, longest=8)
    np.testing.assert_allclose(near.loss_nats, curve.loss_nats)
    own = hop_curve(model, tokens, longest=0)
    assert own.loss_full_nats == pytest.approx(own.loss_nats[0])
    assert own.loss_nats[0] == pytest.approx(curve.loss_nats[0])
    both = hop_curves(model, tokens, max_hops=2)
    assert [one.sink for one in both] == ["counted", "free"]
    shown = curves_scene(both)
    assert [one["sink"] for one in shown["curves"]] == ["counted", "free"]
    assert shown["layers"] == "all"
    assert torch.isfinite(torch.tensor(shown["curves"][0]["norm_ratio"])).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_hops": -1}, "hops -1: accepted are whole numbers from 0"),
        ({"sink": "open"}, "sink='open'"),
        ({"layers": [9]}, "layer 9: accepted are layers 0 to"),
        ({"longest": -1}, "longest -1"),
        ({"at_once": 0}, "at_once 0"),
    ],
)
def test_bad_questions(options, said):
    with pytest.raises(ValueError) as caught:
        hop_curve(loaded("llama", FLOAT64), some_tokens(5), **options)
    assert said in str(caught.value)


def test_one_token_predicts_nothing():
    with pytest.raises(ValueError, match="one token predicts nothing"):
        hop_curve(loaded("llama", FLOAT64), some_tokens(1))
    with pytest.raises(ValueError, match="--sink open: accepted are counted, free, both"):
        hop_curves(loaded("llama", FLOAT64), some_tokens(4), sink="open")
