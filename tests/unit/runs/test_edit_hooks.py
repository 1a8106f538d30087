"""Cuts, splices, nodes and hop budgets against the NumPy oracle, family by family in float64."""

from __future__ import annotations

import numpy as np
import pytest

import reference as ref
from oracles import Float64, witness_of
from tiny_runs import NamesIds
from worldline.graph.edits import Donor, EdgeCut, HopBudget, NodeCut, longer_than
from worldline.models.loader import load_model
from worldline.runs.execution import execute, execute_many
from worldline.runs.hop_budgets import copies_of
from worldline.runs.plan import Plan

FAMILIES = ("llama", "llama_biased", "qwen2", "gemma2", "gpt_neox", "gpt_oss", "cohere", "opt")
IDS, OTHER = (3, 1, 4, 1, 5, 9), (2, 7, 1, 8, 2, 8)
NEAR = 1e-9


class Witness:
    """A family's model, and the oracle's decoder of the same weights."""

    def __init__(self, family):
        module, self.decoder = witness_of(family)
        self.model = load_model((module, NamesIds()))
        self.plain = ref.run(self.decoder, IDS)
        self.shape = self.plain.pattern.shape

    def logits(self, *edits, budget=None):
        with Float64():
            seen = execute(self.model, Plan(IDS, frozenset(edits), budget))
        return seen.logits[0].numpy()

    def oracle(self, **edits):
        return ref.run(self.decoder, IDS, **edits).logits


