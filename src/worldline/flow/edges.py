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
SUM_DTYPE = {"mps": torch.float32}  # where the device has no float64


def edge_rows(
    call: AttentionCall,
    u: Float[Tensor, "head pos d_value"],
    start: int,
    stop: int,
    rule: Rule,
    out: Tensor | None = None,
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
        return torch.mul(pattern, reads, out=out)
    z = call.z[0, :, start:stop].to(pattern.dtype)
    level = (z * rows).sum(-1, keepdim=True)
    rest = 1 - pattern
    weights = torch.mul(pattern / rest.clamp_min(NEAR_ONE), reads - level, out=out)
    return _mend_near_one(weights, pattern, reads, rest, call, start)


def _mend_near_one(weights, pattern, reads, rest, call: AttentionCall, start: int) -> Tensor:
    """Where one entry holds nearly the whole row: a <v - z_rest, u>, z_rest from the others.

    The others are a softmax of their own: their shares of the row may be too small for a number.
    """
    head, row = (rest.amin(-1) < NEAR_ONE).nonzero(as_tuple=True)
    if not head.numel():
        return weights
    src = rest[head, row].argmin(-1)
    at = head, row, src
    scores = call.score_rows(start, start + rest.shape[1])[head, row]
    scores[torch.arange(len(src), device=src.device), src] = float("-inf")
    if call.sinks is not None:
        scores = torch.cat([scores, call.sinks.to(scores.dtype)[head][:, None]], -1)
    others = torch.softmax(scores, -1)[:, : rest.shape[2]].nan_to_num(0.0)  # an emptied row is 0
    weights[at] = pattern[at] * (reads[at] - (others * reads[head, row]).sum(-1))
    return weights


class Strongest:
    """The `top` strongest edges met so far; of equal ones those that were met first."""

    def __init__(self, top: int):
        self.top, self.floor = top, 0.0
        self.keys: list[np.ndarray] = []
        self.weights: list[np.ndarray] = []
        self.held = 0

    def offer(self, layer: int, head0: int, start: int, both: Tensor) -> None:
        """Look through [2, head, rows, pos]: weights and their absolute values."""
        if self.top == 0:
            return
        weights, sizes = both
        heads, rows = (sizes.amax(-1) > self.floor).nonzero(as_tuple=True)
        if not heads.numel():
            return
        candidates = sizes[heads, rows]
        which, src = (candidates > self.floor).nonzero(as_tuple=True)
        if which.numel() > 2 * self.top:
            found = candidates[which, src]
            least = found.topk(self.top).values[-1]
            above = found > least
            ties = (found == least).nonzero()[: self.top - int(above.sum()), 0]
            best = torch.cat([above.nonzero()[:, 0], ties]).sort().values
            which, src = which[best], src[best]
        head, row = heads[which], rows[which]
        values = weights[head, row, src]
        key = torch.stack([torch.full_like(head, layer), head + head0, src, row + start])
        self.keys.append(key.cpu().numpy())
        self.weights.append(values.double().cpu().numpy())
        self.held += values.numel()
        if self.held > 2 * self.top or (self.floor == 0.0 and self.held >= self.top):
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

    def __init__(self, n_layers: int, n_pos: int, n_heads: int, device: torch.device):
        sizes = {"in": n_pos, "out": n_pos, "head": n_heads, "distance": n_pos}

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(
                shape, dtype=SUM_DTYPE.get(device.type, torch.float64), device=device
            )

        self.sums = {name: zeros(2, n_layers, size) for name, size in sizes.items()}
        self.self_attention = zeros(n_layers, n_pos)
        self.n_edges = 0

    def add(self, layer: int, head0: int, start: int, both: Tensor) -> None:
        """Add [2, head, rows, pos]: weights without self-attention, and their absolute values."""
        _, heads, rows, n_src = both.shape
        by_row = (both.view(-1, n_src) @ both.new_ones(n_src)).view(2, heads, rows)
        planes = torch.matmul(both.new_ones(1, heads), both.view(2, heads, rows * n_src))
        planes = planes.view(2, rows, n_src)
        self.sums["in"][:, layer, start : start + rows] += by_row.sum(1)
        self.sums["head"][:, layer, head0 : head0 + heads] += by_row.sum(2)
        self.sums["out"][:, layer, :n_src] += planes.sum(1)
        self.sums["distance"][:, layer, :n_src] += _by_distance(planes, start)

    def totals(self) -> Totals:
        """The sums as positive and negative parts."""
        parts = {}
        for name in SUMS:
            signed, absolute = self.sums[name].double().cpu().numpy()
            parts[f"{name}_positive"] = (absolute + signed) / 2
            parts[f"{name}_negative"] = (signed - absolute) / 2
        return Totals(**parts, self_attention=self.self_attention.double().cpu().numpy())

    def total(self) -> float:
        """Sum of |weight| over all edges."""
        return float(self.sums["in"][1].sum())


def _by_distance(planes: Float[Tensor, "two rows pos"], start: int) -> Float[Tensor, "two pos"]:
    """Sums along the diagonals: entry d holds the edges with dst - src = d.

    Rows are reversed in src and sheared by one column each, so that a diagonal is a column.
    """
    two, rows, n_src = planes.shape
    width = n_src + rows - 1
    padded = planes.new_zeros(two, rows, width + 1)
    padded[:, :, :n_src] = planes.flip(2)
    sheared = padded.view(two, -1)[:, : rows * width].view(two, rows, width)
    offset = n_src - 1 - start  # the column of distance 0
    return sheared.sum(1)[:, offset : offset + n_src]


def sum_edges(
    reads: Iterable[tuple[int, list[AttentionCall], list[Tensor]]],
    rule: Rule,
    shape: tuple[int, int, int],
    top: int,
    device: torch.device,
) -> tuple[list[Edge], Kept, Sums]:
    """Go over all edges of all layers; `reads` gives each layer's calls and their u.

    `shape` is (n_layers, n_pos, most heads of a layer).
    """
    sums, strongest = Sums(*shape, device), Strongest(top)
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
        dtype = torch.float32 if call.q.element_size() < 4 else call.q.dtype
        shape = (2, call.n_heads, stop - start, stop)
        both = torch.empty(shape, dtype=dtype, device=call.q.device)
        edge_rows(call, u, start, stop, rule, both[0])
        own = both[0, :, :, start:].diagonal(dim1=1, dim2=2)
        sums.self_attention[layer, start:stop] += own.sum(0)
        own.zero_()
        torch.abs(both[0], out=both[1])
        sums.add(layer, head0, start, both)
        sums.n_edges += _count(call, start, stop)
        strongest.offer(layer, head0, start, both)


def _count(call: AttentionCall, start: int, stop: int) -> int:
    """Number of edges (src < dst, allowed by the mask) into rows start..stop, over all heads."""
    if call.allowed is None:
        return call.n_heads * (stop * (stop - 1) - start * (start - 1)) // 2
    allowed = call.allowed_rows(start, stop)
    rows = torch.arange(start, stop, device=allowed.device)[:, None]
    earlier = torch.arange(stop, device=allowed.device)[None, :] < rows
    counted = int((allowed & earlier).sum())
    return counted * (call.n_heads if allowed.shape[0] == 1 else 1)
