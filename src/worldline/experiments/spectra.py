"""How many dimensions rows have: rank, effective rank, and a ratio that samples do not bias."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from worldline.experiments.linear_probes import product
from worldline.experiments.statistics import bootstrap

if TYPE_CHECKING:
    from jaxtyping import Float, Int

N_BLOCKS = 24
"""Blocks of whole texts, which stand for what another sample of texts would give."""


class Moments:
    """Sums and products of rows, from which a correlation matrix follows, in float64."""

    def __init__(self) -> None:
        self.n, self.total, self.products = 0, np.zeros(0), np.zeros((0, 0))

    def add(self, rows: Float[np.ndarray, "row dim"]) -> None:
        """Take more rows."""
        wide = rows.astype(np.float64)
        if not self.n:
            self.total, self.products = np.zeros(wide.shape[1]), np.zeros((wide.shape[1],) * 2)
        self.n += len(wide)
        self.total += wide.sum(0)
        self.products += wide.T @ wide

    def correlations(self, first: int = 0) -> Float[np.ndarray, "dim dim"]:
        """Of the dimensions from `first` on; zero rows for those that do not vary."""
        mean = self.total / self.n
        covariance = (self.products / self.n - np.outer(mean, mean))[first:, first:]
        spread = np.sqrt(np.clip(np.diag(covariance), 0, None))
        varies = spread > 1e-9 * (1 + np.abs(mean[first:]))
        by = np.where(varies, 1 / np.where(varies, spread, 1), 0)
        return covariance * np.outer(by, by)


@dataclass(frozen=True)
class Spectrum:
    """Rank and effective ranks of a correlation matrix: by entropy exp H, by participation."""

    width: int
    rank: int
    entropy: float
    participation: float


def spectrum_of(correlations: Float[np.ndarray, "dim dim"], tolerance: float) -> Spectrum:
    """What a correlation matrix spans; singular values below `tolerance` of the largest are 0.

    >>> spectrum_of(np.diag([1.0, 1.0, 0.0]), 1e-5)
    Spectrum(width=3, rank=2, entropy=2.0, participation=2.0)
    """
    values = np.clip(np.linalg.eigvalsh(correlations), 0, None)
    if not values.any():
        return Spectrum(len(values), 0, 0.0, 0.0)
    shares = values[values > 0] / values.sum()
    return Spectrum(
        width=len(values),
        rank=int(np.sum(values > tolerance**2 * values.max())),
        entropy=round(float(np.exp(-np.sum(shares * np.log(shares)))), 6),
        participation=round(float(1 / np.sum(shares**2)), 6),
    )


def cross_products(
    values: Float[np.ndarray, "row dim"], text_of: Int[np.ndarray, " row"]
) -> tuple[Float[np.ndarray, " block"], Float[np.ndarray, "block block"]]:
    """(tr M_b, <M_a, M_b>) of the products M of blocks of whole texts, in float64."""
    blocks = [values[text_of % N_BLOCKS == block] for block in range(N_BLOCKS)]
    block_products = [
        product(block_rows, block_rows).ravel() for block_rows in blocks if len(block_rows)
    ]
    table = np.stack(block_products)
    side = int(np.sqrt(table.shape[1]))
    return table[:, :: side + 1].sum(1), table @ table.T


def participation(traces: Sequence[float] | np.ndarray, cross: Any) -> float:
    """(tr C)^2 / tr C^2 of the covariance C: how many equal directions would be as spread out.

    Both are taken over pairs of different blocks of texts, so that neither the number of samples
    nor what the tokens of a text have in common makes it smaller.
    """
    return _participation(np.asarray(traces), np.asarray(cross), np.arange(len(traces)))


def _participation(traces: np.ndarray, cross: np.ndarray, block_indices: np.ndarray) -> float:
    apart = block_indices[:, None] != block_indices[None, :]
    above = np.outer(traces[block_indices], traces[block_indices])[apart].sum()
    return float(above / cross[np.ix_(block_indices, block_indices)][apart].sum())


def dimension_interval(
    layers: Sequence[dict[str, Any]], seed: int, draws: int = 1000
) -> tuple[float, float, float]:
    """(Mean participation of d_model over layers, low, high): bootstrap over blocks of texts."""
    tables = [
        (np.array(layer["traces"]), np.array(layer["cross"]), layer["d_model"]) for layer in layers
    ]

    def mean(sample: np.ndarray) -> float:
        block_indices = sample.astype(int)
        return float(np.mean([_participation(t, c, block_indices) / d for t, c, d in tables]))

    return bootstrap([float(k) for k in range(len(tables[0][0]))], seed, mean, draws)
