"""Gradient weighing: what a target would lose, to first order, if an edge were cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from worldline.flow.flow import Meaning, Target, asked
from worldline.run.executing import differentiate
from worldline.run.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.model.load import LoadedModel
    from worldline.trace.trace import Trace

FORMULAS = {
    "drop": "a <v, u>, u = d target / d z",
    "mask": "a / (1 - a) <v - z, u>, u = d target / d z",
}


def gradient_meaning(target: Target, how: str) -> Meaning:
    """What a gradient weight means."""
    exact = "the change of z is exact, what follows is first order"
    return Meaning(
        by="gradient",
        how=how,
        metric=None,
        target=target,
        formula=FORMULAS[how],
        unit=f"{asked(target)}, lost if the edge is cut ({how}); in logits",
        exactness=f"first-order estimate ({exact})" if how == "mask" else "first-order estimate",
    )


def measure_of(target: Target) -> Callable[[Tensor], Tensor]:
    """From the logits at the last position, [d_vocab], to what is asked."""

    def measure(logits: Tensor) -> Tensor:
        wanted = logits[target.id]
        return wanted if target.versus_id is None else wanted - logits[target.versus_id]

    return measure


def target_gradients(
    model: LoadedModel, trace: Trace, target: Target
) -> tuple[float, list[list[Tensor]]]:
    """(value of the target, u per block and read, in the layout that the block sees)."""
    plan, reruns = Plan(tuple(trace.tokens.ids)), [block.rerun for block in trace.live or ()]
    return differentiate(model, plan, measure_of(target), reruns, trace.resid)
