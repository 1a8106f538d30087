"""A verdict's number as a person reads it."""

from __future__ import annotations

from worldline.claims.comparison import read_comparison
from worldline.claims.judgement import shown_beside
from worldline.views.schema.claims import ClaimsVerdict


def number_of(verdict: ClaimsVerdict) -> str:
    """The number with its interval; one that is exact stands alone, an open end is an infinity.

    Enough digits are shown to tell a number from the two that it is compared with.
    """
    if verdict.value is None:
        return "–"
    levels = [
        read_comparison(comparison).level
        for comparison in (verdict.support, verdict.refute)
        if comparison
    ]
    value = shown_beside(verdict.value, *levels)
    if verdict.value == verdict.low == verdict.high:
        return value
    low = "−∞" if verdict.low is None else shown_beside(verdict.low, *levels)
    high = "∞" if verdict.high is None else shown_beside(verdict.high, *levels)
    return f"{value} [{low},\u00a0{high}]"
