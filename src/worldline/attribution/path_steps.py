"""The ways on from the upper parts of frozen paths, many at once, by gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from worldline.errors import RefusedError
from worldline.graph.node import Node
from worldline.models.gradients import batched_backward

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from torch import Tensor

    from worldline.models.linearized import AttentionRead, FrozenRun, Piece

LARGEST_LEAK = 1e-3  # of a block's gradients, outside the column they came from


class Hop(NamedTuple):
    """One hop of a path.

    Attributes:
        layer: The block that reads.
        head: The head, -1 for all of them together.
    """

    layer: int
    head: int


class FrozenPath(NamedTuple):
    """One path, source first.

    Every row is visited, but where layers share K and V a read begins in a lower row.

    Attributes:
        nodes: The nodes on the way.
        reads: A read for each hop.
        weight: What the path carries to the target, in logits.
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
    chance: float  # the size it would have by chance: of random directions of these lengths

    @property
    def pos(self) -> int:
        """The column it has come down to."""
        return self.nodes[-1].pos

    @property
    def row(self) -> int:
        """The row it has come down to."""
        return self.nodes[-1].layer

    def to_path(self) -> FrozenPath:
        """As a path, once it has come down to row 0."""
        return FrozenPath(self.nodes[::-1], self.reads[::-1], self.flow)


@dataclass(frozen=True, eq=False)
class Ways:
    """The hops by one read of one suffix, the `at`-th: per road (a head, or all) and source."""

    at: int
    item: Suffix
    attention_read: AttentionRead
    at_v: Float[Tensor, "head src d_value"]  # what goes back to v along each edge
    flows: Float[np.ndarray, "road src"]
    chances: Float[np.ndarray, "road src"]
    heads: list[int]
    layer: int


def refuse_other_rows(run: FrozenRun) -> None:
    """Raise RefusedError where a row is several streams side by side, or positions come first."""
    n_pos = next(
        attention_read.call.q.shape[2] for piece in run.pieces for attention_read in piece.reads
    )
    if any(piece.row.shape[:-1] != (1, n_pos) for piece in run.pieces):
        raise RefusedError("rows of this type are not [batch, pos, d_model]: no path is followed")


def top_row(run: FrozenRun) -> list[Suffix]:
    """The nodes of the last row that the target is read from, as paths of no step."""
    refuse_other_rows(run)
    top, n_layers = run.pieces[-1], len(run.pieces) - 1
    assert top.out is not None
    (gradient,) = torch.autograd.grad(top.out, [top.row], retain_graph=True)
    return [
        _suffix(run, (Node(layer=n_layers, pos=pos),), (), gradient[0, pos])
        for pos in gradient[0].abs().sum(-1).nonzero().flatten().tolist()
    ]


def ways_on(
    run: FrozenRun, layer: int, items: list[Suffix], heads: bool
) -> tuple[list[tuple[int, Suffix]], list[Ways]]:
    """(stays, hops) of suffixes above block `layer`; a stay is an item's number and what follows.

    With `heads` each head is its own road, else a hop takes all heads of an attention together;
    residual, MLP and self-attention are one road, but where self-attention reads K and V of a
    lower layer it is one more stay, to that lower row.

    Raises:
        RefusedError: the block moves information between columns without K/V.
    """
    piece = run.pieces[layer]
    assert piece.out is not None
    at = [item.pos for item in items]
    leaves = [piece.row, *(attention_read.z for attention_read in piece.reads)]
    gradients = _at_positions(piece.row, at, [item.gradient for item in items])
    rows, *at_z = batched_backward(piece.out, leaves, gradients)
    stays = rows[range(len(at)), 0, at]
    outside = float(rows.abs().sum() - stays.abs().sum())
    if outside > LARGEST_LEAK * float(rows.abs().sum()):
        raise RefusedError(f"layer {layer} moves information between columns without K/V")
    ways = _hops(piece, layer, items, at_z, heads)
    return _stays(run, layer, items, list(stays), ways), ways


def follow_hops(
    run: FrozenRun, ways: list[Ways], chosen_hops: list[tuple[int, int, int]]
) -> list[Suffix]:
    """What follows the chosen hops, each (number in `ways`, road, source)."""
    at_v = [_along(ways[n], road, src) for n, road, src in chosen_hops]
    below, out = _back(run, [ways[n].attention_read for n, _, _ in chosen_hops], at_v), []
    for (n, road, src), gradient in zip(chosen_hops, below, strict=True):
        way = ways[n]
        nodes = (*way.item.nodes, Node(layer=way.attention_read.call.kv_layer, pos=src))
        reads = (*way.item.reads, Hop(layer=way.layer, head=way.heads[road]))
        out.append(_suffix(run, nodes, reads, gradient))
    return out


