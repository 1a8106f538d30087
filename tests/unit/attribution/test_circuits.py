"""Attribution against transformers built by hand, whose circuits and numbers are known."""

from __future__ import annotations

import functools
import math
from itertools import pairwise

import numpy as np
import pytest
import torch

import worldline as wl
from circuit_items import last_logits, without
from tiny_runs import tokens_of
from worldline.models.known_circuits import (
    LOGIT,
    MATCHED,
    OPPOSITE,
    PAD,
    CircuitEdge,
    cancelling,
    chain,
    induction,
)

EXACT = 1e-9
NEAR = 1e-3  # logits: above what norms let through where something moves them
CIRCUITS = {
    "induction": induction,
    "3 hops": lambda: chain((0, 1, 2), 3),
    "4 hops": lambda: chain((0, 1, 2, 3), 4),
    "3 hops in 5 layers": lambda: chain((0, 2, 4), 5),
    "cancelling": cancelling,
    "cancelling in two layers": lambda: cancelling((0, 1)),
}
CHAINS = [name for name in CIRCUITS if "hops" in name]
PAIRS = [name for name in CIRCUITS if "cancelling" in name]


class Seen:
    """A circuit, its recorded run, and its flows."""

    def __init__(self, name):
        self.circuit = CIRCUITS[name]()
        self.model = wl.load_model((self.circuit.module, self.circuit.tokenizer))
        self.trace = wl.record(self.model, tokens_of(self.circuit.ids))
        self.target = {"target": self.circuit.target, "versus": self.circuit.versus}

    @functools.cache  # noqa: B019
    def flow(self, by, **options):
        return wl.attribute(
            self.trace, by, **options, **({} if by == "contribution" else self.target)
        )

    @functools.cache  # noqa: B019
    def dense(self, by, **options):
        """Every weight, [layer, head, dst, src], self-attention included."""
        flow = self.flow(by, **options)
        return np.stack([flow.dense(layer) for layer in range(flow.n_layers)])

    @functools.cached_property
    def spectrum(self):
        return wl.hop_spectrum(self.trace, **self.target)

    def asked(self, module):
        """What the target is in an altered model."""
        logits = last_logits(module, self.circuit.ids)
        return float(logits[self.circuit.target] - logits[self.circuit.versus])

    def placed(self, weights):
        """Weights by edge as an array like `dense`."""
        out = np.zeros_like(self.dense("frozen"))
        for edge, weight in weights.items():
            out[edge.layer, edge.head, edge.dst, edge.src] = weight
        return out


pytestmark = pytest.mark.usefixtures("cache")


@functools.cache
def seen(name):
    return Seen(name)


@pytest.fixture(params=CIRCUITS)
def each(request, cache):
    return seen(request.param)


@pytest.fixture
def built(cache):
    return seen("induction")


@pytest.fixture(params=CHAINS)
def hops(request, cache):
    return seen(request.param)


@pytest.fixture(params=PAIRS)
def pair(request, cache):
    return seen(request.param)


# --- every circuit --------------------------------------------------------------------------------


def test_the_model_does_what_it_was_built_for(each):
    circuit = each.circuit
    logits = last_logits(circuit.module, circuit.ids)
    assert int(logits.argmax()) == circuit.target == each.trace.predictions[0].id
    assert each.asked(circuit.module) == pytest.approx(circuit.value, abs=EXACT)
    assert each.trace.closure.worst * PAD < EXACT  # it is relative to |x|, which PAD makes large


def test_heads_look_where_they_were_told(each):
    circuit = each.circuit
    with torch.no_grad():
        ran = circuit.module(torch.tensor([circuit.ids]), output_attentions=True)
    patterns = torch.stack(ran.attentions)[:, 0].numpy()
    for layer, head in circuit.idle:
        assert patterns[layer, head, :, 0].tolist() == [1.0] * len(circuit.ids)
    for edge in circuit.edges:
        found = patterns[edge.layer, edge.head, edge.dst]
        if circuit.flows.get(edge) == LOGIT * MATCHED:
            rest = (1 - MATCHED) / circuit.last
            assert found[edge.src] == pytest.approx(MATCHED, abs=EXACT)
            assert np.delete(found, edge.src) == pytest.approx([rest] * circuit.last, abs=EXACT)
        else:
            assert found.tolist() == [float(src == edge.src) for src in range(len(found))]


