"""Gradients of a measure of the logits at what the attention of a run returned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from worldline.errors import RefusedError
from worldline.models.gradients import Rerun, block_gradients, whole_gradients
from worldline.models.row_comparison import other_at, other_row
from worldline.models.tracer import watched_forward
from worldline.models.validation import anatomy_of, checked_report, refuse_other_derivative
from worldline.runs.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.models.loader import LoadedModel
from worldline.runs.forward_passes import inputs_of, rows_of


def differentiate_between(
    model: LoadedModel,
    plan: Plan,
    baseline_plan: Plan,
    measure: Callable[[Tensor], Tensor],
    steps: int,
) -> list[list[Tensor]]:
    """Mean gradients, as `differentiate`, over runs between two texts of one length.

    Run n of `steps` starts at row 0 of `baseline_plan` and n / steps of the way to that of `plan`.
    """
    refuse_other_derivative(model)
    embeddings: list[Tensor] = []

    def keep(x: Tensor) -> Tensor:
        embeddings.append(x.detach())
        return x

    anatomy = anatomy_of(model.module)
    for run_plan in (plan, baseline_plan):
        first = len(embeddings)
        watched_forward(model.module, inputs_of(model, run_plan), anatomy, terms=False, cut=keep)
        del embeddings[first + 1 :]
    end, start = embeddings
    sums: list[list[Tensor]] = []
    for n in range(1, steps + 1):
        row = 0

        def between(x: Tensor, n: int = n) -> Tensor:
            nonlocal row
            row += 1
            if row > 1:
                return x
            return torch.lerp(start, end, n / steps).requires_grad_()

        _, gradients = whole_gradients(
            model.module, anatomy, inputs_of(model, plan), measure, between
        )
        pairs = zip(sums or gradients, gradients, strict=True)
        sums = [
            [a if a is b else a + b for a, b in zip(total, new_gradients, strict=True)]
            for total, new_gradients in pairs
        ]
    return [[block_sums / steps for block_sums in block] for block in sums]


def differentiate(
    model: LoadedModel,
    plan: Plan,
    measure: Callable[[Tensor], Tensor],
    reruns: Sequence[Rerun | None] = (),
    rows: Sequence[Tensor] = (),
    last: int | None = None,
) -> tuple[float, list[list[Tensor]]]:
    """(value, per block the gradients at what its attention reads returned).

    `measure` takes the logits at the last position, [d_vocab], to a scalar; with `last` those at
    as many positions up to the last, [last, d_vocab]. The gradient is taken at the attention
    function's output, so nothing between that and the stream needs a rule; the weights are frozen
    meanwhile and left as they were.

    With the blocks and rows of a recorded run, and a model whose blocks were found to stand for
    themselves (`separable` in the checks), each block runs again by itself and one block's graph
    is held at a time; otherwise the whole model runs forward and backward once more. Either way the
    rows must be the recorded ones to the last bit, but for the rounding of a model whose plain runs
    differ, or of a pass with gradients where a plain run gives the recorded rows.

    Raises:
        RefusedError: they are not, so that it would be the gradient of another run; it says whether
            a plain run gives them.
    """
    allow_rounding = bool(checked_report(model).floor)
    recorded_reruns = [rerun for rerun in reruns if rerun is not None]
    if recorded_reruns and len(recorded_reruns) == len(reruns) and checked_report(model).separable:
        gradients = block_gradients(
            model.module, recorded_reruns, rows, measure, last, allow_rounding=allow_rounding
        )
        if gradients is not None:
            return gradients
    mismatches: list[tuple[str | None, str | None]] = []

    def on_row(row: Tensor) -> None:  # at once: a block may go on in the same memory
        n = len(mismatches)
        exact, near = (
            other_at(n, row, rows[n], allow_rounding=way) for way in (allow_rounding, True)
        )
        mismatches.append((exact, near))

    inputs, anatomy = inputs_of(model, plan), anatomy_of(model.module)
    gradients = whole_gradients(
        model.module, anatomy, inputs, measure, last=last, on_row=on_row if rows else None
    )
    if any(exact for exact, _ in mismatches):
        if words := other_row(rows_of(model, plan)[0], rows, allow_rounding=allow_rounding):
            raise RefusedError(
                f"run again, {words}: this would be the gradient of another run, so record it again"
            )
        if words := next((near for _, near in mismatches if near), None):
            raise other_with_gradients(words)
    return gradients


def other_with_gradients(words: str) -> RefusedError:
    """Of a model that computes other numbers with gradients; `words` says by how much."""
    return RefusedError(
        f"with gradients {words}, while a plain run gives what was recorded: this model computes "
        "other numbers under a gradient, which would be that of another run; cuts need none"
    )
