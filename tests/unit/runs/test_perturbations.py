"""Perturbations, edited patch sources and patched queries, each against a second way."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import worldline as wl
from tiny_runs import FLOAT64, loaded, some_tokens
from worldline.errors import RefusedError

FLOOR = 1e-9  # float64 logits of order 1
FLOORS = {"gemma2": 1e-5}  # its softmax is in float32 whatever the model is in
TYPES = ["llama", "gpt2", "gemma2", "gpt_neox", "mixtral"]
TOKENS = some_tokens(8)
ALL = tuple(range(8))


def vector(model, seed=0):
    width = wl.record(model, TOKENS).resid[0].shape[-1]
    return tuple(np.random.default_rng(seed).normal(size=width))


def logits(model, *edits):
    return wl.execute(model, wl.Plan(TOKENS.ids, frozenset(edits))).logits[0]


@pytest.mark.parametrize("model_type", TYPES)
def test_a_perturbation_is_that_number_added_to_the_node(model_type):
    model = loaded(model_type, FLOAT64)
    by = vector(model)
    perturbation = wl.NodeCut("perturb", rows=(1,), positions=(2, 5), vector=by)
    plain, perturbed = wl.record(model, TOKENS), wl.record(model, TOKENS, edits=[perturbation])
    moved = perturbed.resid[1] - plain.resid[1]
    assert torch.allclose(moved[[2, 5]], torch.tensor(by, dtype=moved.dtype), atol=1e-12)
    assert torch.equal(perturbed.resid[0], plain.resid[0])
    assert not moved[[0, 1, 3, 4, 6, 7]].any()
    assert torch.equal(logits(model, perturbation)[:2], logits(model)[:2])  # before it: nothing
    assert (logits(model, perturbation)[7] - logits(model)[7]).abs().max() > 1e-6


@pytest.mark.parametrize("model_type", TYPES)
def test_what_a_perturbation_does_to_later_columns_is_what_its_keys_and_values_do(model_type):
    """Later columns read K and V only: a perturbed patch source's make the perturbed run."""
    model = loaded(model_type, FLOAT64)
    perturbation = wl.NodeCut("perturb", rows=(1,), positions=(3,), vector=vector(model))
    later = (4, 5, 6, 7)
    perturbed_source = wl.PatchSource(TOKENS.ids, ALL, frozenset([perturbation]))
    plain_source = wl.PatchSource(TOKENS.ids, ALL)
    perturbed, plain = logits(model, perturbation), logits(model)
    read = {"src": (3,), "dst": later}
    only_kv = logits(model, wl.EdgeCut("patch", patch_source=perturbed_source, **read))
    only_own = logits(model, perturbation, wl.EdgeCut("patch", patch_source=plain_source, **read))
    floor = FLOORS.get(model_type, FLOOR)
    assert (only_kv[4:] - perturbed[4:]).abs().max() < floor
    assert torch.equal(only_kv[:4], plain[:4])
    assert (only_own[4:] - plain[4:]).abs().max() < floor
    assert (only_own[3] - perturbed[3]).abs().max() < floor


def test_keys_and_values_of_a_perturbed_patch_source_apart_are_neither():
    model = loaded("llama", FLOAT64)
    perturbation = wl.NodeCut("perturb", rows=(1,), positions=(3,), vector=vector(model))
    patch_source = wl.PatchSource(TOKENS.ids, ALL, frozenset([perturbation]))

    def patched(*parts):
        cuts = (
            wl.EdgeCut("patch", (3,), (4, 5, 6, 7), parts=p, patch_source=patch_source)
            for p in parts
        )
        return logits(model, *cuts)[7]

    found = [patched("k"), patched("v"), patched("kv"), logits(model)[7]]
    for n, one in enumerate(found):
        assert all((one - other).abs().max() > 1e-6 for other in found[:n])


def test_a_patch_source_that_reads_only_its_own_tokens():
    """Every edge of the patch source masked: its last K and V are those of the token alone."""
    model = loaded("llama", FLOAT64)
    alone = wl.PatchSource(TOKENS.ids, ALL, frozenset([wl.EdgeCut("mask")]))
    patched = logits(model, wl.EdgeCut("patch", ALL[:7], (7,), patch_source=alone))[7]
    budget = wl.execute(model, wl.Plan(TOKENS.ids, budget=budget_of(1))).logits[0][7]
    assert (patched - budget).abs().max() < FLOOR  # one hop: each read of a state without reads


