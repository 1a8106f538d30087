"""Executes a plan on a model and hands out every block as it completes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from worldline.errors import InputError, RefusedError
from worldline.graph.edits import EdgeCut, NodeCut, PatchSource
from worldline.models.gradients import Rerun, block_gradients, whole_gradients
from worldline.models.model_calls import on_model, refuse_unknown_ids
from worldline.models.positions import forget_lengths
from worldline.models.row_comparison import other_at, other_row
from worldline.models.row_replay import Replay
from worldline.models.tracer import BlockEvent, Watched, watched_forward
from worldline.models.validation import anatomy_of, checked_report, refuse_other_derivative
from worldline.runs.edit_hooks import Edits, SourceActivations
from worldline.runs.plan import PREFILL, Plan

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.models.laws import Report
    from worldline.models.loader import LoadedModel


def inputs_of(model: LoadedModel, plan: Plan, times: int = 1) -> dict:
    """The keyword arguments of the model's forward for a plan, or several side by side.

    Constants of positions that depend on a text's length become those of this text with the next
    forward, whatever was read before.
    """
    refuse_unknown_ids(model.module, plan.ids)
    forget_lengths(model.module)
    device = next(model.module.parameters()).device
    ids = torch.tensor([plan.ids] * times, dtype=torch.long, device=device)
    return {"input_ids": ids, "use_cache": False}


@on_model
def execute(
    model: LoadedModel, plan: Plan, on_block: Callable[[BlockEvent], None] | None = None
) -> Watched:
    """Run `plan`; `on_block` gets a BlockEvent for every block, in order, as it completes.

    In an order other than prefill the logits are NaN at columns whose last block did not run.
    Under a hop budget the logits are those of the last copy, and there are no events. Terms of a
    run with cuts add up as ever; its attention calls hold q, k and v, not the pattern after a cut.

    Exactness: of a plain plan, the logits are bitwise those of the plain run at equal shapes. Rows
    of attention that an edit changes are computed anew, to within the rounding of two equivalent
    runs; all others keep what the model's own attention returned.

    Raises:
        InputError: an edit names a layer or head that the model does not have.
        RefusedError: the model failed a check, or the plan cannot be honoured on it.
    """
    if not isinstance(plan, Plan):
        raise InputError(f"execute: plan is of type {type(plan).__name__}; accepted is a wl.Plan")
    if plan.plain:
        checked_report(model)
        return run_plain(model, plan, on_block)
    if plan.order != PREFILL:
        if on_block is not None:
            raise InputError(f"events of a run in order {plan.order.name}: accepted is prefill")
        from worldline.runs.foliation import Blocks

        blocks = Blocks(model, replace(plan, order=PREFILL))
        slices = plan.order.on(blocks.n_layers, len(plan.ids), blocks.reads)
        return Watched(blocks.run(slices).logits[None], 0, 0)
    if plan.budget is not None:
        if on_block is not None:
            raise InputError("events of a run under a hop budget: accepted are its logits only")
        from worldline.runs.hop_budgets import copies_of

        run_logits = None
        for copy in copies_of(model, plan):
            run_logits = copy.said
        assert run_logits is not None
        return Watched(run_logits.at(slice(None)), 0, 0)
    return _run_plans(model, [plan], on_block)


def run_plain(
    model: LoadedModel,
    plan: Plan,
    on_block: Callable[[BlockEvent], None] | None = None,
    *,
    terms: bool = True,
) -> Watched:
    """The run of a text as it happens, on a model that was checked just now."""
    return watched_forward(
        model.module,
        inputs_of(model, plan),
        anatomy_of(model.module),
        terms=terms,
        on_block=on_block,
    )


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
    """The logits of every plan, `batch` plans of one length side by side.

    `last` keeps the logits of the last position only, [1, d_vocab]; `on_done` hears how many are
    done. With `reuse`, plans of one text start at the first row that one of them changes, where
    the model's blocks were found to stand for themselves. Exactness and errors as `execute`;
    items of a batch agree with single runs to within the rounding of two equivalent runs.
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
        group.sort(key=lambda n: _first_row(plans[n]))
        for at in range(0, len(group), batch):
            chunk = group[at : at + batch]
            batch_logits = _run_plans(
                model, [plans[n] for n in chunk], None, source_activations, replay, last
            ).logits
            for n, logits in zip(chunk, batch_logits, strict=True):
                out[n] = logits[-1:].clone() if last else logits
            n_done += len(chunk)
            if on_done is not None:
                on_done(n_done)
    return [plan_logits for plan_logits in out if plan_logits is not None]


