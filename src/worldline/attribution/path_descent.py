"""Follows strong paths of the frozen-linear model down from the target, many at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from worldline.attribution.path_steps import FrozenPath, follow_hops, top_row, ways_on

if TYPE_CHECKING:
    from worldline.attribution.path_steps import Suffix
    from worldline.models.linearized import FrozenRun


@dataclass(eq=False)
class FollowedPaths:
    """Paths found, strongest first; `is_complete` where no way with any weight was left aside."""

    paths: list[FrozenPath] = field(default_factory=list)
    n_followed: int = 0
    is_complete: bool = True


def follow(run: FrozenRun, k: int, width: int, *, heads: bool) -> FollowedPaths:
    """The `k` strongest of the paths from row 0 that keep to the `width` fullest ways in a row.

    A way's fullness is the size of the signed sum of all paths that end in it. With `heads` each
    head is its own road, else a hop takes all heads of an attention together; residual, MLP and
    self-attention are one road.

    Paths of weight zero are left out.

    Raises:
        RefusedError: a block moves information between columns without K/V.
    """
    followed_paths = FollowedPaths()
    fronts: list[list[Suffix]] = [[] for _ in run.pieces]
    fronts[-1] = top_row(run)
    for layer in range(len(run.pieces) - 2, -1, -1):
        items = _fullest(fronts[layer + 1], width, followed_paths)
        if not items:
            continue
        stays, ways = ways_on(run, layer, items, heads)
        edges = [
            (abs(float(flow)), n, road, src)
            for n, way in enumerate(ways)
            for (road, src), flow in np.ndenumerate(way.flows[:, :-1])
            if flow
        ]
        edges.sort(reverse=True)
        followed_paths.is_complete &= len(edges) <= width
        below = follow_hops(run, ways, [(n, road, src) for _, n, road, src in edges[:width]])
        for suffix in (*(suffix for _, suffix in stays), *below):
            fronts[suffix.row].append(suffix)
    ends = sorted((end for end in fronts[0] if end.flow), key=lambda end: -abs(end.flow))
    followed_paths.n_followed = len(ends)
    followed_paths.paths = [end.to_path() for end in ends[:k]]
    return followed_paths


def _fullest(items: list[Suffix], width: int, followed_paths: FollowedPaths) -> list[Suffix]:
    items = sorted((item for item in items if item.flow), key=lambda item: -abs(item.flow))
    followed_paths.is_complete &= len(items) <= width
    return items[:width]
