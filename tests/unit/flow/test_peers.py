"""The peers' measures against their formulas on the NumPy oracle's edge vectors."""

from __future__ import annotations

import numpy as np
import pytest

from oracles import Float64, witness_of
from tiny_runs import NamesIds, loaded, some_tokens, tokens_of
from worldline import reference as ref
from worldline.errors import RefusedError
from worldline.flow.peers.patching import edge_attribution
from worldline.flow.peers.proximity import ALTI, FLOW_ROUTES, FLOW_ROUTES_LOCAL
from worldline.flow.peers.weights import ATTENTION_WEIGHT, ROLLOUT, VALUE_NORM
from worldline.model.load import load_model
from worldline.trace.recording import record

FAMILIES = ("llama", "gemma2", "gpt_neox", "gpt_oss", "cohere")
IDS = (3, 1, 4, 1, 5)
PEERS = (ATTENTION_WEIGHT, VALUE_NORM, ROLLOUT, ALTI, FLOW_ROUTES_LOCAL, FLOW_ROUTES)


class Witness:
    """A family's trace and the oracle's run of the same weights."""

    def __init__(self, family):
        module, self.decoder = witness_of(family)
        with Float64():
            self.trace = record(load_model((module, NamesIds())), tokens_of(IDS))
        self.run = ref.run(self.decoder, IDS)

    def of(self, peer):
        with Float64():
            return peer(self.trace)


@pytest.fixture(scope="module", params=FAMILIES)
def witness(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLDLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Witness(request.param)


def test_weights_and_norms(witness):
    run = witness.run
    np.testing.assert_allclose(witness.of(ATTENTION_WEIGHT), run.pattern, atol=1e-9)
    true = np.linalg.norm(run.attn_term, axis=-1)
    np.testing.assert_allclose(witness.of(VALUE_NORM), true, atol=1e-9)


def test_rollout(witness):
    """By products of whole matrices."""
    pattern = witness.run.pattern.mean(1)
    n_layers, n = pattern.shape[:2]
    steps = [0.5 * a + np.diag(1 - 0.5 * a.sum(-1)) for a in pattern]
    above, found = np.eye(n)[-1], witness.of(ROLLOUT)
    for layer in range(n_layers - 1, -1, -1):
        true = above[:, None] * 0.5 * pattern[layer]
        np.testing.assert_allclose(found[layer].sum(0), true, atol=1e-9)
        above = above @ steps[layer]
    assert above.sum() == pytest.approx(1)


def near(term, node):
    return max(0.0, np.abs(node).sum() - np.abs(node - term).sum())


def test_flow_routes(witness):
    """Term by term, node by node."""
    run = witness.run
    n_layers, n_heads, n = run.pattern.shape[:3]
    local, whole = witness.of(FLOW_ROUTES_LOCAL), witness.of(FLOW_ROUTES)
    arrives = np.eye(n)[-1]
    for layer in range(n_layers - 1, -1, -1):
        below = np.zeros(n)
        for j in range(n):
            terms = run.attn_term[layer, :, j]
            node = run.terms["carry"][layer, j] + terms.sum((0, 1))
            by_carry = near(run.terms["carry"][layer, j], node)
            parts = np.array([[near(terms[h, i], node) for i in range(n)] for h in range(n_heads)])
            total = parts.sum() + by_carry
            np.testing.assert_allclose(local[layer, :, j], parts / total, atol=1e-9)
            np.testing.assert_allclose(whole[layer, :, j], arrives[j] * parts / total, atol=1e-9)
            below[j] += arrives[j] * by_carry / total
            below += arrives[j] * (parts / total).sum(0)
        arrives = below
        assert arrives.sum() == pytest.approx(1)


def test_alti(witness):
    run = witness.run
    n_layers, _, n = run.pattern.shape[:3]
    found, above = witness.of(ALTI).sum(1), np.eye(n)[-1]
    for layer in range(n_layers - 1, -1, -1):
        step = np.zeros((n, n))
        for j in range(n):
            terms = run.attn_term[layer, :, j].sum(0)
            terms[j] += run.terms["carry"][layer, j]
            step[j] = [near(term, terms.sum(0)) for term in terms]
            step[j] /= step[j].sum()
        np.testing.assert_allclose(found[layer], above[:, None] * step, atol=1e-9)
        above = above @ step


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_what_is_refused(peer, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="65 tokens: the peers' measures hold all edges"):
        peer(record(loaded("llama"), some_tokens(65)))
    with pytest.raises(RefusedError, match="move information between columns without attention"):
        peer(record(loaded("jamba"), some_tokens(5)))
    assert peer.paper
    assert peer.cost
    assert peer.failure


def test_edge_attribution_is_the_difference_of_what_edges_add_to_z(witness):
    """u by the oracle's finite differences, patterns and values by its two runs."""
    other = (3, 2, 4, 7, 5)
    with Float64():
        corrupted = record(witness.trace.model, tokens_of(other))
        found = edge_attribution(witness.trace, corrupted, target=2, versus=7)
    target = ref.logit_target(2, versus=7)
    u = ref.logit_gradient_wrt_z(witness.decoder, witness.run, target)
    runs = witness.run, ref.run(witness.decoder, other)
    clean, patched = (ref.gradient_drop(run, u) for run in runs)
    np.testing.assert_allclose(found, clean - patched, atol=1e-6)
    assert np.abs(found).max() > 1e-3


def test_counterfactuals_of_another_length_or_model(witness):
    with Float64():
        longer = record(witness.trace.model, tokens_of((1, 2, 3)))
    with pytest.raises(ValueError, match="a counterfactual of 3 tokens for a prompt of 5"):
        edge_attribution(witness.trace, longer)
    with pytest.raises(ValueError, match="made by different weights"):
        edge_attribution(witness.trace, record(loaded("llama"), some_tokens(5)))
