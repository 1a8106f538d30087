"""Linear readers, judged on texts that they were not fitted to: how much of A can be read in B.

A reader is ridge regression by the normal equations in float64. Texts, not rows, are split: even
ones fit, odd ones are held out. Every dimension is standardised; the penalty is chosen on every
fifth text of the half that fits. What is reported is a share of variance:
1 - sum |target - read|^2 / sum |target|^2 over the held-out texts, so that 0 is the mean of the
fitting half, 1 is everything, and a useless reader falls below 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import worldline as wl
from worldline.experiments.statistics import bootstrap

if TYPE_CHECKING:
    from jaxtyping import Float, Int

PENALTIES = (1e-7, 1e-5, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Of the variance of a standardised input."""

SAMPLES_PER_INPUT = 10
CHUNK = 4096
FIVE = 10  # every fifth of the even texts: number 8 of ten


@dataclass(frozen=True)
class Reading:
    """How well one thing is read in another; sums of squares are per held-out text.

    `inputs` is how many numbers were read, out of `available_inputs` where the samples did not
    allow all. `dims` is how many dimensions the target has that vary.
    """

    residual: tuple[float, ...]
    total: tuple[float, ...]
    inputs: int
    available_inputs: int
    dims: int
    samples: int
    penalty: float

    @property
    def share(self) -> float:
        """The share of the target's variance that is read on held-out texts."""
        return share_of(self.residual, self.total)

    def json(self) -> dict[str, Any]:
        """As plain words and numbers; sums of squares to seven digits."""
        return {
            "share": self.share,
            "residual": [float(f"{square_sum:.7g}") for square_sum in self.residual],
            "total": [float(f"{square_sum:.7g}") for square_sum in self.total],
            "inputs": self.inputs,
            "given": self.available_inputs,
            "dims": self.dims,
            "samples": self.samples,
            "penalty": self.penalty,
        }


def share_of(residual: Sequence[float], total: Sequence[float]) -> float:
    """1 - residual / total, both summed over texts.

    >>> share_of([1.0, 1.0], [4.0, 4.0])
    0.75
    """
    return 1.0 - float(np.sum(residual)) / float(np.sum(total))


def shares_interval(readings: Sequence[dict[str, Any]], seed: int) -> tuple[float, float, float]:
    """(Mean share over readings, low, high): bootstrap over the held-out texts that they share."""
    table = np.array([reading["residual"] + reading["total"] for reading in readings])
    n_texts = table.shape[1] // 2
    clusters = [table[:, [text, text + n_texts]].ravel().tolist() for text in range(n_texts)]

    def mean_share(values: np.ndarray) -> float:
        sums = values.reshape(-1, len(readings), 2).sum(0)
        return float(np.mean(1.0 - sums[:, 0] / sums[:, 1]))

    return bootstrap(clusters, seed, mean_share)


def fitting_rows(text_of: Int[np.ndarray, " row"]) -> np.ndarray:
    """Which rows belong to texts that readers are fitted to."""
    return text_of % 2 == 0