def test_frozen_flow_is_what_the_content_carries_and_nothing_else(each):
    """Every other edge, those of idle heads and those that only make patterns, has none."""
    circuit, flow = each.circuit, each.flow("frozen")
    np.testing.assert_allclose(each.dense("frozen"), each.placed(circuit.flows), atol=EXACT)
    strongest = flow.edges[: len(circuit.flows)]
    assert {CircuitEdge(*edge[:4]) for edge in strongest} == set(circuit.flows)
    assert flow.coverage.total == pytest.approx(sum(map(abs, circuit.flows.values())), abs=EXACT)
    assert flow.target_value == pytest.approx(circuit.value, abs=EXACT)
    assert flow.node_flow.remainder == pytest.approx(0, abs=EXACT)


def test_each_path_counts_at_each_of_its_hops(each):
    """The flow of all edges together is the spectrum's sum of h times what h hops carry."""
    by_hops = each.spectrum.by_hops
    total = sum(each.circuit.flows.values())
    assert np.arange(len(by_hops)) @ by_hops == pytest.approx(total, abs=EXACT)


def test_gradient_sees_what_frozen_sees_and_what_makes_patterns(each):
    """Saturated patterns have no derivative: only the induction head's key adds an edge."""
    circuit = each.circuit
    expected = dict(circuit.flows)
    for edge in set(circuit.edges) - set(circuit.flows):
        expected[edge] = key_path(circuit)
    assert set(expected) == set(circuit.edges)
    np.testing.assert_allclose(each.dense("gradient"), each.placed(expected), atol=NEAR)


def key_path(circuit):
    """What the match's score is worth to first order: d logit / d score = LOGIT a (1 - a)."""
    score = math.log(MATCHED / (1 - MATCHED) * circuit.last)
    return LOGIT * MATCHED * (1 - MATCHED) * score


def test_heads_that_nothing_reads_have_shares_like_any_other(each):
    """Their cut changes nothing; without a target no attribution can know that."""
    circuit = each.circuit
    for layer, head in circuit.idle:
        altered = without(circuit.module, (layer, head))
        assert each.asked(altered) == pytest.approx(circuit.value, abs=NEAR)
        shares = each.dense("contribution")[layer, head, 1:, 0] * PAD**2  # a one-hot, of |y|^2
        assert shares == pytest.approx(np.ones(circuit.last), rel=1e-4)


# --- the induction pair ---------------------------------------------------------------------------


def test_induction_by_frozen_is_one_hop(built):
    """Patterns held, the token before plays no part: B's own column holds all there is."""
    circuit, trace = built.circuit, built.trace
    (copied,) = circuit.flows
    true = np.zeros((3, len(circuit.ids)))
    true[1, copied.src] = LOGIT * MATCHED
    np.testing.assert_allclose(built.spectrum.by_source, true, atol=EXACT)
    np.testing.assert_allclose(built.spectrum.by_hops, true.sum(1), atol=EXACT)
    nodes = built.flow("frozen").node_flow.nodes
    end = np.eye(len(circuit.ids))[circuit.last] * LOGIT * MATCHED
    np.testing.assert_allclose(nodes, [true[1], true[1], end], atol=EXACT)
    best = wl.find_paths(trace, **built.target, k=1).paths[0]
    assert [node.pos for node in best.nodes] == [copied.src, copied.src, copied.dst]
    assert (best.hops, best.weight) == (1, pytest.approx(LOGIT * MATCHED, abs=EXACT))


def test_induction_without_the_head_that_makes_the_keys(built):
    """No flow passes there, yet cutting it leaves B no more than any token of the text."""
    circuit = built.circuit
    making, copied = circuit.edges
    assert abs(built.dense("frozen")[making.layer]).max() < EXACT
    logits = last_logits(without(circuit.module, (making.layer, making.head)), circuit.ids)
    even = np.bincount(circuit.ids, minlength=len(logits)) * LOGIT / len(circuit.ids)
    np.testing.assert_allclose(logits.numpy(), even, atol=NEAR)
    assert int(logits.argmax()) == circuit.ids[-1]  # A stands twice
    other = list(circuit.ids)
    other[making.src] = 10  # B comes after another token, and the head is whole
    even = np.bincount(other, minlength=len(logits)) * LOGIT / len(other)
    np.testing.assert_allclose(last_logits(circuit.module, other).numpy(), even, atol=NEAR)
    assert copied.src == making.dst


def test_induction_without_the_head_that_copies(built):
    circuit = built.circuit
    copied = circuit.edges[-1]
    logits = last_logits(without(circuit.module, (copied.layer, copied.head)), circuit.ids)
    assert float(logits.abs().max()) < EXACT


