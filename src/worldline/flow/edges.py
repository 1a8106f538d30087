"""All K/V edges of a run, a block of rows at a time: their sums, and the strongest of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from worldline.flow.flow import Edge, Kept, Totals

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.model.attention import AttentionCall

Rule = Literal["linear", "renormalise"]
NEAR_ONE = 1e-3  # below this remainder of a row, 1 - a is taken from the other entries
SUMS = ("in", "out", "head", "distance")


def edge_rows(
    call: AttentionCall, u: Float[Tensor, "head pos d_value"], start: int, stop: int, rule: Rule
) -> Float[Tensor, "head rows pos"]:
    """Weights of the edges into rows start..stop, self-attention included.

    `linear`: a <v, u>. `renormalise`: a / (1 - a) <v - z, u>, what is lost when the edge is
    masked and the rest of the row renormalises.
    """
    pattern = call.pattern_rows(start, stop)
    v = call.v[0, :, :stop].to(pattern.dtype)
    rows = u[:, start:stop].to(pattern.dtype)
    reads = call.products(rows, v)
    if rule == "linear":
        return pattern.mul_(reads)
    z = call.z[0, :, start:stop].to(pattern.dtype)
    level = (z * rows).sum(-1, keepdim=True)
    rest = 1 - pattern
    weights = pattern / rest.clamp_min(NEAR_ONE) * (reads - level)
    return _mend_near_one(weights, pattern, reads, rest, call, start)


def _mend_near_one(weights, pattern, reads, rest, call: AttentionCall, start: int) -> Tensor:
    """Where one entry holds nearly the whole row: a <v - z_rest, u>, z_rest from the others."""
    for head, row, src in (rest < NEAR_ONE).nonzero().tolist():
        others = pattern[head, row].clone()
        others[src] = 0.0
        mass = others.sum()
        if call.sinks is not None:
            mass = mass + _sink_mass(call, head, start + row)
        value = (others @ reads[head, row]) / mass if float(mass) > 0 else 0.0
        weights[head, row, src] = pattern[head, row, src] * (reads[head, row, src] - value)
    return weights


def _sink_mass(call: AttentionCall, head: int, pos: int) -> Tensor:
    """What the sink takes of one row, without the cancellation of 1 - sum."""
    assert call.sinks is not None
    group = call.n_heads // call.k.shape[1]
    scores = call.k[0, head // group, : pos + 1] @ call.q[0, head, pos] * call.scaling
    scores = scores.masked_fill(~call.allowed_rows(pos, pos + 1)[0, 0], float("-inf"))
    return torch.softmax(torch.cat([scores, call.sinks[head : head + 1].to(scores)]), 0)[-1]


class Strongest:
    """The `top` strongest edges met so far; ties keep the earlier edge."""

    def __init__(self, top: int):
        self.top, self.floor = top, 0.0
        self.keys: list[np.ndarray] = []
        self.weights: list[np.ndarray] = []
        self.held = 0

    def offer(self, layer: int, head0: int, start: int, weights: Tensor, sizes: Tensor) -> None:
        """Look through [head, rows, pos] weights whose absolute values are `sizes`."""
        if self.top == 0:
            return
        rows = sizes.shape[1]
        peaks = sizes.amax(-1)
        heads, lines = (peaks > self.floor).nonzero(as_tuple=True)
        if not heads.numel():
            return
        candidates = sizes[heads, lines]
        which, src = (candidates > self.floor).nonzero(as_tuple=True)
        if which.numel() > 4 * self.top:
            best = candidates[which, src].topk(self.top).indices.sort().values
            which, src = which[best], src[best]
        head, row = heads[which], lines[which]
        values = weights[head, row, src]
        key = torch.stack([torch.full_like(head, layer), head + head0, src, row + start])
        self.keys.append(key.cpu().numpy())
        self.weights.append(values.double().cpu().numpy())
        self.held += values.numel()
        if self.held > 3 * self.top + rows:
            self._prune()

    def _prune(self) -> None:
        keys, weights = np.concatenate(self.keys, 1), np.concatenate(self.weights)
        order = np.lexsort((keys[2], keys[3], keys[1], keys[0], -np.abs(weights)))[: self.top]
        self.keys, self.weights, self.held = [keys[:, order]], [weights[order]], len(order)
        if self.held == self.top:
            self.floor = float(abs(weights[order[-1]]))

    def edges(self) -> list[Edge]:
        """The strongest edges, strongest first."""
        if not self.keys:
            return []
        self._prune()
        return [
            Edge(int(la), int(h), int(s), int(d), float(w))
            for (la, h, s, d), w in zip(self.keys[0].T, self.weights[0], strict=True)
            if w != 0
        ]


class Sums:
    """Signed and absolute sums of all edges, by destination, source, head and distance."""

    def __init__(self, n_layers: int, n_pos: int, n_heads: int):
        sizes = {"in": n_pos, "out": n_pos, "head": n_heads, "distance": n_pos}
        self.signed = {name: np.zeros((n_layers, size)) for name, size in sizes.items()}
        self.absolute = {name: np.zeros((n_layers, size)) for name, size in sizes.items()}
        self.self_attention = np.zeros((n_layers, n_pos))
        self.n_edges = 0

    def add(self, layer: int, head0: int, start: int, weights: Tensor, sizes: Tensor) -> None:
        """Add [head, rows, pos] weights (self-attention zeroed) and their absolute values."""
        heads, rows, n_src = weights.shape
        for store, values in ((self.signed, weights), (self.absolute, sizes)):
            ones = values.new_ones(n_src)
            by_row = (values.reshape(heads * rows, n_src) @ ones).view(heads, rows)
            over_heads = values.new_ones(1, heads) @ values.reshape(heads, rows * n_src)
            plane = over_heads.view(rows, n_src)
            store["in"][layer, start : start + rows] += by_row.double().sum(0).cpu().numpy()
            store["head"][layer, head0 : head0 + heads] += by_row.double().sum(1).cpu().numpy()
            store["out"][layer, :n_src] += plane.sum(0).double().cpu().numpy()
            store["distance"][layer, :n_src] += _by_distance(plane, start).cpu().numpy()

    def totals(self) -> Totals:
        """The sums as positive and negative parts."""
        parts = {}
        for name in SUMS:
            signed, absolute = self.signed[name], self.absolute[name]
            parts[f"{name}_positive"] = (absolute + signed) / 2
            parts[f"{name}_negative"] = (signed - absolute) / 2
        return Totals(**parts, self_attention=self.self_attention)

    def total(self) -> float:
        """Sum of |weight| over all edges."""
        return float(self.absolute["in"].sum())


def _by_distance(plane: Tensor, start: int) -> Tensor:
    """Sums of [rows, pos] along its diagonals: entry d holds the edges with dst - src = d."""
    rows, n_src = plane.shape
    width = n_src + rows
    skewed = plane.new_zeros(rows, width)
    skewed[:, :n_src] = plane.flip(1)  # column c is source n_src - 1 - c
    # element (r, c) lies at distance start + r - (n_src - 1 - c); shear so that columns agree
    flat = torch.cat([skewed.reshape(-1), plane.new_zeros(rows)])
    sheared = flat.as_strided((rows, width), (width - 1, 1), 0).clone()
    lower = torch.arange(rows)[:, None] > torch.arange(width)[None, :]
    sheared.masked_fill_(lower.to(sheared.device), 0.0)
    sums = sheared.double().sum(0)
    offset = start - (n_src - 1)  # distance of column 0
    return sums[-offset : n_src - offset]


def sum_edges(
    reads: Iterable[tuple[int, list[AttentionCall], list[Tensor]]],
    rule: Rule,
    shape: tuple[int, int, int],
    top: int,
) -> tuple[list[Edge], Kept, Sums]:
    """Go over all edges of all layers; `reads` gives each layer's calls and their u.

    `shape` is (n_layers, n_pos, most heads of a layer).
    """
    sums, strongest = Sums(*shape), Strongest(top)
    for layer, calls, us in reads:
        head0 = 0
        for call, u in zip(calls, us, strict=True):
            _sum_call(call, u, rule, layer, head0, sums, strongest)
            head0 += call.n_heads
    edges = strongest.edges()
    total, held = sums.total(), sum(abs(edge.weight) for edge in edges)
    share = min(1.0, held / total) if total > 0 else 0.0
    return edges, Kept(len(edges), sums.n_edges, share, total), sums


def _sum_call(call, u, rule, layer: int, head0: int, sums: Sums, strongest: Strongest) -> None:
    n_pos, step = call.q.shape[2], call.block_rows()
    for start in range(0, n_pos, step):
        stop = min(n_pos, start + step)
        weights = edge_rows(call, u, start, stop, rule)
        own = weights[:, :, start:].diagonal(dim1=1, dim2=2)
        sums.self_attention[layer, start:stop] += own.double().sum(0).cpu().numpy()
        own.zero_()
        sizes = weights.abs()
        sums.add(layer, head0, start, weights, sizes)
        sums.n_edges += _count(call, start, stop)
        strongest.offer(layer, head0, start, weights, sizes)


def _count(call: AttentionCall, start: int, stop: int) -> int:
    """Number of edges (src < dst, allowed by the mask) into rows start..stop, over all heads."""
    if call.allowed is None:
        return call.n_heads * (stop * (stop - 1) - start * (start - 1)) // 2
    allowed = call.allowed_rows(start, stop)
    rows = torch.arange(start, stop, device=allowed.device)[:, None]
    earlier = torch.arange(stop, device=allowed.device)[None, :] < rows
    counted = int((allowed & earlier).sum())
    return counted * (call.n_heads if allowed.shape[0] == 1 else 1)
