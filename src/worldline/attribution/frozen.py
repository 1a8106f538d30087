"""The frozen-linear model swept backward: what flows through every node, all paths summed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from worldline.attribution.flow import Meaning, NodeFlow, Target, target_words
from worldline.attribution.gradient import measure_of
from worldline.errors import RefusedError
from worldline.models.gradients import NO_GRADIENT, batched_backward
from worldline.models.linearized import frozen_run
from worldline.models.row_comparison import other_at
from worldline.models.torch_patches import around
from worldline.models.validation import anatomy_of, refuse_other_derivative
from worldline.runs.forward_passes import inputs_of
from worldline.runs.plan import Plan
from worldline.runs.trace_changes import refuse_changed

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.models.attention import AttentionCall
    from worldline.models.linearized import FrozenRun, Piece
    from worldline.runs.trace import Trace

CAUTION = (
    "patterns are held: why attention looked there is not explained, and the spectrum's partial "
    "sums are not what the model would say with so few hops"
)


def frozen_meaning(target: Target) -> Meaning:
    """What a frozen flow means."""
    return Meaning(
        by="frozen",
        how=None,
        metric=None,
        target=target,
        formula="a <v, U>, U = d target / d z in the frozen-linear model: all paths through it",
        unit=f"{target_words(target)}, in logits: what arrives through the edge",
        exactness="exact sum over all paths of the frozen-linear model; remainder given",
    )


@dataclass(eq=False)
class Sweep:
    """What one backward sweep through the frozen model gives, graded by hops.

    `nodes` [hops, row, pos] is <x, G>: the sum of all paths through a node, by the hops above it;
    `sources` [hops, layer, pos] what enters above row 0 (biases), `unplaced_sources` [hops, layer]
    the part of it that belongs to no one position; `carry` [layer, pos] what stays in its column
    across a block; `us` per block and read U, [head, pos, d_value], all hops together.
    """

    target: float
    nodes: Float[np.ndarray, "hops row pos"]
    sources: Float[np.ndarray, "hops layer pos"]
    unplaced_sources: Float[np.ndarray, "hops layer"]
    carry: Float[np.ndarray, "layer pos"]
    us: list[list[Tensor]]

    @property
    def by_hops(self) -> Float[np.ndarray, " hops"]:
        """Contribution of the paths with exactly h hops, all sources together."""
        return self.nodes[:, 0].sum(-1) + self.sources.sum((1, 2)) + self.unplaced_sources.sum(-1)

    @property
    def by_source(self) -> Float[np.ndarray, "hops pos"]:
        """The same, by the column where a path begins (sources of no one column left out)."""
        return self.nodes[:, 0] + self.sources.sum(1)

    @property
    def remainder(self) -> float:
        """What no path carries: parts of the model that have no frozen form."""
        return self.target - float(self.by_hops.sum())


@dataclass(frozen=True, eq=False)
class HopSpectrum:
    """What paths with exactly h hops contribute to a target, in logits.

    Attributes:
        target: What is asked about.
        target_value: Its value in the run.
        by_hops: [hops], the sum of the paths with so many hops.
        by_source: [hops, pos], the same by the column where the paths begin (what biases add counts
            in the column where it enters).
        beyond: The sum of the paths with more hops.
        remainder: What no path carries.
        caution: What belongs to every picture of it.
    """

    target: Target
    target_value: float
    by_hops: Float[np.ndarray, " hops"]
    by_source: Float[np.ndarray, "hops pos"]
    beyond: float
    remainder: float
    caution: str = CAUTION


def spectrum_of(swept: Sweep, target: Target, max_degree: int) -> HopSpectrum:
    """The spectrum of a graded sweep, degrees 0..`max_degree` apart."""
    by_hops, by_source = swept.by_hops, swept.by_source
    beyond = float(by_hops[max_degree + 1 :].sum())
    return HopSpectrum(
        target,
        swept.target,
        by_hops[: max_degree + 1],
        by_source[: max_degree + 1],
        beyond,
        swept.remainder,
    )


def node_flow_of(swept: Sweep, edges_into_top: float) -> NodeFlow:
    """What flows through nodes, of a sweep that is not graded; edges_into_top is sum |F|."""
    last = np.abs(swept.carry[-1]).sum() + np.abs(swept.sources[0, -1]).sum()
    top_row = edges_into_top + float(last) + abs(float(swept.unplaced_sources[0, -1]))
    return NodeFlow(
        swept.nodes[0],
        swept.carry,
        swept.sources[0],
        swept.unplaced_sources[0],
        swept.remainder,
        top_row,
    )


def books_of(node_flow: NodeFlow) -> str:
    """How exact a frozen flow is, in words: its remainder, and whether that leaves it partial."""
    part = abs(node_flow.remainder) / node_flow.top_row if node_flow.top_row else 0.0
    words = f"no path carries {node_flow.remainder:+.1e}, {part:.1e} of the flow into the last row"
    verdict = "exact sum over all paths" if node_flow.whole else "partly: parts have no frozen form"
    return f"{verdict} of the frozen-linear model; {words}"


def frozen_of(trace: Trace, target: Target) -> FrozenRun:
    """The frozen model run on a trace's tokens; its rows must be the recorded ones.

    Norms, biases and halved products are computed in other words there, which round in another
    way: so a plain run is compared to the last bit, and this one to within that rounding.

    Raises:
        RefusedError: the model changed since, its gradients are not those of what it computes, or a
            row of the frozen run is not the recorded one to within the rounding of equivalent runs
            at every position.
    """
    assert trace.model is not None
    refuse_changed(trace, run_again=True)
    refuse_other_derivative(trace.model, but=NO_GRADIENT)  # the remainder says what is missing
    module, plan = trace.model.module, Plan(tuple(trace.tokens.ids))
    run = frozen_run(module, anatomy_of(module), inputs_of(trace.model, plan), measure_of(target))
    for row, (piece, true) in enumerate(zip(run.pieces, trace.resid, strict=True)):
        if piece.row.ndim != 3:
            continue  # streams side by side come in another order
        if mismatch := other_at(
            row, piece.row.detach().reshape(true.shape), true, allow_rounding=True
        ):
            raise RefusedError(f"the frozen model is not the recorded run: {mismatch}{around()}")
    return run


def sweep(run: FrozenRun, max_hops: int = 0) -> Sweep:
    """Sweep backward; degrees 0..`max_hops`, the last of which takes all that have more.

    With `max_hops=0` nothing is graded and one backward pass does.
    """
    n, n_layers = max_hops + 1, len(run.pieces) - 1
    n_pos = _n_pos(run)
    swept = Sweep(
        float(run.target.detach()),
        np.zeros((n, n_layers + 1, n_pos)),
        np.zeros((n, n_layers, n_pos)),
        np.zeros((n, n_layers)),
        np.zeros((n_layers, n_pos)),
        [[] for _ in range(n_layers)],
    )
    top = run.pieces[-1]
    assert top.out is not None
    leaves = [top.row, *top.constants]
    first, *at_constants = (
        leaf_gradient[0] for leaf_gradient in batched_backward(top.out, leaves, top.out.new_ones(1))
    )
    above = torch.stack([first, *(torch.zeros_like(first) for _ in range(n - 1))])
    _note(swept, 0, n_layers, top, first, at_constants)
    waiting: dict[int, list[tuple[Tensor, list[Tensor], Tensor]]] = {}
    for layer in range(n_layers - 1, -1, -1):
        above = _through(run.pieces[layer], layer, above, waiting, swept)
    return swept


def _through(piece: Piece, layer: int, above: Tensor, waiting, swept: Sweep) -> Tensor:
    """One block: from the gradients at its output row, by degree, to those at its input row."""
    assert piece.out is not None
    leaves = [piece.row, *(attention_read.z for attention_read in piece.reads), *piece.constants]
    below, *other_gradients = batched_backward(piece.out, leaves, above)
    n_reads = len(piece.reads)
    at_reads, at_constants = other_gradients[:n_reads], other_gradients[n_reads:]
    for us, attention_read in zip(at_reads, piece.reads, strict=True):
        us = us[:, 0]
        swept.us[layer].append(us.sum(0))
        alone, hops = spread_back(attention_read.call, us)
        shifted_hops = torch.zeros_like(hops)
        shifted_hops[1:] = hops[:-1]
        shifted_hops[-1] += hops[-1]  # the last degree takes the rest
        waiting.setdefault(attention_read.call.kv_layer, []).append(
            (attention_read, alone + shifted_hops, hops.sum(0))
        )
    row_total = np.zeros(swept.nodes.shape[-1])
    for attention_read, dv, hops in waiting.pop(layer, ()):
        linear = (
            attention_read.v.detach()
            if attention_read.v_constant is None
            else attention_read.v.detach() - attention_read.v_constant
        )
        row_total += _inner(linear[0], hops).sum(0)
        leaves = [piece.row, *piece.constants]
        row, *more = batched_backward(attention_read.v, leaves, dv[:, None])
        below = below + row
        at_constants = [
            constant_gradient + extra_gradient
            for constant_gradient, extra_gradient in zip(at_constants, more, strict=True)
        ]
    for h, gradient in enumerate(below):
        _note(
            swept,
            h,
            layer,
            piece,
            gradient,
            [constant_gradient[h] for constant_gradient in at_constants],
        )
    swept.carry[layer] = swept.nodes[:, layer].sum(0) - row_total
    return below


@torch.no_grad()
def spread_back(call: AttentionCall, us: Tensor) -> tuple[Tensor, Tensor]:
    """(self-attention, hops): U of [degree, head, pos, d] taken back to the values.

    [degree, kv_head, pos, d] each: sums over destinations of a U, over the heads of a group.
    """
    n, heads, n_pos, d = us.shape
    kv_heads, step = call.v.shape[1], call.block_rows()
    dtype = torch.float32 if us.element_size() < 4 else us.dtype
    hops = torch.zeros(n, heads, n_pos, d, dtype=dtype, device=us.device)
    alone = torch.zeros_like(hops)
    for start in range(0, n_pos, step):
        stop = min(n_pos, start + step)
        pattern = call.pattern_rows(start, stop).to(dtype)
        rows = us[:, :, start:stop].to(dtype)
        diagonal = pattern[:, :, start:].diagonal(dim1=1, dim2=2)
        alone[:, :, start:stop] = diagonal[None, :, :, None] * rows
        diagonal.zero_()
        hops[:, :, :stop] += torch.matmul(pattern.transpose(1, 2)[None], rows)

    def sum_groups(value: Tensor) -> Tensor:
        return value.view(n, kv_heads, heads // kv_heads, n_pos, d).sum(2).to(us.dtype)

    return sum_groups(alone), sum_groups(hops)


def _inner(left: Tensor, right: Tensor) -> np.ndarray:
    return (left.double() * right.double()).sum(-1).cpu().numpy()


def _note(swept: Sweep, h: int, layer: int, piece: Piece, gradient: Tensor, constants) -> None:
    """What flows through the nodes of a row, and from the constants of the block above it."""
    n_pos = swept.nodes.shape[-1]
    product = (piece.row.detach().double() * gradient.double()).cpu()
    swept.nodes[h, layer] = _by_position(product, n_pos)
    at = min(layer, swept.sources.shape[1] - 1)  # what follows the last block counts with it
    for leaf, back in zip(piece.constants, constants, strict=True):
        product = (leaf.detach().double() * back.double()).cpu()
        by_pos = _by_position(product, n_pos)
        if by_pos is None:
            swept.unplaced_sources[h, at] += float(product.sum())
        else:
            swept.sources[h, at] += by_pos


def _n_pos(run: FrozenRun) -> int:
    return next(
        attention_read.call.q.shape[2] for piece in run.pieces for attention_read in piece.reads
    )


def _by_position(product: Tensor, n_pos: int) -> np.ndarray | None:
    """Sums by position, whichever axis that is; None where no one axis has that size."""
    if n_pos == 1:
        return product.sum().reshape(1).numpy()
    axes = [axis for axis, size in enumerate(product.shape[:-1]) if size == n_pos]
    if len(axes) != 1:
        return None
    return product.sum(tuple(axis for axis in range(product.ndim) if axis != axes[0])).numpy()
