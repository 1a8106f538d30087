"""Another text's K and V under this text's tokens: circuits that show who is followed."""

from __future__ import annotations

import json

import pytest

import worldline as wl
from tiny_runs import loaded
from worldline.experiments.cache_is_memory import EXPERIMENT


def concluded(model, items):
    pairs = [(one, EXPERIMENT.measure(model, one)) for one in items]
    json.dumps(pairs, allow_nan=False)
    return EXPERIMENT.conclude(pairs, 0)


def circuit_item(circuit, n_before):
    return {
        "key": "by hand",
        "text": "",
        "tokens": list(circuit.ids[:n_before]),
        "cache": list(circuit.corrupted[:n_before]),
        "after": list(circuit.ids[n_before:]),
    }


def test_a_chain_says_what_the_cache_holds_by_its_values_alone():
    circuit = wl.known_circuits()["chain of 2"]
    model = wl.load_model((circuit.module, circuit.tokenizer))
    item = circuit_item(circuit, n_before=3)
    measured = EXPERIMENT.measure(model, item)
    finding = EXPERIMENT.conclude([(item, measured)] * 2, 0)
    followed = finding.numbers["followed"]
    assert followed["kv"][0] == pytest.approx(1, abs=1e-6)
    assert followed["v"][0] == pytest.approx(1, abs=1e-6)
    assert followed["k"][0] == pytest.approx(0, abs=1e-6)  # its patterns are of positions
    assert measured["decoding"] < 1e-9
    assert measured["greedy"]["patched"] == measured["greedy"]["cache"]
    assert measured["greedy"]["patched"] != measured["greedy"]["tokens"]
    assert measured["kl"]["kv"]["to_tokens"] > 1


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gemma2"])
def test_it_holds_of_real_architectures(model_type):
    model = loaded(model_type)
    finding = concluded(model, EXPERIMENT.items(model, 2, 0))
    assert finding.value == pytest.approx(1, abs=1e-4)
    assert finding.low is not None
    assert 0.99 < finding.low <= finding.value
    assert finding.numbers["decoding_worst"] < 1e-5
    assert finding.numbers["greedy_as_cache"] == [2, 2]
    assert finding.broken is None


def test_a_cache_that_decodes_to_something_else_is_broken():
    model = loaded("llama")
    pairs = [(one, EXPERIMENT.measure(model, one)) for one in EXPERIMENT.items(model, 2, 0)]
    pairs[0][1]["decoding"] = 1e-3
    finding = EXPERIMENT.conclude(pairs, 0)
    assert finding.broken is not None
    assert "1.0e-03" in finding.broken


def test_following_the_tokens_gives_zero():
    model = loaded("llama")
    pairs = [(one, EXPERIMENT.measure(model, one)) for one in EXPERIMENT.items(model, 2, 0)]
    for _, one in pairs:
        one["kl"]["kv"] = {"to_tokens": 0.0, "to_cache": one["between"]}
    finding = EXPERIMENT.conclude(pairs, 0)
    assert (finding.value, finding.high) == (0, 0)
