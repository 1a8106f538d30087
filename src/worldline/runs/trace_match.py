"""Whether a trace and a model belong together: asked wherever the two meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from worldline.errors import InputError, RefusedError
from worldline.models.identity import differences, identify, in_one_line, state_differs
from worldline.models.row_comparison import other_row, rounding_allowed
from worldline.models.validation import checked_report, moving_of
from worldline.runs.execution import other_with_gradients, rows_of
from worldline.runs.plan import Plan
from worldline.runs.recorder import record, versions
from worldline.runs.trace_calls import on_trace

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.models.identity import Difference, Identity
    from worldline.models.loader import LoadedModel
    from worldline.runs.trace import Prediction, Trace

CODE = ("torch", "transformers", "python")  # whose versions change code, and may change rounding


def refuse_changed(trace: Trace, *, run_again: bool = False) -> None:
    """Raise RefusedError where the model of a trace in memory is no longer what it was then.

    What modules and hooks hold, and what torch is set to, may move and move no number: then the
    text runs once more, and its rows and predictions must be the recorded ones to the last bit; or,
    of a model whose plain runs differ, whose modules and hooks hold what they held, to within
    rounding at every position. It does so in any case where others' hooks or functions take part,
    which may read what no identity shows; and with `run_again`, for what cannot tell by its own
    rows.
    """
    if trace.model is None:
        return
    now = identify(trace.model)
    changes = _differences(trace, trace.model, now)
    if not changes and not run_again and now.all_told:
        return
    words = in_one_line(changes) if changes else ""
    if not any(difference.certain for difference in changes):
        try:
            mismatch = _run_again(trace, trace.model)
        except RefusedError as error:  # as it is now it may not pass the checks
            if not changes:
                raise
            words, mismatch = f"{words}; as it is now, {error}", ""
        if mismatch is None:
            return
        words = words or f"run again, {mismatch}"
    raise RefusedError(f"the model changed since the trace was recorded: {words}; record it again")


def refuse_other_end(trace: Trace, logits: Tensor) -> None:
    """Raise RefusedError where the last logits of a run with gradients are not the recorded ones.

    To the rounding of equivalent runs: the end of a model by itself rounds in another way. A plain
    run says whether the model changed, or computes other numbers with gradients.
    """
    if mismatch := _other_end(trace, logits, allow_rounding=True):
        refuse_changed(trace, run_again=True)
        raise other_with_gradients(mismatch)


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
        if changes := _differences(trace, model):
            raise InputError(
                f"{_other_model_error(trace, model, changes)}; as it is now, {error}"
            ) from error
        raise
    mismatch = _other_recording(trace, new_trace, _differ_in_rounding(trace, model))
    if mismatch is None:
        return new_trace
    before, identity_now, same_code = trace.identity, new_trace.identity, _same_versions(trace)
    changes = _differences(trace, model)
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
    return _other_end(trace, logits, allow_rounding)


def _differ_in_rounding(trace: Trace, model: LoadedModel) -> bool:
    """Whether runs of the model as it was when the trace was recorded differ by themselves."""
    return bool(checked_report(model).floor) and not state_differs(trace.identity, identify(model))


def _prediction_values(trace: Trace) -> list[tuple[int, float]]:
    return [(prediction.id, prediction.logprob) for prediction in trace.predictions]


def _differences(trace: Trace, model: LoadedModel, now: Identity | None = None) -> list[Difference]:
    """What differs between the model of a trace and one as it is now, as `differences` has it."""
    same_code, moving = _same_versions(trace), moving_of(model.module)
    now = now or identify(model)
    return differences(trace.identity, now, same_code=same_code, moving=moving)


def _certain(trace: Trace, model: LoadedModel) -> list[Difference]:
    """What differs for certain; a loaded trace may have been recorded on another device."""
    changes = _differences(trace, model)
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


def _same_versions(trace: Trace) -> bool:
    current_versions = versions()
    return all(trace.versions.get(name) == current_versions[name] for name in CODE)


def _run_again(trace: Trace, model: LoadedModel) -> str | None:
    """How a run of the text now differs from the recorded one, in words; None where it does not."""
    rows, logits = rows_of(model, Plan(tuple(trace.tokens.ids)))
    allow_rounding = _differ_in_rounding(trace, model)
    return other_row(rows, trace.resid, allow_rounding=allow_rounding) or _other_end(
        trace, logits, allow_rounding
    )


def _other_end(trace: Trace, logits: Tensor, allow_rounding: bool) -> str | None:
    """The same of what the run says of the next token, from its last logits."""
    tolerance = (
        rounding_allowed(logits.dtype) * float(logits.abs().max()) if allow_rounding else 0.0
    )
    error = _apart(trace.predictions, logits)
    if error <= tolerance:
        return None
    return f"the list of predictions is {error:.1e} nats away, allowed are {tolerance:.0e}"


def _apart(predictions: Sequence[Prediction], logits: Tensor) -> float:
    """The largest difference between stored log-probabilities and those of the same tokens now."""
    log_probs = logits.detach().double().log_softmax(-1)
    if not predictions or any(
        not 0 <= prediction.id < len(log_probs) for prediction in predictions
    ):
        return math.inf
    return max(
        abs(prediction.logprob - float(log_probs[prediction.id])) for prediction in predictions
    )
