"""A difference of two runs in words: as a number only where it is more than rounding."""

from __future__ import annotations

from worldline.resolution import larger_part, least_of, told, under_words
from worldline.views.labels import signed_text
from worldline.views.schema.parts import ScenePrecision


def change_words(value: float, precision: ScenePrecision | None, unit: str = "") -> str:
    """A difference with its sign and unit, or what it is smaller than.

    >>> change_words(-0.006, ScenePrecision(floor=0.01, resolution=0.06, dtype="bfloat16"), "nats")
    '< 0.06 nats (resolution of bfloat16)'
    >>> change_words(9e-7, ScenePrecision(floor=2e-6, resolution=1e-6, dtype="float32"), "nats")
    '< 2e-06 nats (floor)'
    """
    if precision is None:
        return f"{signed_text(value)}{_after(unit)}"
    if told(value, precision):
        least = f"{least_of(precision):.2g}"
        return f"{signed_text(value)}{_after(unit)} ({larger_part(precision)} {least})"
    return under_words(precision, unit)


def _after(unit: str) -> str:
    return unit and f" {unit}"


def size_words(value: float, precision: ScenePrecision | None, unit: str = "") -> str:
    """As `change_words`, of what has no sign."""
    return change_words(value, precision, unit).removeprefix("+")


def floor_words(precision: ScenePrecision, unit: str) -> str:
    """What a difference has to exceed, where numbers stand alone."""
    least = least_of(precision)
    return (
        f"more than rounding where above {least:.2g} {unit} (floor {precision.floor:.2g}, "
        f"resolution of {precision.dtype} {precision.resolution:.2g})"
    )
