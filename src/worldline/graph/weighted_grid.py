"""A weighted grid, and exact sums over all of its paths: signed, absolute, by number of hops."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from worldline.arguments import with_checked_arguments
from worldline.errors import InputError
from worldline.graph.node import Node

if TYPE_CHECKING:
    from jaxtyping import Float, Int16

CAUTION = (
    "patterns are held at their values: these hops carry the content, making the patterns takes"
    " more; partial sums of this spectrum are not the logits at that hop budget"
)


@dataclass(frozen=True, eq=False, kw_only=True)
class WeightedGrid:
    """One number per carry and per K/V edge; the weight of a path is the product along it.

    Args:
        carry: [layer, pos], the weight of staying in a column across a block.
        kv: [layer, q_pos, k_pos], that of the edge from (layer, k_pos) into (layer + 1, q_pos), all
            heads together.
        pruned: Whether edges were left out.
        name: What a weight means.
        heads: [layer, q_pos, k_pos], which head an edge is of where it is a single one's (-1:
            several).

    Raises:
        InputError: NaN, infinite numbers, wrong shapes, and edges that do not go to a later
            position.

    >>> grid = WeightedGrid(carry=np.ones((2, 3)), kv=np.zeros((2, 3, 3)), pruned=False, name="x")
    >>> grid.n_layers, grid.n_pos
    (2, 3)
    """

    carry: Float[np.ndarray, "layer pos"]
    kv: Float[np.ndarray, "layer q_pos k_pos"]
    pruned: bool
    name: str
    heads: Int16[np.ndarray, "layer q_pos k_pos"] | None = None

    def __post_init__(self) -> None:
        carry, kv, heads = self.carry, self.kv, self.heads
        for name, array in (("carry", carry), ("kv", kv)):
            if not isinstance(array, np.ndarray) or array.dtype not in (np.float64, np.float32):
                actual_type = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise InputError(f"{name} is {actual_type}: accepted is a float64 or float32 array")
        if carry.ndim != 2 or not carry.shape[1]:
            raise InputError(f"carry has shape {carry.shape}: accepted is [layer, pos]")
        expected_shape = (*carry.shape, carry.shape[1])
        for name, array in (("kv", kv), ("heads", heads)):
            if array is not None and array.shape != expected_shape:
                raise InputError(
                    f"{name} has shape {array.shape}: accepted is [layer, q_pos, k_pos] ="
                    f" {expected_shape}, as carry has {carry.shape}"
                )
        if heads is not None and heads.dtype != np.int16:
            raise InputError(f"heads is {heads.dtype}: accepted is int16")
        for name, array in (("carry", carry), ("kv", kv)):
            _refuse_not_finite(name, array)
        above = ~np.tri(self.n_pos, k=-1, dtype=bool)
        for layer, plane in enumerate(kv):
            if plane[above].any():
                dst, src = np.argwhere(above & (plane != 0))[0]
                raise InputError(
                    f"kv[{layer}, {dst}, {src}] = {plane[dst, src]}: an edge goes to a later"
                    " position, accepted is 0 where k_pos >= q_pos (staying is carry)"
                )

    @property
    def n_layers(self) -> int:
        """Blocks; the rows are 0 to `n_layers`."""
        return self.carry.shape[0]

    @property
    def n_pos(self) -> int:
        """Positions of a row."""
        return self.carry.shape[1]

    @property
    def signed(self) -> bool:
        """Whether any weight is negative."""
        return bool((self.carry < 0).any() or any((plane < 0).any() for plane in self.kv))

    def span(self, source: Node | int | None, target: Node) -> Span:
        """The part of the grid between `source` (a node, a row, None: row 0) and `target`."""
        if not isinstance(target, Node):
            raise InputError(f"target {target!r}: accepted is a Node")
        if not isinstance(source, Node | int | np.integer | None):
            raise InputError(
                f"source {source!r}: accepted are a Node, a row number, or None for row 0"
            )
        start = source if isinstance(source, Node) else Node(layer=int(source or 0), pos=0)
        whole_row = start is not source
        for name, node in (("source", start), ("target", target)):
            if node.layer > self.n_layers or node.pos >= self.n_pos:
                raise InputError(
                    f"{name} {node} is off the grid: accepted are rows 0 to {self.n_layers},"
                    f" positions 0 to {self.n_pos - 1}"
                )
        if not (target.layer >= start.layer if whole_row else target.sees(start)):
            source_words = f"row {start.layer}" if whole_row else start
            raise InputError(
                f"target {target} does not see source {source_words}: accepted is a source in a "
                f"lower row,"
                " at the target's position or before it, or the target itself"
            )
        return Span(self, start.layer, target.layer, start.pos, target.pos + 1, whole_row)


@dataclass(frozen=True, eq=False)
class Span:
    """All that a path can touch between a source and a target.

    The target is the last position of the last row; the source the first of the first row, or,
    with `whole_row`, all of that row.

    Attributes:
        grid: The weights.
        first: The first row.
        last: The last row.
        low: The first position.
        stop: The last position and one.
        whole_row: Whether a path may begin anywhere in the first row.
    """

    grid: WeightedGrid
    first: int
    last: int
    low: int
    stop: int
    whole_row: bool

    @property
    def n_rows(self) -> int:
        """Rows, that of the source and that of the target included."""
        return self.last - self.first + 1

    @property
    def width(self) -> int:
        """Positions."""
        return self.stop - self.low

    @property
    def sources(self) -> slice:
        """Where, within the span's positions, a path may start."""
        if self.first < self.last:
            return slice(None) if self.whole_row else slice(0, 1)
        return slice(self.width - 1, self.width)

    def block(self, row: int) -> Float[np.ndarray, "dst src"]:
        """The steps from row `first + row` to the next, in float64, carries on the diagonal."""
        layer, part = self.first + row, slice(self.low, self.stop)
        matrix = self.grid.kv[layer, part, part].astype(np.float64)
        np.fill_diagonal(matrix, self.grid.carry[layer, part])
        return matrix

    def down(self) -> Iterator[tuple[int, Float[np.ndarray, "dst src"]]]:
        """(row, block) from the target's down to the source's."""
        for row in range(self.n_rows - 2, -1, -1):
            yield row, self.block(row)


