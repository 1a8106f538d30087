"""After how many positions the number of paths through this model passes 10^80."""

from __future__ import annotations

from collections.abc import Sequence

import worldline as wl
from worldline.experiments.experiment import Experiment, Figure, Finding, Item, Measurement
from worldline.experiments.law_checks import context_of, exact, series
from worldline.experiments.model_grid import Grid, grid_of
from worldline.experiments.refusals import of_all, or_reason

ATOMS_LOG10 = 80.0  # of the visible universe, as usually rounded
CONVENTIONS = ("lattice", "block", "streams", "blocks", "heads")
NEVER = 10**90  # C(m, 0) = 1 passes nothing; a count that grows has passed 10^80 long before


def items(_model: wl.LoadedModel, n: int, _seed: int) -> list[Item]:
    """One item a convention, that of the claim first."""
    return [{"key": name, "convention": name} for name in CONVENTIONS[:n]]


def least_distance(grid: Grid, convention: str) -> int | None:
    """The least m at which the count passes 10^80; None if it never does.

    Exactness: integer-exact, by halving: the count does not fall as m grows.
    """
    low, high = 0, 1
    while not _passes(grid, convention, high):
        low, high = high, 2 * high
        if high > NEVER:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _passes(grid, convention, middle) else (middle, high)
    return 0 if _passes(grid, convention, 0) else high


def _passes(grid: Grid, convention: str, distance: int) -> bool:
    return _count(grid, convention, distance).passes_atoms


def _count(grid: Grid, convention: str, distance: int):
    return wl.count_paths(
        n_layers=grid.n_layers,
        n_heads=grid.n_heads,
        parallel=grid.parallel,
        convention=convention,
        distance=distance,
    )


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """The least distance in one convention, and the counts on the way there."""
    grid, convention = grid_of(model), item["convention"]
    least = least_distance(grid, convention)
    distances = [] if least is None else sorted({least * part // 8 for part in range(9)})
    return {
        "grid": grid._asdict(),
        "least": None if least is None else str(least),
        "context": context_of(model),
        "curve": [[float(m), _count(grid, convention, m).log10] for m in distances],
    }


@of_all
def conclude(measurements: Sequence[tuple[Item, Measurement]], _seed: int) -> Finding:
    """The least distance of the lattice, of the context length."""
    by_convention = {item["convention"]: result for item, result in measurements}
    grid, context = Grid(**measurements[0][1]["grid"]), measurements[0][1]["context"]
    numbers = {
        "least_positions": {name: result["least"] for name, result in by_convention.items()},
        "context_length": context,
        **grid._asdict(),
    }
    lattice = by_convention["lattice"]["least"]
    if context is None or lattice is None:
        reason = f"with {grid.n_layers} block(s) the count never passes 10^80"
        if context is None:
            reason = "the model's configuration names no context length"
        return Finding(None, None, None, 0, numbers=numbers, untestable=reason)
    figures = (_figure(by_convention),)
    least_words = ", ".join(
        f"{name} {_format_count(one['least'])}" for name, one in by_convention.items()
    )
    says = (
        f"In this model ({grid.n_layers} blocks) the lattice's count C(m+{grid.n_layers - 1}, "
        f"{grid.n_layers - 1}) first passes 10^80 at m = {_format_count(lattice)} positions to the "
        f"right; the model reads at most {context:,}.",
        f"By convention, with {grid.n_heads} heads: {least_words} positions.",
        "This is arithmetic on the model's shape: it says how many paths there are, not how many "
        "carry anything.",
    )
    value = int(lattice) / context
    return Finding(*exact(value), n=len(measurements), numbers=numbers, says=says, figures=figures)


def _format_count(number: str | None) -> str:
    return "never" if number is None else f"{int(number):,}" if len(number) < 16 else "over 10^15"


def _figure(by_convention: dict[str, Measurement]) -> Figure:
    lines = [
        series(name, *zip(*result["curve"], strict=True))
        for name, result in by_convention.items()
        if result["curve"]
    ]
    return Figure(
        title="Paths by how far they go, up to 10^80",
        mark="line",
        x="positions to the right, m",
        y="log10 of the number of paths",
        series=tuple(lines),
        rule=ATOMS_LOG10,
        rule_name="10^80",
    )


EXPERIMENT = Experiment(
    claim="beyond-atoms",
    counts="conventions of counting",
    n=len(CONVENTIONS),
    quick=len(CONVENTIONS),
    least=1,
    items=items,
    measure=measure,
    conclude=conclude,
)