def _refuse_last_row(model: LoadedModel, edits: frozenset[EdgeCut | NodeCut]) -> None:
    last = checked_report(model).n_layers
    if any(isinstance(edit, NodeCut) and last in edit.rows for edit in edits):
        raise InputError(f"row {last} of a patch source: accepted are rows 0 to {last - 1}")


def _run_plans(
    model: LoadedModel,
    plans: Sequence[Plan],
    on_block: Callable[[BlockEvent], None] | None = None,
    source_activations: dict[PatchSource, SourceActivations] | None = None,
    replay: Replay | None = None,
    last: bool = False,
    on_row: Callable[[BlockEvent], None] | None = None,
) -> Watched:
    """Plans of one length side by side, each under its own edits."""
    source_activations = {} if source_activations is None else source_activations
    report = checked_report(model)
    every = [edit for plan in plans for edit in plan.edits]
    refuse_layers(every, report)
    for patch_source in {
        edit.patch_source for edit in every if edit.patch_source is not None
    } - set(source_activations):
        source_activations[patch_source] = donate(model, patch_source.ids, patch_source.edits)
    edits = Edits(len(plans[0].ids), [tuple(plan.edits) for plan in plans], source_activations)
    if replay is None or replay.tail is None:
        return run_edited(model, plans, edits, on_block=on_block, on_row=on_row)
    first = edits.at_row = min(_first_row(plan) for plan in plans)
    cut = edits.row if any(edits.nodes) else None
    row = replay.from_row(first, len(plans), edits.rewrite_read, cut)
    _refuse_unreached(edits)
    with torch.no_grad():
        logits = replay.tail(row[:, -1:] if last else row)
    refuse_nonfinite_logits(logits)
    return Watched(logits, 0, 0)


def replay_of(model: LoadedModel, plan: Plan) -> Replay | None:
    """The plain run of a text, to start again from its rows; None where that is not the same."""
    report = checked_report(model)
    if not report.separable:
        return None
    replay = Replay(model.module, anatomy_of(model.module), inputs_of(model, plan))
    return replay if replay.agrees(report.tolerance) else None


def _first_row(plan: Plan) -> int:
    """The lowest row that a plan changes, or whose K and V it changes."""
    rows = [0 if e.layers is None else e.layers[0] for e in plan.edits if isinstance(e, EdgeCut)]
    return min(rows + [e.rows[0] for e in plan.edits if isinstance(e, NodeCut)], default=0)


def run_edited(
    model: LoadedModel,
    plans: Sequence[Plan],
    edits: Edits,
    *,
    on_block: Callable[[BlockEvent], None] | None = None,
    on_row: Callable[[BlockEvent], None] | None = None,
    rows_too: bool = False,
    keep_logits: int | None = None,
) -> Watched:
    """One pass over plans of one length, under edits that are ready to run.

    `on_block` hears of blocks with their terms, `on_row`, which is cheaper, without; `rows_too`
    hands every row to `edits.row`, whether or not a plan names nodes. `keep_logits` asks the model
    for the logits of so many last positions alone.
    """
    inputs = inputs_of(model, plans[0], len(plans))
    if keep_logits is not None:
        inputs["logits_to_keep"] = keep_logits
    device = inputs["input_ids"].device
    inputs["input_ids"] = torch.tensor([plan.ids for plan in plans], device=device)
    watched_run = watched_forward(
        model.module,
        inputs,
        anatomy_of(model.module),
        terms=on_block is not None,
        on_block=on_block or on_row,
        rewrite=edits.rewrite_read,
        cut=edits.row if rows_too or any(edits.nodes) else None,
    )
    _refuse_unreached(edits)
    refuse_nonfinite_logits(watched_run.logits)
    return watched_run


