"""One forward pass of a model: a text as it is, or plans of one length under their edits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from worldline.errors import InputError, RefusedError
from worldline.graph.edits import EdgeCut, Intervention, NodeCut, PatchSource
from worldline.models.model_calls import refuse_unknown_ids
from worldline.models.positions import forget_lengths
from worldline.models.row_replay import Replay
from worldline.models.tracer import BlockEvent, Watched, watched_forward
from worldline.models.validation import anatomy_of, checked_report
from worldline.runs.edit_hooks import Edits, SourceActivations
from worldline.runs.plan import Plan

if TYPE_CHECKING:
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


def run_plans(
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
    refuse_places(every, report)
    for patch_source in {
        edit.patch_source for edit in every if edit.patch_source is not None
    } - set(source_activations):
        source_activations[patch_source] = donate(model, patch_source.ids, patch_source.edits)
    edits = Edits(len(plans[0].ids), [tuple(plan.edits) for plan in plans], source_activations)
    if replay is None or replay.tail is None:
        return run_edited(model, plans, edits, on_block=on_block, on_row=on_row)
    first = edits.at_row = min(first_row(plan) for plan in plans)
    cut = edits.row if any(edits.nodes) else None
    row = replay.from_row(first, len(plans), edits.rewrite_read, cut)
    _refuse_unreached(edits)
    with torch.no_grad():
        logits = replay.tail(row[:, -1:] if last else row)
    refuse_nonfinite_logits(logits)
    return Watched(logits, 0, 0)


def refuse_nonfinite_logits(logits: Tensor) -> None:
    """Raise RefusedError for NaN or infinity among the logits; -infinity rules a token out."""
    if not bool(torch.isfinite(logits.detach().amax(-1)).all()):
        raise RefusedError(
            "the logits of this run are not finite: NaN or infinity in the forward pass"
        )


def _refuse_unreached(edits: Edits) -> None:
    """Raise where an edit named a layer whose attention did not come."""
    named_layers = {
        layer
        for edges in edits.edges
        for edge in edges
        for layer in edge.layers or edits.edited_layers
    }
    if missing_layers := sorted(named_layers - edits.edited_layers):
        raise RefusedError(f"layer {missing_layers[0]} reads no attention: its edges cannot be cut")


def _refuse_last_row(model: LoadedModel, edits: frozenset[Intervention]) -> None:
    last = checked_report(model).n_layers
    if any(isinstance(edit, NodeCut) and last in edit.rows for edit in edits):
        raise InputError(f"row {last} of a patch source: accepted are rows 0 to {last - 1}")


def layer_heads(model: LoadedModel) -> tuple[int, ...]:
    """How many heads the attention of each layer has, as the checks saw it; 0 where it has none."""
    return tuple(checked_report(model).n_heads)


def refuse_heads(edge: EdgeCut, n_heads: Sequence[int]) -> None:
    """Raise InputError for a head that a named layer lacks, or that no layer has.

    `n_heads` as `layer_heads` gives it. Where no layer is named a head is cut in those that have
    it; a layer without attention is another's to refuse.
    """
    named_layers = [] if edge.layers is None else [at for at in edge.layers if n_heads[at]]
    for layer in named_layers:
        if edge.heads and max(edge.heads) >= n_heads[layer]:
            raise InputError(
                f"head {max(edge.heads)} of layer {layer}: accepted are heads 0 to "
                f"{n_heads[layer] - 1}"
            )
    if edge.heads and max(edge.heads) >= max(n_heads):
        raise InputError(f"head {max(edge.heads)}: accepted are heads 0 to {max(n_heads) - 1}")


def refuse_places(edits: Sequence[Intervention], report: Report) -> None:
    """Raise where an edit names a layer or head that is not there, or cannot be honoured."""
    n_layers = report.n_layers
    for edit in edits:
        if isinstance(edit, NodeCut):
            if max(edit.rows) > n_layers:
                raise InputError(f"row {max(edit.rows)}: accepted are rows 0 to {n_layers}")
            continue
        if edit.layers and max(edit.layers) >= n_layers:
            raise InputError(f"layer {max(edit.layers)}: accepted are layers 0 to {n_layers - 1}")
        refuse_heads(edit, report.n_heads)
        if words := report.mixing_words(range(n_layers) if edit.layers is None else edit.layers):
            raise RefusedError(
                f"{words}, which no cut of edges stops; accepted are cuts in other layers"
            )


def donate(
    model: LoadedModel, ids: Sequence[int], under: frozenset[Intervention] = frozenset()
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
        run_plans(model, [plan], on_row=keep)
    assert all(len(row) == n_pos for row in activations.rows.values())
    return activations


def _raw(row: Tensor, event: BlockEvent) -> Tensor:
    """One text's row, [pos, ...], with several streams apart as the model holds them."""
    shape = (event.streams, -1) if event.streams > 1 else (-1,)
    return row[0].detach().reshape(row.shape[1], *shape).clone()


def first_row(plan: Plan) -> int:
    """The lowest row that a plan changes, or whose K and V it changes."""
    rows = [0 if e.layers is None else e.layers[0] for e in plan.edits if isinstance(e, EdgeCut)]
    return min(rows + [e.rows[0] for e in plan.edits if isinstance(e, NodeCut)], default=0)


def replay_of(model: LoadedModel, plan: Plan) -> Replay | None:
    """The plain run of a text, to start again from its rows; None where that is not the same."""
    report = checked_report(model)
    if not report.separable:
        return None
    replay = Replay(model.module, anatomy_of(model.module), inputs_of(model, plan))
    return replay if replay.agrees(report.tolerance) else None


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
