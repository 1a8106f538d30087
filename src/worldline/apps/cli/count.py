"""``worldline count``: how many paths information can take."""

from __future__ import annotations

import shutil
from decimal import Decimal
from io import StringIO
from typing import TYPE_CHECKING, Annotated

import typer

from worldline.apps.cli import options
from worldline.apps.cli.output_files import refuse_unwritable, write_json

if TYPE_CHECKING:
    from worldline import PathCount

NARROW, WIDE = 80, 100
MEANINGS = {
    "block": "one edge per node pair",
    "lattice": "n up, m right, any order",
    "streams": "self-attention is a road",
    "blocks": "and the MLP or past it",
    "heads": "and each head a road",
}


def count(
    n_layers: Annotated[
        int, typer.Option(max=options.MOST, help="Blocks that the paths cross (N).")
    ],
    distance: Annotated[
        int, typer.Option(max=options.MOST, help="Positions from source to target (m).")
    ],
    n_heads: Annotated[
        int, typer.Option(max=options.MOST, help="Query heads of each block (H).")
    ] = 1,
    convention: Annotated[
        str, typer.Option(help=f"{', '.join(MEANINGS)}, or all: what counts as one path.")
    ] = "all",
    window: Annotated[
        int | None,
        typer.Option(max=options.MOST, help="Positions that a token sees, itself included."),
    ] = None,
    parallel: Annotated[
        bool, typer.Option("--parallel", help="Blocks with the MLP beside the attention.")
    ] = False,
    json: options.Json = None,
) -> None:
    """Count the paths from the bottom of one column to the top of a later one, exactly."""
    refuse_unwritable(json)
    from worldline import count_paths
    from worldline.graph import CONVENTIONS

    counts = [
        count_paths(
            n_layers=n_layers, distance=distance, n_heads=n_heads, convention=name,
            parallel=parallel, window=window,
        )
        for name in (CONVENTIONS if convention == "all" else (convention,))
    ]  # fmt: skip
    if json != "-":
        typer.echo(_count_table(counts))
    if json is not None:
        write_json(json, {"schema": "worldline.count/1", "counts": [c.json() for c in counts]})


def _count_table(counts: list[PathCount]) -> str:
    from rich.console import Console
    from rich.table import Table

    first = counts[0]
    size = f"N = {first.n_blocks:,} blocks, n = {first.n_up:,} steps up"
    size += f", m = {first.distance:,} positions, H = {first.n_heads:,} heads"
    size += f", a window of {first.window:,}" if first.window is not None else ""
    size += ", MLP beside attention" if first.parallel else ""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("convention", no_wrap=True)
    table.add_column("paths", justify="right", no_wrap=True)
    table.add_column("past 10^80", no_wrap=True)
    table.add_column("most have", justify="right", no_wrap=True)
    table.add_column("what is one path")
    width = max(NARROW, shutil.get_terminal_size((WIDE, 24)).columns)
    digits = 30 if width >= WIDE else 15
    for path_count in counts:
        table.add_row(
            path_count.convention,
            _number(path_count.count, digits),
            "yes" if path_count.passes_atoms else "no",
            _usual(path_count),
            MEANINGS[path_count.convention],
        )
    out = StringIO()
    Console(file=out, width=width, highlight=False).print(table)
    return "\n".join([size, *(line.rstrip() for line in out.getvalue().splitlines())])


def _number(count: int, digits: int) -> str:
    """The whole number if it has so few digits, else about what it is; the JSON has them all."""
    return f"{count:,}" if count < 10**digits else f"about {Decimal(count):.2e}"


def _usual(path_count: PathCount) -> str:
    """The number of hops that most paths have."""
    if not path_count.count:
        return "-"
    hops = path_count.by_hops.index(max(path_count.by_hops))
    return f"{hops} hop" if hops == 1 else f"{hops} hops"
