"""Whether a trace and a model belong together: asked wherever the two meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worldline.errors import InputError, RefusedError
from worldline.models.identity import in_one_line, state_differs
from worldline.models.row_comparison import other_row
from worldline.runs.forward_passes import rows_of
from worldline.runs.plan import Plan
from worldline.runs.recorder import record
from worldline.runs.trace_calls import on_trace
from worldline.runs.trace_changes import (
    differ_in_rounding,
    differences_of,
    other_end,
    refuse_changed,
    same_versions,
)

if TYPE_CHECKING:
    from worldline.models.identity import Difference
    from worldline.models.loader import LoadedModel
    from worldline.runs.trace import Trace


@on_trace
def has_changed(trace: Trace) -> bool:
    """Whether the model of a trace in memory is no longer what it was then."""
    try:
        refuse_changed(trace)
    except RefusedError:
        return True
    return False


def refuse_other_model(trace: Trace, model: LoadedModel) -> None:
    """Raise InputError unless `model` is the one that made the trace, as it was then.

    Raises:
        RefusedError: it is the very model in memory, and it changed.
    """
    if trace.model is not None and model.module is trace.model.module:
        refuse_changed(trace)
        return
    changes = _certain(trace, model)
    if changes:
        raise _other_model_error(trace, model, changes)


def recorded_anew(trace: Trace, model: LoadedModel) -> Trace:
    """The run of a trace that was loaded, recorded again on the model that made it.

    Exactness: its rows and predictions are the stored ones, bitwise at equal versions, device,
    threads and processor, else at every position within the rounding of two equivalent runs. What
    modules and hooks hold must be equal, unless all is bitwise.

    Raises:
        InputError: another model, or the same one changed: what differs.
        RefusedError: the model is the same by all that is known of it, and computes other rows.
    """
    refuse_other_model(trace, model)
    try:
        new_trace = record(model, trace.tokens, seed=trace.seed)
    except RefusedError as error:  # as it is now it may not pass the checks
        if changes := differences_of(trace, model):
            raise InputError(
                f"{_other_model_error(trace, model, changes)}; as it is now, {error}"
            ) from error
        raise
    mismatch = _other_recording(trace, new_trace, differ_in_rounding(trace, model))
    if mismatch is None:
        return new_trace
    before, identity_now, same_code = trace.identity, new_trace.identity, same_versions(trace)
    changes = differences_of(trace, model)
    alike = same_code and (before.device, before.settings) == (
        identity_now.device,
        identity_now.settings,
    )
    if not alike and not state_differs(before, identity_now, same_code=same_code):
        mismatch = _other_recording(trace, new_trace, allow_rounding=True)
        if mismatch is None:
            return new_trace
    if changes:
        raise _other_model_error(trace, model, changes)
    raise RefusedError(
        f"recorded anew, {mismatch}: what made the trace was not {model.name} as it is now"
    )


def _other_recording(trace: Trace, new_trace: Trace, allow_rounding: bool) -> str | None:
    """How a trace, recorded again, differs from the stored one, in words; None where not at all."""
    if mismatch := other_row(new_trace.resid, trace.resid, allow_rounding=allow_rounding):
        return mismatch
    if _prediction_values(new_trace) == _prediction_values(trace):
        return None
    assert new_trace.model is not None
    _, logits = rows_of(new_trace.model, Plan(tuple(trace.tokens.ids)))
    return other_end(trace, logits, allow_rounding)


def _prediction_values(trace: Trace) -> list[tuple[int, float]]:
    return [(prediction.id, prediction.logprob) for prediction in trace.predictions]


def _certain(trace: Trace, model: LoadedModel) -> list[Difference]:
    """What differs for certain; a loaded trace may have been recorded on another device."""
    changes = differences_of(trace, model)
    return [
        difference
        for difference in changes
        if difference.certain and not difference.words.startswith("device ")
    ]


def _other_model_error(trace: Trace, model: LoadedModel, changes: list[Difference]) -> InputError:
    hashes = trace.identity.weights_hash[:12], model.weights_hash[:12]
    return InputError(
        f"the trace was made by {trace.identity.name} (weights {hashes[0]}), not by {model.name} "
        f"({hashes[1]}) as it is now: {in_one_line(changes)}"
    )
