"""Flows against the NumPy oracle, edge by edge, on families in float64."""

from __future__ import annotations

import numpy as np
import pytest

import reference as ref
from oracles import Float64, witness_of
from tiny_runs import NamesIds, tokens_of
from worldline.attribution.attribute import weigh
from worldline.models.loader import load_model
from worldline.runs.recorder import record

FAMILIES = ("llama", "llama_biased", "qwen2", "gemma2", "gpt_neox", "gpt_oss", "cohere", "opt")
IDS = (3, 1, 4, 1, 5)
TARGET, VERSUS = 2, 7
MLP = ("mlp", "b_out")  # the bias of the last projection is part of the MLP's term
CONSTANTS = ("b_O", "ln1_post_b", "ln2_post_b")


class Witness:
    """One family: our trace, and the oracle's run of the same weights."""

    def __init__(self, family, sharpness=1.0):
        def sharpen(name, parameter):
            """Larger queries bring the patterns near one-hot."""
            if ".q_proj." in name:
                parameter.mul_(sharpness)

        module, self.decoder = witness_of(family, sharpen)
        self.model = load_model((module, NamesIds()))
        with Float64():
            self.trace = record(self.model, tokens_of(IDS), verify=True)
        self.run = ref.run(self.decoder, IDS)

    def weigh(self, *args, **options):
        with Float64():
            flow = weigh(self.trace, *args, **options)
            self.dense = np.stack([flow.dense(layer) for layer in range(flow.n_layers)])
        return flow

    def u(self, rows):
        """u at some rows (layer, head, pos), by the oracle's finite differences: not by autograd.

        (8 f(s) - 8 f(-s) - f(2s) + f(-2s)) / 12 s, f being a run with one number of z shifted.
        """
        step = 1e-5 if self.decoder.act == "relu" else 1e-4  # a kink within spoils the difference
        target = ref.logit_target(TARGET, versus=VERSUS)
        u = np.zeros_like(self.run.z)
        for row in rows:
            for number in range(u.shape[-1]):
                for n, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
                    shift = np.zeros_like(u)
                    shift[(*row, number)] = n * step
                    logits = ref.run(self.decoder, IDS, z_shift=shift).logits
                    u[(*row, number)] += weight * target(logits) / (12 * step)
        return u


pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module", params=FAMILIES)
def witness(request):
    return Witness(request.param)


def near(found, true, relative=1e-9):
    scale = max(np.abs(true).max(), 1e-3)
    np.testing.assert_allclose(found, true, rtol=0, atol=relative * scale)


def arrays_of(tensors):
    return np.stack([t.detach().double().numpy() for t in tensors])


def test_rows_keys_values_and_terms(witness):
    run, trace = witness.run, witness.trace
    near(arrays_of(trace.resid), run.resid_pre)
    group = run.v.shape[1] // trace.identity.n_kv_heads
    near(arrays_of(trace.k), run.k[:, ::group])
    near(arrays_of(trace.v), run.v[:, ::group])
    scaling = trace.live[0].calls[0].scaling  # OPT has it in the queries
    true_scaling = witness.decoder.attn_scale or run.q.shape[-1] ** -0.5
    near(scaling * arrays_of(trace.array("q")), true_scaling * run.q)
    near(arrays_of(trace.attn_out), run.attn_term.sum(axis=(1, 3)))
    near(arrays_of(trace.mlp_out), run.terms["mlp"] + run.terms["b_out"])
    constants = [np.zeros_like(run.resid_pre[0]) if c is None else arrays_of([c])[0]
                 for c in trace.array("constants")]  # fmt: skip
    near(np.stack(constants), sum(run.terms[name] for name in CONSTANTS))
    top = run.logits[-1] - np.log(np.exp(run.logits[-1] - run.logits[-1].max()).sum())
    best = trace.predictions[0]
    assert best.id == int(run.logits[-1].argmax())
    assert best.logprob == pytest.approx((top - run.logits[-1].max())[best.id], abs=1e-9)


