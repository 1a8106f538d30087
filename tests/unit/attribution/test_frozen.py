"""The frozen-linear model against explicit Jacobian blocks in NumPy, and its own books."""

from __future__ import annotations

import numpy as np
import pytest

import reference as ref
from oracles import Float64, witness_of
from tiny_runs import FLOAT64, NamesIds, loaded, some_tokens, tokens_of
from worldline.attribution.attribute import hop_spectrum, weigh
from worldline.attribution.flow import Target
from worldline.attribution.frozen import frozen_of
from worldline.attribution.path_descent import follow
from worldline.models.loader import load_model
from worldline.runs.recorder import record

IDS = (3, 1, 4, 1, 5)
TARGET, VERSUS = 2, 7
FAMILIES = ("llama", "llama_biased", "qwen2", "gemma2", "gpt_neox", "granite", "cohere", "opt")


class Witness:
    """A family's trace and frozen flow, and the oracle's Jacobian blocks of the same weights."""

    def __init__(self, family):
        module, self.decoder = witness_of(family)
        self.model = load_model((module, NamesIds()))
        self.run = ref.run(self.decoder, IDS)
        with Float64():
            self.trace = record(self.model, tokens_of(IDS))
            self.flow = weigh(self.trace, "frozen", target=TARGET, versus=VERSUS)
            self.dense = [self.flow.dense(layer) for layer in range(self.flow.n_layers)]
        blocks = [ref.frozen_jacobians(self.decoder, self.run, n) for n in range(len(self.dense))]
        self.stay, self.hop = zip(*blocks, strict=True)
        self.step = [self._whole(n) for n in range(len(blocks))]
        self.G = [self._top()]
        for step in reversed(self.step):
            self.G.insert(0, np.einsum("jimn,jn->im", step, self.G[0]))

    def _whole(self, n):
        """The block as one map [dst, src, d, d]."""
        step = self.hop[n].sum(axis=0)
        step[np.arange(len(IDS)), np.arange(len(IDS))] += self.stay[n]
        return step

    def _top(self):
        """The target's gradient at the last row; a final soft-cap is held by its ratio."""
        d, x = self.decoder, self.run.resid_pre[-1][-1]
        raw, given = d.ln_final(x) @ d.W_U, self.run.logits[-1]
        wanted = d.W_U[:, TARGET] * (given / raw)[TARGET] - d.W_U[:, VERSUS] * (given / raw)[VERSUS]
        G = np.zeros_like(self.run.resid_pre[-1])
        G[-1] = d.ln_final(np.eye(len(x)), x) @ wanted
        return G