def budget_of(hops):
    from worldline.graph.edits import HopBudget

    return HopBudget(hops)


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "gpt2"])
def test_patched_queries_read_by_the_pattern_that_they_make(model_type):
    model, layer = loaded(model_type, FLOAT64), 1
    other = some_tokens(8, seed=1)
    patch_source = wl.PatchSource(other.ids, ALL)
    own, theirs = wl.record(model, TOKENS), wl.record(model, other)
    cut = wl.EdgeCut("patch", layers=(layer,), parts="q", own=True, patch_source=patch_source)
    found = wl.record(model, TOKENS, edits=[cut]).attn_out[layer]
    (call,), term = own.live[layer].calls, own.live[layer].terms["attn0"]
    pattern = torch.tensor(own.pattern(layer, q_of=theirs))
    v = call.v[0].repeat_interleave(call.n_heads // call.v.shape[1], 0)
    z = (pattern.to(v.dtype) @ v)[None]
    assert torch.allclose(found, term.replay(call.leaf, call.from_heads(z))[0], atol=FLOOR)
    assert (found - own.attn_out[layer]).abs().max() > 1e-6


def test_own_queries_patched_change_nothing():
    model = loaded("llama", FLOAT64)
    patch_source = wl.PatchSource(TOKENS.ids, ALL)
    cut = wl.EdgeCut("patch", parts="q", patch_source=patch_source)
    assert (logits(model, cut) - logits(model)).abs().max() < FLOOR


def test_a_plan_of_perturbations_and_patch_sources_comes_back_from_json():
    perturbation = wl.NodeCut("perturb", rows=(1,), positions=(3,), vector=(0.5, -1.0))
    patch_source = wl.PatchSource(
        TOKENS.ids, ALL, frozenset([perturbation, wl.EdgeCut("mask", src=(1,))])
    )
    plan = wl.Plan(
        TOKENS.ids,
        frozenset([perturbation, wl.EdgeCut("patch", (2,), (5,), patch_source=patch_source)]),
    )
    assert wl.Plan.from_json(plan.json()) == plan


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: wl.NodeCut("perturb", rows=(1,)), "needs the vector"),
        (lambda: wl.NodeCut("zero", rows=(1,), vector=(1.0,)), "adds no vector"),
        (lambda: wl.NodeCut("perturb", rows=(1,), vector=(float("nan"),)), "finite numbers"),
        (lambda: wl.EdgeCut("mask", parts="q"), "only a patch"),
        (
            lambda: wl.PatchSource((5, 6), (0, 1), frozenset([wl.EdgeCut("mask", src=(7,))])),
            "position 7",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(make, said):
    with pytest.raises(wl.InputError, match=said):
        make()


def test_two_perturbations_of_one_node_are_refused():
    one, two = (wl.NodeCut("perturb", rows=(1,), vector=(x, 0.0)) for x in (1.0, 2.0))
    with pytest.raises(wl.InputError, match="a plan changes one thing in one way"):
        wl.Plan(TOKENS.ids, frozenset([one, two]))


def test_a_vector_of_another_width_is_refused():
    with pytest.raises(wl.InputError, match="vector of 2 numbers: accepted are"):
        logits(loaded("llama", FLOAT64), wl.NodeCut("perturb", rows=(1,), vector=(1.0, 2.0)))


def test_a_patch_source_perturbed_at_its_last_row_is_refused():
    model = loaded("llama", FLOAT64)
    last = wl.record(model, TOKENS).n_layers
    perturbation = wl.NodeCut("perturb", rows=(last,), vector=vector(model))
    patch_source = wl.PatchSource(TOKENS.ids, ALL, frozenset([perturbation]))
    with pytest.raises(wl.InputError, match=f"row {last} of a patch source"):
        logits(model, wl.EdgeCut("patch", patch_source=patch_source))


@pytest.mark.parametrize("many", [False, True])
def test_a_perturbation_after_which_no_logit_is_a_number_is_refused(many):
    model = loaded("gpt2")
    width = wl.record(model, TOKENS).resid[0].shape[-1]
    edits = [wl.NodeCut("perturb", rows=(row,), vector=(1e38,) * width) for row in (1, 2)]
    plans = [wl.Plan(TOKENS.ids, frozenset([edit])) for edit in edits]

    def run():
        return wl.execute_many(model, plans) if many else wl.cut(model, TOKENS, edits[:1])

    with pytest.raises(RefusedError, match="not finite"):
        run()
