"""Orders of execution: a grid of blocks cut into slices, and which of them are legal.

Two events per cell: W(l, j) writes K and V of block l at column j and needs B(l - 1, j); B(l, j),
the block, needs W(l, i) of every column i <= j that it reads. In a slice all W come first, then
all B, so that a whole row is one slice.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from worldline.arguments import whole_number
from worldline.errors import InputError
from worldline.graph.node import Node
from worldline.steps import step

Cell = tuple[int, int]
Reads = Callable[[int, int], Sequence[int]]
NAMES = "prefill, decode, wavefront(SLOPE), random(SEED), cone(LAYER,POS)"
CALL = re.compile(r"(\w+)(?:\(([^()]*)\))?")


@dataclass(frozen=True)
class Slice:
    """What is executed at once.

    Attributes:
        cells: Cells (layer, column) whose blocks run.
        only_kv: Cells in which no more than K and V are written.

    >>> Slice(((0, 0), (0, 1))).cells
    ((0, 0), (0, 1))
    """

    cells: tuple[Cell, ...]
    only_kv: tuple[Cell, ...] = ()

    @property
    def width(self) -> int:
        """How many cells it has."""
        return len(self.cells) + len(self.only_kv)


@dataclass(frozen=True)
class Order:
    """An order of execution, named or given slice by slice.

    Attributes:
        name: Its name, with its numbers in brackets.
        slices: The slices of one that is given; None for a named one.

    >>> Order.parse("wavefront(0.5)").name
    'wavefront(0.5)'
    """

    name: str
    slices: tuple[Slice, ...] | None = None

    @classmethod
    def parse(cls, words: str) -> Order:
        """The order of a name such as "prefill" or "cone(30,13)".

        Raises InputError for an unknown name, and numbers that do not fit it.
        """
        _parse_order(words)
        return cls(words.replace(" ", ""))

    @classmethod
    def given(cls, slices: Any) -> Order:
        """An order made of these slices, each a list of (layer, column)."""
        try:
            checked_slices = tuple(
                Slice(tuple((_cell(layer), _cell(pos)) for layer, pos in cells)) for cells in slices
            )
        except (TypeError, ValueError):  # InputError is one
            raise InputError("slices: accepted is a list of lists of [layer, column]") from None
        return cls("given", checked_slices)

    def on(self, n_layers: int, n_pos: int, reads: Reads | None = None) -> tuple[Slice, ...]:
        """Its slices on a grid of blocks; `reads` gives the columns that a block reads.

        Raises InputError for cells or a target off the grid, and an illegal order.
        """
        reads = reads or _all_before
        if self.slices is not None:
            refuse_illegal(self.slices, n_layers, n_pos, reads)
            return self.slices
        kind, numbers = _parse_order(self.name)
        cells = [(layer, pos) for layer in range(n_layers) for pos in range(n_pos)]
        if kind == "prefill":
            return _slices_by_time(cells, lambda cell: cell[0])
        if kind == "decode":  # column by column: a column is a chain of blocks
            return tuple(
                Slice(((layer, pos),)) for pos in range(n_pos) for layer in range(n_layers)
            )
        if kind == "wavefront":
            return _slices_by_time(cells, lambda cell: cell[1] + numbers[0] * cell[0])
        if kind == "random":
            return _random(n_layers, n_pos, int(numbers[0]), reads)
        layer, pos = n_layers, n_pos - 1
        if numbers:
            layer, pos = (int(number) for number in numbers)
        if not (0 <= layer <= n_layers and 0 <= pos < n_pos):
            raise InputError(
                f"cone({layer},{pos}): accepted are rows 0 to {n_layers}, columns 0 to {n_pos - 1}"
            )
        return cone_slices(Node(layer=layer, pos=pos), reads)


def _cell(number: Any) -> int:
    return whole_number("slices", number, least=None)


def refuse_illegal(slices: Sequence[Slice], n_layers: int, n_pos: int, reads: Reads) -> None:
    """Raise InputError that names the first violated dependency, or a cell off the grid or twice.

    Columns that nothing reads on the way need not be there.
    """
    wrote: set[Cell] = set()
    ran: set[Cell] = set()
    for at, current_slice in enumerate(slices):
        step()
        for layer, pos in (*current_slice.cells, *current_slice.only_kv):
            if not (0 <= layer < n_layers and 0 <= pos < n_pos):
                raise InputError(
                    f"slice {at}: block ({layer}, {pos}) is off the grid; accepted are layers 0 to "
                    f"{n_layers - 1}, columns 0 to {n_pos - 1}"
                )
            if (layer, pos) in ran:
                raise InputError(f"slice {at}: block ({layer}, {pos}) runs a second time")
            if layer and (layer - 1, pos) not in ran:
                raise InputError(
                    f"slice {at}: block ({layer}, {pos}) needs block ({layer - 1}, {pos}), which "
                    "has not run in an earlier slice"
                )
        wrote |= set(current_slice.cells) | set(current_slice.only_kv)
        for layer, pos in current_slice.cells:
            for src in reads(layer, pos):
                if (layer, src) not in wrote:
                    raise InputError(
                        f"slice {at}: block ({layer}, {pos}) reads K and V of ({layer}, {src}), "
                        "which are not written in this slice or before"
                    )
        if len(set(current_slice.cells)) < len(current_slice.cells):
            raise InputError(f"slice {at}: a block stands in it twice")
        ran |= set(current_slice.cells)


def cone_slices(target: Node, reads: Reads) -> tuple[Slice, ...]:
    """Row by row what the node needs, and nothing else: one block in the row below it."""
    out: list[Slice] = []
    blocks = {target.pos} if target.layer else set()
    for layer in range(target.layer - 1, -1, -1):
        read_positions = {src for pos in blocks for src in reads(layer, pos)} | blocks
        cells = tuple((layer, pos) for pos in sorted(blocks))
        only = tuple((layer, pos) for pos in sorted(read_positions - blocks))
        out.append(Slice(cells, only))
        blocks = read_positions
    return tuple(out[::-1])


def longest_chain(slices: Sequence[Slice], reads: Reads) -> int:
    """The longest chain of blocks of which each needs the one before, by carry or K and V."""
    chain: dict[Cell, int] = {}
    for layer, pos in sorted({cell for current_slice in slices for cell in current_slice.cells}):
        step()
        below = [chain.get((layer - 1, src), 0) for src in (*reads(layer, pos), pos)]
        chain[layer, pos] = 1 + (max(below) if layer else 0)
    return max(chain.values(), default=0)


def _all_before(_layer: int, pos: int) -> Sequence[int]:
    return range(pos + 1)


def _slices_by_time(cells: list[Cell], time: Callable[[Cell], float]) -> tuple[Slice, ...]:
    cells = sorted(cells, key=lambda cell: (time(cell), cell))
    return tuple(Slice(tuple(group)) for _, group in groupby(cells, key=time))


def _random(n_layers: int, n_pos: int, seed: int, reads: Reads) -> tuple[Slice, ...]:
    """One event at a time, W or B, chosen among those that may come next."""
    draw, out = random.Random(seed), []
    wrote: set[Cell] = set()
    height = [0] * n_pos  # blocks that ran, per column
    while min(height) < n_layers:
        step()
        ready: list[tuple[Cell, bool]] = []
        for pos, layer in enumerate(height):
            if layer == n_layers:
                continue
            if (layer, pos) not in wrote:
                ready.append(((layer, pos), True))
            elif all((layer, src) in wrote for src in reads(layer, pos)):
                ready.append(((layer, pos), False))
        cell, writes = draw.choice(ready)
        if writes:
            wrote.add(cell)
            out.append(Slice((), (cell,)))
        else:
            height[cell[1]] += 1
            out.append(Slice((cell,)))
    return tuple(out)


def _parse_order(words: str) -> tuple[str, list[float]]:
    match = CALL.fullmatch(words.strip())
    kind = match.group(1) if match else ""
    arguments = match.group(2) if match else None
    number_counts = {
        "prefill": (0,),
        "decode": (0,),
        "wavefront": (1,),
        "random": (1,),
        "cone": (0, 2),
    }
    try:
        numbers = [] if arguments is None else [float(part) for part in arguments.split(",")]
    except ValueError:
        numbers = [float("nan")]
    fits = (
        kind in number_counts
        and len(numbers) in number_counts[kind]
        and all(n == n for n in numbers)
    )
    if fits and kind == "wavefront" and not 0 < numbers[0] < float("inf"):
        raise InputError(f"{words}: accepted are slopes above 0")
    is_whole = all(n.is_integer() and n >= 0 for n in numbers)
    if not fits or (kind in ("random", "cone") and not is_whole):
        raise InputError(f"order {words!r}: accepted are {NAMES}")
    return kind, numbers
