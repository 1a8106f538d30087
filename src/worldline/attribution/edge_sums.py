"""All K/V edges of a run, a block of rows at a time: their sums, and the strongest of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from worldline.attribution.flow import Coverage, Edge, Totals
from worldline.attribution.group_flow import GroupSums
from worldline.models.attention import AttentionCall, side_by_side
from worldline.steps import step

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.tokens.units import Grouping

Rule = Literal["linear", "renormalise"]
USED: dict[Rule, tuple[str, ...]] = {"linear": ("q", "k", "v"), "renormalise": ("q", "k", "v", "z")}
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
    pattern: Tensor | None = None,
) -> Float[Tensor, "head rows pos"]:
    """Weights of the edges into rows start..stop, self-attention included.

    `pattern`: that of these rows, where it is at hand.

    `linear`: a <v, u>. `renormalise`: a / (1 - a) <v - z, u>, what is lost when the edge is
    masked and the rest of the row renormalises.
    """
    pattern = call.pattern_rows(start, stop) if pattern is None else pattern
    v = call.v[0, :, :stop].to(pattern.dtype)
    rows = u[:, start:stop].to(pattern.dtype)
    if rule == "linear":
        return call.products(rows, v, out=out).mul_(pattern)
    reads = call.products(rows, v)
    z = call.z[0, :, start:stop].to(pattern.dtype)
    level = (z * rows).sum(-1, keepdim=True)
    remainder = 1 - pattern
    weights = torch.mul(pattern / remainder.clamp_min(NEAR_ONE), reads - level, out=out)
    return _mend_near_one(weights, pattern, reads, remainder, call, start)


def _mend_near_one(weights, pattern, reads, remainder, call: AttentionCall, start: int) -> Tensor:
    """Where one entry holds nearly the whole row: a <v - z_rest, u>, z_rest from the others.

    The others are a softmax of their own: their shares of the row may be too small for a number.
    """
    head, row = (remainder.amin(-1) < NEAR_ONE).nonzero(as_tuple=True)
    if not head.numel():
        return weights
    src = remainder[head, row].argmin(-1)
    at = head, row, src
    scores = call.score_rows(start, start + remainder.shape[1])[head, row]
    scores[torch.arange(len(src), device=src.device), src] = float("-inf")
    if call.sinks is not None:
        scores = torch.cat([scores, call.sinks.to(scores.dtype)[head][:, None]], -1)
    other_weights = torch.softmax(scores, -1)[:, : remainder.shape[2]].nan_to_num(
        0.0
    )  # an emptied row is 0
    weights[at] = pattern[at] * (reads[at] - (other_weights * reads[head, row]).sum(-1))
    return weights


class Strongest:
    """The `top` strongest edges met so far; of equal ones those that were met first."""

    def __init__(self, top: int):
        self.top, self.floor = top, 0.0
        self.keys: list[np.ndarray] = []
        self.weights: list[np.ndarray] = []  # [2, edge]: the weight, and the attention
        self.n_held = 0

    def offer(
        self, heads: np.ndarray, start: int, weights_and_sizes: Tensor, pattern: Tensor
    ) -> None:
        """Look through [2, head, rows, pos]: weights and their absolute values.

        `heads` says which these are: [2, head], layer and number; `pattern` is their attention.
        """
        if self.top == 0:
            return
        peaks = weights_and_sizes[1].amax(-1).cpu().numpy()
        if self.floor == 0.0 and peaks.size > self.top:  # as many rows hold an edge of this size
            self.floor = float(np.nextafter(np.partition(peaks, -self.top, None)[-self.top], 0))
        at, rows = np.nonzero(peaks > self.floor)
        if not len(at):
            return
        index = tuple(torch.from_numpy(i).to(weights_and_sizes.device) for i in (at, rows))
        candidates = weights_and_sizes[0][index].cpu().numpy()
        sizes = np.abs(candidates)
        candidate_index, src = np.nonzero(sizes > self.floor)
        if len(candidate_index) > 2 * self.top:
            candidate_sizes = sizes[candidate_index, src]
            least = np.partition(candidate_sizes, -self.top)[-self.top]
            above = np.flatnonzero(candidate_sizes > least)
            ties = np.flatnonzero(candidate_sizes == least)[: self.top - len(above)]
            best = np.sort(np.concatenate([above, ties]))
            candidate_index, src = candidate_index[best], src[best]
        attention = pattern[at[candidate_index], rows[candidate_index], src].cpu().numpy()
        self.weights.append(
            np.stack([candidates[candidate_index, src], attention]).astype(np.float64)
        )
        self.keys.append(
            np.stack([*heads[:, at[candidate_index]], src, rows[candidate_index] + start])
        )
        self.n_held += len(candidate_index)
        if self.n_held > 2 * self.top:
            self._prune()

    def _prune(self) -> None:
        keys, weights = np.concatenate(self.keys, 1), np.concatenate(self.weights, 1)
        order = np.argsort(-np.abs(weights[0]), kind="stable")[: self.top]
        self.keys, self.weights, self.n_held = [keys[:, order]], [weights[:, order]], len(order)
        if self.n_held == self.top:
            self.floor = max(self.floor, float(abs(weights[0, order[-1]])))

    def edges(self) -> list[Edge]:
        """The strongest edges, strongest first; equal ones in the order of the run."""
        if not self.keys:
            return []
        self._prune()
        (keys,), ((weights, attention),) = self.keys, self.weights
        layer, head, src, dst = keys
        order = np.lexsort((src, dst, head, layer, -np.abs(weights)))
        order = order[weights[order] != 0]
        numbers = (weights[order].tolist(), attention[order].tolist())
        return list(map(Edge, *keys[:, order].tolist(), *numbers))


@dataclass(eq=False)
class Batch:
    """Reads of one kind from one or more layers, side by side as the heads of one read.

    Short texts make small reads: several of them at a time cost the overhead of one.
    """

    layers: list[int]
    head0: list[int]
    call: AttentionCall
    u: Float[Tensor, "head pos d_value"]

    @property
    def heads(self) -> np.ndarray:
        """Layer and number of every head of the batch, [2, head]."""
        heads_per_layer = self.call.n_heads // len(self.layers)
        number = np.add.outer(self.head0, np.arange(heads_per_layer)).reshape(-1)
        return np.stack([np.repeat(self.layers, heads_per_layer), number])


def batches(
    reads: Iterable[tuple[int, list[AttentionCall], list[Tensor]]], rule: Rule
) -> Iterator[Batch]:
    """Neighbouring reads of one kind put together, as many as the scratch memory holds."""
    pending: list[tuple[int, int, AttentionCall, Tensor]] = []
    for layer, calls, us in reads:
        head0 = 0
        for call, u in zip(calls, us, strict=True):
            full = len(pending) >= call.reads_at_once()
            if pending and (full or call.kind() != pending[0][2].kind()):
                yield _batch(pending, rule)
                pending = []
            pending.append((layer, head0, call, u))
            head0 += call.n_heads
    if pending:
        yield _batch(pending, rule)


def _batch(pending: list[tuple[int, int, AttentionCall, Tensor]], rule: Rule) -> Batch:
    layers, head0, calls, us = (list(part) for part in zip(*pending, strict=True))
    call = side_by_side(calls, USED[rule])
    return Batch(layers, head0, call, us[0] if len(us) == 1 else torch.cat(us))


class Sums:
    """Signed and absolute sums of all edges, by destination, source, head and distance.

    `groups` also sum them by pair of groups.
    """

    def __init__(self, n_layers: int, n_pos: int, n_heads: int, device: torch.device):
        self.dtype = SUM_DTYPE.get(device.type, torch.float64)
        self.device = device
        sizes = {"in": n_pos, "out": n_pos, "head": n_heads, "distance": n_pos}
        self.sums = {name: self._zeros(2, n_layers, size) for name, size in sizes.items()}
        self.self_attention = self._zeros(n_layers, n_pos)
        self.n_edges = 0
        self.groups: list[GroupSums] = []

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=self.dtype, device=self.device)

    def add(self, batch: Batch, blocks: Iterable[tuple[int, Tensor, Tensor]]) -> None:
        """Add all rows of a batch, a block at a time: (first row, own, both).

        `self_weights` [head, rows] is self-attention, `weights_and_sizes` [2, head, rows, pos] the
        weights of the other edges and their absolute values.
        """
        n, n_pos = len(batch.layers), batch.call.q.shape[2]
        n_heads = batch.call.n_heads // n
        by = {name: self._zeros(2, n, n_pos) for name in ("in", "out", "distance")}
        by["head"] = self._zeros(2, n, n_heads)
        alone = self._zeros(n, n_pos)
        for groups in self.groups:
            groups.begin(batch.layers)
        for start, self_weights, weights_and_sizes in blocks:
            rows, n_src = weights_and_sizes.shape[2:]
            stop = start + rows
            by_row = (weights_and_sizes.view(-1, n_src) @ weights_and_sizes.new_ones(n_src)).view(
                2, n, n_heads, rows
            )
            planes = torch.matmul(
                weights_and_sizes.new_ones(1, n_heads),
                weights_and_sizes.view(2 * n, n_heads, rows * n_src),
            ).view(2 * n, rows, n_src)
            by["in"][..., start:stop] = by_row.sum(2)
            by["head"] += by_row.sum(3)
            by["out"][..., :stop] += planes.sum(1).view(2, n, stop)
            by["distance"][..., :stop] += _by_distance(planes).view(2, n, stop)
            for groups in self.groups:
                groups.add(batch.layers, start, planes.view(2, n, rows, n_src))
            alone[:, start:stop] = self_weights.view(n, n_heads, rows).sum(1)
        for at, (layer, head0) in enumerate(zip(batch.layers, batch.head0, strict=True)):
            for name in ("in", "out", "distance"):
                self.sums[name][:, layer] += by[name][:, at]
            self.sums["head"][:, layer, head0 : head0 + n_heads] += by["head"][:, at]
            self.self_attention[layer] += alone[at]

    def totals(self) -> Totals:
        """The sums as positive and negative parts."""
        parts = {}
        for name in SUMS:
            signed_sums, absolute = self.sums[name].double().cpu().numpy()
            parts[f"{name}_positive"] = (absolute + signed_sums) / 2
            parts[f"{name}_negative"] = (signed_sums - absolute) / 2
        return Totals(**parts, self_attention=self.self_attention.double().cpu().numpy())

    def total(self) -> float:
        """Sum of |weight| over all edges."""
        return float(self.sums["in"][1].sum())


def _by_distance(planes: Float[Tensor, "plane rows pos"]) -> Float[Tensor, "plane pos"]:
    """Sums along the diagonals: entry d holds the edges with dst - src = d.

    With `rows` - 1 zeros left of every row, and read with one column more a row, a diagonal is a
    column.
    """
    n, rows, n_src = planes.shape
    width = n_src + rows - 1
    padded_planes = planes.new_zeros(n, rows, width)
    padded_planes[:, :, rows - 1 :] = planes
    sheared_planes = padded_planes.as_strided((n, rows, n_src), (rows * width, width + 1, 1))
    return sheared_planes.sum(1).flip(1)


def sum_edges(
    reads: Iterable[tuple[int, list[AttentionCall], list[Tensor]]],
    rule: Rule,
    shape: tuple[int, int, int],
    top: int,
    device: torch.device,
    groupings: Sequence[Grouping] = (),
    rows: tuple[int, int] | None = None,
) -> tuple[list[Edge], Coverage, Sums]:
    """Go over all edges of all layers; `reads` gives each layer's calls and their u.

    `shape` is (n_layers, n_pos, most heads of a layer); `rows`, (first, stop), are the only
    destinations that are gone over.
    """
    first, end = rows or (0, shape[1])
    sums, strongest = Sums(*shape, device), Strongest(top)
    sums.groups = [GroupSums(grouping, shape[0], top, sums.dtype, device) for grouping in groupings]
    for batch in batches(reads, rule):
        sums.add(batch, _blocks(batch, rule, strongest, first, end))
        sums.n_edges += batch.call.n_edges(first, end)
    edges = strongest.edges()
    total, strongest_size = sums.total(), sum(abs(edge.weight) for edge in edges)
    share = min(1.0, strongest_size / total) if total > 0 else 0.0
    return edges, Coverage(len(edges), sums.n_edges, share, total), sums


def _blocks(
    batch: Batch, rule: Rule, strongest: Strongest, first: int, end: int
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(first row, self-attention, [weights of the other edges, their absolute values])."""
    call, heads = batch.call, batch.heads
    height = call.block_rows()
    dtype = torch.float32 if call.q.element_size() < 4 else call.q.dtype
    for start in range(first, end, height):
        step()
        stop = min(end, start + height)
        shape = (2, call.n_heads, stop - start, stop)
        weights_and_sizes = torch.empty(shape, dtype=dtype, device=call.q.device)
        pattern = call.pattern_rows(start, stop)
        edge_rows(call, batch.u, start, stop, rule, weights_and_sizes[0], pattern)
        diagonal = weights_and_sizes[0, :, :, start:].diagonal(dim1=1, dim2=2)
        self_weights = diagonal.clone()
        diagonal.zero_()
        torch.abs(weights_and_sizes[0], out=weights_and_sizes[1])
        strongest.offer(heads, start, weights_and_sizes, pattern)
        yield start, self_weights, weights_and_sizes
