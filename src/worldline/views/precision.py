"""A difference of two runs in words: as a number only where it is more than rounding."""

from __future__ import annotations

from worldline.views.labels import signed
from worldline.views.parts import ScenePrecision


def told(value: float, precision: ScenePrecision | None) -> bool:
    """Whether a difference is more than rounding."""
    return precision is None or abs(value) > max(precision.floor, precision.resolution)


def change_words(value: float, precision: ScenePrecision | None, unit: str = "") -> str:
    """A difference with its sign and unit, or what it is smaller than.

    >>> change_words(-0.006, ScenePrecision(floor=0.01, resolution=0.06, dtype="bfloat16"), "nats")
    '< 0.06 nats (resolution of bfloat16)'
    >>> change_words(9e-7, ScenePrecision(floor=2e-6, resolution=1e-6, dtype="float32"), "nats")
    '< 2e-06 nats (floor)'
    """
    unit = f" {unit}" if unit else ""
    if precision is None:
        return f"{signed(value)}{unit}"
    coarse = precision.resolution >= precision.floor
    least = f"{max(precision.floor, precision.resolution):.2g}"
    which = f"resolution of {precision.dtype}" if coarse else "floor"
    if told(value, precision):
        return f"{signed(value)}{unit} ({which} {least})"
    return f"< {least}{unit} ({which})"


def size_words(value: float, precision: ScenePrecision | None, unit: str = "") -> str:
    """As `change_words`, of what has no sign."""
    return change_words(value, precision, unit).removeprefix("+")


def floor_words(precision: ScenePrecision, unit: str) -> str:
    """What a difference has to exceed, where numbers stand alone."""
    least = max(precision.floor, precision.resolution)
    return (
        f"more than rounding where above {least:.2g} {unit} (floor {precision.floor:.2g}, "
        f"resolution of {precision.dtype} {precision.resolution:.2g})"
    )
