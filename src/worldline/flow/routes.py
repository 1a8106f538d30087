"""Whole paths of a weighed run: scalar grids for the calculus of paths, and frozen paths found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from worldline.errors import InputError
from worldline.flow.flow import Flow, Target
from worldline.flow.frozen import Along, frozen_of
from worldline.flow.weighing import target_of, weigh
from worldline.grid.node import Node
from worldline.paths.best import top_paths
from worldline.paths.search import Path
from worldline.paths.weighted import WeightedGrid

if TYPE_CHECKING:
    from worldline.trace.trace import Trace

LOOKED_AT = 2  # candidates evaluated for one that is asked for


@dataclass(frozen=True, eq=False)
class FoundPaths:
    """Frozen paths, strongest first, each weight an exact product along the path, in logits.

    They were looked for where most flows: no bound says that none stronger was missed, so they
    are `found`, not the top. `share` is their part of the target, signed.
    """

    paths: list[Path]
    target: Target
    target_value: float
    looked_at: int

    @property
    def share(self) -> float:
        """Sum of the weights over the target's value."""
        total = sum(path.weight for path in self.paths)
        return total / self.target_value if self.target_value else float("nan")


def share_grid(trace: Trace) -> WeightedGrid:
    """Shares as a weighted grid: what a node is made of, step by step; all heads together.

    The carry holds residual, MLP and self-attention; constants are sources and stay out.
    Exactness: closed to the tolerance of the dtype.
    """
    flow = weigh(trace, "share", top=0)
    assert flow.shares is not None
    carry = flow.shares["carry"] + flow.shares["mlp"] + flow.shares["self_attention"]
    return WeightedGrid(carry=carry, kv=_dense(flow), pruned=False, name="share")


def flow_grid(flow: Flow) -> WeightedGrid:
    """A frozen flow as odds: what part of all that flows into a node, in size, each step brings.

    Going down from the target by these odds, paths are met about as they carry.
    Raises InputError for a flow that is not frozen.
    """
    if flow.conserved is None:
        raise InputError(f'a flow by "{flow.meaning.by}": accepted is by="frozen"')
    kv, carry = np.abs(_dense(flow)), np.abs(flow.conserved.carry)
    into = kv.sum(-1) + carry
    into[into == 0] = 1.0
    return WeightedGrid(
        carry=carry / into, kv=kv / into[..., None], pruned=False, name="odds of |frozen flow|"
    )


def _dense(flow: Flow) -> np.ndarray:
    """All heads of every layer together, [layer, dst, src], self-attention left out."""
    planes = np.stack([flow.dense(layer).sum(0) for layer in range(flow.n_layers)])
    diagonal = np.arange(flow.n_pos)
    planes[:, diagonal, diagonal] = 0.0
    return planes


def find_paths(
    trace: Trace,
    *,
    target: str | int | None = None,
    versus: str | int | None = None,
    k: int = 10,
) -> FoundPaths:
    """Strong paths of the frozen-linear model from row 0 to the target, with their exact weights.

    Candidates are the likeliest of `flow_grid`, two for each that is asked for; every one is then
    followed through the model: the product of the frozen blocks along it, all heads of a hop.

    Exactness: each weight is exact up to rounding; that these are the strongest is not proven.
    Units: logits.

    Raises:
        InputError: k below 1, a target that is not one token.
    """
    if k < 1:
        raise InputError(f"k = {k}: accepted are whole numbers from 1")
    asked = target_of(trace, target, versus)
    flow = weigh(trace, "frozen", target=asked.id, versus=asked.versus_id, top=0)
    end = Node(layer=trace.n_layers, pos=trace.n_pos - 1)
    candidates = top_paths(flow_grid(flow), target=end, k=LOOKED_AT * k).paths
    along = Along(frozen_of(trace, asked))
    exact = [path._replace(weight=along.weight(path.nodes)) for path in candidates]
    exact.sort(key=lambda path: -abs(path.weight))
    assert flow.target_value is not None
    return FoundPaths(_sized(exact[:k]), asked, flow.target_value, len(exact))


def _sized(paths: Sequence[Path]) -> list[Path]:
    """The same paths with the size of their own weights."""
    with np.errstate(divide="ignore"):
        return [path._replace(log2_size=float(np.log2(abs(path.weight)))) for path in paths]
