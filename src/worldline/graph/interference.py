"""Interference: how far what reaches a node, or a target, agrees or cancels, per named grouping."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from worldline.arguments import with_checked_arguments
from worldline.errors import InputError
from worldline.graph.node import Node
from worldline.graph.strongest_paths import top_paths
from worldline.graph.weighted_grid import Span, WeightedGrid, sum_paths, sweep

if TYPE_CHECKING:
    from jaxtyping import Float

MOST_ENUMERATED = 12  # values whose sign patterns are all listed, 4,096 at most
SHUFFLES = 2000
LOW, HIGH = 0.025, 0.975
NORMAL_QUANTILES = (0.0313379, 2.2414027)  # of |x|, x normal: where it lies below LOW and HIGH
BLOCK = 1 << 20  # random signs held at a time


@dataclass(frozen=True)
class Interference:
    """How far values agree: 1 where all agree, near 0 where they cancel.

    A coarser grouping looks more coherent: compare with the interval, never across groupings.

    Attributes:
        grouping: What the values are.
        n_values: How many are not zero.
        signed: Their sum, in their own unit.
        absolute: The sum of their sizes.
        coherence: |signed| / absolute, None at 0/0.
        constructive: The size of all values of the sign that prevails.
        destructive: The size of all others.
        shuffled: The 95 % interval of the coherence if every value had a random sign.
        interval: By what means that was found.
    """

    grouping: str
    n_values: int | None
    signed: float
    absolute: float
    coherence: float | None
    constructive: float
    destructive: float
    shuffled: tuple[float, float] | None
    interval: str


@with_checked_arguments
def interference(
    values: Sequence[float] | Float[np.ndarray, " value"], *, grouping: str, seed: int = 0
) -> Interference:
    """How far values, the parts of one sum, agree or cancel.

    coherence = |sum v| / sum |v|. Beside it the 2.5 % and 97.5 % quantiles (of the distribution,
    not interpolated) over random signs of the same sizes: all sign patterns of up to 12 values,
    2,000 seeded draws beyond. Zeros are no values.

    Args:
        values: The parts, one axis, in any one unit.
        grouping: What the values are, in words.
        seed: Seed of the draws.

    Returns:
        The coherence with its interval, and the sums in the unit of the values.

    Raises:
        InputError: NaN, infinite numbers, more than one axis, an empty grouping.

    Exactness: sums rounded once; the interval is exact by enumeration, or an estimate.
    Units: those of the values.

    >>> pair = interference([3.0, -1.0], grouping="edges of a node")
    >>> pair.coherence, pair.constructive, pair.destructive, pair.shuffled
    (0.5, 3.0, 1.0, (0.5, 1.0))
    """
    array = np.asarray(values, dtype=np.float64)
    if not grouping:
        raise InputError("grouping '': accepted is the name of what the values are")
    if array.ndim != 1 or not np.isfinite(array).all():
        raise InputError(f"values of shape {array.shape}: accepted is one axis of finite numbers")
    sizes = np.sort(np.abs(array[array != 0]))
    if not len(sizes):
        return Interference(grouping, 0, 0.0, 0.0, None, 0.0, 0.0, None, "none: no values")
    positive, negative = math.fsum(array[array > 0]), -math.fsum(array[array < 0])
    signed_sum, absolute = math.fsum(array), math.fsum(sizes)
    if len(sizes) <= MOST_ENUMERATED:
        # The first sign is kept: turning all of them round changes no coherence.
        patterns = itertools.product([1.0, -1.0], repeat=len(sizes) - 1)
        sums = np.array([sizes[0] + np.dot(signs, sizes[1:]) for signs in patterns])
        interval = "exact: every sign pattern"
    else:
        sums = _shuffled_sums(sizes, seed)
        interval = f"estimate: {SHUFFLES} shuffles, seed {seed}"
    coherences = np.sort(np.minimum(np.abs(sums) / absolute, 1.0))
    low, high = (float(coherences[math.ceil(part * len(coherences)) - 1]) for part in (LOW, HIGH))
    return Interference(
        grouping=grouping,
        n_values=len(sizes),
        signed=signed_sum,
        absolute=absolute,
        coherence=min(abs(signed_sum) / absolute, 1.0),
        constructive=max(positive, negative),
        destructive=min(positive, negative),
        shuffled=(low, high),
        interval=interval,
    )


def target_interference(
    grid: WeightedGrid, source: Node | int | None, target: Node
) -> Interference:
    """How far the single paths into `target` agree; none of them is listed unless they are few.

    coherence = |sum of w| / sum of |w| over all paths. Over random signs of paths the sum has mean
    0 and variance sum of w^2, itself a sum over paths.
    **Exactness**: sums closed to n_layers * n_pos * 2^-53 of `absolute`; the interval is exact up
    to 12 paths, else an estimate by the normal distribution of that variance.
    Units: those of a weight. Raises InputError as sum_paths does.
    """
    grouping = f"paths from {_source_name(source)} into {_source_name(target)}"
    few = top_paths(grid, source=source, target=target, k=MOST_ENUMERATED + 1).paths
    if len(few) <= MOST_ENUMERATED:
        return interference([path.weight for path in few], grouping=grouping)
    total = sum_paths(grid, source, target)
    positive, negative = (total.absolute + total.signed) / 2, (total.absolute - total.signed) / 2
    relative = _relative_root_of_squares(grid.span(source, target))
    low, high = (min(quantile * relative, 1.0) for quantile in NORMAL_QUANTILES)
    return Interference(
        grouping=grouping,
        n_values=None,
        signed=total.signed,
        absolute=total.absolute,
        coherence=total.coherence,
        constructive=max(positive, negative),
        destructive=max(min(positive, negative), 0.0),
        shuffled=(low, high),
        interval="estimate: normal distribution with the exact variance",
    )


def _shuffled_sums(sizes: np.ndarray, seed: int) -> np.ndarray:
    draw, rows = np.random.default_rng(seed), max(1, BLOCK // len(sizes))
    parts: Iterable[np.ndarray] = (
        draw.integers(0, 2, (min(rows, SHUFFLES - start), len(sizes))) @ (2 * sizes) - sizes.sum()
        for start in range(0, SHUFFLES, rows)
    )
    return np.concatenate(list(parts))


def _relative_root_of_squares(span: Span) -> float:
    """The root of the sum of w^2 over the sum of |w|, over all paths."""
    (_, sizes), exponent = sweep(span)
    (_, squares), exponent_of_squares = sweep(span, power=2)
    total, total_of_squares = (float(part[0, span.sources].sum()) for part in (sizes, squares))
    if not total:
        return 0.0
    return math.sqrt(total_of_squares) / total * 2.0 ** (exponent_of_squares / 2 - exponent)


def _source_name(source: Node | int | None) -> str:
    if isinstance(source, Node):
        return f"layer {source.layer}, position {source.pos}"
    return f"row {source or 0}"