@pytest.fixture(scope="module", params=FAMILIES)
def witness(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLDLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Witness(request.param)


def kept(shape, *places):
    """1 everywhere but at these (layer, head, dst, src)."""
    out = np.ones(shape)
    for place in places:
        out[place] = 0
    return out


@pytest.mark.parametrize("how", ["mask", "drop"])
def test_single_edges(witness, how):
    draw = np.random.default_rng(1)
    for _ in range(6):
        layer, head = int(draw.integers(2)), int(draw.integers(witness.shape[1]))
        src, dst = sorted(draw.choice(len(IDS), 2, replace=False).tolist())
        found = witness.logits(EdgeCut(how, (src,), (dst,), (layer,), (head,)))
        true = witness.oracle(**{how: kept(witness.shape, (layer, head, dst, src))})
        np.testing.assert_allclose(found, true, atol=NEAR)


@pytest.mark.parametrize("how", ["mask", "drop"])
def test_spans_of_tokens_layers_and_heads(witness, how):
    edit = np.ones(witness.shape)
    for src, dst in ((0, 3), (1, 3), (0, 4), (1, 4)):
        edit[1, [0, 2], dst, src] = 0
    found = witness.logits(EdgeCut(how, (0, 1), (3, 4), (1,), (0, 2)))
    np.testing.assert_allclose(found, witness.oracle(**{how: edit}), atol=NEAR)
    every = np.tril(np.zeros(witness.shape)) + np.triu(np.ones(witness.shape[2:]))
    found = witness.logits(EdgeCut(how))
    np.testing.assert_allclose(found, witness.oracle(**{how: every}), atol=NEAR)


def test_masks_and_drops_together_and_self_attention(witness):
    edits = EdgeCut("mask", (1,), (4,)), EdgeCut("drop", (2, 4), (4,), own=True)
    mask, drop = np.ones(witness.shape), np.ones(witness.shape)
    mask[:, :, 4, 1], drop[:, :, 4, [2, 4]] = 0, 0
    found = witness.logits(*edits)
    np.testing.assert_allclose(found, witness.oracle(mask=mask, drop=drop), atol=NEAR)


def test_an_emptied_row_reads_nothing(witness):
    found = witness.logits(EdgeCut("mask", None, (2,), (0,), own=True))
    edit = np.ones(witness.shape)
    edit[0, :, 2] = 0
    np.testing.assert_allclose(found, witness.oracle(mask=edit), atol=NEAR)


@pytest.mark.parametrize("parts", ["kv", "k", "v"])
def test_splices(witness, parts):
    at = (0, 1, 2, 4, 3, 5)  # positions 3 and 4 change places
    donor = Donor(OTHER, at)
    other = ref.run(witness.decoder, OTHER)
    where = np.zeros(witness.shape)
    where[1, :, 3:, 1:3] = 1
    where[1, :, 5, 3:5] = 1
    edits = {}
    for part in parts:
        edits |= {f"from_{part}": where, f"another_{part}": getattr(other, part)[:, :, at]}
    found = witness.logits(
        EdgeCut("splice", (1, 2), (3, 4, 5), (1,), parts=parts, donor=donor),
        EdgeCut("splice", (3, 4), (5,), (1,), parts=parts, donor=donor),
    )
    true = witness.oracle(**edits)
    np.testing.assert_allclose(found, true, atol=NEAR)
    assert np.abs(true - witness.plain.logits).max() > 1e-3


@pytest.mark.parametrize("how", ["zero", "mean", "mean of another", "splice"])
def test_nodes(witness, how):
    rows, (layers, n_pos, d_model) = witness.plain.resid_pre, witness.plain.resid_pre.shape
    for row in range(layers):
        scale, add = np.ones((layers, n_pos, 1)), np.zeros((layers, n_pos, d_model))
        scale[row, 3] = 0
        donor, name = None, how
        if how == "mean":
            add[row, 3] = rows[row, :4].mean(0)
        elif how != "zero":
            donor, name = Donor(OTHER, tuple(range(n_pos))), how.split(" ")[0]
            others = ref.run(witness.decoder, OTHER).resid_pre[row]
            add[row, 3] = others[3] if name == "splice" else others.mean(0)
        found = witness.logits(NodeCut(name, (row,), (3,), donor))
        true = witness.oracle(row_scale=scale, row_add=add)
        np.testing.assert_allclose(found, true, atol=NEAR)
        assert np.abs(true - witness.plain.logits).max() > 1e-3


def copies(witness, n, sink="counted", layers=None, extra=1.0):
    """The slow second implementation: one run after the other, each reads the one before."""
    shape, out = witness.shape, []
    past = np.tril(np.ones(shape), -1)
    if layers is not None:
        past[[layer for layer in range(shape[0]) if layer not in layers]] = 0
    for b in range(n + 1):
        if b == 0:
            mask = 1 - past
            if sink == "free":
                mask[..., 0] = 1
            run = ref.run(witness.decoder, IDS, mask=mask * extra)
        else:
            edits = {"from_k": past, "another_k": run.k, "from_v": past, "another_v": run.v}
            run = ref.run(witness.decoder, IDS, mask=np.ones(shape) * extra, **edits)
        out.append(run)
    return out


@pytest.mark.parametrize("sink", ["counted", "free"])
@pytest.mark.parametrize("layers", [None, (1,)])
def test_hop_budgets(witness, sink, layers):
    true = copies(witness, 3, sink, layers)
    plan = Plan(IDS, budget=HopBudget(3, sink, layers))
    with Float64():
        found = [(one.logits, one.norms) for one in copies_of(witness.model, plan, at_once=2)]
    for (logits, ours), theirs in zip(found, true, strict=True):
        np.testing.assert_allclose(logits.numpy(), theirs.logits, atol=NEAR)
        norms = np.linalg.norm(theirs.resid_pre, axis=-1)
        np.testing.assert_allclose(ours.numpy(), norms, rtol=1e-5)
    assert np.abs(true[0].logits - true[-1].logits).max() > 1e-3
    last = witness.logits(budget=HopBudget(3, sink, layers))
    np.testing.assert_allclose(last, true[-1].logits, atol=NEAR)


def test_budgets_under_a_window(witness):
    n = len(IDS)
    near = np.tril(np.ones((n, n))) * (np.subtract.outer(range(n), range(n)) <= 2)
    true = copies(witness, 2, extra=near + np.triu(np.ones((n, n)), 1))
    plan = Plan(IDS, longer_than(2, n), HopBudget(2))
    with Float64():
        found = [copy.logits for copy in copies_of(witness.model, plan)]
    for ours, theirs in zip(found, true, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.logits, atol=NEAR)


def test_many_plans_are_single_ones(witness):
    plans = [
        Plan(IDS, frozenset([EdgeCut(how, (src,), (5,), (0,), (1,))]))
        for how in ("mask", "drop")
        for src in range(5)
    ]
    heard = []
    with Float64():
        together = execute_many(witness.model, plans, batch=4, on_done=heard.append, last=True)
    assert heard == [4, 8, 10]
    for plan, logits in zip(plans, together, strict=True):
        np.testing.assert_allclose(logits[0], witness.logits(*plan.edits)[-1], atol=NEAR)
