"""Executes a plan on a model and hands out every block as it completes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from worldline.model.gradients import Rerun, block_gradients, whole_gradients
from worldline.model.guard import anatomy_of, checked
from worldline.model.watch import BlockEvent, Watched, watched_forward
from worldline.run.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.model.load import LoadedModel


def inputs_of(model: LoadedModel, plan: Plan) -> dict:
    """The keyword arguments of the model's forward for a plan."""
    device = next(model.module.parameters()).device
    ids = torch.tensor([plan.ids], dtype=torch.long, device=device)
    return {"input_ids": ids, "use_cache": False}


def execute(
    model: LoadedModel, plan: Plan, on_block: Callable[[BlockEvent], None] | None = None
) -> Watched:
    """Run `plan`; `on_block` gets a BlockEvent for every block, in order, as it completes.

    Exactness: the logits are bitwise those of the plain run at equal shapes.
    """
    return watched_forward(
        model.module, inputs_of(model, plan), anatomy_of(model.module), on_block=on_block
    )


def differentiate(
    model: LoadedModel,
    plan: Plan,
    measure: Callable[[Tensor], Tensor],
    reruns: Sequence[Rerun | None] = (),
    rows: Sequence[Tensor] = (),
) -> tuple[float, list[list[Tensor]]]:
    """(value, per block the gradients at what its attention reads returned).

    `measure` takes the logits at the last position, [d_vocab], to a scalar. The gradient is taken
    at the attention function's output, so nothing between that and the stream needs a rule; the
    weights are frozen meanwhile and left as they were.

    With the blocks and rows of a recorded run, and a model whose blocks were found to stand for
    themselves (`separable` in the checks), each block runs again by itself and one block's graph
    is held at a time; otherwise the whole model runs forward and backward once more.
    """
    given = [rerun for rerun in reruns if rerun is not None]
    if given and len(given) == len(reruns) and checked(model, model.weights_hash).separable:
        found = block_gradients(model.module, given, rows, measure)
        if found is not None:
            return found
    return whole_gradients(model.module, anatomy_of(model.module), inputs_of(model, plan), measure)
