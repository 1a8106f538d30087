"""What reading inner states is worth: nothing without useful K/V; untouched halves stay so."""

from __future__ import annotations

import json

import numpy as np
import pytest

import worldline as wl
from circuit_items import circuit_case, idle_model, words_item
from tiny_runs import loaded
from worldline.experiments.introspection_used import (
    BELOW,
    EXPERIMENT,
    FROM,
    FROM_WITH_0,
    MOST_HOPS,
    conclude,
    measure,
)
from worldline.experiments.losses import token_losses


def test_a_model_without_useful_reads_uses_none():
    item = words_item(12)
    one = measure(idle_model(), item)
    for curve in one["curves"].values():
        assert np.ptp([*curve["loss"], curve["loss_full"]]) < 1e-9
        assert set(curve["token"]) == {0}
    assert np.abs([*one["later"].values()]).max() < 1e-9
    found = conclude([(item, one), (item, one)], 0)
    assert found.value == pytest.approx(0, abs=1e-9)


def test_a_chain_needs_its_hops():
    """The last token of a chain of 3: at one hop nothing has arrived, at three all has."""
    model, item = circuit_case("chain of 3")
    whole = item | {"n_tokens": item["n_tokens"] + 1}
    one = measure(model, whole)
    assert one["curves"]["free"]["token"][-1] == 3
    found = conclude([(whole, one)] * 3, 0)
    assert found.value is not None
    assert found.value > 0.1
    assert found.numbers["token_gain_nats"]["counted"][0] == pytest.approx(0, abs=0.01)


def test_the_first_half_is_untouched_and_the_ends_agree():
    model = loaded("llama")
    item = words_item(10)
    one = measure(model, item)
    assert one["first_half_moved"] < 1e-5
    later, depths = one["later"], one["depths"]
    assert (depths[0], depths[-1]) == (0, wl.record(model, item["text"]).n_layers)
    assert later[FROM][0] == pytest.approx(later[BELOW][-1], abs=1e-9)  # all blocks cut
    assert (later[FROM][-1], later[BELOW][0], later[FROM_WITH_0][-1]) == (0, 0, 0)
    assert abs(later[FROM][0]) > 1e-4


def test_losses_are_those_of_a_hop_curve():
    model = loaded("llama")
    tokens = wl.tokenize(model.tokenizer, words_item(9)["text"])
    logits = wl.execute(model, wl.Plan(tokens.ids)).logits[0].double().numpy()
    curve = wl.hop_curve(model, tokens)
    np.testing.assert_allclose(
        token_losses(logits, tokens.ids), curve.token_loss_nats[-1, 1:], atol=1e-5
    )


def test_a_passage_must_be_long_enough():
    model = loaded("llama")
    assert EXPERIMENT.items(model, 2, 0) == []
    item = words_item(5) | {"n_tokens": 64}
    assert "64 are asked for" in measure(model, item)["refused"]


@pytest.mark.bundled
def test_on_the_bundled_model():
    model = wl.load_model()
    items = EXPERIMENT.items(model, 3, 0)
    assert len({item["key"] for item in items}) == 3
    one = measure(model, items[0] | {"n_tokens": 16})
    assert one == json.loads(json.dumps(one, allow_nan=False))
    assert one["first_half_moved"] < 1e-3
    found = conclude([(items[0], one)] * 2, 0)
    assert found.value is not None
    assert 0 < found.value < 5
    for sink in ("counted", "free"):
        needed = found.numbers["hops_needed"][sink]["token"]
        assert sum(needed["shares"]) + needed["more"] == pytest.approx(1)
        assert len(needed["shares"]) == MOST_HOPS + 1
