"""Flow between groups of tokens: all edges of a run, as the dense weights summed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny_runs import FLOAT32, FLOAT64, loaded, some_tokens
from worldline.attribution.attribute import attribute
from worldline.models.attention import AttentionCall
from worldline.runs.recorder import record
from worldline.tokens.units import Grouping

METHODS = [("contribution", "zero"), ("gradient", "zero"), ("gradient", "mask"), ("frozen", "zero")]
GROUP_OF = (0, 1, 1, 2, 2, 2, 3, 4, 4, 5, 6)
pytestmark = pytest.mark.usefixtures("cache")


def grouped(group_of) -> Grouping:
    n = group_of[-1] + 1
    return Grouping("some", tuple(group_of), ((0, 0),) * n, (None,) * n)


def by_hand(flow, group_of):
    """[sign, layer, dst group, src group], edge by edge."""
    n = group_of[-1] + 1
    sums = np.zeros((2, flow.n_layers, n, n))
    for layer in range(flow.n_layers):
        for head in flow.dense(layer):
            for dst in range(flow.n_pos):
                for src in range(dst):
                    weight = head[dst, src]
                    at = layer, group_of[dst], group_of[src]
                    sums[(0 if weight > 0 else 1, *at)] += weight
    return sums


def agrees(flow, group_of, top, rtol, atol):
    (found,) = flow.groups
    sums = by_hand(flow, group_of)
    within = np.einsum("slgg->s", sums)
    for group in range(sums.shape[2]):
        sums[:, :, group, group] = 0
    net = sums.sum(0)
    close = {"rtol": rtol, "atol": atol}
    np.testing.assert_allclose([found.within_positive, found.within_negative], within, **close)
    between = sums.sum((1, 2, 3))
    np.testing.assert_allclose([found.between_positive, found.between_negative], between, **close)
    whole = found.between_positive - found.between_negative
    whole += found.within_positive - found.within_negative
    assert whole == pytest.approx(flow.coverage.total, rel=1e-5)
    for at, sign in enumerate(("positive", "negative")):
        np.testing.assert_allclose(found.totals[f"in_{sign}"], sums[at].sum(2), **close)
        np.testing.assert_allclose(found.totals[f"out_{sign}"], sums[at].sum(1), **close)
    assert found.coverage.of == np.count_nonzero(np.abs(sums).sum(0))
    assert found.coverage.total == pytest.approx(np.abs(net).sum(), rel=rtol, abs=atol)
    assert found.coverage.edges == len(found.edges) == min(top, np.count_nonzero(net))
    for edge in found.edges:
        assert edge.src < edge.dst
        true = sums[:, edge.layer, edge.dst, edge.src]
        np.testing.assert_allclose([edge.positive, edge.negative], true, **close)
    sizes = [abs(edge.net) for edge in found.edges]
    np.testing.assert_allclose(sizes, sorted(np.abs(net).ravel())[::-1][: len(sizes)], **close)
    assert len({edge[:3] for edge in found.edges}) == len(found.edges)
    held = sum(sizes) / found.coverage.total if sizes else 0.0
    assert found.coverage.share == pytest.approx(held, rel=1e-9)


@pytest.mark.parametrize(("by", "how"), METHODS)
@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3_text"])
def test_as_the_dense_weights_summed_one_by_one(name, by, how):
    """A window is among them: edges that it forbids are no edges."""
    trace = record(loaded(name, FLOAT64), some_tokens(11))
    for top in (0, 7, 10**6):
        flow = attribute(trace, by, how=how, top=top, groups=[grouped(GROUP_OF)])
        agrees(flow, GROUP_OF, top, 1e-9, 1e-12 * flow.coverage.total)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.booleans(), min_size=10, max_size=10), st.sampled_from([1, 2, 5, 64]))
def test_whatever_the_groups_and_the_blocks_of_rows(fresh, rows):
    group_of = tuple(np.cumsum([0, *fresh]).tolist())
    trace = record(loaded("llama", FLOAT64), some_tokens(11))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AttentionCall, "block_rows", lambda _call: rows)
        flow = attribute(trace, "gradient", top=9, groups=[grouped(group_of)])
    agrees(flow, group_of, 9, 1e-9, 1e-12 * flow.coverage.total)


def test_in_the_models_own_float32():
    flow = attribute(record(loaded("llama", FLOAT32), some_tokens(11)), groups=[grouped(GROUP_OF)])
    agrees(flow, GROUP_OF, 2000, 1e-4, 1e-6 * flow.coverage.total)


def test_groups_change_nothing_else_and_several_stand_side_by_side():
    trace = record(loaded("llama", FLOAT64), some_tokens(11))
    plain = attribute(trace, "gradient", top=30)
    both = attribute(
        trace, "gradient", top=30, groups=[grouped(GROUP_OF), grouped((0,) * 10 + (1,))]
    )
    assert both.edges == plain.edges
    assert both.coverage == plain.coverage
    assert plain.groups == ()
    few = both.groups[1]
    assert few.coverage.edges == few.coverage.of == trace.n_layers
    assert few.between_positive == pytest.approx(few.totals["in_positive"][:, 1].sum())


def test_a_single_group_has_no_edges():
    flow = attribute(record(loaded("llama", FLOAT64), some_tokens(4)), groups=[grouped((0,) * 4)])
    (found,) = flow.groups
    assert found.edges == []
    assert (found.coverage.of, found.coverage.total, found.coverage.share) == (0, 0.0, 0.0)
    assert found.within_positive - found.within_negative == pytest.approx(flow.coverage.total)


def test_groups_of_another_text_are_refused():
    trace = record(loaded("llama"), some_tokens(4))
    with pytest.raises(ValueError, match="some of 11 tokens; accepted are those of 4"):
        attribute(trace, groups=[grouped(GROUP_OF)])
