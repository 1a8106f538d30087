"""Executes a plan on a model and hands out every block as it completes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from worldline.model.guard import anatomy_of
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
    model: LoadedModel, plan: Plan, measure: Callable[[Tensor], Tensor]
) -> tuple[float, list[list[Tensor]]]:
    """(value, per block the gradients at what its attention reads returned).

    `measure` takes the logits at the last position, [d_vocab], to a scalar. One forward and one
    backward pass of the model itself; its weights are frozen meanwhile and left as they were.
    The gradient is taken at the attention function's output, so nothing between that and the
    stream needs a rule.
    """
    inputs = inputs_of(model, plan)
    if "logits_to_keep" in inspect.signature(model.module.forward).parameters:
        inputs["logits_to_keep"] = 1
    reads: list[list[Tensor]] = []

    def keep(event: BlockEvent) -> None:
        reads.append([call.leaf.value() for call in event.calls])

    with _frozen(model.module):
        seen = watched_forward(
            model.module, inputs, anatomy_of(model.module), terms=False, grad=True, on_block=keep
        )
        value = measure(seen.logits[0, -1])
        flat = [z for block in reads for z in block]
        found = torch.autograd.grad(value, flat, allow_unused=True)
    gradients = iter(
        torch.zeros_like(z) if g is None else g for z, g in zip(flat, found, strict=True)
    )
    return float(value.detach()), [[next(gradients) for _ in block] for block in reads]


@contextmanager
def _frozen(module: torch.nn.Module):
    """No weight asks for a gradient while inside."""
    asking = [p for p in module.parameters() if p.requires_grad]
    for parameter in asking:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)
