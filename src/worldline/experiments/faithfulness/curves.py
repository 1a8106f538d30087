"""Circuits of growing size: the strongest edges kept and the rest cut, or the other way round."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from worldline.experiments.faithfulness.edge_choice import many_cut

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    import worldline as wl
    from worldline.experiments.faithfulness.families import Prompt

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # between none and all
RANDOM_ORDER = "at random"


def orders_of(
    weights: Mapping[str, Float[np.ndarray, " edge"]], seed: int
) -> dict[tuple[str, str], Int[np.ndarray, " edge"]]:
    """(Measure, signed or by size) -> the edges, strongest first; equal ones in drawn order."""
    draw = np.random.default_rng(seed)
    orders = {}
    for name, w in weights.items():
        tie = draw.permutation(len(w))
        for kind, key in (("signed", w), ("by size", np.abs(w))):
            orders[name, kind] = np.lexsort((tie, -key))
    any_weight = next(iter(weights.values()))
    for kind in ("signed", "by size"):
        orders[RANDOM_ORDER, kind] = draw.permutation(len(any_weight))
    return orders


def curve_plans(
    prompt: Prompt,
    how: str,
    edges: Int[np.ndarray, "edge 3"],
    orders: Mapping[tuple[str, str], Int[np.ndarray, " edge"]],
) -> tuple[list[wl.Plan], dict[tuple[str, str], list[int]]]:
    """(Plans, (measure, kind) -> the number of its plan for each of SHARES).

    The same set of edges is run once.
    """
    plans: dict[wl.Plan, int] = {}
    places: dict[tuple[str, str], list[int]] = {}
    for (name, sort), order in orders.items():
        kinds = ("insertion", "deletion") if sort == "by size" else ("insertion",)
        for kind in kinds:
            at = places[name, f"{kind} {sort}"] = []
            for share in SHARES:
                n_strongest = round(share * len(order))
                cut = order[n_strongest:] if kind == "insertion" else order[:n_strongest]
                plan = many_cut(prompt, how, edges[np.sort(cut)])
                at.append(plans.setdefault(plan, len(plans)))
    return list(plans), places
