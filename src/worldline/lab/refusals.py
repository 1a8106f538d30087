"""Where a model or a text is refused: the reason is kept as what was measured, and named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps

import worldline as wl
from worldline.lab.experiment import Finding, Item, Measured

REFUSED = "refused"
NOTHING = "the model's tokenizer reads none of the texts, or none of them is long enough"

Measure = Callable[[wl.LoadedModel, Item], Measured]
Conclude = Callable[[Sequence[tuple[Item, Measured]], int], Finding]


def or_reason(measure: Measure) -> Measure:
    """The same measure, which gives the reason alone where worldline refuses the model or text."""

    @wraps(measure)
    def measured(model: wl.LoadedModel, item: Item) -> Measured:
        try:
            return measure(model, item)
        except (wl.RefusedError, wl.InputError) as error:
            return {REFUSED: str(error)}

    return measured


def of_accepted(conclude: Conclude) -> Conclude:
    """The same conclusion, from the items that were not refused; untestable where there is none."""

    @wraps(conclude)
    def concluded(measured: Sequence[tuple[Item, Measured]], seed: int) -> Finding:
        reasons = [found[REFUSED] for _, found in measured if REFUSED in found]
        accepted = [(item, found) for item, found in measured if REFUSED not in found]
        if not accepted:
            return untestable(reasons[0] if reasons else NOTHING)
        finding = conclude(accepted, seed)
        if not reasons:
            return finding
        said = f"{len(reasons)} of {len(measured)} items were refused; the first: {reasons[0]}."
        numbers = finding.numbers | {"refused_items": len(reasons)}
        return replace(finding, numbers=numbers, says=(*finding.says, said))

    return concluded


def untestable(why: str, **numbers: float) -> Finding:
    """A finding without a value, and why."""
    return Finding(None, None, None, 0, numbers=dict(numbers), untestable=why)
