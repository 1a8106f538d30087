"""Single paths out of all: the strongest, exactly; and how many there are in effect."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from worldline.arguments import with_checked_arguments
from worldline.errors import InputError
from worldline.graph.node import Node
from worldline.graph.path_search import Path, Product, Search
from worldline.graph.weighted_grid import Span, WeightedGrid

if TYPE_CHECKING:
    from jaxtyping import Float

MOST_TIED = 1000  # paths looked at beyond the k-th to settle its ties by exact products
EXACT = "integer-exact: ranked by exact products, equal ones by their nodes; weights rounded once"


@dataclass(frozen=True)
class TopPaths:
    """The k strongest paths, strongest first; fewer if no more have a weight other than zero.

    Attributes:
        paths: The paths.
        k: How many were asked for.
        sign: The sign that was asked for; None for both.
        pruned: Whether the grid lacks edges.
        attribution: What a weight means.
        exactness: How exact the ranking is.
    """

    paths: list[Path]
    k: int
    sign: str | None
    pruned: bool
    attribution: str
    exactness: str

    @property
    def grid(self) -> str:
        """Whether all edges took part."""
        return "pruned" if self.pruned else "dense"


@dataclass(frozen=True)
class EffectivePaths:
    """The entropy of a distribution over paths and its exponential.

    Attributes:
        entropy_nats: The entropy.
        effective: exp of it: the number of paths in effect.
        normalise: The distribution: "paths" or "rows".
        pruned: Whether the grid lacks edges.
        attribution: What a weight means.
    """

    entropy_nats: float
    effective: float
    normalise: str
    pruned: bool
    attribution: str


@with_checked_arguments
def top_paths(
    grid: WeightedGrid,
    *,
    target: Node,
    source: Node | int | None = None,
    k: int = 10,
    sign: str | None = None,
) -> TopPaths:
    """The `k` paths of largest |weight|, a weight being the product along the path.

    Equal sizes are ordered by their nodes from the source on. Paths of weight zero are left out.

    Args:
        grid: The weights.
        target: The last node.
        source: The first node; a row, for any node of it; None for row 0.
        k: How many paths.
        sign: "positive" or "negative" for these alone; None for both.

    Returns:
        The paths, strongest first, in the unit of a weight.

    Raises:
        InputError: k below 1, an unknown sign, nodes off the grid, a target that does not see the
            source.

    Exactness: integer-exact, by products of the weights in whole numbers. Where over a thousand
    paths more agree with the k-th to a relative 1e-9 (30 layers), `exactness` says so: among those
    the last places are then ranked to that only. Units: those of a weight.
    Source: best-first enumeration with an exact heuristic; Eppstein, Finding the k shortest
    paths, 1998; Jimenez and Marzal, Computing the k shortest paths, 1999.

    >>> kv = np.zeros((1, 2, 2)); kv[0, 1, 0] = -2.0
    >>> grid = WeightedGrid(carry=np.ones((1, 2)), kv=kv, pruned=False, name="example")
    >>> [(p.weight, p.hops) for p in top_paths(grid, target=Node(layer=1, pos=1)).paths]
    [(-2.0, 1), (1.0, 0)]
    """
    if k < 1:
        raise InputError(f"k = {k}: accepted are whole numbers from 1")
    if sign not in (None, "positive", "negative"):
        raise InputError(f"sign {sign!r}: accepted are 'positive', 'negative', or None for both")
    span = grid.span(source, target)
    search = Search(span, tracks_sign=sign is not None)
    products, exactness, least = [], EXACT, -math.inf
    for key, positions in search.ranked_paths(state=int(sign == "negative")):
        if len(products) >= k and key < least:
            break
        if len(products) >= k + MOST_TIED:
            exactness = f"closed to 2^{math.log2(search.slack / search.scale):.0f} of the size"
            exactness += f": over {MOST_TIED} paths agree with the last to that"
            break
        products.append(Product.along(span, positions))
        if len(products) == k:
            least = key - search.slack
    lowest = min((product.exponent for product in products), default=0)
    products.sort(key=lambda one: (-(one.size << (one.exponent - lowest)), one.positions))
    paths = [one.path(span) for one in products[:k]]
    return TopPaths(paths, k, sign, grid.pruned, grid.name, exactness)


@with_checked_arguments
def effective_paths(
    grid: WeightedGrid,
    source: Node | int | None,
    target: Node,
    *,
    normalise: str | None = None,
) -> EffectivePaths:
    """The number of paths in effect, exp H, H = -sum p log p over a distribution p on the paths.

    H comes by the expectation semiring (Z, R), H = log Z + R / Z, kept divided by Z at every node:
    H[i] = sum over steps of q (H[j] - log q), a sum of positive terms.

    Args:
        grid: The weights.
        source: The first node; a row, for any node of it; None for row 0.
        target: The last node.
        normalise: Which distribution. "paths": p = |weight| / sum over all paths. "rows": every
            node's incoming |weights| are first divided by their sum, a walk from the target down,
            and p is its probability among the walks that end at `source`. The two differ. None is
            "paths", and refused where weights have signs.

    Returns:
        The entropy in nats, and the number of paths that it stands for.

    Raises:
        InputError: an unnamed or unknown normalisation, no path other than zero, nodes off the
            grid, a target that does not see the source.

    Exactness: closed to n_layers * n_pos * 2^-53 of H, in float64. Units: nats; paths.
    Source: Li and Eisner, First- and second-order expectation semirings, 2009.

    >>> kv = np.zeros((1, 2, 2)); kv[0, 1, 0] = 1.0
    >>> grid = WeightedGrid(carry=np.ones((1, 2)), kv=kv, pruned=False, name="example")
    >>> round(effective_paths(grid, 0, Node(layer=1, pos=1), normalise="paths").effective, 12)
    2.0
    """
    accepted_words = "accepted are normalise='paths' and normalise='rows'"
    if normalise not in (None, "paths", "rows"):
        raise InputError(f"normalise={normalise!r}: {accepted_words}")
    if normalise is None and grid.signed:
        raise InputError(
            f"normalise=None on signed weights, which are no distribution: {accepted_words}"
        )
    span = grid.span(source, target)
    onward, entropy = np.zeros(span.width), np.zeros(span.width)
    onward[-1] = 1.0
    for row, block in span.down():
        steps = np.abs(block, out=block)
        if normalise == "rows":
            steps /= np.where(totals := _incoming(span, row), totals, 1.0)[:, None]
        steps *= onward[:, None]
        onward = steps.sum(axis=0)
        steps /= np.where(onward, onward, 1.0)
        entropy = _surprise(steps).sum(axis=0) + entropy @ steps
        onward = _rescale(onward)
    start = onward[span.sources]
    if not start.any():
        raise InputError(f"every path to target {target} has weight zero: there is none to count")
    share = start / start.sum()
    nats = float(_surprise(share).sum() + share @ entropy[span.sources])
    return EffectivePaths(nats, math.exp(nats), normalise or "paths", grid.pruned, grid.name)


def _incoming(span: Span, row: int) -> Float[np.ndarray, " pos"]:
    """The sum of |weights| into every node of the next row, from all positions of the grid."""
    layer, part = span.first + row, slice(span.low, span.stop)
    total = np.abs(span.grid.kv[layer, part]).sum(axis=1, dtype=np.float64)
    return total + np.abs(span.grid.carry[layer, part])


def _rescale(sums: np.ndarray) -> np.ndarray:
    return np.ldexp(sums, -int(np.frexp(sums.max())[1]))


def _surprise(shares: np.ndarray) -> np.ndarray:
    return -shares * np.log(shares, out=np.zeros_like(shares), where=shares > 0)
