"""Best-first search for the strongest paths, and the exact weight of a path.

One sweep finds how strong a path from each node to the target can be; a search that knows this
visits nothing but what it returns. Sizes are compared as log2 |weight| rounded to a fixed step,
whose sums are whole numbers of steps, hence exact in float64 whatever their order: equal products
stay equal, nothing vanishes over many rows. What that step cannot tell apart is for `Product`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from worldline.graph.node import Node
from worldline.graph.weighted_grid import Span

LARGEST_LOG2 = 1075  # of a float64, by size


class Path(NamedTuple):
    """One path, source first, a node in every row.

    Attributes:
        nodes: The nodes on the way.
        weight: The product along the path.
        hops: How many K/V edges it takes.
        log2_size: log2 |weight|, also where `weight` rounds to 0.
    """

    nodes: tuple[Node, ...]
    weight: float
    hops: int
    log2_size: float


@dataclass
class Product:
    """A path's exact weight: sign * size * 2^exponent, `size` a whole number."""

    positions: tuple[int, ...]
    sign: int
    size: int
    exponent: int

    @classmethod
    def along(cls, span: Span, positions: tuple[int, ...]) -> Product:
        """The product along `positions`, one per row of the span, none of its steps zero."""
        product = cls(positions, 1, 1, 0)
        for row in range(len(positions) - 1):
            mantissa, exponent = math.frexp(_weight(span, row, *positions[row : row + 2]))
            product.sign *= 1 if mantissa > 0 else -1
            product.size *= abs(int(mantissa * 2**53))
            product.exponent += exponent - 53
        return product

    def path(self, span: Span) -> Path:
        """The path with its nodes, its weight rounded once."""
        up, down = max(self.exponent, 0), max(-self.exponent, 0)
        try:  # dividing whole numbers rounds once
            weight = (self.size << up) / (1 << down)
        except OverflowError:
            weight = math.inf
        hops = sum(a != b for a, b in pairwise(self.positions))
        nodes = (
            Node(layer=span.first + row, pos=span.low + at) for row, at in enumerate(self.positions)
        )
        size = math.log2(self.size) + self.exponent
        return Path(tuple(nodes), math.copysign(weight, self.sign), hops, size)


class Steps(NamedTuple):
    """Ways on from a node, best first: the best path through each, its end, what it adds."""

    best: np.ndarray
    ends: np.ndarray
    keys: np.ndarray
    states: np.ndarray


@dataclass
class Search:
    """Best-first search from the sources; `onward` [row, state, pos] is its exact heuristic.

    With `tracks_sign`, state 1 is a node from where a negative weight is wanted, 0 a positive one.
    """

    span: Span
    tracks_sign: bool
    scale: float = field(init=False)
    slack: float = field(init=False)
    onward: np.ndarray = field(init=False)
    steps_by_node: dict[tuple[int, int, int], Steps] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n_steps = max(self.span.n_rows - 1, 1)
        self.scale = 2.0 ** (52 - math.ceil(math.log2(LARGEST_LOG2 * n_steps)))
        self.slack = 4.0 * n_steps  # two sums of keys, a step off by 1/2 and what log2 rounds
        self.onward = np.full((self.span.n_rows, 1 + self.tracks_sign, self.span.width), -np.inf)
        self.onward[-1, 0, -1] = 0.0
        for row, block in self.span.down():
            above, positive = self.onward[row + 1][:, :, None], block > 0
            keys = self.keys(block)
            if self.tracks_sign:
                for state, to_positive in enumerate((positive, ~positive)):
                    ways = np.where(to_positive, above[0], above[1])
                    self.onward[row, state] = np.add(keys, ways, out=ways).max(axis=0)
            else:
                self.onward[row, 0] = np.add(keys, above[0], out=keys).max(axis=0)

    def keys(self, weights: np.ndarray) -> np.ndarray:
        """log2 |weight| in whole steps of 1 / scale; -inf for zero. Overwrites its input."""
        with np.errstate(divide="ignore"):
            keys = np.log2(np.abs(weights, out=weights), out=weights)
        keys *= self.scale
        return np.rint(keys, out=keys)

    def ranked_paths(self, state: int) -> Iterator[tuple[float, tuple[int, ...]]]:
        """(key, positions) of every path that is not zero, best first, ties by positions.

        On the heap lies, per node reached, its best way on not yet taken. A tie is popped in the
        order of positions, as a path's beginning sorts before the path.
        """
        sources = np.arange(self.span.width)[self.span.sources]
        zero_keys, states = np.zeros(len(sources)), np.full(len(sources), state)
        steps = _sorted(self.onward[0, state, sources], sources, zero_keys, states)
        heap: list[tuple[float, tuple[int, ...], int, float, Steps]] = []

        def push(before: tuple[int, ...], rank: int, prefix_key: float, steps: Steps) -> None:
            if rank < len(steps.ends):
                path = (*before, int(steps.ends[rank]))
                heappush(
                    heap, (-prefix_key - float(steps.best[rank]), path, rank, prefix_key, steps)
                )

        push((), 0, 0.0, steps)
        while heap:
            key, path, rank, path_key, steps = heappop(heap)
            push(path[:-1], rank + 1, path_key, steps)
            if len(path) == self.span.n_rows:
                yield -key, path
                continue
            after = self.steps(len(path) - 1, path[-1], int(steps.states[rank]))
            push(path, 0, path_key + float(steps.keys[rank]), after)

    def steps(self, row: int, src: int, state: int) -> Steps:
        """The ways on from a node, sorted when first asked for."""
        if (row, src, state) not in self.steps_by_node:
            layer, part = self.span.first + row, slice(self.span.low + src, self.span.stop)
            weights = self.span.grid.kv[layer, part, self.span.low + src].astype(np.float64)
            weights[0] = self.span.grid.carry[layer, self.span.low + src]
            states = (
                np.where(weights < 0, 1 - state, state) if self.tracks_sign else 0 * (weights < 0)
            )
            ends, keys = np.arange(src, self.span.width), self.keys(weights)
            best = keys + self.onward[row + 1, states, ends]
            self.steps_by_node[row, src, state] = _sorted(best, ends, keys, states)
        return self.steps_by_node[row, src, state]


def _sorted(best: np.ndarray, ends: np.ndarray, keys: np.ndarray, states: np.ndarray) -> Steps:
    order = np.argsort(-best, kind="stable")[: np.count_nonzero(best > -np.inf)]
    return Steps(best[order], ends[order], keys[order], states[order])


def _weight(span: Span, row: int, src: int, dst: int) -> float:
    layer, src, dst = span.first + row, span.low + src, span.low + dst
    return float(span.grid.carry[layer, src] if src == dst else span.grid.kv[layer, dst, src])
