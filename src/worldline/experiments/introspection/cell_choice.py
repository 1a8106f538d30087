"""Layer and strength, chosen on the concepts of one half; the other half is never looked at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import binom

import worldline as wl
from worldline.experiments.introspection.item_cache import once
from worldline.experiments.introspection.localization import (
    candidate_perturbations,
    changes,
    listing_of,
    right,
)
from worldline.experiments.introspection.scope import N_SENTENCES, Scope
from worldline.experiments.introspection.steering import nats_per_token
from worldline.experiments.introspection.steering_vectors import bank_of

MOST_NATS = (
    0.5  # a perturbation that costs the text after it more than this a token breaks the model
)


@dataclass(frozen=True, order=True)
class Cell:
    """A place of the grid: the row that is perturbed, and how strongly."""

    row: int
    strength: float


def cells_of(scope: Scope, n_layers: int) -> list[Cell]:
    """The grid of a run."""
    return [Cell(row, strength) for row in scope.rows(n_layers) for strength in scope.strengths]


def measure_grid(model: wl.LoadedModel, scope: Scope, concept: str) -> dict[str, Any]:
    """Localisation in every cell for one concept of the choosing half, and what it costs.

    `nats`: loss of the question's tokens under a perturbation of one sentence less without, a
    token.
    """
    return once(model, ("grid", scope, concept), lambda: _measure_grid(model, scope, concept))


def _measure_grid(model: wl.LoadedModel, scope: Scope, concept: str) -> dict[str, Any]:
    bank, listing = bank_of(model, scope), listing_of(model, concept, scope.seed, "asked")
    first = scope.choosing.index(concept) * scope.places
    places = [(first + n) % N_SENTENCES for n in range(scope.places)]
    cells = cells_of(scope, bank.n_layers)
    perturbations = [
        candidate_perturbations(
            listing, places, cell.row, bank.vector("concept", concept, cell.row, cell.strength)
        )
        for cell in cells
    ]
    scores = changes(
        model,
        listing,
        [
            perturbation
            for cell_perturbations in perturbations
            for perturbation in cell_perturbations
        ],
    )
    edits = [
        frozenset(),
        *(frozenset({cell_perturbations[0].edit}) for cell_perturbations in perturbations),
    ]
    plain, *losses = nats_per_token(model, listing.ids, listing.since, edits)
    cell_scores = []
    for n, (cell, loss) in enumerate(zip(cells, losses, strict=True)):
        mine = scores[n * len(places) : (n + 1) * len(places)]
        cell_scores.append(
            {
                "row": cell.row,
                "strength": cell.strength,
                "right": sum(right(mine, places)),
                "trials": len(places),
                "nats": loss - plain,
            }
        )
    return {"cells": cell_scores}


def table_of(measurements: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The grid summed over concepts: share right, its p-value against chance, mean cost."""
    by_cell: dict[Cell, list[dict[str, Any]]] = {}
    for cell_measurement in measurements:
        for cell in cell_measurement["cells"]:
            by_cell.setdefault(Cell(cell["row"], cell["strength"]), []).append(cell)
    table = []
    for cell, cell_measurements in sorted(by_cell.items()):
        hits, trials = (
            sum(measurement[name] for measurement in cell_measurements)
            for name in ("right", "trials")
        )
        table.append(
            {
                "row": cell.row,
                "strength": cell.strength,
                "share": hits / trials,
                "trials": trials,
                "p": at_least(hits, trials, 1 / N_SENTENCES),
                "nats": sum(measurement["nats"] for measurement in cell_measurements)
                / len(cell_measurements),
            }
        )
    return table


def best_of(table: Sequence[dict[str, Any]]) -> Cell:
    """The cell with the largest share among those that leave the text whole, else the mildest.

    Of equal shares the one that costs less is taken.
    """
    intact_rows = [row for row in table if row["nats"] <= MOST_NATS]
    if not intact_rows:
        intact_rows = [min(table, key=lambda row: row["nats"])]
    best = max(intact_rows, key=lambda one: (one["share"], -one["nats"]))
    return Cell(best["row"], best["strength"])


def chosen_cell(model: wl.LoadedModel, scope: Scope) -> Cell:
    """The cell that the choosing half gives; measured here where it was not yet."""
    return best_of(table_of(measure_grid(model, scope, concept) for concept in scope.choosing))


def at_least(hits: float, trials: int, chance: float) -> float:
    """Probability of as many hits or more by chance; a part of a hit counts for nothing.

    >>> round(at_least(2.0, 2, 0.1), 6)
    0.01
    """
    return float(binom.sf(math.floor(hits + 1e-9) - 1, trials, chance))
