"""Gradient attribution: what a target would lose, to first order, if an edge were cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from worldline.attribution.flow import Meaning, Target, target_words
from worldline.models.gradients import Measure
from worldline.models.validation import refuse_other_derivative
from worldline.runs.differentiation import differentiate
from worldline.runs.partial_forward import column_gradients
from worldline.runs.plan import Plan
from worldline.runs.trace_changes import refuse_changed, refuse_other_end

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.models.loader import LoadedModel
    from worldline.runs.trace import Trace

FORMULAS = {
    "zero": "a <v, u>, u = d target / d z",
    "mask": "a / (1 - a) <v - z, u>, u = d target / d z",
}


def gradient_meaning(target: Target, how: str) -> Meaning:
    """What a gradient weight means."""
    exact = "the change of z is exact, what follows is first order"
    return Meaning(
        by="gradient",
        how=how,
        metric=None,
        target=target,
        formula=FORMULAS[how],
        unit=f"{target_words(target)}{_not_nats(target)} lost if the edge is cut ({how}), "
        f"a first-order estimate; in {unit_of(target)}",
        exactness=f"first-order estimate ({exact})" if how == "mask" else "first-order estimate",
    )


def _not_nats(target: Target) -> str:
    """A raw logit can rise while the chance falls: the words say which of the two it is."""
    return "" if target.span or target.versus else " (not its log-probability)"


def unit_of(target: Target) -> str:
    """What a target is counted in."""
    return "logits" if target.span is None else "nats"


def span_measure(ids: Sequence[int], span: tuple[int, int]) -> tuple[int, Measure]:
    """(How many of the last logits are wanted, from these to the log-probability of a span)."""
    first, stop = span
    span_ids, n_rows = list(ids[first:stop]), stop - first

    def measure(logits: Tensor) -> Tensor:
        scores = logits[:n_rows]
        chances = (scores.float() if scores.element_size() < 4 else scores).log_softmax(-1)
        return chances[range(n_rows), span_ids].sum()

    return len(ids) - first + 1, measure


def measure_of(target: Target) -> Measure:
    """From the logits at the last position, [d_vocab], to what is asked."""

    def measure(logits: Tensor) -> Tensor:
        target_logit = logits[target.id]
        return target_logit if target.versus_id is None else target_logit - logits[target.versus_id]

    return measure


def target_gradients(
    model: LoadedModel, trace: Trace, target: Target
) -> tuple[float, list[list[Tensor]]]:
    """(value of the target, u per block and read, in the layout that the block sees).

    Of a span, u is only that of the tokens about to say it, where these can run alone.

    Raises:
        RefusedError: the model changed since, or its rows or last logits are not the recorded ones.
    """
    # some columns alone round otherwise, and so coarsely in half precision that a change could hide
    coarse = target.span is not None and trace.resid[0].element_size() < 4
    refuse_changed(trace, run_again=coarse, to_logits=True)
    refuse_other_derivative(model)
    plan, blocks = Plan(tuple(trace.tokens.ids)), trace.live or ()
    reruns = [block.rerun for block in blocks]
    if target.span is None:
        measure, ends = measure_of(target), []

        def of_recorded(logits: Tensor) -> Tensor:
            ends.append(logits.detach())
            return measure(logits)

        gradients = differentiate(model, plan, of_recorded, reruns, trace.resid)
        refuse_other_end(trace, ends[-1])
        return gradients
    last, measure = span_measure(plan.ids, target.span)
    calls, columns = (
        [block.calls for block in blocks],
        range(target.span[0] - 1, target.span[1] - 1),
    )
    column_result = column_gradients(model, plan.ids, measure, reruns, calls, trace.resid, columns)
    if column_result is not None:
        return column_result
    return differentiate(model, plan, measure, reruns, trace.resid, last)
