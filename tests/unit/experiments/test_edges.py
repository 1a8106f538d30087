"""Which edges are cut: all or a sample by strata, alone or together."""

from __future__ import annotations

import numpy as np
import pytest

import worldline as wl
from tiny_runs import loaded
from worldline.experiments.faithfulness.curves import SHARES, curve_plans, orders_of
from worldline.experiments.faithfulness.edge_choice import (
    SAMPLE,
    edges_to_cut,
    every_edge,
    many_cut,
    one_cut,
    powerless,
    values,
)
from worldline.experiments.faithfulness.families import Prompt

IDS, OTHER = (5, 9, 3, 7, 2), (5, 8, 3, 7, 2)


def prompt_of(model, ids=IDS, other=OTHER):
    clean, corrupted = (
        wl.tokenize(model.tokenizer, " ".join(f"t{one}" for one in some)) for some in (ids, other)
    )
    return Prompt("made up", 3, "report", clean, corrupted, 4, 6)


@pytest.mark.parametrize(("n_layers", "n_pos"), [(1, 2), (2, 5), (4, 3)])
def test_every_edge_and_the_powerless_are_all(n_layers, n_pos):
    both = np.concatenate([every_edge(n_layers, n_pos), powerless(n_layers, n_pos)])
    true = {(a, j, i) for a in range(n_layers) for j in range(n_pos) for i in range(j)}
    assert len(both) == len(true)
    assert set(map(tuple, both.tolist())) == true


@pytest.mark.parametrize("how", ["zero", "mask", "patch"])
def test_the_powerless_do_nothing_and_others_do(how):
    model = loaded("llama")
    prompt, n_layers = prompt_of(model), model.module.config.num_hidden_layers
    plans = [wl.Plan(prompt.clean.ids)]
    for edges in (powerless(n_layers, 5), every_edge(n_layers, 5)):
        plans += [one_cut(prompt, how, edge) for edge in edges]
    found = values(model, prompt, plans)
    still = len(powerless(n_layers, 5))
    np.testing.assert_allclose(found[1 : 1 + still], found[0], atol=1e-6)
    assert np.abs(found[1 + still :] - found[0]).max() > 1e-3


def test_short_texts_are_cut_whole_and_long_ones_by_strata():
    short = edges_to_cut([3] * 4, 9, seed=1)
    np.testing.assert_array_equal(short.layer, every_edge(4, 9))
    edges = edges_to_cut([9] * 30, 20, seed=1)
    for some in (edges.layer, edges.head):
        assert len(some) == len(np.unique(some, axis=0)) == SAMPLE
        per_layer = np.bincount(some[:-1, 0], minlength=30)
        assert per_layer[:-1].min() >= 30
        assert (some[:, -2] > some[:, -1]).all()
    for part in ("layer", "head"):
        np.testing.assert_array_equal(
            getattr(edges_to_cut([9] * 30, 20, seed=1), part), getattr(edges, part)
        )
    assert (edges_to_cut([9] * 30, 20, seed=2).head != edges.head).any()


def test_no_edge_is_chosen_of_a_head_that_its_layer_lacks():
    edges = edges_to_cut([2, 3, 1], 4, seed=0).head
    true = [(*edge[:1], head, *edge[1:]) for edge in every_edge(3, 4).tolist()
            for head in range([2, 3, 1][edge[0]])]  # fmt: skip
    assert sorted(map(tuple, edges.tolist())) == sorted(true)


def test_edges_cut_together_are_those_and_no_others():
    model = loaded("llama")
    edges = [(0, 2, 0), (0, 2, 1), (1, 4, 3), (0, 3, 1)]
    plan = many_cut(prompt_of(model), "zero", np.array(edges))
    found = {
        (layer, dst, src) for cut in plan.edits for layer in cut.layers for src, dst in cut.pairs(5)
    }
    assert found == set(edges)


def test_orders_go_by_weight_and_break_ties_by_lot():
    weights = {"one": np.array([0.5, -2.0, 1.0, 0.0]), "flat": np.zeros(4)}
    orders = orders_of(weights, seed=0)
    assert orders["one", "signed"].tolist() == [2, 0, 3, 1]
    assert orders["one", "by size"].tolist() == [1, 2, 0, 3]
    assert sorted(orders["flat", "signed"].tolist()) == [0, 1, 2, 3]
    drawn = {tuple(orders_of(weights, seed)["flat", "signed"].tolist()) for seed in range(20)}
    assert len(drawn) > 3


def test_a_curve_keeps_or_cuts_its_share():
    model = loaded("llama")
    edges = every_edge(2, 5)
    orders = orders_of({"one": np.arange(len(edges), dtype=float)}, seed=0)
    plans, places = curve_plans(prompt_of(model), "mask", edges, orders)
    assert len(set(plans)) == len(plans)
    for (_, kind), at in places.items():
        assert len(at) == len(SHARES)
        for share, n in zip(SHARES, at, strict=True):
            n_cut = sum(1 for cut in plans[n].edits for _ in cut.pairs(5))
            kept = round(share * len(edges))
            assert n_cut == (kept if kind.startswith("deletion") else len(edges) - kept)
