"""A verdict's number as a person reads it."""

from __future__ import annotations

from worldline.claims.comparison import read_comparison
from worldline.claims.judging import shown_beside
from worldline.views.claims_parts import ClaimsVerdict


def number_of(one: ClaimsVerdict) -> str:
    """The number with its interval; one that is exact stands alone, an open end is an infinity.

    Enough digits are shown to tell a number from the two that it is compared with.
    """
    if one.value is None:
        return "–"
    levels = [
        read_comparison(comparison).level for comparison in (one.support, one.refute) if comparison
    ]
    value = shown_beside(one.value, *levels)
    if one.value == one.low == one.high:
        return value
    low = "−∞" if one.low is None else shown_beside(one.low, *levels)
    high = "∞" if one.high is None else shown_beside(one.high, *levels)
    return f"{value} [{low},\u00a0{high}]"
