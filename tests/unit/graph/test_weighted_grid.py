"""Sums over paths against the enumeration of every path, and what a grid refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighted_grids import cancelling, drawn, every_path, hops_of, questions
from worldline.errors import InputError
from worldline.graph.node import Node
from worldline.graph.weighted_grid import CAUTION, WeightedGrid, hop_sums, sum_paths


@given(questions())
def test_sums_are_those_of_every_path(question):
    grid, source, target = question
    weights = [float(np.prod(steps)) for _, steps in every_path(grid, source, target)]
    found = sum_paths(grid, source, target)
    absolute = sum(map(abs, weights))
    assert found.signed == pytest.approx(sum(weights), abs=1e-13 * (absolute + 1e-300))
    assert found.absolute == pytest.approx(absolute, rel=1e-13, abs=0)
    if absolute:
        assert found.coherence == pytest.approx(abs(sum(weights)) / absolute, abs=1e-13)
    else:
        assert found.coherence is None


@given(questions())
def test_spectrum_is_that_of_every_path(question):
    grid, source, target = question
    found = hop_sums(grid, source, target)
    signed, absolute = np.zeros((2, *found.signed_by_source.shape))
    for positions, steps in every_path(grid, source, target):
        at = hops_of(positions), positions[0]
        signed[at] += np.prod(steps)
        absolute[at] += abs(np.prod(steps))
    np.testing.assert_allclose(found.signed_by_source, signed, atol=1e-12, rtol=0)
    np.testing.assert_allclose(found.absolute_by_source, absolute, atol=1e-12, rtol=0)
    np.testing.assert_allclose(found.signed, signed.sum(axis=1), atol=1e-12, rtol=0)
    np.testing.assert_allclose(found.absolute, absolute.sum(axis=1), atol=1e-12, rtol=0)
    assert found.caution == CAUTION


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10**6))
def test_sum_is_the_product_of_the_blocks(n_layers, n_pos, seed):
    grid = drawn(n_layers, n_pos, seed)
    product = np.eye(n_pos)
    for carry, kv in zip(grid.carry, grid.kv, strict=True):
        product = (kv + np.diag(carry)) @ product
    for dst in range(n_pos):
        target = Node(layer=n_layers, pos=dst)
        from_row = sum_paths(grid, None, target).signed
        assert from_row == pytest.approx(product[dst].sum(), abs=1e-9)
        for src in range(dst + 1):
            one = sum_paths(grid, Node(layer=0, pos=src), target).signed
            assert one == pytest.approx(product[dst, src], abs=1e-9)


def test_paths_that_cancel_exactly():
    found = sum_paths(cancelling(), Node(layer=0, pos=0), Node(layer=2, pos=3))
    assert (found.signed, found.absolute, found.coherence) == (0.0, 64.0, 0.0)
    assert found.pruned
    spectrum = hop_sums(cancelling(), None, Node(layer=2, pos=3))
    assert spectrum.signed.tolist() == [0.0, 0.0, 0.0]
    assert spectrum.absolute.tolist() == [0.0, 0.0, 64.0]


@pytest.mark.parametrize("size", [1e-300, 1e300])
def test_many_rows_neither_vanish_nor_overflow_on_the_way(size):
    carry = np.full((8, 2), size)
    carry[4:] = 1 / size
    kv = np.zeros((8, 2, 2))
    kv[2, 1, 0], kv[3, 1, 0] = size, -3 * size
    grid = WeightedGrid(carry=carry, kv=kv, pruned=False, name="far")
    found = sum_paths(grid, None, Node(layer=8, pos=1))
    assert found.signed == pytest.approx(-1.0)
    assert found.absolute == pytest.approx(5.0)
    assert hop_sums(grid, 0, Node(layer=8, pos=1)).signed == pytest.approx([1.0, -2.0])
    half = sum_paths(grid, None, Node(layer=1, pos=1))
    assert half.coherence == 1.0
    if size > 1:
        with pytest.raises(InputError, match="exceeds float64"):
            sum_paths(grid, None, Node(layer=4, pos=1))


def build(carry=(2, 3), kv=(2, 3, 3), heads=None, **cells):
    arrays = {"carry": np.zeros(carry), "kv": np.zeros(kv)}
    for name, (at, value) in cells.items():
        arrays[name][at] = value
    return WeightedGrid(**arrays, heads=heads, pruned=False, name="x")


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ({"carry": (3,)}, "carry has shape (3,): accepted is [layer, pos]"),
        ({"kv": (2, 3, 4)}, "kv has shape (2, 3, 4): accepted is [layer, q_pos, k_pos] ="),
        ({"heads": np.zeros((2, 3, 3))}, "heads is float64: accepted is int16"),
        ({"heads": np.zeros((1, 3, 3), np.int16)}, "heads has shape (1, 3, 3)"),
    ],
)
def test_wrong_shapes(what, line):
    with pytest.raises(InputError) as refused:
        build(**what)
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(value):
    with pytest.raises(InputError, match=r"^carry\[1, 2\] = .*: accepted are finite weights"):
        WeightedGrid(carry=filled((2, 3), (1, 2), value), kv=np.zeros((2, 3, 3)),
                     pruned=False, name="x")  # fmt: skip
    with pytest.raises(InputError, match=r"^kv\[0, 2, 1\] = .*: accepted are finite weights"):
        WeightedGrid(carry=np.zeros((2, 3)), kv=filled((2, 3, 3), (0, 2, 1), value),
                     pruned=False, name="x")  # fmt: skip


def filled(shape, at, value):
    array = np.zeros(shape)
    array[at] = value
    return array


@pytest.mark.parametrize("at", [(1, 0, 2), (1, 2, 2)])
def test_edges_that_do_not_go_on(at):
    with pytest.raises(InputError, match=r"^kv\[1, . 2\] = 0.5".replace(". 2", "., 2")):
        WeightedGrid(carry=np.zeros((2, 3)), kv=filled((2, 3, 3), at, 0.5), pruned=False, name="x")


def test_whole_numbers_are_no_weights():
    with pytest.raises(InputError, match="kv is int64: accepted is a float64 or float32 array"):
        WeightedGrid(carry=np.zeros((1, 2)), kv=np.zeros((1, 2, 2), int), pruned=False, name="x")


@pytest.mark.parametrize(
    ("source", "target", "line"),
    [
        (None, Node(layer=3, pos=0), "target Node(layer=3, pos=0) is off the grid: accepted are"),
        (None, Node(layer=2, pos=3), "target Node(layer=2, pos=3) is off the grid: accepted are"),
        (Node(layer=0, pos=7), Node(layer=2, pos=2), "source Node(layer=0, pos=7) is off the"),
        (Node(layer=0, pos=2), Node(layer=2, pos=1), "target Node(layer=2, pos=1) does not see"),
        (Node(layer=2, pos=0), Node(layer=1, pos=1), "target Node(layer=1, pos=1) does not see"),
        (Node(layer=1, pos=0), Node(layer=1, pos=1), "target Node(layer=1, pos=1) does not see"),
        (2, Node(layer=1, pos=1), "target Node(layer=1, pos=1) does not see source row 2"),
    ],
)
def test_questions_off_the_grid(source, target, line):
    for ask in (sum_paths, hop_sums):
        with pytest.raises(InputError) as refused:
            ask(build(), source, target)
        assert str(refused.value).startswith(line)
        assert "\n" not in str(refused.value)
