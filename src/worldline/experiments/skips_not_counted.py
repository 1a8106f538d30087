"""How many more paths there are when residual, MLP and heads are told apart."""

from __future__ import annotations

from collections.abc import Sequence

import worldline as wl
from worldline.experiments.experiment import Experiment, Figure, Finding, Item, Measurement
from worldline.experiments.law_checks import exact, series
from worldline.experiments.model_grid import grid_of
from worldline.experiments.refusals import of_all, or_reason

DISTANCES = (10, 1, 3, 30, 100)  # the first decides
CONVENTIONS = ("lattice", "streams", "blocks", "heads")


def items(_model: wl.LoadedModel, n: int, _seed: int) -> list[Item]:
    """One item a distance, the one that decides first."""
    return [{"key": f"m={m}", "distance": m} for m in DISTANCES[:n]]


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """log10 of the counts at one distance, on this model's blocks and heads."""
    grid = grid_of(model)
    counts = {
        name: wl.count_paths(
            n_layers=grid.n_layers,
            n_heads=grid.n_heads,
            parallel=grid.parallel,
            distance=item["distance"],
            convention=name,
        )
        for name in CONVENTIONS
    }
    return {
        "grid": grid._asdict(),
        "log10": {name: count.log10 for name, count in counts.items()},
        "digits": {name: count.json()["count"] for name, count in counts.items()},
    }


@of_all
def conclude(measurements: Sequence[tuple[Item, Measurement]], _seed: int) -> Finding:
    """log10 of `heads` over `lattice`, ten positions on."""
    results_by_distance = {item["distance"]: result for item, result in measurements}
    at, result = DISTANCES[0], results_by_distance[DISTANCES[0]]
    more = {
        m: {
            name: distance_result["log10"][name] - distance_result["log10"]["lattice"]
            for name in CONVENTIONS[1:]
        }
        for m, distance_result in sorted(results_by_distance.items())
    }
    grid = result["grid"]
    kind = "beside each other" if grid["parallel"] else "one after the other"
    says = (
        f"{at} positions on, across {grid['n_layers']} blocks, the lattice has "
        f"10^{result['log10']['lattice']:.1f} paths; with the residual stream, the MLP and "
        f"{grid['n_heads']} heads apart there are 10^{result['log10']['heads']:.1f}.",
        f"Of the factor 10^{more[at]['heads']:.1f}, residual against self-attention alone makes "
        f"10^{more[at]['streams']:.1f}, the MLP with it 10^{more[at]['blocks']:.1f}. In this model "
        f"attention and MLP stand {kind}.",
        "Integers, exact; a count of ways says nothing of what they carry.",
    )
    lines = tuple(
        series(name, more, [by[name] for by in more.values()]) for name in CONVENTIONS[1:]
    )
    figure = Figure(
        title="Paths that the lattice does not tell apart",
        mark="line",
        x="positions to the right, m",
        y="log10 of the count, less that of the lattice",
        series=lines,
        rule=1.0,
        rule_name="ten times as many",
    )
    numbers = {
        **grid,
        "more_log10": {f"m={m}": by for m, by in more.items()},
        "counts": {
            f"m={m}": distance_result["digits"]
            for m, distance_result in sorted(results_by_distance.items())
        },
    }
    return Finding(
        *exact(more[at]["heads"]),
        n=len(measurements),
        numbers=numbers,
        says=says,
        figures=(figure,),
    )


EXPERIMENT = Experiment(
    claim="skips-not-counted",
    counts="distances",
    n=len(DISTANCES),
    quick=len(DISTANCES),
    least=1,
    items=items,
    measure=measure,
    conclude=conclude,
)
