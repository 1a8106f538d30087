"""Coherence where it is known: heads that cancel, a chain that is alone; sums that must hold."""

from __future__ import annotations

import json

import pytest

import worldline as wl
from circuit_items import circuit_case, idle_model
from tiny_runs import loaded
from worldline.experiments.interference import EXPERIMENT, GROUPINGS, conclude, measure
from worldline.models.known_circuits import (
    OPPOSITE,
    OUT,
    TOKEN,
    Head,
    NamesIds,
    at_first,
    at_one_before,
    hand_built,
)


def test_two_heads_that_cancel_in_a_layer():
    """Of +3, -3 (one source) and +1 (another) times a logit 6/7 cancels by edge, none by source."""
    model, item = circuit_case("cancelling in a layer")
    one = measure(model, item)
    by = {grouping: one["groupings"][grouping]["coherence"] for grouping in GROUPINGS}
    assert by == pytest.approx({"edge": 1 / 7, "source": 1, "hops": 1, "layer": 1}, abs=1e-3)
    assert one["nodes"]["cancelled"] == pytest.approx(6 / 7, abs=1e-3)


def test_two_heads_that_cancel_across_layers():
    """+3 and +1 enter in one layer, -3 in the next: that cancels by layer, in no node."""
    model, item = circuit_case("cancelling across layers")
    one = measure(model, item)
    by = {grouping: one["groupings"][grouping]["coherence"] for grouping in GROUPINGS}
    assert by == pytest.approx({"edge": 1 / 7, "source": 1, "hops": 1, "layer": 1 / 7}, abs=1e-3)
    assert one["nodes"]["cancelled"] == pytest.approx(0, abs=1e-3)


def test_two_sources_that_cancel_wholly():
    """On `B C D B E` one head adds the first B, one takes the second: little is left."""
    heads = {
        (0, 0): Head(at_one_before, TOKEN, OUT, -OPPOSITE),
        (0, 1): Head(at_first, TOKEN, OUT, OPPOSITE),
    }
    model = wl.load_model((hand_built(heads, squares=(2, 2)), NamesIds()))
    item = {"key": "x", "kind": "words", "text": "t1 t7 t8 t1 t9 t1", "n_tokens": 5}
    one = measure(model, item | {"answer": 1, "wrong": 11})
    for grouping in ("edge", "source"):
        assert one["groupings"][grouping]["coherence"] == pytest.approx(0, abs=1e-5)
    found = conclude([(item, one)] * 2, 0)
    assert found.value == pytest.approx(1, abs=1e-5)
    assert found.numbers["groupings"]["source"]["inside"] == 2  # of two signs half cancel
    assert found.bounds == "it cancels, but no more than random signs would in 2 of 2 prompts"
    assert found.picture is not None
    assert found.picture.cuts in (("*.*:3>*",), ("*.*:0>*",))


def test_a_chain_has_nothing_that_cancels():
    model, item = circuit_case("chain of 3")
    one = measure(model, item)
    for grouping in GROUPINGS:
        assert one["groupings"][grouping]["coherence"] == pytest.approx(1, abs=1e-3)
    found = conclude([(item, one), (item, one)], 0)
    assert found.value == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gpt_neox", "qwen2"])
def test_every_grouping_adds_up_to_the_target(kind):
    """Each path enters the last column by one read, has one source and one number of hops."""
    model = loaded(kind)
    text = " ".join(f"t{number}" for number in (5, 9, 17, 40, 9, 31, 77))
    item = {"key": "x", "kind": "words", "text": text, "n_tokens": 7, "answer": None, "wrong": None}
    one = measure(model, item)
    assert one["unaccounted"] < 1e-4
    assert sum(one["by_source"]) == pytest.approx(one["target_value"], abs=1e-4)
    assert one["groupings"]["edge"]["n_values"] > one["groupings"]["layer"]["n_values"]


def test_nothing_flows():
    _, item = circuit_case("chain of 2")
    found = conclude([(item, measure(idle_model(), item))], 0)
    assert "nothing flows" in str(found.untestable)


@pytest.mark.bundled
def test_on_the_bundled_model():
    model = wl.load_model()
    item = EXPERIMENT.items(model, 4, 0)[-1]
    one = measure(model, item)
    assert one == json.loads(json.dumps(one, allow_nan=False))
    assert one["unaccounted"] < 1e-4
    found = conclude([(item, one), (item, one)], 0)
    assert found.value == pytest.approx(1 - one["groupings"]["source"]["coherence"])
    row = found.numbers["groupings"]["source"]
    assert row["above"] + row["inside"] + row["below"] == 2
    assert found.picture is not None
    assert found.picture.text == one["prompt"]