def _hops(
    piece: Piece, layer: int, items: list[Suffix], at_z: list[Tensor], heads: bool
) -> list[Ways]:
    ways, head = [], 0
    for attention_read, z in zip(piece.reads, at_z, strict=True):
        value = (
            attention_read.v.detach()
            if attention_read.v_constant is None
            else attention_read.v.detach() - attention_read.v_constant
        )
        group = z.shape[2] // value.shape[1]
        for n, item in enumerate(items):
            pattern = attention_read.call.pattern_rows(item.pos, item.pos + 1)[:, 0, :, None].to(
                z.dtype
            )
            at_v = pattern * z[n, 0, :, item.pos, None]
            head_values = value[0, :, : item.pos + 1].repeat_interleave(group, 0)
            flows = (head_values.double() * at_v.double()).sum(-1)
            sizes = head_values.double().square().sum(-1) * at_v.double().square().sum(-1)
            sizes /= head_values.shape[-1]
            if not heads:
                flows, sizes = flows.sum(0, keepdim=True), sizes.sum(0, keepdim=True)
            names = [*range(head, head + len(at_v))] if heads else [-1]
            chances = sizes.sqrt().cpu().numpy()
            ways.append(
                Ways(n, item, attention_read, at_v, flows.cpu().numpy(), chances, names, layer)
            )
        head += z.shape[2]
    return ways


def _stays(
    run: FrozenRun, layer: int, items: list[Suffix], stay_gradients: list[Tensor], ways: list[Ways]
) -> list[tuple[int, Suffix]]:
    stays, alone = [], [(way.item.pos, way.at_v[:, -1]) for way in ways]
    for way, gradient in zip(
        ways, _back(run, [way.attention_read for way in ways], alone), strict=True
    ):
        row = way.attention_read.call.kv_layer
        if row == layer:
            stay_gradients[way.at] = stay_gradients[way.at] + gradient
        else:  # to itself, but to a lower row: a road of its own
            nodes = (*way.item.nodes, Node(layer=row, pos=way.item.pos))
            stays.append((way.at, _suffix(run, nodes, way.item.reads, gradient)))
    for at, (item, gradient) in enumerate(zip(items, stay_gradients, strict=True)):
        nodes = (*item.nodes, Node(layer=layer, pos=item.pos))
        stays.append((at, _suffix(run, nodes, item.reads, gradient)))
    return stays


def _along(way: Ways, road: int, src: int) -> tuple[int, Tensor]:
    if way.heads[road] < 0:
        return src, way.at_v[:, src]
    only = torch.zeros_like(way.at_v[:, src])
    only[road] = way.at_v[road, src]
    return src, only


def _back(
    run: FrozenRun, reads: list[AttentionRead], at_v: list[tuple[int, Tensor]]
) -> list[Tensor]:
    """From what goes back to v at one source each, [head, d_value], to the row that made v."""
    out: list[Tensor] = [torch.empty(0)] * len(reads)
    for attention_read in {id(attention_read): attention_read for attention_read in reads}.values():
        mine = [n for n, each_read in enumerate(reads) if each_read is attention_read]
        sources, heads = [at_v[n][0] for n in mine], torch.stack([at_v[n][1] for n in mine])
        kv_gradients = heads.unflatten(1, (attention_read.v.shape[1], -1)).sum(
            2
        )  # [way, kv_head, d_value]
        gradients = attention_read.v.new_zeros(len(mine), *attention_read.v.shape)
        gradients[range(len(mine)), 0, :, sources] = kv_gradients.to(attention_read.v.dtype)
        (rows,) = batched_backward(
            attention_read.v, [run.pieces[attention_read.call.kv_layer].row], gradients
        )
        for n, source, row in zip(mine, sources, rows, strict=True):
            out[n] = row[0, source]
    return out


def _at_positions(row: Tensor, at: list[int], gradients: list[Tensor]) -> Tensor:
    spread_gradients = row.new_zeros(len(at), *row.shape)
    spread_gradients[range(len(at)), 0, at] = torch.stack(gradients).to(row.dtype)
    return spread_gradients


def _suffix(run: FrozenRun, nodes: tuple[Node, ...], reads, gradient: Tensor) -> Suffix:
    row = run.pieces[nodes[-1].layer].row.detach()[0, nodes[-1].pos].double()
    along = gradient.double()
    chance = float(row.norm() * along.norm()) / row.numel() ** 0.5
    return Suffix(nodes, reads, gradient, float((row * along).sum()), chance)
