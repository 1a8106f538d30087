"""Intervals and tests that the experiments share: every number is reported with one of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

Z95 = 1.959963984540054
DRAWS = 2000


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a proportion; (0, 1) of nothing.

    >>> [round(one, 3) for one in wilson(8, 10)]
    [0.49, 0.943]
    """
    if n == 0:
        return 0.0, 1.0
    share, z2 = hits / n, Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


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


def ranks(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Ranks from 1, the mean rank where values are equal.

    >>> ranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    order = np.argsort(values, kind="stable")
    _, first, count = np.unique(values[order], return_index=True, return_counts=True)
    mean = first + (count + 1) / 2
    value_ranks = np.empty(len(values))
    value_ranks[order] = np.repeat(mean, count)
    return value_ranks


def spearman(first: Float[np.ndarray, " n"], two: Float[np.ndarray, " n"]) -> float:
    """Spearman's rank correlation; nan where one of them does not vary."""
    a, b = ranks(np.asarray(first)), ranks(np.asarray(two))
    if len(a) < 2 or not a.std() or not b.std():
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def discoveries(p_values: Sequence[float], rate: float = 0.05) -> list[bool]:
    """Which of many tests stand at a false-discovery rate, by Benjamini and Hochberg.

    >>> discoveries([0.001, 0.02, 0.9])
    [True, True, False]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    below_threshold = p[order] <= rate * np.arange(1, len(p) + 1) / max(len(p), 1)
    keep = int(np.max(np.flatnonzero(below_threshold), initial=-1)) + 1
    is_discovery = np.zeros(len(p), dtype=bool)
    is_discovery[order[:keep]] = True
    return is_discovery.tolist()
