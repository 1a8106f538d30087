"""Perturbations as plans, and what they do to the logits of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import worldline as wl

if TYPE_CHECKING:
    from jaxtyping import Float

BATCH = 16


@dataclass(frozen=True)
class Perturbation:
    """A vector that is added to the residual stream at one row of some positions."""

    row: int
    positions: tuple[int, ...]
    vector: tuple[float, ...]

    @property
    def edit(self) -> wl.NodeCut:
        """The edit of a plan that does it."""
        return wl.NodeCut("perturb", rows=(self.row,), positions=self.positions, vector=self.vector)


def answer_logits(
    model: wl.LoadedModel,
    ids: Sequence[int],
    answers: Sequence[int],
    edits: Sequence[frozenset[wl.Intervention]],
    reuse: bool = True,
) -> Float[np.ndarray, "run answer"]:
    """The logits of the answers at the last position, one run for each set of edits.

    With `reuse` runs of one text start at the lowest row that one of them changes.
    """
    plans = [wl.Plan(tuple(ids), logits) for logits in edits]
    all_logits = wl.execute_many(model, plans, batch=BATCH, last=True, reuse=reuse)
    return np.stack([edit_set[-1, list(answers)].double().cpu().numpy() for edit_set in all_logits])


def still(perturbation: Perturbation) -> wl.NodeCut:
    """The same edit with a vector of zeros: the run as it is, computed in the same batch."""
    return Perturbation(
        perturbation.row, perturbation.positions, (0.0,) * len(perturbation.vector)
    ).edit


def nats_per_token(
    model: wl.LoadedModel,
    ids: Sequence[int],
    first: int,
    edits: Sequence[frozenset[wl.Intervention]],
) -> list[float]:
    """Loss of the tokens from position `first` on, in nats a token, for each set of edits."""
    plans = [wl.Plan(tuple(ids), edit_set) for edit_set in edits]
    all_logits = wl.execute_many(model, plans, batch=BATCH)
    targets = list(ids[first:])
    losses = []
    for logits in all_logits:
        logprobs = logits[first - 1 : -1].double().log_softmax(-1)
        losses.append(-float(logprobs[range(len(targets)), targets].mean()))
    return losses
