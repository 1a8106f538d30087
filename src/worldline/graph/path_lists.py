"""Paths one by one, where they are few enough to be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import combinations
from math import comb

from worldline.errors import InputError, RefusedError
from worldline.graph.node import Node

MAX_LISTED = 10_000


def list_paths(*, source: Node, target: Node, limit: int = MAX_LISTED) -> list[tuple[Node, ...]]:
    """Every path in the lattice convention, as the cells it visits, early rises first.

    From the K/V cell `source` to the K/V cell `target`: n = rows between them steps up and
    m = positions between them steps right, in any order: C(m+n, n) paths.

    **Exactness**: integer-exact; every path once.

    Raises:
        InputError: the target lies before the source.
        RefusedError: more than `limit` paths; the number is named.

    >>> len(list_paths(source=Node(layer=1, pos=3), target=Node(layer=2, pos=5)))
    3
    """
    n_up, distance = target.layer - source.layer, target.pos - source.pos
    if n_up < 0 or distance < 0:
        raise InputError(f"target {target}: lies before the source {source}")
    count = comb(distance + n_up, n_up)
    if count > limit:
        number = f"{count:,}" if count < 10**15 else f"{Decimal(count):.2e}"
        raise RefusedError(
            f"{number} paths from {source} to {target}: at most {limit:,} are listed"
        )
    moves = combinations(range(distance + n_up), n_up)
    return [tuple(_cells(source, distance + n_up, set(rises))) for rises in moves]


def _cells(start: Node, n_steps: int, rises: set[int]) -> Iterator[Node]:
    layer, pos = start.layer, start.pos
    yield start
    for step in range(n_steps):
        layer, pos = (layer + 1, pos) if step in rises else (layer, pos + 1)
        yield Node(layer=layer, pos=pos)
