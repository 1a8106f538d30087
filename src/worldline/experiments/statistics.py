"""Intervals and tests that the experiments share: every number is reported with one of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from jaxtyping import Float

DRAWS = 2000


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion; (0, 1) of nothing.

    >>> [round(one, 3) for one in wilson(8, 10)]
    [0.49, 0.943]
    """
    if n == 0:
        return 0.0, 1.0
    interval = stats.binomtest(hits, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap(
    clusters: Sequence[Sequence[float]] | Sequence[float],
    seed: int,
    statistic: Callable[[np.ndarray], float] = lambda values: float(values.mean()),
    draws: int = DRAWS,
) -> tuple[float, float, float]:
    """(Value, low, high): percentile bootstrap of 95 %, over whole clusters.

    `clusters` are the values of each item (a text, a prompt, a concept) or one value an item; a
    draw takes as many items as there are, with replacement, and all values of each. Of fewer than
    two items the interval is unbounded.
    """
    parts = [np.atleast_1d(np.asarray(cluster, dtype=np.float64)) for cluster in clusters]
    parts = [cluster[np.isfinite(cluster)] for cluster in parts]
    parts = [one for one in parts if len(one)]
    if not parts:
        return math.nan, -math.inf, math.inf
    value = statistic(np.concatenate(parts))
    if len(parts) < 2:
        return value, -math.inf, math.inf
    draw = np.random.default_rng(seed)
    resampled_values = [
        statistic(np.concatenate([parts[k] for k in draw.integers(len(parts), size=len(parts))]))
        for _ in range(draws)
    ]
    low, high = np.quantile(resampled_values, [0.025, 0.975])
    return value, float(low), float(high)


def interval_text(interval: tuple[float, float, float]) -> str:
    """A value and its interval, with their signs.

    >>> interval_text((0.5, -0.25, 1.0))
    '+0.500 (-0.250 to +1.000)'
    """
    return f"{interval[0]:+.3f} ({interval[1]:+.3f} to {interval[2]:+.3f})"


def spearman(first: Float[np.ndarray, " n"], two: Float[np.ndarray, " n"]) -> float:
    """Spearman's rank correlation; nan where one of them does not vary."""
    if len(first) < 2 or not np.ptp(first) or not np.ptp(two):
        return math.nan
    return float(np.corrcoef(stats.rankdata(first), stats.rankdata(two))[0, 1])


def discoveries(p_values: Sequence[float], rate: float = 0.05) -> list[bool]:
    """Which of many tests stand at a false-discovery rate, by Benjamini and Hochberg.

    >>> discoveries([0.001, 0.02, 0.9])
    [True, True, False]
    """
    return (stats.false_discovery_control(p_values) <= rate).tolist()