@pytest.fixture(scope="module", params=FAMILIES)
def witness(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLDLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Witness(request.param)


def test_what_flows_through_every_node(witness):
    true = np.stack(
        [(x * g).sum(-1) for x, g in zip(witness.run.resid_pre, witness.G, strict=True)]
    )
    np.testing.assert_allclose(witness.flow.conserved.nodes, true, atol=1e-9)


def test_every_edge(witness):
    """The part of v that comes from the row, and what biases add to it on the way."""
    for n, layer in enumerate(witness.decoder.layers):
        x, v, W = witness.run.resid_pre[n], witness.run.v[n], layer.weights
        group = len(W["W_Q"]) // len(W["W_V"])
        W_V = np.repeat(W["W_V"], group, axis=0)
        linear = layer.ln1(x, x) @ W_V
        for h, j, i in np.ndindex(*witness.dense[n].shape):
            if i > j or not abs(linear[h, i]).max():
                continue
            from_row = x[i] @ witness.hop[n][h, j, i] @ witness.G[n + 1][j]
            bias = v[h, i] - linear[h, i]
            into = witness.run.pattern[n, h, j, i] * bias @ W["W_O"][h]
            attn = (witness.run.z[n] @ W["W_O"]).sum(axis=0) + W.get("b_O", 0.0)
            into = witness.decoder.residual_multiplier * layer.ln1_post(into, attn[j])
            after = np.eye(x.shape[1]) if witness.decoder.parallel else witness.stay[n][j]
            true = from_row + into @ after @ witness.G[n + 1][j]
            assert witness.dense[n][h, j, i] == pytest.approx(true, abs=1e-9)


def path_product(witness, positions, hops=None):
    """A path by the oracle's blocks: all heads of a step, or `hops` [layer -> head] at the hops."""
    g = witness.G[-1][-1]
    for n in range(witness.flow.n_layers - 1, -1, -1):
        dst, src = positions[n + 1], positions[n]
        step = witness.step[n][dst, src]
        if hops is not None and dst != src:
            step = witness.hop[n][hops[n], dst, src]
        g = step @ g
    return witness.run.resid_pre[0][positions[0]] @ g


@pytest.mark.parametrize("heads", [False, True])
def test_every_path(witness, heads):
    """All of them, not a sample: nothing is left aside, and each is the product of its blocks."""
    with Float64():
        run = frozen_of(witness.trace, Target(TARGET, "", VERSUS, ""))
        found = follow(run, 10**6, 10**6, heads=heads)
    assert found.is_complete
    sizes = [abs(path.weight) for path in found.paths]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1e-3
    for path in found.paths:
        positions = [node.pos for node in path.nodes]
        hops = {read.layer: read.head for read in path.reads} if heads else None
        assert path.weight == pytest.approx(path_product(witness, positions, hops), abs=1e-9)
    total = sum(path.weight for path in found.paths)
    assert total == pytest.approx(witness.flow.conserved.nodes[0].sum(), abs=1e-9)
    ways = np.ones(len(IDS), dtype=int)
    for n in range(witness.flow.n_layers):
        roads = abs(witness.hop[n]).max((-1, -2)) > 0  # [head, dst, src], windows taken out
        roads = roads.sum(0) if heads else roads.any(0)
        ways = ways + np.tril(roads, -1) @ ways
    assert len(found.paths) == ways[-1]


def test_the_books_close(witness):
    books = witness.flow.conserved
    assert abs(books.remainder) < 1e-9 * books.top_row
    assert books.whole
    sources = books.nodes[0].sum() + books.sources.sum() + books.unplaced.sum()
    assert sources == pytest.approx(witness.flow.target_value, abs=1e-9)
    logits = witness.run.logits[-1]
    assert witness.flow.target_value == pytest.approx(logits[TARGET] - logits[VERSUS], abs=1e-9)


def test_hops_by_enumeration_of_the_grid(witness):
    """Degrees of z by products of the oracle's blocks: only which steps are hops differs."""
    with Float64():
        found = hop_spectrum(witness.trace, target=TARGET, versus=VERSUS)
    graded = [witness.G[-1]]
    true = np.zeros((len(witness.step) + 1, len(IDS)))
    for step in reversed(witness.step):
        own, hop = np.zeros_like(step), step.copy()
        diagonal = np.arange(len(IDS))
        own[diagonal, diagonal], hop[diagonal, diagonal] = step[diagonal, diagonal], 0
        zero = [np.zeros_like(graded[0])]
        stayed = [np.einsum("jimn,jn->im", own, g) for g in graded] + zero
        hopped = zero + [np.einsum("jimn,jn->im", hop, g) for g in graded]
        graded = [a + b for a, b in zip(stayed, hopped, strict=True)]
    for h, g in enumerate(graded):
        true[h] = (witness.run.resid_pre[0] * g).sum(-1)
    sources = found.by_source - true[: len(found.by_source)]
    biased = witness.flow.conserved.sources
    np.testing.assert_allclose(sources.sum(), biased.sum(), atol=1e-9)
    if not biased.any():
        np.testing.assert_allclose(found.by_source, true[: len(found.by_source)], atol=1e-9)
    assert found.by_hops.sum() + found.remainder == pytest.approx(found.target_value, abs=1e-9)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_degrees_kept_are_the_same_however_many(kept):
    trace = record(loaded("llama", FLOAT64), some_tokens(9))
    whole = hop_spectrum(trace, target=20)
    some = hop_spectrum(trace, target=20, max_hops=kept)
    np.testing.assert_allclose(some.by_hops, whole.by_hops[: kept + 1], atol=1e-6)
    assert some.beyond == pytest.approx(whole.by_hops[kept + 1 :].sum(), abs=1e-6)


def test_bad_questions():
    trace = record(loaded("llama"), some_tokens(4))
    with pytest.raises(ValueError, match="max_hops=-1: accepted are 0 to 3"):
        hop_spectrum(trace, max_hops=-1)
    with pytest.raises(ValueError, match='by="frozen" holds the patterns'):
        weigh(trace, "frozen", how="mask")


def test_what_has_no_frozen_form_is_said():
    """hrm_text carries a state from earlier loops past its rows: a path has no name for that."""
    whole = weigh(record(loaded("llama"), some_tokens(6)), "frozen")
    assert whole.conserved.whole
    assert whole.meaning.exactness.startswith("exact sum over all paths")
    partly = weigh(record(loaded("hrm_text"), some_tokens(6)), "frozen")
    assert not partly.conserved.whole
    assert partly.meaning.exactness.startswith("partly")
    assert abs(partly.conserved.remainder) > 0.01 * partly.conserved.top_row
