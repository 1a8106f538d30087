"""Follows strong paths of the frozen-linear model down from the target, many at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from worldline.errors import RefusedError
from worldline.grid.node import Node
from worldline.model.gradients import batched_backward

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.model.frozen import FrozenRun, Piece, Read

LARGEST_LEAK = 1e-3  # of a block's gradients, outside the column they came from


class Hop(NamedTuple):
    """One hop of a path: the block that reads, and the head, -1 for all of them together."""

    layer: int
    head: int


class FrozenPath(NamedTuple):
    """One path, source first: its nodes, a read for each hop, and what it carries to the target.

    Every row is visited, but where layers share K and V a read begins in a lower row.
    """

    nodes: tuple[Node, ...]
    reads: tuple[Hop, ...]
    weight: float

    @property
    def hops(self) -> int:
        """How many K/V edges it takes."""
        return len(self.reads)


@dataclass(frozen=True, eq=False)
class Suffix:
    """The upper part of a path: where it is, and the target's gradient there by way of it."""

    nodes: tuple[Node, ...]
    reads: tuple[Hop, ...]
    gradient: Float[Tensor, " d_model"]
    flow: float  # all paths that end so

    @property
    def pos(self) -> int:
        """The column it has come down to."""
        return self.nodes[-1].pos


@dataclass(eq=False)
class Followed:
    """Paths found, strongest first; `whole` where no way with any weight was left aside."""

    paths: list[FrozenPath] = field(default_factory=list)
    n_followed: int = 0
    whole: bool = True


@dataclass(frozen=True, eq=False)
class Ways:
    """The ways by one read of one suffix: per road (a head, or all) and source."""

    item: Suffix
    read: Read
    at_v: Float[Tensor, "head src d_value"]  # what goes back to v along each edge
    flows: Float[np.ndarray, "road src"]
    heads: list[int]
    layer: int


def follow(run: FrozenRun, k: int, width: int, *, heads: bool) -> Followed:
    """The `k` strongest of the paths from row 0 that keep to the `width` fullest ways in a row.

    A way's fullness is the size of the signed sum of all paths that end in it. With `heads` each
    head is its own road, else a hop takes all heads of an attention together; residual, MLP and
    self-attention are one road.

    Paths of weight zero are left out.

    Raises:
        RefusedError: a block moves information between columns without K/V.
    """
    found, top, n_layers = Followed(), run.pieces[-1], len(run.pieces) - 1
    if any(piece.row.ndim != 3 for piece in run.pieces):
        raise RefusedError("rows of this type are not [batch, pos, d_model]: no path is followed")
    assert top.out is not None
    fronts: list[list[Suffix]] = [[] for _ in run.pieces]
    (gradient,) = torch.autograd.grad(top.out, [top.row], retain_graph=True)
    for pos in gradient[0].abs().sum(-1).nonzero().flatten().tolist():
        end = (Node(layer=n_layers, pos=pos),)
        fronts[-1].append(_suffix(run, end, (), gradient[0, pos]))
    for layer in range(n_layers - 1, -1, -1):
        items = _fullest(fronts[layer + 1], width, found)
        if items:
            stays, ways = _ways(run.pieces[layer], layer, items, heads)
            _take(run, layer, [*zip(items, stays, strict=True)], ways, fronts, width, found)
    ends = sorted((end for end in fronts[0] if end.flow), key=lambda end: -abs(end.flow))
    found.n_followed = len(ends)
    found.paths = [FrozenPath(end.nodes[::-1], end.reads[::-1], end.flow) for end in ends[:k]]
    return found


def _fullest(items: list[Suffix], width: int, found: Followed) -> list[Suffix]:
    items = sorted((item for item in items if item.flow), key=lambda item: -abs(item.flow))
    found.whole &= len(items) <= width
    return items[:width]


