"""Losses under cuts: none without useful K/V, all at the ends; pairs of edges in known series."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import worldline as wl
from circuit_items import circuit_case, idle_model, words_item
from tiny_runs import loaded
from worldline.experiments.redundancy import (
    EXPERIMENT,
    KEEP_COLUMN_0,
    RANDOM,
    STRONGEST,
    WEAK,
    by_weight,
    conclude,
    cut_losses,
    mask_cuts,
    measure,
    pair_of,
    part,
    strong_pairs,
    worth,
)


def test_a_model_without_useful_reads_has_no_worth_to_share():
    item = words_item(8)
    one = measure(idle_model(), item)
    assert abs(worth(one, RANDOM)) < 1e-9
    found = conclude([(item, one)] * 3, 0)
    assert found.value is None
    assert "costs no text anything" in str(found.untestable)


def test_all_edges_cut_leaves_each_token_alone():
    """By mask of every edge each column is its one-token run, at its own place."""
    model = loaded("llama")
    tokens = wl.tokenize(model.tokenizer, words_item(7)["text"])
    trace = wl.record(model, tokens)
    every = by_weight(wl.attribute(trace, "contribution", top=0))
    assert sorted(map(tuple, every.tolist())) == [
        (layer, dst, src)
        for layer in range(trace.n_layers)
        for dst in range(7)
        for src in range(dst)
    ]
    found = cut_losses(model, tokens, {RANDOM: [every]})
    alone = wl.hop_curve(model, tokens, max_hops=0).loss_nats[0]
    assert found["curves"][RANDOM]["1"]["mean"][0] == pytest.approx(alone, abs=1e-5)
    plain = wl.hop_curve(model, tokens).loss_full_nats
    assert found["plain"]["mean"] == pytest.approx(plain, abs=1e-5)


def test_weights_order_edges_by_size():
    model = loaded("llama")
    flow = wl.attribute(wl.record(model, words_item(7)["text"]), "contribution", top=0)
    sizes = [
        abs(flow.dense(layer)[:, dst, src].sum()) for layer, dst, src in by_weight(flow).tolist()
    ]
    assert sizes == sorted(sizes)


def test_edges_become_one_cut_a_row():
    edges = np.array([[1, 4, 0], [1, 4, 2], [0, 4, 1]])
    assert mask_cuts(edges) == {
        wl.EdgeCut("mask", (0, 2), (4,), (1,)),
        wl.EdgeCut("mask", (1,), (4,), (0,)),
    }
    assert mask_cuts(np.array([[1, 4, 0, 3]])) == {wl.EdgeCut("mask", (0,), (4,), (1,), (3,))}


def test_pairs_share_no_row():
    edges = np.array([[0, 3, 1], [0, 3, 2], [1, 3, 1], [1, 4, 0]])
    pairs = strong_pairs(edges, np.random.default_rng(0))
    used = [edge for pair in pairs for edge in pair]
    assert len(used) == len(set(used))
    assert all(one[:2] != two[:2] for one, two in pairs)
    assert strong_pairs(edges[:2], np.random.default_rng(0)) == []


def test_the_two_edges_of_induction_are_in_series():
    model, item = circuit_case("induction")
    circuit = wl.known_circuits()["induction"]
    tokens = wl.tokenize(model.tokenizer, item["text"]).first(item["n_tokens"])
    one, two = ((edge.layer, edge.dst, edge.src) for edge in circuit.edges)
    found = pair_of(model, tokens, one, two, circuit.target, circuit.versus)
    assert found["word"] == "in series"
    idle = (0, 2, 0)  # a head that writes where nothing reads
    assert pair_of(model, tokens, two, idle, circuit.target, circuit.versus)["word"] == "neither"


def test_what_it_says():
    """Of a chain: half of the edges at random, and the value from the losses by hand."""
    model, item = circuit_case("chain of 3")
    whole = item | {"n_tokens": item["n_tokens"] + 1, "seed": 3}
    one = measure(model, whole)
    assert one == measure(model, whole)
    losses = one["curves"][RANDOM]
    by_hand = (np.mean(losses["0.5"]["mean"]) - one["plain"]["mean"]) / (
        losses["1"]["mean"][0] - one["plain"]["mean"]
    )
    found = conclude([(whole, one)] * 3, 0)
    assert found.value == pytest.approx(by_hand)
    assert found.value == found.low == found.high
    assert part(one, KEEP_COLUMN_0, 1.0) == 1
    assert json.loads(json.dumps(dataclasses.asdict(found), allow_nan=False))["n"] == 3


@pytest.mark.bundled
def test_on_the_bundled_model():
    model = wl.load_model()
    items = EXPERIMENT.items(model, 2, 1)
    assert [item["seed"] for item in items] == [1000, 1001]
    one = measure(model, items[0] | {"n_tokens": 12})
    assert one == json.loads(json.dumps(one, allow_nan=False))
    assert worth(one, RANDOM) > 1
    assert part(one, RANDOM, 0.1) < part(one, RANDOM, 0.9)
    assert part(one, WEAK, 0.5) < part(one, STRONGEST, 0.5)