@pytest.mark.parametrize("metric", ["identity", "variance"])
def test_share_of_every_edge_and_every_other_term(witness, metric):
    flow = witness.weigh("share", metric=metric, top=10**6)
    run = witness.run
    parts = [ref.share(run)] * run.q.shape[0]
    if metric == "variance":
        variances = [row.var(axis=0, ddof=1) for row in run.resid_pre[1:]]
        parts = [ref.share(run, 1 / variance) for variance in variances]
    kv = np.stack([part["kv"][layer] for layer, part in enumerate(parts)])
    own = np.stack([part["self_attention"][layer] for layer, part in enumerate(parts)])
    near(np.tril(witness.dense, -1), kv)
    near(np.diagonal(witness.dense, 0, 2, 3), own)
    near(flow.shares["self_attention"], own.sum(1))
    near(flow.shares["kv"], kv.sum((1, 3)))
    for name, names in (("carry", ["carry"]), ("mlp", MLP), ("constants", CONSTANTS)):
        true = np.stack([sum(part[n][layer] for n in names) for layer, part in enumerate(parts)])
        near(flow.shares[name], true)
    assert not flow.shares["other"].any()


ROWS = [(0, 0, 2), (0, 1, 4), (0, 3, 1), (0, 2, 0), (1, 0, 4), (1, 1, 4), (1, 3, 4), (1, 2, 2)]


def test_gradient_of_the_edges_of_some_rows(witness):
    """Position 0 has one source, and masking it empties the row: a <v, u>."""
    u, run = witness.u(ROWS), witness.run
    at = tuple(np.transpose(ROWS))
    for how, formula in (("drop", ref.gradient_drop), ("mask", ref.gradient_mask)):
        flow = witness.weigh("gradient", target=TARGET, versus=VERSUS, how=how)
        near(witness.dense[at], formula(run, u)[at], 1e-7)
        assert abs(witness.dense[at]).max() > 1e-4
        assert not witness.dense[1, :, :4].any()  # nobody reads these columns any more
        logits = run.logits[-1]
        assert flow.target_value == pytest.approx(logits[TARGET] - logits[VERSUS], abs=1e-9)


@pytest.mark.parametrize("family", ["llama", "gpt_oss"])
@pytest.mark.parametrize("sharpness", [8.0, 60.0, 400.0])
def test_mask_near_a_whole_row(family, sharpness):
    """Where a / (1 - a) has lost its digits, or is none, and beside a sink."""
    witness = Witness(family, sharpness)
    pattern = witness.run.pattern[:, :, 1:]
    if sharpness > 8:
        assert (pattern > 1 - 1e-9).any()
        assert (pattern < 1e-12).any()
    rng = np.random.default_rng(0)
    u = rng.normal(size=witness.run.z.shape)
    found = weights_for(witness, u)
    near(found, ref.gradient_mask(witness.run, u), 1e-9)


def weights_for(witness, u):
    """Our mask weights for a u that is given, so that no other error takes part."""
    import torch

    from worldline.attribution.edge_sums import edge_rows

    rows = []
    with Float64():
        for block, one in zip(witness.trace.live, u, strict=True):
            (call,) = block.calls
            rows.append(edge_rows(call, torch.tensor(one), 0, len(IDS), "renormalise").numpy())
    return np.stack(rows)


def test_mask_takes_away_what_a_masked_run_lacks(witness):
    """The change of z that a weight stands for, from the oracle run with the edge masked."""
    u = np.random.default_rng(1).normal(size=witness.run.z.shape)
    found, run = weights_for(witness, u), witness.run
    for layer, head, dst, src in [(0, 0, 4, 0), (1, 3, 4, 2), (0, 2, 2, 1), (1, 1, 1, 1)]:
        if run.pattern[layer, head, dst, src] == 0:
            assert found[layer, head, dst, src] == 0
            continue
        edit = np.ones_like(run.pattern)
        edit[layer, head, dst, src] = 0
        cut = ref.run(witness.decoder, IDS, mask=edit)
        lost = (run.z - cut.z)[layer, head, dst] @ u[layer, head, dst]
        assert found[layer, head, dst, src] == pytest.approx(lost, rel=1e-8, abs=1e-10)
