"""Small weighted grids, and all of their paths listed one by one."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from worldline.graph.node import Node
from worldline.graph.weighted_grid import WeightedGrid


def drawn(n_layers, n_pos, seed, kind="normal"):
    """A grid with a random mask; "levels" has many ties, zeros and weights that cancel."""
    draw = np.random.default_rng(seed)
    shape = (n_layers, n_pos, n_pos)
    if kind == "levels":
        weights = draw.integers(-3, 4, shape) * 0.5
    elif kind == "thirds":
        weights = draw.choice([-0.3, 0.3, 0.1, 0.9, 1 / 3, 0.0], shape)
    else:
        weights = draw.normal(size=shape) * (draw.random(shape) < draw.choice([0.5, 1.0]))
    kv = np.tril(weights, -1)
    return WeightedGrid(
        carry=np.diagonal(weights, axis1=1, axis2=2).copy(),
        kv=kv.astype(np.float32) if kind == "float32" else kv,
        pruned=False,
        name=kind,
    )


def every_path(grid, source, target):
    """(positions, weights of the steps) of every path, by going on in every way."""

    def on(layer, positions, weights):
        if layer == target.layer:
            if positions[-1] == target.pos:
                yield positions, weights
            return
        here = positions[-1]
        for to in range(here, grid.n_pos):
            step = grid.carry[layer, here] if to == here else grid.kv[layer, to, here]
            yield from on(layer + 1, (*positions, to), (*weights, float(step)))

    first = source.layer if isinstance(source, Node) else source or 0
    starts = [source.pos] if isinstance(source, Node) else range(grid.n_pos)
    for start in starts:
        yield from on(first, (start,), ())


def hops_of(positions):
    return sum(a != b for a, b in pairwise(positions))


KINDS = st.sampled_from(["normal", "levels", "thirds", "float32"])


@st.composite
def questions(draw):
    """(grid, source, target), the source a node, a row, or None; up to 4 blocks, 5 positions."""
    n_layers, n_pos = draw(st.integers(0, 4)), draw(st.integers(1, 5))
    grid = drawn(n_layers, n_pos, draw(st.integers(0, 10**6)), draw(KINDS))
    target = Node(layer=draw(st.integers(0, n_layers)), pos=draw(st.integers(0, n_pos - 1)))
    row = draw(st.integers(0, target.layer))
    pos = draw(st.integers(0, target.pos)) if row < target.layer else target.pos
    return grid, draw(st.sampled_from([None, row, Node(layer=row, pos=pos)])), target


def cancelling():
    """Two ways 0 -> 1 -> 3 and 0 -> 2 -> 3 that cancel exactly, and nothing else."""
    kv = np.zeros((2, 4, 4))
    kv[0, 1, 0], kv[0, 2, 0] = 8.0, -8.0
    kv[1, 3, 1] = kv[1, 3, 2] = 4.0
    return WeightedGrid(carry=np.zeros((2, 4)), kv=kv, pruned=True, name="cancelling")
