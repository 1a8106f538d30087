"""Frozen paths drawn at random, by which sums over all single paths are estimated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from worldline.attribution.attribute import live_trace, target_of
from worldline.attribution.frozen import frozen_of, sweep
from worldline.attribution.path_steps import FrozenPath, Suffix, follow_hops, top_row, ways_on
from worldline.errors import InputError
from worldline.runs.trace_calls import on_trace
from worldline.steps import step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float, Int

    from worldline.attribution.flow import Target
    from worldline.models.linearized import FrozenRun
    from worldline.models.loader import LoadedModel
    from worldline.runs.trace import Trace

N_DRAWN = 200
AT_ONCE = 64  # ways whose gradients are held side by side
RESAMPLES = 2000
DEFENCE = 0.1  # so that ways on which paths nearly cancel are drawn too
LOW, HIGH = 0.025, 0.975


@dataclass(frozen=True, eq=False)
class FlowSample:
    """What drawn paths say about the single paths from row 0 to a target, all in logits.

    `coherence` = |signed| / absolute.

    Attributes:
        target: What is asked about.
        n: How many paths were drawn.
        seed: Seed of the draws.
        heads: Whether every head is a road of its own.
        signed: The sum over all paths, exactly.
        signed_estimate: What the draws make of it: far apart they say that too few were drawn.
        absolute: Estimates the sum of |path| over all paths.
        absolute_range: Its 95 % bootstrap interval.
        paths: The different ones that were drawn, strongest first.
    """

    target: Target
    n: int
    seed: int
    heads: bool
    signed: float
    signed_estimate: float
    absolute: float
    absolute_range: tuple[float, float]
    paths: list[FrozenPath]

    @property
    def coherence(self) -> float | None:
        """How far single paths agree, None at 0/0."""
        return min(abs(self.signed) / self.absolute, 1.0) if self.absolute else None

    @property
    def coherence_range(self) -> tuple[float, float] | None:
        """The 95 % interval of `coherence`."""
        low, high = self.absolute_range
        if not low:
            return None
        return min(abs(self.signed) / high, 1.0), min(abs(self.signed) / low, 1.0)


@dataclass(frozen=True, eq=False)
class DrawnSuffix:
    """The upper part of paths being drawn: how many of them go this way, and at what odds."""

    item: Suffix
    times: int
    log_odds: float


@on_trace
def sample_flow(
    trace: Trace,
    *,
    target: str | int | None = None,
    versus: str | int | None = None,
    n: int = N_DRAWN,
    seed: int = 0,
    heads: bool = False,
    model: LoadedModel | None = None,
) -> FlowSample:
    """Draw `n` paths of the frozen-linear model, and estimate what all single paths sum up to.

    From the target down, each way on (staying, or an edge) is drawn in proportion to the size of
    the flow F through it, all paths that go that way summed: by sqrt(F^2 + 0.1 C^2), where C is
    what two random directions of the same lengths would give, so that ways on which paths cancel
    are drawn too. A path of weight w drawn at odds q stands for |w| / q, whose mean is the sum of
    |w| over all paths.

    Args:
        trace: A recorded run.
        target: The token whose logit is asked about: its text, "id:N" or its id; None for the
            likeliest next one.
        versus: A second token: the difference of the two logits is asked about.
        n: How many paths to draw.
        seed: Seed of the draws.
        heads: Whether every head is a road of its own; else a hop takes all heads of an attention
            together.
        model: The model that made the trace, for one that was loaded.

    Returns:
        The estimate with its interval, and the paths that were drawn, in logits.

    Raises:
        InputError: n below 1, a target that is not one token.
        RefusedError: a layer moves information between columns without K/V.

    Exactness: each weight and its odds are exact up to rounding; `absolute` is an estimate without
    bias, but paths that are rarely drawn can be heavy, so that its interval is wide and rather
    too low; with `heads`, where more cancels, far more. Units: logits.
    """
    trace = live_trace(trace, model, "sample_flow")
    resolved_target = target_of(trace, target, versus)
    return sample_in(frozen_of(trace, resolved_target), resolved_target, n, seed=seed, heads=heads)


def sample_in(
    run: FrozenRun, target: Target, n: int = N_DRAWN, *, seed: int = 0, heads: bool = False
) -> FlowSample:
    """As `sample_flow`, in a frozen model that has run."""
    if n < 1:
        raise InputError(f"n = {n}: accepted are whole numbers from 1")
    random = np.random.default_rng(seed)
    fronts: list[list[DrawnSuffix]] = [[] for _ in run.pieces]
    tops = top_row(run)
    for top_index, times, log_odds in _split_draws(n, [top.flow for top in tops], random):
        fronts[-1].append(DrawnSuffix(tops[top_index], times, log_odds))
    for layer in range(len(run.pieces) - 2, -1, -1):
        front = fronts[layer + 1]
        for at in range(0, len(front), AT_ONCE):
            step()
            for drawn_suffix in _onward(run, layer, front[at : at + AT_ONCE], random, heads):
                fronts[drawn_suffix.item.row].append(drawn_suffix)
    ends = sorted(fronts[0], key=lambda end: -abs(end.item.flow))
    times = np.array([end.times for end in ends], dtype=np.int64)
    stands = np.array([end.item.flow / math.exp(end.log_odds) for end in ends])
    return FlowSample(
        target=target,
        n=n,
        seed=seed,
        heads=heads,
        signed=float(sweep(run).nodes[0, 0].sum()),
        signed_estimate=float(times @ stands) / n,
        absolute=float(times @ np.abs(stands)) / n,
        absolute_range=_bootstrap(np.abs(stands), times, n, random),
        paths=[end.item.to_path() for end in ends if end.item.flow],
    )


def _onward(
    run: FrozenRun, layer: int, front: list[DrawnSuffix], random: np.random.Generator, heads: bool
) -> Iterator[DrawnSuffix]:
    """What the paths of a front draw across one block."""
    stays, ways = ways_on(run, layer, [drawn_suffix.item for drawn_suffix in front], heads)
    chosen_hops, drawn_by = [], []
    for at, drawn_suffix in enumerate(front):
        mine = [stay for n, stay in stays if n == at]
        edges = [
            (n, road, src, size)
            for n, way in enumerate(ways)
            if way.at == at
            for (road, src), size in np.ndenumerate(_size(way.flows, way.chances)[:, :-1])
        ]
        sizes = [*(_size(stay.flow, stay.chance) for stay in mine), *(size for *_, size in edges)]
        for way_index, times, log_odds in _split_draws(drawn_suffix.times, sizes, random):
            log_odds += drawn_suffix.log_odds
            if way_index < len(mine):
                yield DrawnSuffix(mine[way_index], times, log_odds)
            else:
                chosen_hops.append(edges[way_index - len(mine)][:3])
                drawn_by.append((times, log_odds))
    for suffix, (times, log_odds) in zip(
        follow_hops(run, ways, chosen_hops), drawn_by, strict=True
    ):
        yield DrawnSuffix(suffix, times, log_odds)


def _size(flow: Any, chance: Any) -> Any:
    """What a way is drawn in proportion to."""
    return np.sqrt(flow * flow + DEFENCE * chance * chance)


def _split_draws(
    n: int, flows: list[float], random: np.random.Generator
) -> Iterator[tuple[int, int, float]]:
    """(which, how many, log of the odds) of `n` draws in proportion to |flows|; none if all 0."""
    sizes = np.abs(np.asarray(flows, dtype=np.float64))
    if not sizes.any():
        return
    odds = sizes / sizes.sum()
    for index in np.flatnonzero(times := random.multinomial(n, odds)).tolist():
        yield index, int(times[index]), math.log(odds[index])


def _bootstrap(
    stands: Float[np.ndarray, " path"],
    times: Int[np.ndarray, " path"],
    n: int,
    random: np.random.Generator,
) -> tuple[float, float]:
    """The 95 % interval of the mean over draws; draws that died out stand for 0."""
    odds = np.append(times, n - times.sum()) / n
    resampled_means = random.multinomial(n, odds, RESAMPLES) @ np.append(stands, 0.0) / n
    low, high = np.quantile(resampled_means, (LOW, HIGH))
    return float(low), float(high)
