"""The rule that compares a finding with what a record fixed beforehand; it knows no claim."""

from __future__ import annotations

import math

from worldline.claims.claim import Claim
from worldline.claims.comparison import Comparison, read_comparison
from worldline.experiments.experiment import Finding
from worldline.views.schema.claims import Word


def judge(claim: Claim, finding: Finding, least: int) -> tuple[Word, str]:
    """Give the word and one sentence with the reason.

    In this order: a finding that says why it is untestable; fewer items than ``least``; a law that
    is ``broken``; a number that is all there is to say; the whole interval against ``support``
    and ``refute``. An end that is not there is unbounded. NaN, as value or end, decides nothing,
    nor does an interval whose ends are the wrong way round.
    """
    if finding.untestable is not None:
        return "not testable here", finding.untestable
    if finding.n < least:
        return "inconclusive", f"{finding.n} of the {least} items that a verdict needs"
    if claim.decides == "measurement":
        if finding.broken is not None:
            return "inconclusive", f"what the measurement rests on did not hold: {finding.broken}"
        if finding.value is None or math.isnan(finding.value):
            return "inconclusive", "the number is missing"
        return "measured", f"{_measurement_words(finding)}; nothing was fixed that it must reach"
    if finding.broken is not None:
        return "refuted", finding.broken
    assert claim.support is not None
    assert claim.refute is not None
    return _judge_interval(read_comparison(claim.support), read_comparison(claim.refute), finding)


def interval(finding: Finding) -> tuple[float, float]:
    """The 95 % interval, unbounded where it has no end."""
    return (
        -math.inf if finding.low is None else finding.low,
        math.inf if finding.high is None else finding.high,
    )


def _judge_interval(support: Comparison, refute: Comparison, finding: Finding) -> tuple[Word, str]:
    low, high = interval(finding)
    value = math.nan if finding.value is None else finding.value
    interval_words = _interval(low, high, support.level, refute.level)
    if any(map(math.isnan, (value, low, high))):
        return "inconclusive", f"a number is missing: value {value:.4g}, interval {interval_words}"
    if low > high:
        return "inconclusive", f"the interval {interval_words} has its ends the wrong way round"
    is_exact = low == high
    number_words = (
        shown_beside(low, support.level, refute.level) if is_exact else f"all of {interval_words}"
    )
    if support.holds(low, high):
        if finding.bounds is not None:
            return "qualified", finding.bounds
        return "supported", f"{number_words} is {_comparison_words(support)}"
    if refute.holds(low, high):
        return "refuted", f"{number_words} is {_comparison_words(refute)}"
    if is_exact:
        return (
            "inconclusive",
            f"{number_words} is neither {_comparison_words(support)} nor "
            f"{_comparison_words(refute)}",
        )
    return (
        "inconclusive",
        f"not all of {interval_words} is {_comparison_words(support)}, and not all is "
        f"{_comparison_words(refute)}",
    )


def _measurement_words(finding: Finding) -> str:
    value = math.nan if finding.value is None else finding.value
    return f"{value:.4g} in {_interval(*interval(finding))}"


def _interval(low: float, high: float, *levels: float) -> str:
    return f"[{shown_beside(low, *levels)}, {shown_beside(high, *levels)}]"


def _comparison_words(comparison: Comparison) -> str:
    return f"{comparison.sign} {comparison.level:g}"


def shown_beside(number: float, *levels: float) -> str:
    """Four digits of a number, or as many as tell it from levels that it is not.

    >>> shown_beside(0.899999, 0.9), shown_beside(0.5)
    ('0.899999', '0.5')
    """
    for digits in range(4, 17):
        number_text = f"{number:.{digits}g}"
        if all((float(number_text) == level) == (number == level) for level in levels):
            return number_text
    return repr(number)
