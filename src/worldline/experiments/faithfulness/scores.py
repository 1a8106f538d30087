"""Numbers out of what was measured: correlations, recall, areas, and intervals over prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from worldline.experiments.faithfulness.curves import SHARES

if TYPE_CHECKING:
    from jaxtyping import Float, Int

DRAWS = 1000
INSIDE = 0.95
TOP = 50


def correlation(first: Float[np.ndarray, " edge"], two: Float[np.ndarray, " edge"]) -> float | None:
    """Pearson's r; None where one of them does not vary."""
    if len(first) < 2:
        return None
    a, b = first - first.mean(), two - two.mean()
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / size) if size > 0 else None


def rank_correlation(
    first: Float[np.ndarray, " edge"], two: Float[np.ndarray, " edge"]
) -> float | None:
    """Spearman's rho, by shared ranks."""
    return correlation(rankdata(first), rankdata(two))


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
    top_effects = np.argsort(-true, kind="stable")[:top]
    least = np.sort(sizes)[-top]
    surely, perhaps = sizes > least, sizes == least
    chance = (top - surely.sum()) / perhaps.sum()
    return float((surely[top_effects] + chance * perhaps[top_effects]).sum() / top)


def area(curve: Float[np.ndarray, "*draw share"], axis: str) -> Float[np.ndarray, "*draw"]:
    """The mean of a curve over the shares 0, SHARES, 1; on the log axis from the first of SHARES.

    By trapezoids between the points. `curve` has one number for each of 0, SHARES and 1.
    """
    shares = np.array([0.0, *SHARES, 1.0])
    if axis == "log":
        x, y = np.log(shares[1:]), curve[..., 1:]
    else:
        x, y = shares, curve
    return np.trapezoid(y, x) / (x[-1] - x[0])


DrawScorer = Callable[["Int[np.ndarray, 'draw prompt']"], "Float[np.ndarray, ' draw']"]


def drawn_anew(of: DrawScorer, n: int, seed: int = 0) -> Float[np.ndarray, " draw"]:
    """A score for 1,000 draws of `n` prompts with replacement, equal draws for equal seeds.

    So the difference of two measures, draw by draw, is a paired bootstrap. Empty for one prompt.
    """
    if n < 2:
        return np.zeros(0)
    return of(np.random.default_rng(seed).integers(0, n, (DRAWS, n)))


def value_of(of: DrawScorer, n: int) -> float | None:
    """The score of all prompts; None where it is no number."""
    value = float(of(np.arange(n)[None])[0])
    return value if np.isfinite(value) else None


def interval_of(draws: Float[np.ndarray, " draw"]) -> list[float | None]:
    """Where 95 % of the draws lie; None where too few are numbers."""
    finite_draws = draws[np.isfinite(draws)]
    if len(finite_draws) < max(1, 0.9 * len(draws)):
        return [None, None]
    low, high = np.quantile(finite_draws, [(1 - INSIDE) / 2, (1 + INSIDE) / 2])
    return [float(low), float(high)]


def told_apart(differences: Float[np.ndarray, " draw"]) -> bool:
    """Whether a difference of two measures is above 0 in all but 2.5 % of the draws of prompts."""
    low, _ = interval_of(differences)
    return low is not None and low > 0


def mean_of(values: Sequence[float | None]) -> DrawScorer:
    """The mean of those that are numbers."""
    column = np.array([np.nan if value is None else value for value in values], dtype=float)
    is_finite = np.isfinite(column)

    def of(at: Int[np.ndarray, "draw prompt"]) -> Float[np.ndarray, " draw"]:
        count = is_finite[at].sum(1)
        total = np.where(is_finite, column, 0.0)[at].sum(1)
        return np.divide(total, count, out=np.full(len(at), np.nan), where=count > 0)

    return of


def mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are numbers."""
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else None
