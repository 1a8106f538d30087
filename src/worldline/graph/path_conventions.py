"""Five conventions of what one path is, and their closed forms in Python integers."""

from __future__ import annotations

from functools import lru_cache
from math import comb
from typing import NamedTuple

from worldline.errors import InputError

CONVENTIONS = ("block", "lattice", "streams", "blocks", "heads")


class Roads(NamedTuple):
    """In how many ways one block is crossed.

    `carry` in its own column, `alone` the same without self-attention, `kv` by one K/V edge.
    """

    carry: int
    alone: int
    kv: int


def roads(convention: str, *, n_heads: int = 1, parallel: bool = False) -> Roads:
    """The ways across one block, without and with one K/V edge.

    In a serial block every way through attention or past it meets the MLP, which doubles it;
    in a parallel block the MLP is one more way beside them.

    **Exactness**: integer-exact.

    Raises:
        InputError: an unknown convention.

    >>> roads("heads", n_heads=12), roads("heads", n_heads=12, parallel=True)
    (Roads(carry=26, alone=2, kv=24), Roads(carry=14, alone=2, kv=12))
    """
    if convention not in CONVENTIONS:
        raise InputError(f"convention {convention!r}: one of {', '.join(CONVENTIONS)}")
    if convention in ("block", "lattice"):
        return Roads(carry=1, alone=1, kv=1)
    if convention == "streams":  # no MLP is told apart, so parallel or not is the same
        return Roads(carry=2, alone=1, kv=1)
    heads = n_heads if convention == "heads" else 1
    if parallel:
        return Roads(carry=2 + heads, alone=2, kv=heads)
    return Roads(carry=2 * (1 + heads), alone=2, kv=2 * heads)


def closed_form(n_blocks: int, distance: int, ways: Roads, window: int | None) -> tuple[int, ...]:
    """The number of paths by hops, k = 0 to N: C(N, k) carry^(N-k) kv^k compositions(m, k).

    `compositions(m, k)` are the ways to write m as k hops of 1 to window - 1 each. This is
    [x^m] of (carry + kv (x + ... + x^(window-1)))^N, spread over the hops.

    **Exactness**: integer-exact.

    >>> closed_form(2, 2, roads("streams"), window=None)
    (0, 4, 1)
    """
    counts = [ways.carry**n_blocks if distance == 0 else 0]
    spread = _compositions(distance, n_blocks, window)
    choices = kv = 1
    for k in range(1, n_blocks + 1):
        choices = choices * (n_blocks - k + 1) // k
        kv *= ways.kv
        counts.append(spread[k] and choices * kv * ways.carry ** (n_blocks - k) * spread[k])
    return tuple(counts)


@lru_cache(maxsize=1)  # the five conventions, asked one after the other, share it
def _compositions(total: int, max_parts: int, window: int | None) -> tuple[int, ...]:
    """How many ways `total` is the sum of k parts, for k up to `max_parts`; [0] is not used.

    Without a window C(total - 1, k - 1); with parts of at most s = window - 1, inclusion and
    exclusion of j parts that are too long: SUM_j (-1)^j C(k, j) C(total - 1 - j s, k - 1).
    Binomials follow from their neighbours, so that each costs one small product.
    """
    counts = [0] * (max_parts + 1)
    longest = total if window is None else window - 1
    if longest < 1:
        return tuple(counts)
    for n_excluded in range(max_parts + 1):
        free = total - 1 - n_excluded * longest
        if free < 0:
            break
        ends = comb(free, max(n_excluded - 1, 0))
        choices = 1
        for k in range(max(n_excluded, 1), max_parts + 1):
            term = choices * ends
            counts[k] += -term if n_excluded % 2 else term
            ends = ends * (free - k + 1) // k  # C(free, k - 1) becomes C(free, k)
            choices = choices * (k + 1) // (k + 1 - n_excluded)  # C(k, j) becomes C(k + 1, j)
    return tuple(counts)
