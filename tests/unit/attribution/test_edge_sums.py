"""The parts of a sum over all edges: diagonals, the strongest, and blocks of rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tiny_runs import FLOAT64, loaded, some_tokens
from worldline.attribution.attribute import attribute
from worldline.attribution.edge_sums import Strongest, _by_distance
from worldline.models.attention import AttentionCall
from worldline.runs.recorder import record

pytestmark = pytest.mark.usefixtures("cache")


@given(st.integers(1, 9), st.integers(0, 9))
def test_sums_along_diagonals(rows, start):
    """Rows start.., of which row j may hold sources 0..j."""
    stop = start + rows
    full = np.random.default_rng(rows * 10 + start).normal(size=(2, stop, stop))
    full = np.tril(full)
    planes = torch.tensor(full[:, start:stop])
    found = _by_distance(planes).numpy()
    true = np.array(
        [[plane[range(max(d, start), stop), range(max(d, start) - d, stop - d)].sum()
          for d in range(stop)] for plane in full]
    )  # fmt: skip
    np.testing.assert_allclose(found, true, atol=1e-12)


def offered(blocks, top):
    """The strongest edges of blocks [(layer, first head, first row, weights)]."""
    strongest = Strongest(top)
    for layer, head0, start, weights in blocks:
        tensor = torch.tensor(weights, dtype=torch.float64)
        heads = np.array([[layer, head0 + at] for at in range(len(weights))]).T
        strongest.offer(heads, start, torch.stack([tensor, tensor.abs()]), tensor.abs() / 4)
    return strongest.edges()


def by_hand(blocks, top):
    everything = [
        (layer, head0 + h, src, start + row, float(w))
        for layer, head0, start, weights in blocks
        for (h, row, src), w in np.ndenumerate(weights)
        if w != 0
    ]
    key = lambda e: (-abs(e[4]), e[0], e[1], e[3], e[2])  # noqa: E731
    return sorted(everything, key=key)[:top]


@settings(max_examples=80)
@given(st.integers(0, 10**6), st.sampled_from([0, 1, 2, 5, 20, 1000]), st.sampled_from([3, 10**6]))
def test_exactly_the_strongest_whatever_the_order(seed, top, levels):
    """`levels` is how many different weights there are: few make ties."""
    draw = np.random.default_rng(seed)
    blocks = []
    for layer in range(draw.integers(1, 4)):
        for start in range(0, 6, 3):
            shape = (2, 3, start + 3)
            weights = draw.integers(-levels, levels + 1, shape) / levels
            blocks.append((layer, 0, start, weights))
    found, true = offered(blocks, top), by_hand(blocks, top)
    assert [abs(e.weight) for e in found] == [abs(e[4]) for e in true]
    everything = {e[:4]: e[4] for e in by_hand(blocks, 10**9)}
    assert all(everything[tuple(e[:4])] == e.weight for e in found)
    assert len({tuple(e[:4]) for e in found}) == len(found)
    if levels > 100:  # no ties: the very same edges
        assert [tuple(e[:5]) for e in found] == true
    assert [e.attention for e in found] == [abs(e.weight) / 4 for e in found]


def test_of_equal_edges_the_earlier_is_kept():
    ones = np.ones((2, 2, 4))
    blocks = [(0, 0, 0, ones), (1, 0, 0, ones), (0, 2, 0, 2 * ones[:1, :1, :1])]
    found = offered(blocks, 4)
    assert [tuple(e[:4]) for e in found] == [(0, 2, 0, 0), (0, 0, 0, 0), (0, 0, 1, 0), (0, 0, 2, 0)]


def test_more_asked_for_than_there_are_and_none():
    block = (0, 0, 0, np.array([[[0.0, 0.0], [-3.0, 0.0]]]))
    assert [tuple(e) for e in offered([block], 99)] == [(0, 0, 0, 1, -3.0, 0.75)]
    assert offered([block], 0) == []
    assert offered([], 5) == []


METHODS = [("contribution", "zero"), ("gradient", "zero"), ("gradient", "mask")]


@pytest.mark.parametrize(("by", "how"), METHODS)
@pytest.mark.parametrize("name", ["llama", "gpt_oss", "bloom"])
def test_blocks_of_rows_do_not_matter(monkeypatch, name, by, how):
    """Windows, sinks and biases among them."""
    trace = record(loaded(name, FLOAT64), some_tokens(11))
    whole = attribute(trace, by, how=how, top=40)
    for rows in (1, 3, 11, 64):
        monkeypatch.setattr(AttentionCall, "block_rows", lambda call, rows=rows: rows)
        flow = attribute(trace, by, how=how, top=40)
        assert [e[:4] for e in flow.edges] == [e[:4] for e in whole.edges]
        np.testing.assert_allclose(
            [e.weight for e in flow.edges], [e.weight for e in whole.edges], rtol=1e-9
        )
        assert (flow.coverage.of, flow.coverage.edges) == (whole.coverage.of, whole.coverage.edges)
        assert flow.coverage.total == pytest.approx(whole.coverage.total, rel=1e-12)
        for field in dataclasses.fields(whole.totals):
            a, b = (getattr(f.totals, field.name) for f in (flow, whole))
            np.testing.assert_allclose(a, b, atol=1e-10 * whole.coverage.total)
        for layer in range(flow.n_layers):
            np.testing.assert_allclose(flow.dense(layer), whole.dense(layer), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"by": "magic"}, "by='magic': accepted are contribution, gradient"),
        ({"by": "gradient", "how": "erase"}, "how='erase': accepted are zero, mask"),
        ({"by": "contribution", "target": 20}, "asks about no target"),
        ({"by": "contribution", "metric": "max"}, "'max': accepted are identity, variance"),
        ({"by": "gradient", "target": 10**6}, "target id 1000000: accepted are 0 to"),
        ({"by": "gradient", "target": 20, "versus": -1}, "versus id -1: accepted are 0 to"),
    ],
)
def test_what_cannot_be_attributed(options, words):
    trace = record(loaded("llama"), some_tokens(4))
    with pytest.raises(ValueError, match=words):
        attribute(trace, **options)


def test_dense_names_the_layers_that_there_are():
    flow = attribute(record(loaded("llama"), some_tokens(4)))
    assert flow.dense(0).shape == (4, 4, 4)
    for layer in (-1, 99):
        with pytest.raises(
            ValueError, match=f"layer {layer}: accepted are 0 to {flow.n_layers - 1}"
        ):
            flow.dense(layer)
