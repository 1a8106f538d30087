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
    if precision is None:
        return f"{signed(value)}{_after(unit)}"
    if told(value, precision):
        least = f"{max(precision.floor, precision.resolution):.2g}"
        return f"{signed(value)}{_after(unit)} ({_which(precision)} {least})"
    return under_words(precision, unit)


def under_words(precision: ScenePrecision, unit: str = "") -> str:
    """What stands in place of a difference that is no more than rounding."""
    least = max(precision.floor, precision.resolution)
    return f"< {least:.2g}{_after(unit)} ({_which(precision)})"


def _which(precision: ScenePrecision) -> str:
    """The larger of both."""
    coarse = precision.resolution >= precision.floor
    return f"resolution of {precision.dtype}" if coarse else "floor"


def _after(unit: str) -> str:
    return unit and f" {unit}"


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