def test_induction_by_mask(built):
    """Of the copying head's row, each edge is worth what the renormalised rest would lose."""
    circuit = built.circuit
    making, copied = circuit.edges
    found = built.dense("gradient", how="mask")
    rest = (1 - MATCHED) / circuit.last
    row = np.full(len(circuit.ids), LOGIT * (MATCHED - MATCHED / (1 - rest)))
    row[copied.src] = LOGIT * MATCHED
    np.testing.assert_allclose(found[copied.layer, copied.head, copied.dst], row, atol=NEAR)
    # At B the rest of the row holds C and B: the key of A is gone, as by zero.
    at = making.layer, making.head, making.dst, making.src
    assert found[at] == pytest.approx(key_path(circuit), abs=NEAR)
    # At A only A itself would be left, which would draw the last token there, away from B.
    away = LOGIT * rest * MATCHED * math.log(MATCHED / rest)
    assert found[making.layer, making.head, making.src, 0] == pytest.approx(away, abs=NEAR)


def test_induction_by_contribution(built):
    """Of B's node the note is one of four one-hots, and the copy of the last what it weighs."""
    circuit, found = built.circuit, built.dense("contribution")
    making, copied = circuit.edges
    shares = {making: 1 / (PAD**2 + 4)}
    rest = (1 - MATCHED) / circuit.last
    out = MATCHED**2 + (2 * rest) ** 2 + 3 * rest**2  # A twice; C, D, E
    shares[copied] = MATCHED**2 / (PAD**2 + 5 + out)
    for edge, share in shares.items():
        assert found[edge.layer, edge.head, edge.dst, edge.src] == pytest.approx(share, rel=EXACT)


# --- chains ---------------------------------------------------------------------------------------


def test_shares_by_variance_leave_out_what_is_constant(built):
    """The pad is the same everywhere: it weighs almost all of a node, and nothing by variance."""
    plain, scaled = built.flow("contribution"), built.flow("contribution", metric="variance")
    assert plain.shares["skip"].min() > 1 - 1e-4
    copied = built.circuit.edges[-1]
    where = copied.layer, copied.head, copied.dst, copied.src
    assert (
        built.dense("contribution", metric="variance")[where]
        > 1000 * built.dense("contribution")[where]
    )
    total = sum(scaled.shares.values())
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_a_chain_has_all_its_mass_at_its_length(hops):
    circuit = hops.circuit
    k, source = len(circuit.edges), circuit.edges[0].src
    assert circuit.last - source == k
    true = np.zeros((1 + min(hops.trace.n_layers, circuit.last), len(circuit.ids)))
    true[k, source] = LOGIT
    np.testing.assert_allclose(hops.spectrum.by_source, true, atol=EXACT)
    np.testing.assert_allclose(hops.spectrum.by_hops, true.sum(1), atol=EXACT)


def test_a_chain_is_one_path(hops):
    """A step to the right in each layer that hops; every node on it carries all, no other any."""
    circuit = hops.circuit
    hopping = {edge.layer for edge in circuit.edges}
    positions = [circuit.edges[0].src]
    for layer in range(hops.trace.n_layers):
        positions.append(positions[-1] + (layer in hopping))
    found = wl.find_paths(hops.trace, **hops.target, k=5)
    (best,) = found.paths  # those of weight zero are left out
    assert (found.called, found.bound) == ("top", 0.0)
    assert best.nodes == tuple(wl.Node(layer=row, pos=pos) for row, pos in enumerate(positions))
    assert best.hops == len(circuit.edges)
    assert best.weight == pytest.approx(LOGIT, abs=EXACT)
    true = LOGIT * np.eye(len(circuit.ids))[positions]
    np.testing.assert_allclose(hops.flow("frozen").node_flow.nodes, true, atol=EXACT)


def test_a_chain_breaks_at_any_link(hops):
    circuit = hops.circuit
    for edge in circuit.edges:
        assert abs(hops.asked(without(circuit.module, (edge.layer, edge.head)))) < EXACT
    assert all(below.dst == above.src for below, above in pairwise(circuit.edges))


def test_without_a_target_a_chain_is_not_singled_out(hops):
    """All that is written lies across what was there: the skip's share is a ratio of |y|^2."""
    n_layers, n_hops = hops.trace.n_layers, len(hops.circuit.edges)
    end = wl.Node(layer=n_layers, pos=hops.circuit.last)
    (best,) = wl.top_paths(wl.path_grid(hops.trace), target=end, k=1).paths
    assert {node.pos for node in best.nodes} == {hops.circuit.last}
    whole = PAD**2 + 2 + n_layers + n_hops  # each layer writes a waste, each hop a token
    assert best.weight == pytest.approx((PAD**2 + 2) / whole, abs=EXACT)


