"""The peers' measures against their formulas on the NumPy oracle's edge vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import reference as ref
from oracles import Float64, witness_of
from tiny_runs import FLOAT64, NamesIds, loaded, some_tokens, tokens_of
from worldline.attribution.attribute import target_of
from worldline.attribution.gradient import measure_of, target_gradients
from worldline.attribution.measures import edge_measures
from worldline.attribution.peers.alti import ALTI, FLOW_ROUTES, FLOW_ROUTES_LOCAL
from worldline.attribution.peers.attention_weights import ATTENTION_WEIGHT, ROLLOUT, VALUE_NORM
from worldline.attribution.peers.attribution_patching import edge_attribution, patched_gradient
from worldline.errors import InputError, RefusedError
from worldline.graph.edits import EdgeCut, PatchSource
from worldline.models.gradients import whole_gradients
from worldline.models.loader import load_model
from worldline.models.validation import anatomy_of
from worldline.runs.edit_hooks import Edits
from worldline.runs.forward_passes import donate
from worldline.runs.recorder import record

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
            node = run.terms["skip"][layer, j] + terms.sum((0, 1))
            by_skip = near(run.terms["skip"][layer, j], node)
            parts = np.array([[near(terms[h, i], node) for i in range(n)] for h in range(n_heads)])
            total = parts.sum() + by_skip
            np.testing.assert_allclose(local[layer, :, j], parts / total, atol=1e-9)
            np.testing.assert_allclose(whole[layer, :, j], arrives[j] * parts / total, atol=1e-9)
            below[j] += arrives[j] * by_skip / total
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
            terms[j] += run.terms["skip"][layer, j]
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
    clean, patched = (ref.gradient_zero(run, u) for run in runs)
    np.testing.assert_allclose(found, clean - patched, atol=1e-6)
    assert np.abs(found).max() > 1e-3


def test_counterfactuals_of_another_length_or_model(witness):
    with Float64():
        longer = record(witness.trace.model, tokens_of((1, 2, 3)))
        with pytest.raises(ValueError, match="a counterfactual of 3 tokens for a prompt of 5"):
            edge_attribution(witness.trace, longer)
        other = record(loaded("gpt2", FLOAT64), some_tokens(5))
    with Float64(), pytest.raises(ValueError, match="not made by one model"):
        edge_attribution(witness.trace, other)


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gemma2"])
def test_the_patched_gradient_takes_each_read_as_the_cut_makes_it(model_type):
    """z' of every edge by the patch itself, one edge at a time."""
    model = loaded(model_type, FLOAT64)
    clean, corrupted = (record(model, tokens_of(ids)) for ids in ((3, 9, 4, 7, 5), (3, 2, 8, 7, 5)))
    found = patched_gradient(clean, corrupted, target=2, versus=7)
    _, us = target_gradients(model, clean, target_of(clean, 2, 7))
    donated = {
        patch_source: donate(model, patch_source.ids)
        for patch_source in [PatchSource((3, 2, 8, 7, 5), tuple(range(5)))]
    }
    (patch_source,) = donated
    for layer, block in enumerate(clean.live):
        (call,), u = block.calls, block.calls[0].to_heads(us[layer][0])[0]
        for dst in range(1, 5):
            for src in range(dst):
                cut = EdgeCut("patch", (src,), (dst,), (layer,), patch_source=patch_source)
                edits = Edits(5, [[cut]], donated)
                new = edits.rewrite_read(call)
                lost = ((call.z - new)[0] * u).sum((1, 2))
                np.testing.assert_allclose(found[layer, :, dst, src], lost, atol=1e-7)
    assert np.abs(found).max() > 1e-3


def test_integrated_gradients_are_the_mean_over_runs_between_the_prompts():
    """The witness puts the embeddings between those of the two prompts by a hook."""
    model = loaded("llama", FLOAT64)
    one, two = (3, 9, 4, 7, 5), (3, 2, 8, 7, 5)
    clean, corrupted = (record(model, tokens_of(ids)) for ids in (one, two))
    embed = model.module.get_input_embeddings()
    with torch.no_grad():
        ends = [embed(torch.tensor([ids])) for ids in (two, one)]
    measure = measure_of(target_of(clean, 2, 7))
    sums = None
    for part in (0.5, 1.0):
        between = torch.lerp(*ends, part)
        handle = embed.register_forward_hook(lambda *_, between=between: between.clone())
        try:
            inputs = {"input_ids": torch.tensor([one]), "use_cache": False}
            _, us = whole_gradients(model.module, anatomy_of(model.module), inputs, measure)
        finally:
            handle.remove()
        flat = [u for (u,) in us]
        sums = flat if sums is None else [a + b for a, b in zip(sums, flat, strict=True)]
    found = edge_attribution(clean, corrupted, target=2, versus=7, steps=2)
    for layer, total in enumerate(sums):
        calls = [trace.live[layer].calls[0] for trace in (clean, corrupted)]
        u = calls[0].to_heads(total / 2)[0]
        carried = []
        for call in calls:
            v = call.v[0].repeat_interleave(call.n_heads // call.v.shape[1], 0)
            carried.append(call.pattern_rows(0, 5) * (u @ v.transpose(1, 2)))
        np.testing.assert_allclose(found[layer], (carried[0] - carried[1]).detach(), atol=1e-9)
    np.testing.assert_allclose(
        edge_attribution(clean, corrupted, target=2, versus=7, steps=1),
        edge_attribution(clean, corrupted, target=2, versus=7),
        atol=1e-9,
    )
    assert not np.allclose(found, edge_attribution(clean, corrupted, target=2, versus=7))


def test_every_measure_is_there_and_says_what_it_asks():
    model = loaded("llama")
    clean, corrupted = (record(model, tokens_of(ids)) for ids in ((3, 9, 4), (3, 2, 4)))
    measures = edge_measures()
    assert len(measures) == 13
    for name, measure in measures.items():
        assert measure.name == name
        assert measure.paper
        assert measure.cost
        assert measure.failure
        found = measure(clean, corrupted_trace=corrupted, target=2, versus=7)
        assert found.shape == (clean.n_layers, 4, 3, 3)
        assert (found < 0).any() == measure.is_signed
        if measure.asks == "counterfactual":
            with pytest.raises(InputError, match="a counterfactual prompt is needed"):
                measure(clean, target=2)
        if measure.asks == "nothing":
            np.testing.assert_array_equal(found, measure(clean))