def refuse_nonfinite_logits(logits: Tensor) -> None:
    """Raise RefusedError for NaN or infinity among the logits; -infinity rules a token out."""
    if not bool(torch.isfinite(logits.detach().amax(-1)).all()):
        raise RefusedError(
            "the logits of this run are not finite: NaN or infinity in the forward pass"
        )


def _refuse_unreached(edits: Edits) -> None:
    """Raise where an edit named a head or a layer's attention that did not come."""
    named_layers = {
        layer
        for edges in edits.edges
        for edge in edges
        for layer in edge.layers or edits.edited_layers
    }
    for edge in (edge for edges in edits.edges for edge in edges):
        if edge.heads and max(edge.heads) >= edits.n_heads:
            raise InputError(f"head {max(edge.heads)}: accepted are heads 0 to {edits.n_heads - 1}")
    if missing_layers := sorted(named_layers - edits.edited_layers):
        raise RefusedError(f"layer {missing_layers[0]} reads no attention: its edges cannot be cut")


def donate(
    model: LoadedModel, ids: Sequence[int], under: frozenset[EdgeCut | NodeCut] = frozenset()
) -> SourceActivations:
    """Run another text, under edits of its own, and keep its Q, K, V and rows.

    Raises InputError for edits of the last row: what is kept there is what the last block wrote.
    """
    activations, n_pos = SourceActivations(), len(ids)

    def keep(event: BlockEvent) -> None:
        activations.rows[event.layer] = _raw(event.resid_pre, event)
        activations.rows[event.layer + 1] = _raw(event.resid_post, event)
        for call in event.calls:
            activations.keep_read(call)

    plan = Plan(tuple(ids), under)
    if plan.plain:
        run_plain(model, plan, keep, terms=False)
    else:
        _refuse_last_row(model, under)
        _run_plans(model, [plan], on_row=keep)
    assert all(len(row) == n_pos for row in activations.rows.values())
    return activations


def _raw(row: Tensor, event: BlockEvent) -> Tensor:
    """One text's row, [pos, ...], with several streams apart as the model holds them."""
    shape = (event.streams, -1) if event.streams > 1 else (-1,)
    return row[0].detach().reshape(row.shape[1], *shape).clone()


def refuse_layers(edits: Sequence[EdgeCut | NodeCut], report: Report) -> None:
    """Raise where an edit names a layer that is not there, or cannot be honoured."""
    n_layers = report.n_layers
    for edit in edits:
        if isinstance(edit, NodeCut):
            if max(edit.rows) > n_layers:
                raise InputError(f"row {max(edit.rows)}: accepted are rows 0 to {n_layers}")
            continue
        if edit.layers and max(edit.layers) >= n_layers:
            raise InputError(f"layer {max(edit.layers)}: accepted are layers 0 to {n_layers - 1}")
        opaque = set(report.opaque_layers)
        hit = sorted(opaque if edit.layers is None else opaque & set(edit.layers))
        if hit:
            raise RefusedError(
                f"layer {hit[0]} also moves information between columns without K/V edges, which "
                "no cut of edges stops; accepted are cuts in other layers"
            )


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


def rows_of(model: LoadedModel, plan: Plan) -> tuple[list[Tensor], Tensor]:
    """(Every row of the run of a text as it happens, [pos, d_model]; its last logits)."""
    rows: list[Tensor] = []
    watched_run = run_plain(
        model,
        plan,
        lambda event: rows.extend([event.resid_pre[0], event.resid_post[0]][event.layer > 0 :]),
        terms=False,
    )
    return rows, watched_run.logits[0, -1]
