"""Whether the model of a trace in memory is still what it was when the trace was recorded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from worldline.errors import RefusedError
from worldline.models.identity import differences, identify, in_one_line, state_differs
from worldline.models.row_comparison import other_row, rounding_allowed
from worldline.models.unembed import unembedding_numbers
from worldline.models.validation import checked_report, moving_of
from worldline.runs.differentiation import other_with_gradients
from worldline.runs.forward_passes import rows_of
from worldline.runs.package_versions import versions
from worldline.runs.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.models.identity import Difference, Identity
    from worldline.models.loader import LoadedModel
    from worldline.runs.trace import Prediction, Trace


CODE = ("torch", "transformers", "python")  # whose versions change code, and may change rounding


def refuse_changed(trace: Trace, *, run_again: bool = False, to_logits: bool = False) -> None:
    """Raise RefusedError where the model of a trace in memory is no longer what it was then.

    What modules and hooks hold, and what torch is set to, may move and move no number: then the
    text runs once more, and its rows and predictions must be the recorded ones to the last bit; or,
    of a model whose plain runs differ, whose modules and hooks hold what they held, to within
    rounding at every position. It does so in any case where others' hooks or functions take part,
    which may read what no identity shows; and with `run_again`, for what cannot tell by its own
    rows. With `to_logits`, for what goes on from the rows to the logits of any token, every row of
    the unembedding must be the one of then.
    """
    if trace.model is None:
        return
    now = identify(trace.model)
    changes = differences_of(trace, trace.model, now)
    run_again |= bool(changes) or not now.all_told or (to_logits and trace.unembedding is None)
    if not run_again and not to_logits:
        return
    words = in_one_line(changes) if changes else ""
    if not any(difference.certain for difference in changes):
        try:
            mismatch = _run_again(trace, trace.model) if run_again else None
            mismatch = mismatch or _other_unembedding(trace, trace.model)
        except RefusedError as error:  # as it is now it may not pass the checks
            if not changes:
                raise
            words, mismatch = f"{words}; as it is now, {error}", ""
        if mismatch is None:
            return
        words = words or mismatch
    raise RefusedError(f"the model changed since the trace was recorded: {words}; record it again")


def refuse_other_end(trace: Trace, logits: Tensor) -> None:
    """Raise RefusedError where the last logits of a run with gradients are not the recorded ones.

    To the rounding of equivalent runs: the end of a model by itself rounds in another way. A plain
    run says whether the model changed, or computes other numbers with gradients.
    """
    if mismatch := other_end(trace, logits, allow_rounding=True):
        refuse_changed(trace, run_again=True)
        raise other_with_gradients(mismatch)


def differences_of(
    trace: Trace, model: LoadedModel, now: Identity | None = None
) -> list[Difference]:
    """What differs between the model of a trace and one as it is now, as `differences` has it."""
    same_code, moving = same_versions(trace), moving_of(model.module)
    now = now or identify(model)
    return differences(trace.identity, now, same_code=same_code, moving=moving)


def same_versions(trace: Trace) -> bool:
    """Whether what can change the code of a run has the versions of then."""
    current_versions = versions()
    return all(trace.versions.get(name) == current_versions[name] for name in CODE)


def _run_again(trace: Trace, model: LoadedModel) -> str | None:
    """How a run of the text now differs from the recorded one, in words; None where it does not."""
    rows, logits = rows_of(model, Plan(tuple(trace.tokens.ids)))
    allow_rounding = differ_in_rounding(trace, model)
    mismatch = other_row(rows, trace.resid, allow_rounding=allow_rounding) or other_end(
        trace, logits, allow_rounding
    )
    return mismatch and f"run again, {mismatch}"


def _other_unembedding(trace: Trace, model: LoadedModel) -> str | None:
    """Which row of the unembedding is not the one of then, in words; None where none is."""
    before, now = trace.unembedding, unembedding_numbers(model.module)
    if before is None or (now is not None and torch.equal(before, now)):
        return None
    if now is None or now.shape != before.shape or now.dtype != before.dtype:
        return "the unembedding is another"
    error, token = (now.double() - before.double()).abs().nan_to_num(math.inf).max(0)
    tolerance = rounding_allowed(now.dtype) * float(before.abs().max())
    if differ_in_rounding(trace, model) and float(error) <= tolerance:
        return None
    return f"the unembedding of token {int(token)} is another"


def differ_in_rounding(trace: Trace, model: LoadedModel) -> bool:
    """Whether runs of the model as it was when the trace was recorded differ by themselves."""
    return bool(checked_report(model).floor) and not state_differs(trace.identity, identify(model))


def other_end(trace: Trace, logits: Tensor, allow_rounding: bool) -> str | None:
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