@dataclass(frozen=True)
class PathSum:
    """The total weight of all paths, with and without their signs, in the unit of a weight.

    Attributes:
        signed: The sum of the weights.
        absolute: The sum of their sizes.
        coherence: |signed| / absolute, None at 0/0; the grouping is by single paths.
        pruned: Whether the grid lacks edges.
        attribution: What a weight means.
    """

    signed: float
    absolute: float
    coherence: float | None
    pruned: bool
    attribution: str


@dataclass(frozen=True, eq=False)
class HopSums:
    """The total weight of the paths with exactly h hops, h = 0..; `by_source` splits it.

    The sources are the positions of the source's row. `caution` belongs to every display.
    """

    signed: Float[np.ndarray, " hop"]
    absolute: Float[np.ndarray, " hop"]
    signed_by_source: Float[np.ndarray, "hop pos"]
    absolute_by_source: Float[np.ndarray, "hop pos"]
    pruned: bool
    attribution: str
    caution: str = CAUTION


@with_checked_arguments
def sum_paths(grid: WeightedGrid, source: Node | int | None, target: Node) -> PathSum:
    """Sum the weights of all paths from a source to a target.

    The entry of the product of the blocks: sum over paths of prod over steps of w. The path from
    a node to itself has no step and weight 1.

    Args:
        grid: The weights.
        source: The first node; a row, for any node of it; None for row 0.
        target: The last node.

    Returns:
        The sum with signs and without, in the unit of a weight.

    Raises:
        InputError: nodes off the grid, a target that does not see the source, a total that float64
            cannot hold.

    Exactness: closed to n_layers * n_pos * 2^-53 of `absolute`, in float64.
    Units: those of a weight.

    >>> kv = np.zeros((1, 2, 2)); kv[0, 1, 0] = -2.0
    >>> grid = WeightedGrid(carry=np.ones((1, 2)), kv=kv, pruned=False, name="example")
    >>> total = sum_paths(grid, None, Node(layer=1, pos=1)); total.signed, total.absolute
    (-1.0, 3.0)
    """
    span = grid.span(source, target)
    state, exponent = sweep(span)
    signed_sum, absolute = (float(part[0, span.sources].sum()) for part in state)
    totals = _undo_scaling(np.array([signed_sum, absolute]), exponent)
    return PathSum(
        signed=float(totals[0]),
        absolute=float(totals[1]),
        coherence=min(abs(signed_sum) / absolute, 1.0) if absolute else None,
        pruned=grid.pruned,
        attribution=grid.name,
    )