def _ways(
    piece: Piece, layer: int, items: list[Suffix], heads: bool
) -> tuple[list[Tensor], list[Ways]]:
    """What stays in each suffix's column across a block, and its ways by each read."""
    assert piece.out is not None
    at = [item.pos for item in items]
    leaves = [piece.row, *(read.z for read in piece.reads)]
    gradients = _placed(piece.row, at, [item.gradient for item in items])
    rows, *at_z = batched_backward(piece.out, leaves, gradients)
    stays = rows[range(len(at)), 0, at]
    outside = float(rows.abs().sum() - stays.abs().sum())
    if outside > LARGEST_LEAK * float(rows.abs().sum()):
        raise RefusedError(f"layer {layer} moves information between columns without K/V")
    ways, head = [], 0
    for read, z in zip(piece.reads, at_z, strict=True):
        value = read.v.detach() if read.v_constant is None else read.v.detach() - read.v_constant
        group = z.shape[2] // value.shape[1]
        for n, item in enumerate(items):
            pattern = read.call.pattern_rows(item.pos, item.pos + 1)[:, 0, :, None].to(z.dtype)
            at_v = pattern * z[n, 0, :, item.pos, None]
            known = value[0, :, : item.pos + 1].repeat_interleave(group, 0)
            flows = (known.double() * at_v.double()).sum(-1)
            flows = flows if heads else flows.sum(0, keepdim=True)
            names = [*range(head, head + len(at_v))] if heads else [-1]
            ways.append(Ways(item, read, at_v, flows.cpu().numpy(), names, layer))
        head += z.shape[2]
    return list(stays), ways


def _take(run: FrozenRun, layer: int, stays, ways: list[Ways], fronts, width: int, found) -> None:
    """Go down the fullest of all ways on from a row."""
    with_self = _back(run, [way.read for way in ways], [_alone(way) for way in ways])
    carried = {id(item): gradient for item, gradient in stays}
    for way, gradient in zip(ways, with_self, strict=True):
        row = way.read.call.kv_layer
        if row == layer:
            carried[id(way.item)] = carried[id(way.item)] + gradient
        else:  # to itself, but to a lower row: a road of its own
            nodes = (*way.item.nodes, Node(layer=row, pos=way.item.pos))
            fronts[row].append(_suffix(run, nodes, way.item.reads, gradient))
    for item, _ in stays:
        nodes = (*item.nodes, Node(layer=layer, pos=item.pos))
        fronts[layer].append(_suffix(run, nodes, item.reads, carried[id(item)]))
    edges = [
        (abs(float(flow)), n, road, src)
        for n, way in enumerate(ways)
        for (road, src), flow in np.ndenumerate(way.flows[:, :-1])
        if flow
    ]
    edges.sort(reverse=True)
    found.whole &= len(edges) <= width
    chosen = edges[:width]
    at_v = [_along(ways[n], road, src) for _, n, road, src in chosen]
    below = _back(run, [ways[n].read for _, n, _, _ in chosen], at_v)
    for (_, n, road, src), gradient in zip(chosen, below, strict=True):
        way = ways[n]
        row = way.read.call.kv_layer
        nodes = (*way.item.nodes, Node(layer=row, pos=src))
        reads = (*way.item.reads, Hop(layer=layer, head=way.heads[road]))
        fronts[row].append(_suffix(run, nodes, reads, gradient))


def _alone(way: Ways) -> tuple[int, Tensor]:
    return way.item.pos, way.at_v[:, -1]


def _along(way: Ways, road: int, src: int) -> tuple[int, Tensor]:
    if way.heads[road] < 0:
        return src, way.at_v[:, src]
    only = torch.zeros_like(way.at_v[:, src])
    only[road] = way.at_v[road, src]
    return src, only


def _back(run: FrozenRun, reads: list[Read], at_v: list[tuple[int, Tensor]]) -> list[Tensor]:
    """From what goes back to v at one source each, [head, d_value], to the row that made v."""
    out: list[Tensor] = [torch.empty(0)] * len(reads)
    for read in {id(read): read for read in reads}.values():
        mine = [n for n, other in enumerate(reads) if other is read]
        sources, heads = [at_v[n][0] for n in mine], torch.stack([at_v[n][1] for n in mine])
        grouped = heads.unflatten(1, (read.v.shape[1], -1)).sum(2)  # [way, kv_head, d_value]
        gradients = read.v.new_zeros(len(mine), *read.v.shape)
        gradients[range(len(mine)), 0, :, sources] = grouped.to(read.v.dtype)
        (rows,) = batched_backward(read.v, [run.pieces[read.call.kv_layer].row], gradients)
        for n, source, row in zip(mine, sources, rows, strict=True):
            out[n] = row[0, source]
    return out


def _placed(row: Tensor, at: list[int], gradients: list[Tensor]) -> Tensor:
    placed = row.new_zeros(len(at), *row.shape)
    placed[range(len(at)), 0, at] = torch.stack(gradients).to(row.dtype)
    return placed


def _suffix(run: FrozenRun, nodes: tuple[Node, ...], reads, gradient: Tensor) -> Suffix:
    row = run.pieces[nodes[-1].layer].row.detach()[0, nodes[-1].pos]
    return Suffix(nodes, reads, gradient, float((row.double() * gradient.double()).sum()))
