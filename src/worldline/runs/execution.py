"""Executes a plan on a model and hands out every block as it completes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from worldline.errors import InputError
from worldline.graph.edits import PatchSource
from worldline.models.model_calls import on_model
from worldline.models.tracer import BlockEvent, Watched
from worldline.models.validation import checked_report
from worldline.runs.edit_hooks import SourceActivations
from worldline.runs.foliation import Blocks
from worldline.runs.forward_passes import first_row, replay_of, run_plain, run_plans
from worldline.runs.hop_budgets import copies_of
from worldline.runs.plan import PREFILL, Plan

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.models.loader import LoadedModel


@on_model
def execute(
    model: LoadedModel, plan: Plan, on_block: Callable[[BlockEvent], None] | None = None
) -> Watched:
    """Run a plan: a text as it is, with cuts, under a hop budget, or in another order.

    Args:
        model: A model from `load_model`.
        plan: The tokens, and what is changed in their run.
        on_block: Gets a BlockEvent for every block, in order, as it completes. Of a run in order
            prefill, without a hop budget.

    Returns:
        The logits [1, pos, d_vocab], and how often attention was reached. In an order other than
        prefill they are NaN at columns whose last block did not run; under a hop budget they are
        those of the last copy. Terms of a run with cuts add up as ever; its attention calls hold q,
        k and v, not the pattern after a cut.

    Raises:
        InputError: an edit names a layer or head that the model does not have; events are asked of
            a run that has none.
        RefusedError: the model failed a check, or the plan cannot be honoured on it.

    Exactness: of a plain plan, the logits are bitwise those of the plain run at equal shapes. Rows
    of attention that an edit changes are computed anew, to within the rounding of two equivalent
    runs; all others keep what the model's own attention returned.
    """
    if not isinstance(plan, Plan):
        raise InputError(f"execute: plan is of type {type(plan).__name__}; accepted is a wl.Plan")
    if plan.plain:
        checked_report(model)
        return run_plain(model, plan, on_block)
    if plan.order != PREFILL:
        if on_block is not None:
            raise InputError(f"events of a run in order {plan.order.name}: accepted is prefill")
        blocks = Blocks(model, replace(plan, order=PREFILL))
        slices = plan.order.on(blocks.n_layers, len(plan.ids), blocks.reads)
        return Watched(blocks.run(slices).logits[None], 0, 0)
    if plan.budget is not None:
        if on_block is not None:
            raise InputError("events of a run under a hop budget: accepted are its logits only")
        run_logits = None
        for copy in copies_of(model, plan):
            run_logits = copy.said
        assert run_logits is not None
        return Watched(run_logits.at(slice(None)), 0, 0)
    return run_plans(model, [plan], on_block)


@on_model
def execute_many(
    model: LoadedModel,
    plans: Sequence[Plan],
    *,
    batch: int = 32,
    on_done: Callable[[int], None] | None = None,
    last: bool = False,
    reuse: bool = True,
) -> list[Float[Tensor, "pos d_vocab"]]:
    """The logits of every plan, plans of one length side by side.

    Args:
        model: A model from `load_model`.
        plans: The plans, of any lengths.
        batch: How many run side by side at most.
        on_done: Told how many are done.
        last: Whether the logits of the last position only are kept.
        reuse: Whether plans of one text start at the first row that one of them changes, where the
            model's blocks were found to stand for themselves.

    Returns:
        The logits of each plan, [pos, d_vocab], or [1, d_vocab] with `last`.

    Raises:
        InputError: a batch below 1, or as `execute`.
        RefusedError: as `execute`.

    Exactness: as `execute`; items of a batch agree with single runs to within the rounding of two
    equivalent runs.
    """
    if batch < 1:
        raise InputError(f"batch = {batch}: accepted are whole numbers from 1")
    out: list[Tensor | None] = [None] * len(plans)
    alike: dict[tuple[int, ...], list[int]] = {}
    for n, plan in enumerate(plans):
        if plan.budget is not None or plan.order != PREFILL:
            logits = execute(model, plan).logits[0]
            out[n] = logits[-1:] if last else logits
        else:
            alike.setdefault(plan.ids if reuse else (len(plan.ids),), []).append(n)
    n_done = sum(plan_logits is not None for plan_logits in out)
    source_activations: dict[PatchSource, SourceActivations] = {}
    for group in alike.values():
        replay = replay_of(model, plans[group[0]]) if reuse and len(group) > 1 else None
        group.sort(key=lambda n: first_row(plans[n]))
        for at in range(0, len(group), batch):
            chunk = group[at : at + batch]
            batch_logits = run_plans(
                model, [plans[n] for n in chunk], None, source_activations, replay, last
            ).logits
            for n, logits in zip(chunk, batch_logits, strict=True):
                out[n] = logits[-1:].clone() if last else logits
            n_done += len(chunk)
            if on_done is not None:
                on_done(n_done)
    return [plan_logits for plan_logits in out if plan_logits is not None]
