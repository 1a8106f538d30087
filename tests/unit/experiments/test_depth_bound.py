"""The longest chain of blocks: the same at every length, more by loops alone."""

from __future__ import annotations

import dataclasses

import pytest

import worldline as wl
from tiny_runs import loaded
from worldline.experiments.depth_bound import EXPERIMENT, chain_with_sampling


def concluded(model, n=5):
    pairs = [(one, EXPERIMENT.measure(model, one)) for one in EXPERIMENT.items(model, n, 0)]
    return EXPERIMENT.conclude(pairs, 0)


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "mistral"])
def test_the_chain_is_the_number_of_blocks(model_type):
    model = loaded(model_type)
    finding = concluded(model)
    assert (finding.value, finding.low, finding.high) == (0, 0, 0)
    n_layers = finding.numbers["n_layers"]
    assert n_layers == (model.config.get("num_hidden_layers") or model.config["n_layer"])
    lengths = [one["n_pos"] for one in finding.numbers["by_length"]]
    assert lengths[0] == 1
    assert lengths[-1] > 16
    for one in finding.numbers["by_length"]:
        assert one["reads"] == min(n_layers, one["n_pos"] - 1)


def test_the_circuit_that_needs_three_reads_has_them():
    circuit = wl.known_circuits()["chain of 3"]
    model = wl.load_model((circuit.module, circuit.tokenizer))
    item = {"key": "by hand", "ids": list(circuit.ids), "text": ""}
    finding = EXPERIMENT.conclude([(item, EXPERIMENT.measure(model, item))], 0)
    assert finding.value == 0
    assert finding.numbers["n_layers"] == 4
    assert finding.numbers["by_length"][0]["reads"] >= len(circuit.edges)


def test_a_longer_chain_is_seen(monkeypatch):
    true = wl.run_orders

    def longer(*given):
        seen = true(*given)
        orders = [
            dataclasses.replace(one, longest_chain=one.longest_chain + len(seen.tokens) // 8)
            for one in seen.orders
        ]
        return dataclasses.replace(seen, orders=orders)

    monkeypatch.setattr(wl, "run_orders", longer)
    finding = concluded(loaded("llama"))
    assert finding.value is not None
    assert finding.value > 0


@pytest.mark.parametrize("n_sampled", [0, 1, 3])
def test_a_sampled_token_adds_one_crossing(n_sampled):
    assert chain_with_sampling(4, 6, n_sampled) == 4 * (1 + n_sampled)


def test_all_lengths_are_asked_for_in_full():
    items = EXPERIMENT.items(loaded("llama"), 64, 0)
    assert [len(one["ids"]) for one in items] == list(range(1, 65))
