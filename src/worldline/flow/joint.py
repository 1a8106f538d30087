"""What a span's tokens owe to groups of earlier tokens, each group cut as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from worldline.flow.edges import Rule
from worldline.model.attention import AttentionCall
from worldline.steps import step
from worldline.text.grouping import Grouping

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class JointReads:
    """Reads by the tokens `rows`, (first, stop), of each group, all edges of a group cut at once.

    `lost` [layer, head, group] is what the target loses to first order if that head reads nothing
    of the group; `by_row` [row, group] the same by reading token, over layers and heads;
    `attention` [layer, head, group] the mean share of the rows' attention that goes there.
    Self-attention counts as a read of the own group.

    Exactness: the change of what attention returns is exact for the whole group, what follows is
    first order. With `how="mask"` it is not the sum over the group's edges, since each of these
    lets the others of the group take over.
    """

    grouping: Grouping
    rows: tuple[int, int]
    lost: Float[np.ndarray, "layer head group"]
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
    found = [
        JointReads(
            each,
            rows,
            np.zeros((*shape, each.n_groups)),
            np.zeros((stop - first, each.n_groups)),
            np.zeros((*shape, each.n_groups)),
        )
        for each in groupings
    ]
    for layer, calls, us in reads:
        head0 = 0
        for call, u in zip(calls, us, strict=True):
            heads = slice(head0, head0 + call.n_heads)
            for start in range(first, stop, call.block_rows()):
                end = min(stop, start + call.block_rows())
                _add(found, call, u, rule, layer, heads, (start, end))
            head0 += call.n_heads
    return tuple(found)


def _add(
    found: Sequence[JointReads],
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
    wanted = u[:, start:stop].to(pattern.dtype)
    parts = call.products(wanted, call.v[0, :, :stop].to(pattern.dtype)).mul_(pattern)
    for one in found:
        first, n_rows = one.rows[0], one.rows[1] - one.rows[0]
        group_of = torch.tensor(one.grouping.group_of[:stop], device=pattern.device)
        member = torch.nn.functional.one_hot(group_of, one.grouping.n_groups).to(pattern.dtype)
        held, given = pattern @ member, parts @ member
        lost = given if rule == "linear" else _renormalised(held, given, call.sinks is not None)
        one.lost[layer, heads] += lost.sum(1).double().cpu().numpy()
        one.by_row[start - first : stop - first] += lost.sum(0).double().cpu().numpy()
        one.attention[layer, heads] += (held.sum(1) / n_rows).double().cpu().numpy()


def _renormalised(
    held: Float[Tensor, "head row group"], given: Float[Tensor, "head row group"], sinks: bool
) -> Float[Tensor, "head row group"]:
    """What a row loses if a group is masked and the others take its place.

    The others are summed, not taken as the remainder, which may be too small for a number.
    """
    n_groups = held.shape[-1]
    others = 1 - torch.eye(n_groups, dtype=held.dtype, device=held.device)
    rest = held @ others
    if sinks:
        rest = rest + (1 - held.sum(-1, keepdim=True)).clamp_min(0)
    kept = (given @ others) / rest.clamp_min(torch.finfo(rest.dtype).tiny)
    return given.sum(-1, keepdim=True) - kept
