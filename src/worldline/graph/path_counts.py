"""How many paths lead from one node to another, in a named convention, in Python integers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import index
from typing import Any

import numpy as np

from worldline.arguments import with_checked_arguments
from worldline.errors import InputError, RefusedError
from worldline.graph.dynamic_program import Step, start_at, sweep
from worldline.graph.node import Node
from worldline.graph.path_conventions import Roads, closed_form, roads

ATOMS = 10**80  # in the visible universe, as usually rounded
MAX_LAYERS = 1_000
MAX_PRODUCTS = 10**9  # of Python integers in one sweep: some minutes


@dataclass(frozen=True, kw_only=True)
class PathCount:
    """A number of paths, with all that it depends on.

    Attributes:
        count: The number of paths, of any size.
        convention: What counts as one path.
        n_blocks: N, the blocks that a path crosses (in the lattice: the rows it visits).
        n_up: n = N - 1, the steps up of the lattice.
        distance: m, the positions from source to target.
        n_heads: Query heads of each block.
        parallel: Whether blocks have the attention beside the MLP.
        window: Positions that a token sees, itself included; None for all.
        hops: The number of hops that was asked for, None for all.
        by_hops: The number of paths of exactly k hops, for every k.
    """

    count: int
    convention: str
    n_blocks: int
    n_up: int
    distance: int
    n_heads: int
    parallel: bool
    window: int | None
    hops: int | None
    by_hops: tuple[int, ...]

    @property
    def log10(self) -> float:
        """The decimal logarithm of the count; minus infinity for no path."""
        return math.log10(self.count) if self.count else -math.inf

    @property
    def passes_atoms(self) -> bool:
        """Whether the count is above 10^80, the atoms of the visible universe."""
        return self.count > ATOMS

    def json(self) -> dict[str, Any]:
        """All of it for the wire: counts as decimal strings, since they pass 2^53."""
        return {
            "convention": self.convention,
            "count": decimal(self.count),
            "log10": self.log10 if self.count else None,
            "passes_atoms": self.passes_atoms,
            "n_blocks": self.n_blocks,
            "n_up": self.n_up,
            "distance": self.distance,
            "n_heads": self.n_heads,
            "parallel": self.parallel,
            "window": self.window,
            "hops": self.hops,
            "by_hops": [decimal(count) for count in self.by_hops],
        }


@with_checked_arguments
def count_paths(
    *,
    n_layers: int,
    distance: int | None = None,
    n_heads: int = 1,
    convention: str = "block",
    parallel: bool = False,
    window: int | None = None,
    hops: int | None = None,
    source: Node | None = None,
    target: Node | None = None,
    mask: Any = None,
    cuts: Iterable[tuple[Node, Node]] = (),
    kv_rows: Sequence[int] | None = None,
) -> PathCount:
    """Count the paths of information from one node to a later one.

    Give `distance` (m), for the paths from the bottom row to the top one, m positions on; or
    `source` and `target`. With N blocks between them:

    - `block`: one edge per (layer, source, target): C(m+N-1, N-1);
    - `lattice`: n = N - 1 steps up and m right, in any order: C(m+n, n); nodes are the K/V cells
      of rows 0 to n_layers - 1, so N is one more than the rows between source and target;
    - `streams`: residual and self-attention are two roads: [x^m] ((2-x)/(1-x))^N;
    - `blocks`: and through the MLP or past it: 2^N times `streams`;
    - `heads`: and each of `n_heads` its own road: 2^N [x^m] (1 + H/(1-x))^N.

    Blocks in `parallel` have 2 + H/(1-x) ways each, H = 1 in `blocks`. `mask`, `cuts` and `kv_rows`
    are counted by dynamic programming.

    Args:
        n_layers: Blocks of the model.
        distance: Positions from source to target.
        n_heads: Query heads of each block.
        convention: What counts as one path: "block", "lattice", "streams", "blocks" or "heads".
        parallel: Whether blocks have the attention beside the MLP.
        window: A read reaches back `window` - 1 positions at most; None for any.
        hops: Keeps only the paths of that many K/V reads.
        source: The first node, on rows 0 to n_layers.
        target: The last node.
        mask: Booleans [q_pos, k_pos] or [layer, q_pos, k_pos]: who may read whom, also itself.
        cuts: Pairs (Node read, Node written) of one edge each, cut whole.
        kv_rows: For each block the row at which its K/V are made, where layers share them.

    Returns:
        The number of paths, in all and by hops, with all that it depends on.

    Raises:
        InputError: an unknown convention, a negative distance, a size below 1, a node off the
            grid, a target before its source, a mask of another shape.
        RefusedError: a sweep of more than 10^9 products.

    Exactness: integer-exact.

    >>> count_paths(n_layers=30, distance=6_680, convention="lattice").passes_atoms
    True
    >>> count_paths(n_layers=4, distance=3, convention="streams").by_hops
    (0, 32, 48, 8, 0)
    """
    n_layers, n_heads = _size("n_layers", n_layers, 1), _size("n_heads", n_heads, 1)
    if n_layers > MAX_LAYERS:
        raise InputError(f"n_layers {n_layers}: 1 to {MAX_LAYERS:,}")
    window = None if window is None else _size("window", window, 1)
    hops = None if hops is None else _size("hops", hops, 0)
    ways = roads(convention, n_heads=n_heads, parallel=parallel)
    cuts = list(cuts)
    source, target = _ends(n_layers, distance, source, target, convention)
    n_blocks = target.layer - source.layer + (convention == "lattice")
    if mask is None and kv_rows is None and not cuts:
        by_hops = closed_form(n_blocks, target.pos - source.pos, ways, window)
    else:
        if convention == "lattice" and (cuts or kv_rows is not None):
            raise InputError("convention 'lattice': has no edges to cut or share; take 'block'")
        _refuse_long(n_blocks, target.pos - source.pos + 1)
        columns = range(source.pos, target.pos + 1)  # no path leaves them
        steps = _steps(n_layers, columns, ways, window, mask, cuts, kv_rows)
        by_hops = _swept(steps[source.layer :][:n_blocks], source.layer, len(columns))
    return PathCount(
        count=sum(by_hops) if hops is None else sum(by_hops[hops : hops + 1]),
        convention=convention, n_blocks=n_blocks, n_up=max(n_blocks - 1, 0),
        distance=target.pos - source.pos, n_heads=n_heads, parallel=parallel, window=window,
        hops=hops, by_hops=by_hops,
    )  # fmt: skip


def _size(name: str, value: Any, least: int) -> int:
    try:
        size = index(value)
    except TypeError:
        raise InputError(f"{name} {value!r}: an integer of at least {least}") from None
    if size < least:
        raise InputError(f"{name} {size}: at least {least}")
    return size


def _ends(
    n_layers: int, distance: int | None, source: Node | None, target: Node | None, convention: str
) -> tuple[Node, Node]:
    """Where the paths begin and end; a distance goes from the bottom row to the top one."""
    top = n_layers - (convention == "lattice")
    if (distance is None) == (source is None and target is None):
        raise InputError("distance: give it, or source and target, not both")
    if distance is not None:
        distance = _size("distance", distance, 0)
        return Node(layer=0, pos=0), Node(layer=top, pos=distance)
    if source is None or target is None:
        raise InputError(f"{'source' if source is None else 'target'}: is missing; give both nodes")
    for name, node in (("source", source), ("target", target)):
        if node.layer > top:
            raise InputError(f"{name} {node}: off the grid; rows are 0 to {top}")
    if target.layer < source.layer or target.pos < source.pos:
        raise InputError(f"target {target}: lies before the source {source}")
    return source, target


def _steps(
    n_layers: int, columns: range, ways: Roads, window: int | None, mask: Any,
    cuts: list[tuple[Node, Node]], kv_rows: Sequence[int] | None,
) -> list[Step]:  # fmt: skip
    """The edges of every block between these columns, as numbers of ways."""
    allowed_reads = _mask(mask, n_layers, columns)
    rows = list(range(n_layers)) if kv_rows is None else [_size("kv_rows", r, 0) for r in kv_rows]
    if len(rows) != n_layers or any(row > layer for layer, row in enumerate(rows)):
        raise InputError(f"kv_rows {rows}: one row for each of {n_layers} blocks, none above it")
    near = np.tri(len(columns), dtype=bool)
    if window is not None:
        near &= ~np.tri(len(columns), k=-window, dtype=bool)
    steps = []
    for layer in range(n_layers):
        layer_reads = allowed_reads[layer] & near
        carry = np.where(layer_reads.diagonal(), ways.carry, ways.alone).astype(object)
        kv = np.where(layer_reads, 1, 0).astype(object) * ways.kv
        steps.append(Step(carry, kv, rows[layer]))
    for src_node, dst_node in cuts:
        _cut(steps, columns, src_node, dst_node)
    return steps


def _mask(mask: Any, n_layers: int, columns: range) -> np.ndarray:
    """Booleans [layer, q_pos, k_pos], cropped to the columns that matter."""
    n_pos = len(columns)
    if mask is None:
        return np.broadcast_to(np.bool_(True), (n_layers, n_pos, n_pos))
    mask_array = np.asarray(mask)
    if mask_array.dtype != bool:
        raise InputError(f"mask of {mask_array.dtype}: give booleans, True where a read is allowed")
    square = (
        mask_array.ndim in (2, 3) and mask_array.shape[-1] == mask_array.shape[-2] >= columns.stop
    )
    if not square or (mask_array.ndim == 3 and mask_array.shape[0] != n_layers):
        raise InputError(
            f"mask {list(mask_array.shape)}: [q_pos, k_pos] or [{n_layers} layers, q_pos, "
            f"k_pos], of "
            f"at least {columns.stop} positions"
        )
    cropped_mask = mask_array[..., columns.start : columns.stop, columns.start : columns.stop]
    return np.broadcast_to(cropped_mask, (n_layers, n_pos, n_pos))


def _cut(steps: list[Step], columns: range, src_node: Node, dst_node: Node) -> None:
    """Cut the whole edge between two nodes: the K/V edge, or the carry in one column."""
    layer = dst_node.layer - 1
    if not 0 <= layer < len(steps):
        raise InputError(f"cuts: {dst_node} is written by none of the {len(steps)} blocks")
    is_carry = src_node.pos == dst_node.pos
    row = layer if is_carry else steps[layer].kv_from
    if src_node.layer != row or src_node.pos > dst_node.pos:
        raise InputError(
            f"cuts: no edge goes from {src_node} to {dst_node}; it would start at row {row}"
        )
    if src_node.pos not in columns or dst_node.pos not in columns:
        return  # on none of the paths
    if is_carry:
        steps[layer].carry[src_node.pos - columns.start] = 0
    else:
        steps[layer].kv[dst_node.pos - columns.start, src_node.pos - columns.start] = 0


def _refuse_long(n_blocks: int, n_pos: int) -> None:
    products = n_blocks * n_pos**2 * (n_blocks + 1)
    if products > MAX_PRODUCTS:
        raise RefusedError(
            f"counting under a mask: {n_blocks} blocks x {n_pos:,} positions take {products:.1e} "
            f"products of integers; at most {MAX_PRODUCTS:.0e}"
        )


def _swept(steps: list[Step], first_row: int, n_pos: int) -> tuple[int, ...]:
    """The number of paths by hops from the first column into the last."""
    start = start_at(0, n_pos=n_pos, max_hops=len(steps))
    *_, last = sweep(steps, start, first_row=first_row)
    return tuple(last[-1].tolist())


def decimal(count: int) -> str:
    """All digits; `str` refuses more than 4,300 of them."""
    return f"{Decimal(count):f}"
