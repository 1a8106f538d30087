"""Sums of edges over groups of tokens: one group x group matrix a layer, the strongest kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from worldline.attribution.flow import Coverage
from worldline.tokens.units import Grouping

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jaxtyping import Float
    from torch import Tensor

NAMES = ("in_positive", "in_negative", "out_positive", "out_negative")


class GroupEdge(NamedTuple):
    """All reads of one layer from group src into group dst, over all heads: two sums.

    Attributes:
        layer: The block that reads.
        src: The group that is read.
        dst: The group that reads.
        positive: The sum of the positive weights.
        negative: The sum of the negative weights, a negative number.
    """

    layer: int
    src: int
    dst: int
    positive: float
    negative: float

    @property
    def net(self) -> float:
        """What is left of the two."""
        return self.positive + self.negative


@dataclass(frozen=True, eq=False)
class GroupFlow:
    """A flow between groups of tokens, in the unit of the flow.

    Attributes:
        grouping: The groups.
        edges: The strongest by |net|, strongest first.
        coverage: `total` is the sum of |net| over all `of` group edges that any edge lies in.
        between_positive: The sum of the run's own edges that lead to another group, where positive.
        between_negative: The same, where negative.
        within_positive: The sum of those that stay in one group, where positive.
        within_negative: The same, where negative.
        totals: Four matrices [layer, group] of what comes into a group from others and leaves it to
            others.

    Exactness: sums over all edges of the run, up to rounding.
    """

    grouping: Grouping
    edges: list[GroupEdge]
    coverage: Coverage
    between_positive: float
    between_negative: float
    within_positive: float
    within_negative: float
    totals: dict[str, Float[np.ndarray, "layer group"]]


class GroupSums:
    """Adds up the edges of a run by layer and pair of groups, as blocks of rows come in.

    Only layers that are still growing are held; of a finished one the `top` strongest stay.
    """

    def __init__(
        self, grouping: Grouping, n_layers: int, top: int, dtype: torch.dtype, device: torch.device
    ):
        self.grouping, self.top, self.dtype = grouping, top, dtype
        self.group_of = torch.tensor(grouping.group_of, dtype=torch.long, device=device)
        self.open: dict[int, Tensor] = {}
        self.strongest = np.zeros((5, 0))  # layer, src, dst, signed, absolute
        self.floor, self.total, self.n_edges = 0.0, 0.0, 0
        self.sums = np.zeros((2, 2))  # within, between; signed, absolute
        self.by_group = np.zeros((2, 2, n_layers, grouping.n_groups))  # in, out; signed, absolute

    def begin(self, layers: Iterable[int]) -> None:
        """Other layers than these are finished."""
        layers = set(layers)
        for layer in [layer for layer in self.open if layer not in layers]:
            self._finish(layer)
        for layer in layers - set(self.open):
            n = self.grouping.n_groups
            self.open[layer] = torch.zeros((2, n, n), dtype=self.dtype, device=self.group_of.device)

    def add(self, layers: list[int], start: int, planes: Float[Tensor, "two layer rows pos"]):
        """Add rows `start`.. of some layers: weights summed over heads, and their sizes."""
        rows, n_src = planes.shape[2:]
        dst, src = self.group_of[start : start + rows], self.group_of[:n_src]
        first, last, width = int(dst[0]), int(dst[-1]) + 1, int(src[-1]) + 1
        shape = (2, len(layers), last - first)
        by_dst = planes.new_zeros(*shape, n_src).index_add_(2, dst - first, planes)
        sums = planes.new_zeros(*shape, width).index_add_(3, src, by_dst)
        for at, layer in enumerate(layers):
            self.open[layer][:, first:last, :width] += sums[:, at]

    def _finish(self, layer: int) -> None:
        signed_sums, absolute = matrix = self.open.pop(layer)
        diagonal = matrix.diagonal(dim1=1, dim2=2)
        self.sums[0] += diagonal.sum(1).double().cpu().numpy()
        diagonal.zero_()
        self.sums[1] += matrix.sum((1, 2)).double().cpu().numpy()
        self.by_group[0, :, layer] = matrix.sum(2).double().cpu().numpy()
        self.by_group[1, :, layer] = matrix.sum(1).double().cpu().numpy()
        size = signed_sums.abs()
        self.total += float(size.double().sum())
        self.n_edges += int(torch.count_nonzero(absolute))
        if self.top:
            self._keep(layer, signed_sums, absolute, size)

    def _keep(self, layer: int, signed_sums: Tensor, absolute: Tensor, size: Tensor) -> None:
        at = (size > self.floor).nonzero()
        if len(at) > self.top:
            at = at[size[tuple(at.T)].topk(self.top).indices]
        dst, src = at.T
        pairs = torch.stack([signed_sums[dst, src], absolute[dst, src]]).double().cpu().numpy()
        places = np.stack([np.full(len(at), layer), src.cpu().numpy(), dst.cpu().numpy()])
        candidates = np.concatenate([self.strongest, np.concatenate([places, pairs])], 1)
        layers, sources, ends, net, _ = candidates
        self.strongest = candidates[
            :, np.lexsort((sources, ends, layers, -np.abs(net)))[: self.top]
        ]
        if self.strongest.shape[1] == self.top:
            self.floor = float(abs(self.strongest[3, -1]))

    def flow(self) -> GroupFlow:
        """What was found, once all edges are in."""
        self.begin(())
        layer, src, dst = self.strongest[:3].astype(int).tolist()
        positive, negative = _parts(*self.strongest[3:])
        edges = list(map(GroupEdge, layer, src, dst, positive.tolist(), negative.tolist()))
        edges.sort(key=lambda edge: -abs(edge.net))  # as the two parts add up, to the last bit
        strongest_size = float(np.abs(self.strongest[3]).sum())
        share = min(1.0, strongest_size / self.total) if self.total > 0 else 0.0
        coverage = Coverage(len(edges), self.n_edges, share, self.total)
        positive, negative = (part.tolist() for part in _parts(*self.sums.T))
        matrices = [part for side in self.by_group for part in _parts(*side)]
        return GroupFlow(
            self.grouping,
            edges,
            coverage,
            between_positive=positive[1],
            between_negative=negative[1],
            within_positive=positive[0],
            within_negative=negative[0],
            totals=dict(zip(NAMES, matrices, strict=True)),
        )


def _parts(signed_sums: np.ndarray, absolute: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The positive and the negative part of a sum."""
    return (absolute + signed_sums) / 2, (signed_sums - absolute) / 2
