"""What a span's tokens owe to groups of earlier tokens, each group cut as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from worldline.attribution.edge_sums import Rule
from worldline.models.attention import AttentionCall
from worldline.steps import step
from worldline.tokens.units import Grouping

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class JointReads:
    """Reads by some tokens of each group, all edges of a group cut at once.

    Self-attention counts as a read of the own group.

    Attributes:
        grouping: The groups.
        rows: (first, stop) of the tokens that read.
        losses: [layer, head, group], what the target loses to first order if that head reads
            nothing of the group, in nats.
        by_row: [row, group], the same by reading token, over layers and heads.
        attention: [layer, head, group], the mean share of the rows' attention that goes there.

    Exactness: the change of what attention returns is exact for the whole group, what follows is
    first order. With `how="mask"` it is not the sum over the group's edges, since each of these
    lets the others of the group take over.
    """

    grouping: Grouping
    rows: tuple[int, int]
    losses: Float[np.ndarray, "layer head group"]
    by_row: Float[np.ndarray, "row group"]
    attention: Float[np.ndarray, "layer head group"]


def joint_reads(
    reads: Iterable[tuple[int, list[AttentionCall], list[Tensor]]],
    rule: Rule,
    shape: tuple[int, int],
    rows: tuple[int, int],
    groupings: Sequence[Grouping],
) -> tuple[JointReads, ...]:
    """Go over the rows of all layers once; `shape` is (n_layers, most heads of a layer)."""
    first, stop = rows
    results = [
        JointReads(
            grouping,
            rows,
            np.zeros((*shape, grouping.n_groups)),
            np.zeros((stop - first, grouping.n_groups)),
            np.zeros((*shape, grouping.n_groups)),
        )
        for grouping in groupings
    ]
    for layer, calls, us in reads:
        head0 = 0
        for call, u in zip(calls, us, strict=True):
            heads = slice(head0, head0 + call.n_heads)
            for start in range(first, stop, call.block_rows()):
                end = min(stop, start + call.block_rows())
                _add(results, call, u, rule, layer, heads, (start, end))
            head0 += call.n_heads
    return tuple(results)


def _add(
    results: Sequence[JointReads],
    call: AttentionCall,
    u: Tensor,
    rule: Rule,
    layer: int,
    heads: slice,
    rows: tuple[int, int],
) -> None:
    """Add a block of rows of one read."""
    step()
    start, stop = rows
    pattern = call.pattern_rows(start, stop)
    row_gradients = u[:, start:stop].to(pattern.dtype)
    parts = call.products(row_gradients, call.v[0, :, :stop].to(pattern.dtype)).mul_(pattern)
    for group_reads in results:
        first, n_rows = group_reads.rows[0], group_reads.rows[1] - group_reads.rows[0]
        group_of = torch.tensor(group_reads.grouping.group_of[:stop], device=pattern.device)
        member = torch.nn.functional.one_hot(group_of, group_reads.grouping.n_groups).to(
            pattern.dtype
        )
        group_weights, group_parts = pattern @ member, parts @ member
        group_loss = (
            group_parts
            if rule == "linear"
            else _renormalised_loss(group_weights, group_parts, call.sinks is not None)
        )
        group_reads.losses[layer, heads] += group_loss.sum(1).double().cpu().numpy()
        group_reads.by_row[start - first : stop - first] += group_loss.sum(0).double().cpu().numpy()
        group_reads.attention[layer, heads] += (
            (group_weights.sum(1) / n_rows).double().cpu().numpy()
        )


def _renormalised_loss(
    group_weights: Float[Tensor, "head row group"],
    group_parts: Float[Tensor, "head row group"],
    sinks: bool,
) -> Float[Tensor, "head row group"]:
    """What a row loses if a group is masked and the others take its place.

    The others are summed, not taken as the remainder, which may be too small for a number.
    """
    n_groups = group_weights.shape[-1]
    other_groups = 1 - torch.eye(n_groups, dtype=group_weights.dtype, device=group_weights.device)
    other_weights = group_weights @ other_groups
    if sinks:
        other_weights = other_weights + (1 - group_weights.sum(-1, keepdim=True)).clamp_min(0)
    mean_of_others = (group_parts @ other_groups) / other_weights.clamp_min(
        torch.finfo(other_weights.dtype).tiny
    )
    return group_parts.sum(-1, keepdim=True) - mean_of_others
