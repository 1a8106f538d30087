"""Whether C(m+n, n) is the number of paths: every path of small grids is written out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import comb, log10

import worldline as wl
from worldline.experiments.experiment import Experiment, Figure, Finding, Item, Measurement
from worldline.experiments.law_checks import exact, series

CONVENTIONS = ("block", "lattice", "streams", "blocks", "heads")
N_HEADS = 2  # of the small grids: more heads make more paths, not another formula
MOST_BLOCKS, MOST_RIGHT = 5, 5
SHOWN_BLOCKS = 4
EXAMPLE = (1, 2)  # one row up, two columns right: the example that the thread lists


def steps_in_order(up: int, right: int) -> Iterator[tuple[str, ...]]:
    """Every order of `up` steps up and `right` steps right, one by one.

    >>> list(steps_in_order(1, 1))
    [('up', 'right'), ('right', 'up')]
    """
    if not up and not right:
        yield ()
    if up:
        for remaining_steps in steps_in_order(up - 1, right):
            yield ("up", *remaining_steps)
    if right:
        for remaining_steps in steps_in_order(up, right - 1):
            yield ("right", *remaining_steps)


def roads(convention: str, stays: bool, parallel: bool) -> list[str]:
    """The roads across one block, in its own column (`stays`) or from an earlier one, by name."""
    heads = N_HEADS if convention == "heads" else 1
    reads = [f"read by head {head}" for head in range(heads)]
    if convention == "block":
        return ["block"]
    if convention == "streams":
        return ["residual", "read"] if stays else ["read"]
    if parallel:
        return [*reads, "residual", "MLP"] if stays else reads
    before = [*reads, "residual"] if stays else reads
    return [f"{road}, {after}" for road in before for after in ("past the MLP", "through the MLP")]


def walks(
    convention: str, n_blocks: int, right: int, parallel: bool = False
) -> Iterator[tuple[str, ...]]:
    """Every way across `n_blocks` blocks to `right` columns on, one by one: road and column."""
    if n_blocks == 0:
        if right == 0:
            yield ()
        return
    for hop in range(right + 1):
        for road in roads(convention, hop == 0, parallel):
            for remaining_roads in walks(convention, n_blocks - 1, right - hop, parallel):
                yield (f"{road} +{hop}", *remaining_roads)


def counted_one_by_one(convention: str, n_blocks: int, right: int, parallel: bool = False) -> int:
    """How many different paths there are, all of them written out.

    Exactness: integer-exact; no formula.
    """
    if convention == "lattice":
        return len(set(steps_in_order(n_blocks - 1, right)))
    return len(set(walks(convention, n_blocks, right, parallel)))


def items(_model: wl.LoadedModel, n: int, _seed: int) -> list[Item]:
    """The `n` smallest grids of up to 5 blocks and 5 columns to the right."""
    grids = [(b, m) for b in range(1, MOST_BLOCKS + 1) for m in range(MOST_RIGHT + 1)]
    grids.sort(key=lambda grid: (sum(grid), grid))
    return [{"key": f"N={b}, m={m}", "n_blocks": b, "right": m} for b, m in grids[:n]]


def measure(_model: wl.LoadedModel, item: Item) -> Measurement:
    """The paths of one grid, written out and by formula, in every convention."""
    n_blocks, right = item["n_blocks"], item["right"]
    counts_by_convention: dict[str, list[int]] = {}
    for convention in CONVENTIONS:
        for parallel in (False, True) if convention in ("blocks", "heads") else (False,):
            name = f"{convention} in parallel" if parallel else convention
            formula = wl.count_paths(
                n_layers=n_blocks,
                distance=right,
                n_heads=N_HEADS,
                convention=convention,
                parallel=parallel,
            ).count
            counts_by_convention[name] = [
                counted_one_by_one(convention, n_blocks, right, parallel),
                formula,
            ]
    return {
        "binomial": comb(right + n_blocks - 1, n_blocks - 1),
        "conventions": counts_by_convention,
    }


def conclude(measurements: Sequence[tuple[Item, Measurement]], _seed: int) -> Finding:
    """The share of grids on which C(m+n, n) is the number of paths in the lattice."""
    if not measurements:
        return Finding(None, None, None, 0, untestable="no grid was counted")
    names = list(measurements[0][1]["conventions"])
    holds = {
        name: sum(
            result["conventions"][name][0] == result["binomial"] for _, result in measurements
        )
        for name in names
    }
    wrong = [
        f"{name} at {item['key']}: {pair[0]} one by one, {pair[1]} by its formula"
        for item, result in measurements
        for name, pair in result["conventions"].items()
        if pair[0] != pair[1]
    ]
    share = holds["lattice"] / len(measurements)
    true = [name for name in names if holds[name] == len(measurements)]
    false = [name for name in names if name not in true]
    bounds = f"holds when paths are counted by {' and '.join(true)}, not by {', '.join(false)}"
    return Finding(
        *exact(share),
        n=len(measurements),
        numbers={
            "holds_on_grids": holds,
            "counts": {
                item["key"]: {name: pair[0] for name, pair in one["conventions"].items()}
                for item, one in measurements
            },
            "example": [" ".join(path) for path in steps_in_order(*EXAMPLE)],
            "disagreements": wrong,
        },
        says=_says(measurements, holds, len(wrong)),
        figures=(_figure(names),),
        broken=f"a formula is not the count: {wrong[0]}" if wrong else None,
        bounds=bounds if share == 1 and false and not wrong else None,
    )


def _says(measurements: Sequence[tuple[Item, Measurement]], holds: dict[str, int], wrong: int):
    last, counts = max(measurements, key=lambda pair: pair[1]["binomial"])
    convention_counts = ", ".join(
        f"{name} {pair[0]:,}" for name, pair in counts["conventions"].items()
    )
    example = "; ".join(" ".join(path) for path in steps_in_order(*EXAMPLE))
    of = len(measurements)
    return (
        f"Every path of {of} grids was written out; n steps up and m to the right, in any order, "
        f"can be taken in C(m+n, n) ways on {holds['lattice']} of {of}.",
        f"The example with n=1, m=2 has C(3, 1) = 3 paths: {example}.",
        f"Counting other things as one path gives other numbers: at {last['key']} C(m+n, n) is "
        f"{counts['binomial']:,}, the conventions give {convention_counts}.",
        f"Counts one by one and by each convention's own formula differ {wrong} times. No model is "
        "run: this is arithmetic on grids.",
    )


def _figure(names: list[str]) -> Figure:
    columns = range(MOST_RIGHT + 1)
    lines = []
    for name in names:
        counts = [
            wl.count_paths(
                n_layers=SHOWN_BLOCKS,
                distance=m,
                n_heads=N_HEADS,
                convention=name.split()[0],
                parallel=name.endswith("parallel"),
            ).log10
            for m in columns
        ]
        lines.append(series(name, columns, counts))
    binomial = [log10(comb(m + SHOWN_BLOCKS - 1, m)) for m in columns]
    return Figure(
        title=f"Paths across {SHOWN_BLOCKS} blocks, by convention",
        mark="line",
        x="columns to the right, m",
        y="log10 of the number of paths",
        series=(series("C(m+n, n)", columns, binomial), *lines),
    )


EXPERIMENT = Experiment(
    claim="path-count",
    counts="small grids",
    n=MOST_BLOCKS * (MOST_RIGHT + 1),
    quick=16,
    least=10,
    items=items,
    measure=measure,
    conclude=conclude,
)
