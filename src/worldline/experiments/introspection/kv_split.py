"""Which part of a past state carries a push to the answer: its K, its V, both, or neither."""

from __future__ import annotations

from typing import Any

import worldline as wl
from worldline.experiments.introspection.cell_choice import chosen_cell
from worldline.experiments.introspection.localization import Listing, listing_of, margin
from worldline.experiments.introspection.scope import N_SENTENCES, Scope
from worldline.experiments.introspection.steering import Edit, Push, answer_logits, still
from worldline.experiments.introspection.steering_vectors import bank_of

PARTS = {"k_only": "k", "v_only": "v", "k_and_v": "kv"}
WAYS = ("whole", *PARTS, "residual_only")


def measure_split(model: wl.LoadedModel, scope: Scope, concept: str) -> dict[str, Any]:
    """By how much the right number rises above the others when only a part is pushed.

    "whole": the push. "k_only", "v_only", "k_and_v": no push, but question and answer read this
    part of the pushed sentence from a pushed run. "residual_only": the push, while every later
    position reads the sentence from the run without: must be nothing, as K/V is the only way.
    """
    bank, cell = bank_of(model, scope), chosen_cell(model, scope)
    listing = listing_of(model, concept, scope.seed, "asked")
    vector = bank.vector("concept", concept, cell.row, cell.strength)
    place = scope.reported_concepts.index(concept) % N_SENTENCES
    push = Push(cell.row, listing.candidates[place], vector)
    edits = ways_of(listing, push, bank.n_layers)
    runs = [listing.base | {still(push)}, *(listing.base | edits[way] for way in WAYS)]
    logits = answer_logits(model, listing.ids, listing.answers, runs)
    margins = {
        way: margin(row, place) for way, row in zip(WAYS, logits[1:] - logits[0], strict=True)
    }
    return {"row": cell.row, "strength": cell.strength, "margins": margins}


def ways_of(listing: Listing, push: Push, n_layers: int) -> dict[str, frozenset[Edit]]:
    """The edits that let the push through whole, by a part of K/V, or not at all."""
    n_pos = len(listing.ids)
    at = tuple(range(n_pos))
    layers = tuple(range(push.row, n_layers))
    asking = tuple(range(listing.since, n_pos))
    later = tuple(range(max(push.positions) + 1, n_pos))
    under = wl.Donor(listing.ids, at, frozenset({push.edit}) | listing.base)
    without = wl.Donor(listing.ids, at, listing.base)
    src: dict[str, Any] = {"src": push.positions, "layers": layers}
    ways: dict[str, frozenset[Edit]] = {
        way: frozenset({wl.EdgeCut("splice", dst=asking, parts=parts, donor=under, **src)})
        for way, parts in PARTS.items()
    }
    unpushed_read = wl.EdgeCut("splice", dst=later, donor=without, **src)
    return ways | {
        "whole": frozenset({push.edit}),
        "residual_only": frozenset({push.edit, unpushed_read}),
    }
