"""Whole paths of an attributed run: scalar grids to sum over, and frozen paths that were found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from worldline.attribution.attribute import attribute, live_trace, target_of
from worldline.attribution.flow import Flow, Target
from worldline.attribution.frozen import frozen_of
from worldline.attribution.path_descent import follow
from worldline.attribution.path_steps import FrozenPath
from worldline.errors import InputError
from worldline.graph.weighted_grid import WeightedGrid
from worldline.runs.trace_calls import on_trace, refuse_no_trace

if TYPE_CHECKING:
    from worldline.models.linearized import FrozenRun
    from worldline.models.loader import LoadedModel
    from worldline.runs.trace import Trace

WIDTH = 6  # ways followed in a row for each path that is asked for


@dataclass(frozen=True, eq=False)
class FoundPaths:
    """Frozen paths, strongest first, each weight an exact product along the path, in logits.

    Attributes:
        paths: The paths.
        target: What is asked about.
        target_value: Its value in the run.
        n_followed: How many whole paths were followed, from the target down.
        bound: The most that any path not listed can carry, by size, where that is known: it is then
            the weight of the strongest one followed and not listed, and the listed are the top.
            None where they are only `found`: ways that little flows through, in sum, were not
            followed.
    """

    paths: list[FrozenPath]
    target: Target
    target_value: float
    n_followed: int
    bound: float | None

    @property
    def called(self) -> str:
        """What the list may be called: "top" with a bound, "found" without."""
        return "found" if self.bound is None else "top"

    @property
    def gap(self) -> float | None:
        """Size of the last one listed over the bound on all others, less that bound."""
        if self.bound is None or not self.paths:
            return None
        return abs(self.paths[-1].weight) - self.bound

    @property
    def share(self) -> float | None:
        """Sum of the weights over the target's value, signed; None where that is 0."""
        total = sum(path.weight for path in self.paths)
        return total / self.target_value if self.target_value else None


def path_grid(seen: Trace | Flow, *, model: LoadedModel | None = None) -> WeightedGrid:
    """What paths are made of, as a weighted grid, all heads together.

    Of a trace: its shares, what a node is made of, step by step; the carry holds skip connection,
    MLP and self-attention, constants are sources and stay out. Of a frozen flow: odds, what part of
    all that flows into a node, in size, each step brings; going down from the target by these odds,
    paths are met about as they carry.

    Args:
        seen: A recorded run, or the frozen flow of one.
        model: The model that made the trace, for one that was loaded.

    Returns:
        The grid: carry [layer, pos] and K/V edges [layer, q_pos, k_pos], in shares of a node or in
        odds.

    Raises:
        InputError: a flow that is not frozen; a trace that was loaded, without its `model`.

    Exactness: closed to the tolerance of the dtype. Units: shares; odds.
    """
    if isinstance(seen, Flow):
        return _odds(seen)
    refuse_no_trace(seen, "path_grid")
    flow = attribute(live_trace(seen, model, "path_grid"), "contribution", top=0)
    assert flow.shares is not None
    carry = flow.shares["skip"] + flow.shares["mlp"] + flow.shares["self_attention"]
    return WeightedGrid(carry=carry, kv=_dense(flow), pruned=False, name="contribution")


def _odds(flow: Flow) -> WeightedGrid:
    if flow.node_flow is None:
        raise InputError(f'a flow by "{flow.meaning.by}": accepted is by="frozen"')
    kv, carry = np.abs(_dense(flow)), np.abs(flow.node_flow.carry)
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


@on_trace
def find_paths(
    trace: Trace,
    *,
    target: str | int | None = None,
    versus: str | int | None = None,
    k: int = 10,
    heads: bool = True,
    width: int | None = None,
    model: LoadedModel | None = None,
) -> FoundPaths:
    """Strong paths of the frozen-linear model from row 0 to the target, with their exact weights.

    From the target down, all ways on from a row are weighed by the signed sum of all paths that
    end in them, and the fullest are followed. Skip connection, MLP and self-attention are one road.

    Args:
        trace: A run as it happened, recorded or loaded.
        target: The token whose logit paths lead to (by default the likeliest next one).
        versus: A second token: paths lead to the difference of the two logits.
        k: How many paths to find.
        heads: Whether every head is a road of its own; else a hop takes all heads of an attention
            together.
        width: How many ways on are followed (default: 6 for each path that is asked for).
        model: The model, for a trace that was loaded.

    Returns:
        The strong paths with their weights, in logits, and what bounds those that were not found.

    Raises:
        InputError: k or width below 1, a target that is not one token.
        RefusedError: a layer moves information between columns without K/V.

    Exactness: each weight is exact up to rounding. That none stronger was missed is proven only
    where no way was left aside: see `FoundPaths.bound`. Units: logits.
    """
    trace = live_trace(trace, model, "find_paths")
    resolved_target = target_of(trace, target, versus)
    return found_in(frozen_of(trace, resolved_target), resolved_target, k, heads=heads, width=width)


def found_in(
    run: FrozenRun, target: Target, k: int, *, heads: bool = True, width: int | None = None
) -> FoundPaths:
    """As `find_paths`, in a frozen model that has run."""
    for name, count in (("k", k), ("width", width)):
        if count is not None and count < 1:
            raise InputError(f"{name} = {count}: accepted are whole numbers from 1")
    followed_paths = follow(run, k + 1, width or WIDTH * k, heads=heads)
    best = followed_paths.paths
    weight_bound = (
        (abs(best[k].weight) if len(best) > k else 0.0) if followed_paths.is_complete else None
    )
    return FoundPaths(
        best[:k], target, float(run.target.detach()), followed_paths.n_followed, weight_bound
    )
