"""Which part of a past state carries a perturbation to the answer: K, V, both, or neither."""

from __future__ import annotations

from typing import Any

import worldline as wl
from worldline.experiments.introspection.cell_choice import chosen_cell
from worldline.experiments.introspection.localization import Listing, listing_of, margin
from worldline.experiments.introspection.scope import N_SENTENCES, Scope
from worldline.experiments.introspection.steering import Perturbation, answer_logits, still
from worldline.experiments.introspection.steering_vectors import bank_of

PARTS = {"k_only": "k", "v_only": "v", "k_and_v": "kv"}
WAYS = ("whole", *PARTS, "residual_only")


def measure_split(model: wl.LoadedModel, scope: Scope, concept: str) -> dict[str, Any]:
    """By how much the right number rises above the others when only a part is perturbed.

    "whole": the perturbation. "k_only", "v_only", "k_and_v": no perturbation, but question and
    answer read this part of the perturbed sentence from a perturbed run. "residual_only": the
    perturbation, while every later position reads the sentence from the run without: must be
    nothing, as K/V is the only way.
    """
    bank, cell = bank_of(model, scope), chosen_cell(model, scope)
    listing = listing_of(model, concept, scope.seed, "asked")
    vector = bank.vector("concept", concept, cell.row, cell.strength)
    place = scope.reported_concepts.index(concept) % N_SENTENCES
    perturbation = Perturbation(cell.row, listing.candidates[place], vector)
    edits = ways_of(listing, perturbation, bank.n_layers)
    runs = [listing.base | {still(perturbation)}, *(listing.base | edits[way] for way in WAYS)]
    logits = answer_logits(model, listing.ids, listing.answers, runs)
    margins = {
        way: margin(row, place) for way, row in zip(WAYS, logits[1:] - logits[0], strict=True)
    }
    return {"row": cell.row, "strength": cell.strength, "margins": margins}


def ways_of(
    listing: Listing, perturbation: Perturbation, n_layers: int
) -> dict[str, frozenset[wl.Intervention]]:
    """The edits that let the perturbation through whole, by a part of K/V, or not at all."""
    n_pos = len(listing.ids)
    at = tuple(range(n_pos))
    layers = tuple(range(perturbation.row, n_layers))
    asking = tuple(range(listing.since, n_pos))
    later = tuple(range(max(perturbation.positions) + 1, n_pos))
    under = wl.PatchSource(listing.ids, at, frozenset({perturbation.edit}) | listing.base)
    without = wl.PatchSource(listing.ids, at, listing.base)
    src: dict[str, Any] = {"src": perturbation.positions, "layers": layers}
    ways: dict[str, frozenset[wl.Intervention]] = {
        way: frozenset({wl.EdgeCut("patch", dst=asking, parts=parts, patch_source=under, **src)})
        for way, parts in PARTS.items()
    }
    unperturbed_read = wl.EdgeCut("patch", dst=later, patch_source=without, **src)
    return ways | {
        "whole": frozenset({perturbation.edit}),
        "residual_only": frozenset({perturbation.edit, unperturbed_read}),
    }
