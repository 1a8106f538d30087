"""Shares: what every node is made of, without a target; signed and exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from worldline.attribution.flow import Meaning
from worldline.errors import InputError, RefusedError
from worldline.models.row_comparison import rounding_allowed
from worldline.models.terms import CONSTANTS, MLP, OTHER, SKIP, attn_name
from worldline.runs.trace_changes import refuse_changed

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.runs.trace import LiveBlock, Trace

LEAST_VARIANCE = 1e-12  # of the largest: below it a dimension is constant over the text
METRICS = ("identity", "variance")


def contribution_meaning(metric: str) -> Meaning:
    """What a contribution means."""
    inner = "<c, y>" if metric == "identity" else "<c, D y>, D = 1 / variance per dimension"
    return Meaning(
        by="contribution",
        how=None,
        metric=metric,
        target=None,
        formula=f"{inner} / {inner.replace('c,', 'y,')}; K/V edge: a <v, u>, u pulled back from y",
        unit="share of the node it is written into (all terms of a node add up to 1)",
        exactness="exact sums; closed to the tolerance of the dtype",
    )


def read_gradient(
    trace: Trace, layer: int, metric: str = "identity"
) -> Float[Tensor, "pos d_model"]:
    """The row whose inner product with a term is the term's share of node (layer + 1, pos).

    Raises:
        InputError: an unknown metric.
    """
    if metric not in METRICS:
        raise InputError(f"metric {metric!r}: accepted are {', '.join(METRICS)}")
    y = trace.resid[layer + 1]
    y = y if y.dtype == torch.float64 else y.float()
    dual = y
    if metric == "variance" and y.shape[0] > 1:
        variance = y.var(0)
        varies = variance > LEAST_VARIANCE * variance.max()
        if not bool(varies.any()):
            raise InputError('metric "variance": no dimension varies over this text')
        dual = torch.where(varies, y / variance, 0.0)  # what is the same everywhere says nothing
    return dual * torch.linalg.vecdot(y, dual)[:, None].reciprocal()


def pulled_back(block: LiveBlock, gradient: Tensor) -> list[Tensor]:
    """U of every read of a block: [head, pos, d_value], the pull-back of `gradient` to z."""
    us = []
    for call in block.calls:
        term = block.terms[attn_name(call.index)]
        batched_gradient = gradient[None].to(call.z.dtype)
        us.append(call.to_heads(term.pull_back(call.leaf, batched_gradient))[0].detach())
    return us


class NodeShares:
    """Collects the shares of what is no K/V edge, layer by layer."""

    NAMES: ClassVar = {"skip": SKIP, "mlp": MLP, "constants": CONSTANTS, "other": OTHER}

    def __init__(self, trace: Trace):
        self.shares = {name: np.zeros((trace.n_layers, trace.n_pos)) for name in self.NAMES}

    def add(self, layer: int, block: LiveBlock, gradient: Tensor) -> None:
        """Shares of one block's terms along the node's dual `gradient`."""
        for name, term in self.NAMES.items():
            if term in block.terms:
                value = block.terms[term].value()[0].detach()
                inner = torch.linalg.vecdot(value.to(gradient.dtype), gradient)
                self.shares[name][layer] = inner.cpu().numpy()


def refuse_open(
    trace: Trace, layer: int, gradient: Tensor, us: Sequence[Tensor], nodes: NodeShares
) -> None:
    """Raise where the shares of a node do not add up to 1: all its terms, reads through `us`.

    The pull-back runs parts of the model again, and what they compute may have changed in a way
    that no identity shows; whether it did a whole run says.

    Raises:
        RefusedError: by more than the closure of the run and the rounding of the pull-back.
    """
    assert trace.live is not None
    y = trace.resid[layer + 1]
    total = torch.from_numpy(
        np.sum([share_table[layer] for share_table in nodes.shares.values()], 0)
    )
    allowed_error = (y.double().norm(dim=-1) * gradient.double().norm(dim=-1)).cpu()
    allowed_error = trace.closure.tolerance * allowed_error
    for call, u in zip(trace.live[layer].calls, us, strict=True):
        z = call.to_heads(call.leaf.value())[0].detach()
        total = total + (z.double() * u.double()).sum((0, 2)).cpu()
        sizes = (t.double().square().sum((0, 2)).sqrt().cpu() for t in (z, u))
        allowed_error = allowed_error + rounding_allowed(z.dtype) * math.prod(sizes)
    error = ((total - 1).abs() / allowed_error).nan_to_num(math.inf)
    pos = int(error.argmax())
    if not float(error[pos]) <= 1:
        words = (
            f"layer {layer}, position {pos}: shares of the node add up to {float(total[pos]):.6g}, "
            "not to 1"
        )
        try:
            refuse_changed(trace, run_again=True)
        except RefusedError as error:
            raise RefusedError(f"{words}: {error}") from None
        raise RefusedError(
            f"{words}: a part of the model run again by itself computes other numbers than in the "
            "recorded run, which the whole model repeats"
        )
