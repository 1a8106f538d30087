"""Where a model or a text is refused: the reason is kept as what was measured, and named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps

import worldline as wl
from worldline.experiments.experiment import Finding, Item, Measurement

REFUSAL_KEY = "refused"
NO_TEXT_REASON = "the model's tokenizer reads none of the texts, or none of them is long enough"

Measure = Callable[[wl.LoadedModel, Item], Measurement]
Conclude = Callable[[Sequence[tuple[Item, Measurement]], int], Finding]


def or_reason(measure: Measure) -> Measure:
    """The same measure, which gives the reason alone where worldline refuses the model or text.

    An item may be a refusal itself: its reason is the result.
    """

    @wraps(measure)
    def measure_or_reason(model: wl.LoadedModel, item: Item) -> Measurement:
        if REFUSAL_KEY in item:
            return {REFUSAL_KEY: item[REFUSAL_KEY]}
        try:
            return measure(model, item)
        except (wl.RefusedError, wl.InputError) as error:
            return {REFUSAL_KEY: str(error)}

    return measure_or_reason


def of_accepted(conclude: Conclude) -> Conclude:
    """The same conclusion, from the items that were not refused; untestable where there is none."""

    @wraps(conclude)
    def conclude_accepted(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
        reasons = [result[REFUSAL_KEY] for _, result in measurements if REFUSAL_KEY in result]
        accepted_measurements = [
            (item, result) for item, result in measurements if REFUSAL_KEY not in result
        ]
        if not accepted_measurements:
            return untestable(reasons[0] if reasons else NO_TEXT_REASON)
        finding = conclude(accepted_measurements, seed)
        if not reasons:
            return finding
        refusal_sentence = (
            f"{len(reasons)} of {len(measurements)} items were refused; the first: {reasons[0]}."
        )
        numbers = finding.numbers | {"refused_items": len(reasons)}
        return replace(finding, numbers=numbers, says=(*finding.says, refusal_sentence))

    return conclude_accepted


def of_all(conclude: Conclude) -> Conclude:
    """The same conclusion; untestable where an item was refused, or there is none."""

    @wraps(conclude)
    def conclude_all(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
        return untestable_of(measurements) or conclude(measurements, seed)

    return conclude_all


def untestable_of(measurements: Sequence[tuple[Item, Measurement]]) -> Finding | None:
    """The finding where nothing was measured, or an item was refused; None where all was."""
    reasons = [result[REFUSAL_KEY] for _, result in measurements if REFUSAL_KEY in result]
    if reasons or not measurements:
        return untestable(reasons[0] if reasons else NO_TEXT_REASON)
    return None


def refusal(reason: str) -> Item:
    """An item that stands for what cannot be asked."""
    return {"key": REFUSAL_KEY, REFUSAL_KEY: reason}


def untestable(why: str, **numbers: float) -> Finding:
    """A finding without a value, and why."""
    return Finding(None, None, None, 0, numbers=dict(numbers), untestable=why)
