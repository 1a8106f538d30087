"""Whether a trace and a model belong together: asked wherever the two meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from worldline.errors import InputError, RefusedError
from worldline.model.check import rounding_of, tolerance_of
from worldline.model.guard import checked
from worldline.model.identity import differences, identify, in_one_line
from worldline.run.executing import run_plain
from worldline.run.plan import Plan
from worldline.trace.calls import on_trace
from worldline.trace.recording import predictions_of, record, versions

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.model.identity import Difference
    from worldline.model.load import LoadedModel
    from worldline.trace.trace import Trace

CODE = ("torch", "transformers", "python")  # whose versions change code, and may change rounding


def refuse_changed(trace: Trace) -> None:
    """Raise RefusedError where the model of a trace in memory is no longer what it was then.

    What modules and hooks hold, and what torch is set to, may move and move no number: then the
    text runs once more, and its rows and predictions must be the recorded ones to the last bit.
    """
    if trace.model is None:
        return
    found = differences(trace.identity, identify(trace.model))
    if found and (any(one.certain for one in found) or not _runs_the_same(trace, trace.model)):
        raise RefusedError(
            f"the model changed since the trace was recorded: {in_one_line(found)}; record it again"
        )


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
    found = _certain(trace, model)
    if found:
        raise _other(trace, model, found)


def recorded_anew(trace: Trace, model: LoadedModel) -> Trace:
    """The run of a trace that was loaded, recorded again on the model that made it.

    Exactness: its rows and predictions are the stored ones, bitwise at equal versions, device,
    threads and processor, else within ten times the tolerance of the dtype.

    Raises:
        InputError: another model, or the same one changed: what differs.
        RefusedError: the model is the same by all that is known of it, and computes other rows.
    """
    refuse_other_model(trace, model)
    again = record(model, trace.tokens, seed=trace.seed)
    row, error = _largest_difference(trace, again)
    before, now = trace.identity, again.identity
    alike = _same_versions(trace) and (before.device, before.settings) == (now.device, now.settings)
    bitwise = alike and not checked(model).floor
    allowed = 0.0 if bitwise else 10 * tolerance_of(again.resid[0].dtype)
    if error <= allowed:
        return again
    if found := differences(before, now, same_code=_same_versions(trace)):
        raise _other(trace, model, found)
    raise RefusedError(
        f"{row} of the trace, recorded anew, is {error:.1e} away, allowed are {allowed:.0e}: what "
        f"made the trace was not {model.name} as it is now"
    )


def _certain(trace: Trace, model: LoadedModel) -> list[Difference]:
    """What differs for certain; a loaded trace may have been recorded on another device."""
    found = differences(trace.identity, identify(model), same_code=_same_versions(trace))
    return [one for one in found if one.certain and not one.words.startswith("device ")]


def _other(trace: Trace, model: LoadedModel, found: list[Difference]) -> InputError:
    hashes = trace.identity.weights_hash[:12], model.weights_hash[:12]
    return InputError(
        f"the trace was made by {trace.identity.name} (weights {hashes[0]}), not by {model.name} "
        f"({hashes[1]}) as it is now: {in_one_line(found)}"
    )


def _same_versions(trace: Trace) -> bool:
    now = versions()
    return all(trace.versions.get(name) == now[name] for name in CODE)


def _runs_the_same(trace: Trace, model: LoadedModel) -> bool:
    """Whether the text, run once more, gives the recorded rows and predictions."""
    rows: list[Tensor] = []
    seen = run_plain(
        model,
        Plan(tuple(trace.tokens.ids)),
        lambda event: rows.extend([event.resid_pre[0], event.resid_post[0]][event.layer > 0 :]),
        terms=False,
    )
    allowed = [rounding_of(row, checked(model)) for row in trace.resid]
    same = all(
        torch.equal(a, b) or (most and float((a - b).abs().max()) <= most)
        for a, b, most in zip(rows, trace.resid, allowed, strict=True)
    )
    last = seen.logits[0, -1]
    told = [(one.id, one.logprob) for one in predictions_of(model, last)]
    if not any(allowed):
        return same and told == [(one.id, one.logprob) for one in trace.predictions]
    return same and _apart(trace, [chance for _, chance in told]) <= tolerance_of(last.dtype)


def _largest_difference(trace: Trace, again: Trace) -> tuple[str, float]:
    """(Which row or the predictions, by how much of its size they differ) at the worst place."""
    found = []
    for row, (stored, now) in enumerate(zip(trace.resid, again.resid, strict=True)):
        stored = stored.to(now.device)
        size = float("inf")
        if stored.shape == now.shape:
            apart = (stored.double() - now.double()).norm()
            size = float((apart / now.double().norm().clamp_min(1e-30)).nan_to_num(float("inf")))
        found.append((size, f"row {row}"))
    told = _apart(trace, [one.logprob for one in again.predictions])
    size, where = max([*found, (told, "the list of predictions")])
    return where, size


def _apart(trace: Trace, chances: list[float]) -> float:
    """The largest difference between log-probabilities at equal rank, of their size."""
    stored = [one.logprob for one in trace.predictions]
    if len(stored) != len(chances):
        return float("inf")
    return max(abs(a - b) / max(1.0, abs(b)) for a, b in zip(stored, chances, strict=True))