def hop_sums(grid: WeightedGrid, source: Node | int | None, target: Node) -> HopSums:
    """Sum the weights of the paths with exactly h hops, h = 0..min(layers, positions crossed).

    Polynomials in z, one factor z per K/V edge: S[h] = sum over paths with h hops of prod w, by
    one sweep from the target down, all h at once, which also splits S by source position.
    **Exactness**: closed to n_layers * n_pos * 2^-53 of `absolute`, in float64.
    Units: those of a weight. Raises InputError as sum_paths does.

    >>> kv = np.zeros((1, 2, 2)); kv[0, 1, 0] = -2.0
    >>> grid = WeightedGrid(carry=np.ones((1, 2)), kv=kv, pruned=False, name="example")
    >>> hop_sums(grid, 0, Node(layer=1, pos=1)).signed.tolist()
    [1.0, -2.0]
    """
    span = grid.span(source, target)
    state, exponent = sweep(span, hops=min(span.n_rows - 1, span.width - 1))
    by_source = np.zeros((*state.shape[:2], grid.n_pos))
    by_source[..., span.low : span.stop][..., span.sources] = state[..., span.sources]
    signed_sums, absolute = _undo_scaling(by_source.sum(axis=-1), exponent)
    signed_by_source, absolute_by_source = _undo_scaling(by_source, exponent)
    return HopSums(
        signed_sums, absolute, signed_by_source, absolute_by_source, grid.pruned, grid.name
    )


def sweep(
    span: Span, hops: int = 0, power: int = 1
) -> tuple[Float[np.ndarray, "sign hop pos"], int]:
    """(state, exponent): sums over the paths from every position of the source's row.

    state[0] * 2^exponent is signed, state[1] * 2^exponent absolute. With `hops` = 0 the paths are
    not told apart by their hops. All weights are first raised to `power`.
    """
    state, exponent = np.zeros((2, hops + 1, span.width)), 0
    state[:, 0, -1] = 1.0
    for _, block in span.down():
        if power != 1:  # beside its largest no square overflows
            shift = int(np.frexp(np.abs(block).max())[1])
            block, exponent = np.ldexp(block, -shift) ** power, exponent + shift * power
        if hops:
            carry = block.diagonal().copy()
            np.fill_diagonal(block, 0.0)
            next_state = state * np.stack([carry, np.abs(carry)])[:, None]
            next_state[0, 1:] += state[0, :-1] @ block
            next_state[1, 1:] += state[1, :-1] @ np.abs(block, out=block)
            state = next_state
        else:
            state = np.stack([state[0] @ block, state[1] @ np.abs(block)])
        # A power of two, so that 126 rows neither overflow nor vanish and nothing is rounded.
        shift = int(np.frexp(state[1].max())[1])
        state, exponent = np.ldexp(state, -shift), exponent + shift
    return state, exponent


def _undo_scaling(array: np.ndarray, exponent: int) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore"):
        array = np.ldexp(array, exponent)
    if not np.isfinite(array).all():
        raise InputError("the sum over paths exceeds float64: accepted are smaller weights")
    return array


def _refuse_not_finite(name: str, array: np.ndarray) -> None:
    for layer, part in enumerate(array):
        if not np.isfinite(part).all():
            at = tuple(int(n) for n in np.argwhere(~np.isfinite(part))[0])
            raise InputError(
                f"{name}[{', '.join(str(n) for n in (layer, *at))}] = {part[at]}:"
                " accepted are finite weights"
            )
