"""The strongest paths, samples and effective paths against the enumeration of every path."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighted_grids import cancelling, drawn, every_path, hops_of, questions
from worldline.errors import InputError
from worldline.graph.node import Node
from worldline.graph.strongest_paths import EXACT, effective_paths, top_paths
from worldline.graph.weighted_grid import WeightedGrid


def ranked(grid, source, target, sign=None):
    """(nodes, exact weight, hops) of every path that is not zero, in the order asked for."""
    first = source.layer if isinstance(source, Node) else source or 0
    found = []
    for positions, steps in every_path(grid, source, target):
        weight = math.prod(map(Fraction, steps), start=Fraction(1))
        if weight == 0 or (sign and (weight > 0) != (sign == "positive")):
            continue
        nodes = tuple(Node(layer=first + row, pos=pos) for row, pos in enumerate(positions))
        found.append((nodes, weight, hops_of(positions)))
    return sorted(found, key=lambda path: (-abs(path[1]), path[0]))


def check(found, true, k):
    assert [(p.nodes, p.weight, p.hops) for p in found.paths] == [
        (nodes, float(weight), hops) for nodes, weight, hops in true[:k]
    ]
    for path in found.paths:
        assert 2.0**path.log2_size == pytest.approx(abs(path.weight))


@given(questions(), st.sampled_from([1, 2, 3, 10, 1000]), st.sampled_from([None, "+", "-"]))
def test_exactly_the_strongest(question, k, sign):
    grid, source, target = question
    sign = {"+": "positive", "-": "negative"}.get(sign)
    found = top_paths(grid, source=source, target=target, k=k, sign=sign)
    check(found, ranked(grid, source, target, sign), k)
    assert found.exactness == EXACT


@given(st.integers(0, 10**6), st.sampled_from([1, 7, 40]), st.sampled_from([None, "positive"]))
def test_exactly_the_strongest_of_many(seed, k, sign):
    """6 blocks x 4 positions of few weights: many paths of one size by different factors."""
    grid = drawn(6, 4, seed, "levels")
    target = Node(layer=6, pos=3)
    check(top_paths(grid, target=target, k=k, sign=sign), ranked(grid, None, target, sign), k)


def uniform(n_layers, n_pos, carry, edge):
    return WeightedGrid(
        carry=np.full((n_layers, n_pos), carry),
        kv=np.tril(np.full((n_layers, n_pos, n_pos), edge), -1),
        pruned=True,
        name="uniform",
    )


def test_more_ties_than_are_looked_at():
    grid, target = uniform(7, 7, 1.0, -1.0), Node(layer=7, pos=6)
    found = top_paths(grid, target=target, k=5)
    check(found, ranked(grid, None, target), 5)
    assert found.exactness == "closed to 2^-34 of the size: over 1000 paths agree with the last"\
        " to that"  # fmt: skip
    assert found.grid == "pruned"


def test_equal_factors_in_another_order_are_a_tie():
    grid, target = uniform(5, 4, 0.9, 0.1), Node(layer=5, pos=3)
    check(top_paths(grid, target=target, k=60), ranked(grid, None, target), 60)


def test_sizes_below_float64_keep_their_order():
    carry = np.full((9, 2), 1e-250)
    kv = np.zeros((9, 2, 2))
    kv[3, 1, 0], kv[7, 1, 0] = 1e-249, -1e-248
    grid = WeightedGrid(carry=carry, kv=kv, pruned=False, name="far")
    found = top_paths(grid, target=Node(layer=9, pos=1), k=3).paths
    assert [path.hops for path in found] == [1, 1, 0]
    assert [path.weight for path in found] == [0.0, 0.0, 0.0]
    assert [math.copysign(1, path.weight) for path in found] == [-1, 1, 1]
    expected = [-2248, -2249, -2250]
    assert [path.log2_size / math.log2(10) for path in found] == pytest.approx(expected)


def test_a_path_without_steps():
    node = Node(layer=2, pos=1)
    (path,) = top_paths(drawn(3, 3, 0), source=node, target=node).paths
    assert path == ((node,), 1.0, 0, 0.0)
    assert not top_paths(drawn(3, 3, 0), source=node, target=node, sign="negative").paths


def by_hand(grid, source, target, normalise):
    """H of the distribution, each path's probability worked out by itself."""
    first = source.layer if isinstance(source, Node) else source or 0
    sizes = []
    for positions, steps in every_path(grid, source, target):
        size = math.prod(map(abs, steps))
        if normalise == "rows" and size:
            for row, dst in enumerate(positions[1:], start=first):
                size /= np.abs(grid.kv[row, dst]).sum(dtype=float) + abs(grid.carry[row, dst])
        sizes.append(size)
    shares = [size / sum(sizes) for size in sizes if size]
    return -sum(share * math.log(share) for share in shares)


@given(questions(), st.sampled_from(["paths", "rows"]))
def test_entropy_is_that_of_every_path(question, normalise):
    grid, source, target = question
    if not any(np.prod(steps) for _, steps in every_path(grid, source, target)):
        with pytest.raises(InputError, match="has weight zero: there is none to count"):
            effective_paths(grid, source, target, normalise=normalise)
        return
    found = effective_paths(grid, source, target, normalise=normalise)
    assert found.entropy_nats == pytest.approx(by_hand(grid, source, target, normalise), abs=1e-12)
    assert found.effective == pytest.approx(math.exp(found.entropy_nats))
    assert found.normalise == normalise


def test_equal_weights_count_every_path():
    """C(m + N - 1, N - 1) = 35 paths of one weight from a node over N = 4 blocks, m = 4."""
    grid = uniform(4, 5, 0.5, 0.5)
    ends = Node(layer=0, pos=0), Node(layer=4, pos=4)
    assert effective_paths(grid, *ends).effective == pytest.approx(35)
    assert effective_paths(grid, *ends).normalise == "paths"
    assert effective_paths(grid, *ends, normalise="rows").effective < 34


def test_the_normalisation_is_named():
    target = Node(layer=2, pos=3)
    line = "normalise='paths' and normalise='rows'"
    with pytest.raises(InputError, match=f"^normalise=None on signed weights.*{line}$"):
        effective_paths(cancelling(), None, target)
    with pytest.raises(InputError, match=f"^normalise='row': accepted are {line}$"):
        effective_paths(cancelling(), None, target, normalise="row")
    assert effective_paths(cancelling(), None, target, normalise="paths").effective == 2.0


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"k": 0}, "k = 0: accepted are whole numbers from 1"),
        ({"k": -3}, "k = -3: accepted are whole numbers from 1"),
        ({"sign": "plus"}, "sign 'plus': accepted are 'positive', 'negative', or None for both"),
        ({"target": Node(layer=3, pos=0)}, "target Node(layer=3, pos=0) is off the grid: accepted"),
        ({"source": Node(layer=0, pos=3), "target": Node(layer=2, pos=0)}, "target Node(layer=2"),
    ],
)
def test_bad_input(given, line):
    with pytest.raises(InputError) as refused:
        top_paths(cancelling(), **{"target": Node(layer=2, pos=3), **given})
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)