# --- heads that cancel ----------------------------------------------------------------------------


def test_two_that_cancel_flow_each_by_itself(pair):
    circuit, found = pair.circuit, pair.dense("frozen")
    plus, minus, third = circuit.edges
    both = [found[edge.layer, edge.head, edge.dst, edge.src] for edge in (plus, minus)]
    size = LOGIT * OPPOSITE
    assert both == pytest.approx([size, -size], abs=EXACT)
    assert found[:, :, plus.dst, plus.src].sum() == pytest.approx(0, abs=EXACT)
    totals = pair.flow("frozen").totals
    assert totals.out_positive[plus.layer, plus.src] == pytest.approx(size, abs=EXACT)
    assert totals.out_negative[minus.layer, minus.src] == pytest.approx(-size, abs=EXACT)
    nodes = pair.flow("frozen").node_flow.nodes
    assert nodes[0] == pytest.approx(LOGIT * np.eye(len(circuit.ids))[third.src], abs=EXACT)
    best = wl.find_paths(pair.trace, **pair.target, k=1).paths[0]
    assert (best.nodes[0].pos, best.nodes[-1].pos, best.hops) == (plus.src, plus.dst, 1)
    assert abs(best.weight) == pytest.approx(size, abs=EXACT)


def test_coherence_depends_on_what_is_grouped(pair):
    """The pair: 0. All edges: 1 of 7. Sources and hop counts hide the pair altogether."""
    found = pair.dense("frozen")
    weights = [found[e.layer, e.head, e.dst, e.src] for e in pair.circuit.edges]
    two = wl.interference(weights[:2], grouping="two heads")
    assert (two.n_values, two.coherence) == (2, pytest.approx(0, abs=EXACT))
    assert two.constructive == pytest.approx(LOGIT * OPPOSITE, abs=EXACT)
    assert two.destructive == pytest.approx(LOGIT * OPPOSITE, abs=EXACT)
    assert two.shuffled == pytest.approx((0, 1), abs=EXACT)  # of two equal sizes all or nothing
    edges = wl.interference(weights, grouping="edges")
    assert edges.coherence == pytest.approx(1 / (1 + 2 * OPPOSITE), abs=EXACT)
    by_source = wl.interference(pair.spectrum.by_source.sum(0), grouping="source tokens")
    by_hops = wl.interference(pair.spectrum.by_hops, grouping="hop counts")
    assert by_source.coherence == pytest.approx(1, abs=EXACT)
    assert by_hops.coherence == pytest.approx(1, abs=EXACT)
    assert pair.spectrum.by_hops[1] == pytest.approx(LOGIT, abs=EXACT)


def test_without_one_of_two_the_other_shows(pair):
    module, value = pair.circuit.module, pair.circuit.value
    plus, minus, third = ((edge.layer, edge.head) for edge in pair.circuit.edges)
    size = LOGIT * OPPOSITE
    assert pair.asked(without(module, plus)) - value == pytest.approx(-size, abs=NEAR)
    assert pair.asked(without(module, minus)) - value == pytest.approx(size, abs=NEAR)
    assert pair.asked(without(module, plus, minus)) == pytest.approx(value, abs=NEAR)
    assert abs(pair.asked(without(module, third))) < NEAR


def test_two_that_cancel_by_mask(pair):
    """The rest of the row would be spread over four positions, one of which holds B too."""
    size = LOGIT * OPPOSITE * 3 / 4
    true = dict(zip(pair.circuit.edges, (size, -size, LOGIT * 3 / 4), strict=True))
    np.testing.assert_allclose(pair.dense("gradient", how="mask"), pair.placed(true), atol=NEAR)


def test_shares_of_two_that_cancel(pair):
    """They cancel where both write one node; in two layers the first is met by nothing yet."""
    plus, minus, _ = pair.circuit.edges
    plus_share, minus_share = (
        pair.dense("contribution")[e.layer, e.head, e.dst, e.src] for e in (plus, minus)
    )
    out = 1 + OPPOSITE * (plus.layer != minus.layer)  # what the slot holds after the first
    true = OPPOSITE * out / (PAD**2 + 2 + out**2)
    assert plus_share == pytest.approx(true, rel=EXACT)
    assert minus_share == pytest.approx(-OPPOSITE / (PAD**2 + 3), rel=EXACT)
