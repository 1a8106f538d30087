"""Numbers out of what was measured: correlations, recall, areas, and intervals over prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from worldline.lab.faithfulness.curves import SHARES

if TYPE_CHECKING:
    from jaxtyping import Float, Int

DRAWS = 1000
INSIDE = 0.95
TOP = 50


def ranks(values: Float[np.ndarray, " edge"]) -> Float[np.ndarray, " edge"]:
    """Ranks from 0, equal values sharing the mean of theirs.

    >>> ranks(np.array([3.0, 1.0, 1.0])).tolist()
    [2.0, 0.5, 0.5]
    """
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    first = np.concatenate([[0], counts.cumsum()[:-1]])
    return (first + (counts - 1) / 2)[group]


def correlation(one: Float[np.ndarray, " edge"], two: Float[np.ndarray, " edge"]) -> float | None:
    """Pearson's r; None where one of them does not vary."""
    if len(one) < 2:
        return None
    a, b = one - one.mean(), two - two.mean()
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / size) if size > 0 else None


def rank_correlation(
    one: Float[np.ndarray, " edge"], two: Float[np.ndarray, " edge"]
) -> float | None:
    """Spearman's rho, by shared ranks."""
    return correlation(ranks(one), ranks(two))


def recall(
    weights: Float[np.ndarray, " edge"], effects: Float[np.ndarray, " edge"], top: int = TOP
) -> float | None:
    """Which part of the `top` edges of largest effect is among the `top` of largest weight.

    Equal weights count as far as they fit: those at the edge of the top by their share. None where
    there are no more than `top` edges with an effect.
    """
    sizes, true = np.abs(weights), np.abs(effects)
    if (true > 0).sum() <= top:
        return None
    wanted = np.argsort(-true, kind="stable")[:top]
    least = np.sort(sizes)[-top]
    surely, perhaps = sizes > least, sizes == least
    chance = (top - surely.sum()) / perhaps.sum()
    return float((surely[wanted] + chance * perhaps[wanted]).sum() / top)


def area(curve: Float[np.ndarray, " share"], axis: str) -> float:
    """The mean of a curve over the shares 0, SHARES, 1; on the log axis from the first of SHARES.

    By trapezoids between the points. `curve` has one number for each of 0, SHARES and 1.
    """
    shares = np.array([0.0, *SHARES, 1.0])
    if axis == "log":
        x, y = np.log(shares[1:]), curve[1:]
    else:
        x, y = shares, curve
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (x[-1] - x[0]))


def interval(
    of: Callable[[Int[np.ndarray, " prompt"]], float | None], n: int, seed: int = 0
) -> tuple[float | None, float | None]:
    """Where 95 % of `of` lie when prompts are drawn anew with replacement, 1,000 times.

    (None, None) where one draw in ten or more gives no number, or there is one prompt only.
    """
    if n < 2:
        return None, None
    draw = np.random.default_rng(seed)
    found = [of(draw.integers(0, n, n)) for _ in range(DRAWS)]
    kept = [one for one in found if one is not None and np.isfinite(one)]
    if len(kept) < 0.9 * DRAWS:
        return None, None
    low, high = np.quantile(kept, [(1 - INSIDE) / 2, (1 + INSIDE) / 2])
    return float(low), float(high)


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are numbers."""
    kept = [one for one in values if one is not None]
    return float(np.mean(kept)) if kept else None
