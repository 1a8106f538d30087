"""How small a difference of two runs may be and still say something: the value, and its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class HasPrecision(Protocol):
    """What a difference has to exceed; in the unit of the number it belongs to."""

    @property
    def floor(self) -> float:
        """How far equivalent plain runs lie apart."""
        ...

    @property
    def resolution(self) -> float:
        """What the rounding of the logits leaves open."""
        ...

    @property
    def dtype(self) -> str:
        """To what they are rounded."""
        ...


@dataclass(frozen=True)
class Precision:
    """What a difference between an altered run and the plain one has to exceed to say anything.

    Attributes:
        floor: How far equivalent plain runs lie apart, in the unit of the number it belongs to.
        resolution: What the rounding of the logits leaves open, in the same unit.
        dtype: The type that they are rounded to.
    """

    floor: float
    resolution: float
    dtype: str

    @property
    def least(self) -> float:
        """The larger of both."""
        return least_of(self)

    def tells(self, value: float) -> bool:
        """Whether a difference is more than rounding."""
        return told(value, self)

    def json(self) -> dict[str, Any]:
        """As plain numbers."""
        return asdict(self)


def of_sum(parts: Sequence[Precision], over: float = 1.0) -> Precision:
    """The precision of a sum of numbers, divided by `over`.

    Roundings that know nothing of each other add up as their squares do.
    """
    floor, resolution = (
        sum(getattr(part, name) ** 2 for part in parts) ** 0.5 / over
        for name in ("floor", "resolution")
    )
    return Precision(floor, resolution, parts[0].dtype)


def least_of(precision: HasPrecision) -> float:
    """The larger of both parts, which a difference has to exceed."""
    return max(precision.floor, precision.resolution)


def told(value: float, precision: HasPrecision | None) -> bool:
    """Whether a difference is more than rounding."""
    return precision is None or abs(value) > least_of(precision)


def under_words(precision: HasPrecision, unit: str = "") -> str:
    """What stands in place of a difference that is no more than rounding.

    >>> under_words(Precision(floor=0.01, resolution=0.06, dtype="bfloat16"), "nats")
    '< 0.06 nats (resolution of bfloat16)'
    """
    return f"< {least_of(precision):.2g}{unit and f' {unit}'} ({larger_part(precision)})"


def larger_part(precision: HasPrecision) -> str:
    """Which of both a difference has to exceed."""
    coarse = precision.resolution >= precision.floor
    return f"resolution of {precision.dtype}" if coarse else "floor"
