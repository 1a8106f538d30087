"""The two comparisons of a claim, fixed before its first run: parsed, and asked of an interval."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass

_WRITTEN = re.compile(r"(>=|<=|>|<) (-?(?:\d+(?:\.\d+)?|\.\d+)(?:e-?\d+)?)")
_OF = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


@dataclass(frozen=True)
class Comparison:
    """``sign`` is one of >=, <=, > and <; ``level`` is finite."""

    sign: str
    level: float

    def holds(self, low: float, high: float) -> bool:
        """Whether the whole interval satisfies this; never where one of its ends is NaN.

        A comparison holds on a half line, which is convex: both ends say it for all between.

        >>> read_comparison(">= 0.9").holds(0.91, math.inf)
        True
        >>> read_comparison(">= 0.9").holds(math.nan, 1.0)
        False
        """
        return bool(_OF[self.sign](low, self.level) and _OF[self.sign](high, self.level))

    def upwards(self) -> bool:
        """Whether large numbers satisfy it."""
        return self.sign in (">=", ">")


def read_comparison(comparison_text: str) -> Comparison:
    """Read a comparison such as ">= 0.9".

    Raises:
        ValueError: it is written in another way, or its level is not finite.
    """
    match = _WRITTEN.fullmatch(comparison_text)
    level = float(match[2]) if match else math.nan
    if match is None or not math.isfinite(level):
        raise ValueError(
            f'comparison "{comparison_text}": accepted is one of >=, <=, > and <, a space and '
            "a number, "
            'such as ">= 0.9"'
        )
    return Comparison(match[1], level)


def overlap(first: Comparison, second: Comparison) -> bool:
    """Whether some number satisfies both.

    >>> overlap(read_comparison(">= 1"), read_comparison("< 1"))
    False
    """
    if first.upwards() == second.upwards():
        return True
    up, down = (first, second) if first.upwards() else (second, first)
    return up.level < down.level or (
        up.level == down.level and up.sign == ">=" and down.sign == "<="
    )
