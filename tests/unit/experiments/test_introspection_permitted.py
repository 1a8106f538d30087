"""Past states changed under the same tokens: models that provably read them, one that cannot."""

from __future__ import annotations

import json

import pytest

import worldline as wl
from tiny_runs import loaded
from worldline.experiments.introspection_permitted import EXPERIMENT, IDENTITY, KINDS


def measured(model, item):
    found = EXPERIMENT.measure(model, item)
    json.dumps(found, allow_nan=False)
    return found


def by_hand(name, n_prefix, n_middle):
    circuit = wl.known_circuits()[name]
    model = wl.load_model((circuit.module, circuit.tokenizer))
    item = {
        "key": "by hand",
        "text": "",
        "ids": list(circuit.ids),
        "prefix": list(circuit.corrupted[:n_prefix]),
        "n_middle": n_middle,
        "seed": 0,
    }
    return model, item


def test_a_chain_reads_what_the_middle_has_read_through_v():
    """Of `1 2 3 4 5` token 5 says 3, which stands in the state of 4 that it reads."""
    model, item = by_hand("chain of 2", n_prefix=3, n_middle=1)
    kl = measured(model, item)["kl"]
    assert kl["another prefix"]["kv"] > 1
    assert kl["another prefix"]["v"] > 1
    assert kl["another prefix"]["k"] < 1e-9  # its patterns are of positions, which are the same
    assert kl["tokens alone"]["kv"] > 1
    assert kl[IDENTITY]["kv"] < 1e-12
    finding = EXPERIMENT.conclude([(item, measured(model, item))] * 4, 0)
    assert finding.value is not None
    assert finding.value > 2


def test_induction_finds_its_match_through_k():
    """Which token stood before the middle is written into its state, and read as a key."""
    model, item = by_hand("induction", n_prefix=2, n_middle=1)
    item["prefix"] = [7, 5]  # in the state of the middle "5 was before" stands, not "1 was before"
    kl = measured(model, item)["kl"]
    assert kl["another prefix"]["k"] > 0.1
    assert kl["another prefix"]["v"] < 1e-9  # the copied token is the same


def test_one_block_reads_tokens_and_no_states():
    model, item = by_hand("cancelling in a layer", n_prefix=2, n_middle=2)
    item["prefix"] = [4, 5]
    found = measured(model, item)
    for kind in KINDS:
        assert found["kl"][kind]["kv"] <= 10 * found["rounding"]
    finding = EXPERIMENT.conclude([(item, found)] * 4, 0)
    assert finding.value is not None
    assert finding.value < 1


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "mistral"])
def test_real_architectures_read_past_states(model_type):
    model = loaded(model_type)
    items = EXPERIMENT.items(model, 3, 0)
    finding = EXPERIMENT.conclude([(one, measured(model, one)) for one in items], 0)
    assert finding.low is not None
    assert finding.low > 2
    assert finding.numbers["perturbation"]["row"] > 0
    assert finding.numbers["perturbed_over_random"] > 0


def test_the_least_of_the_three_kinds_decides():
    model = loaded("llama")
    pairs = [(one, measured(model, one)) for one in EXPERIMENT.items(model, 3, 0)]
    for _, one in pairs:
        one["kl"]["perturbed"]["kv"] = one["kl"][IDENTITY]["kv"]
    assert EXPERIMENT.conclude(pairs, 0).value == 0


def test_a_model_that_moves_information_otherwise_is_not_testable():
    model = loaded("jamba")
    items = EXPERIMENT.items(model, 1, 0)
    finding = EXPERIMENT.conclude([(one, measured(model, one)) for one in items], 0)
    assert finding.untestable is not None


@pytest.mark.bundled
def test_the_bundled_model():
    model = wl.load_model()
    items = EXPERIMENT.items(model, 1, 0)
    kl = measured(model, items[0])["kl"]
    for kind in KINDS:
        for parts in ("kv", "k", "v"):
            assert kl[kind][parts] > 100 * kl[IDENTITY][parts]