def allowed_inputs(text_of: Int[np.ndarray, " row"]) -> int:
    """How many inputs a reader may have: a tenth of the rows it is fitted to, at least one."""
    return max(1, int(fitting_rows(text_of).sum()) // SAMPLES_PER_INPUT)


def standardise(
    values: Float[np.ndarray, "row dim"], fitting: np.ndarray
) -> Float[np.ndarray, "row dim"]:
    """Mean 0 on the rows that fit, variance 1 about it over all rows, in float32.

    With the variance of one half alone, a dimension whose few large values lie in the other half
    would weigh a hundredfold. A dimension that does not vary in the half that fits is left out:
    its spread is within the rounding of its mean.
    """
    wide = values.astype(np.float64)
    mean, spread = wide[fitting].mean(0), wide[fitting].std(0)
    varies = spread > 1e-6 * np.abs(mean) + 1e-30
    scaled_values = wide[:, varies] - mean[varies]
    scaled_values /= np.sqrt(np.mean(scaled_values**2, axis=0))
    return scaled_values.astype(np.float32)


def components(
    values: Float[np.ndarray, "row dim"], fitting: np.ndarray, most: int
) -> Float[np.ndarray, "row dim"]:
    """The values, or their `most` first principal components where there are more dimensions."""
    scaled_values = standardise(values, fitting)
    if scaled_values.shape[1] <= most:
        return scaled_values
    _, axes = np.linalg.eigh(product(scaled_values[fitting], scaled_values[fitting]))
    return scaled_values @ axes[:, ::-1][:, :most].astype(np.float32)


def product(
    first: Float[np.ndarray, "row a"], two: Float[np.ndarray, "row b"]
) -> Float[np.ndarray, "a b"]:
    """one^T two in float64, a chunk of rows at a time."""
    total = np.zeros((first.shape[1], two.shape[1]))
    for at in range(0, len(first), CHUNK):
        total += first[at : at + CHUNK].astype(np.float64).T @ two[at : at + CHUNK].astype(
            np.float64
        )
    return total


def read_out(
    inputs: Float[np.ndarray, "row a"],
    targets: Float[np.ndarray, "row b"],
    text_of: Int[np.ndarray, " row"],
    shuffle: int | None = None,
) -> Reading:
    """Read `targets` in `inputs` by a linear reader, judged on the held-out texts.

    With more inputs than a tenth of the fitting rows, principal components of the inputs take
    their place. `shuffle` is a seed: the targets that are fitted are then those of other rows,
    which gives the level of chance.

    Exactness: float64 on standardised float32.

    Raises:
        InputError: fewer than ten texts, or nothing that varies.
    """
    _refuse_few(text_of)
    fitting = fitting_rows(text_of)
    available_inputs = inputs.shape[1]
    x = components(inputs, fitting, allowed_inputs(text_of))
    x = standardise(x, fitting)
    y = standardise(targets, fitting)
    if not x.shape[1] or not y.shape[1]:
        raise wl.InputError("a reader: inputs and targets must vary over the texts")
    fitting_targets = y[fitting]
    if shuffle is not None:
        fitting_targets = fitting_targets[
            np.random.default_rng(shuffle).permutation(len(fitting_targets))
        ]
    weights, penalty = _fit(x[fitting], fitting_targets, text_of[fitting])
    residual, total = _sums(x, y, weights, text_of)
    return Reading(
        residual, total, x.shape[1], available_inputs, y.shape[1], int(fitting.sum()), penalty
    )


def _refuse_few(text_of: np.ndarray) -> None:
    if int(text_of.max(initial=-1)) + 1 < FIVE:
        raise wl.InputError(f"readers of {int(text_of.max(initial=-1)) + 1} texts: least is {FIVE}")


def _fit(
    x: np.ndarray, y: np.ndarray, text_of: np.ndarray
) -> tuple[Float[np.ndarray, "a b"], float]:
    """(Weights, penalty): the penalty that reads every fifth fitting text best."""
    choosing = text_of % FIVE == FIVE - 2
    xx, xy = product(x[~choosing], x[~choosing]), product(x[~choosing], y[~choosing])
    held_xx, held_xy = product(x[choosing], x[choosing]), product(x[choosing], y[choosing])
    n_fit, eye = int((~choosing).sum()), np.eye(x.shape[1])

    def loss(penalty: float) -> float:
        weights = np.linalg.solve(xx + penalty * n_fit * eye, xy)
        return float(np.sum(weights * (held_xx @ weights - 2 * held_xy)))

    best = min(PENALTIES, key=loss)
    return np.linalg.solve(xx + held_xx + best * len(x) * eye, xy + held_xy), best


def _sums(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, text_of: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per held-out text, the sums of squares of what was missed and of what there was."""
    residual, total = [], []
    for text in range(1, int(text_of.max()) + 1, 2):
        rows = text_of == text
        if rows.any():
            true = y[rows].astype(np.float64)
            errors = true - x[rows].astype(np.float64) @ weights
            residual.append(float(np.sum(errors**2)))
            total.append(float(np.sum(true**2)))
    return tuple(residual), tuple(total)


def best_of_width(
    values: Float[np.ndarray, "row dim"], text_of: Int[np.ndarray, " row"], width: int
) -> float:
    """The held-out share that `width` linear numbers of the values themselves keep at most.

    The principal components of the fitting half; no linear map of that width keeps more of it, and
    on the held-out half only by luck.
    """
    fitting = fitting_rows(text_of)
    scaled_values = standardise(values, fitting)
    _, axes = np.linalg.eigh(product(scaled_values[fitting], scaled_values[fitting]))
    projections = scaled_values[~fitting] @ axes[:, ::-1][:, :width].astype(np.float32)
    total = np.sum(scaled_values[~fitting].astype(np.float64) ** 2)
    return float(np.sum(projections.astype(np.float64) ** 2) / total)
