"""The rule: what it says of every kind of finding, and what holds for all of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from worldline.claims.claim import Claim
from worldline.claims.comparison import overlap, read_comparison
from worldline.claims.judgement import judge, shown_beside
from worldline.experiments.experiment import Finding

ENDS = st.floats(allow_nan=False, allow_infinity=True)
ANY = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
FINITE = st.floats(-1e6, 1e6)
PAIRS = st.sampled_from(
    [(">=", "<"), (">", "<="), ("<=", ">"), ("<", ">="), (">", "<"), ("<", ">")]
)
MIRROR = {">=": "<=", ">": "<", "<=": ">=", "<": ">"}


def claim(support=">= 0.9", refute="< 0.9", **more):
    said = {
        "id": "c", "type": "claim", "title": "C", "text": "C.", "source": "here",
        "metric": "m", "unit": "u", "support": support, "refute": refute,
    }  # fmt: skip
    return Claim.model_validate({**said, **more})


MEASURED = claim(None, None, decides="measurement")


def found(value, low, high, n=100, **more):
    return Finding(value, low, high, n, **more)


@st.composite
def claims(draw):
    (up, down), level = draw(PAIRS), draw(FINITE)
    return claim(f"{up} {level:f}", f"{down} {level:f}")


@st.composite
def intervals(draw):
    low, high = sorted((draw(ENDS), draw(ENDS)))
    return low, draw(st.sampled_from([low, high, (low / 2 + high / 2)])), high


@pytest.mark.parametrize(
    ("finding", "word"),
    [
        (found(0.95, 0.9, 0.99), "supported"),
        (found(0.95, 0.899, 0.99), "inconclusive"),
        (found(0.5, 0.4, 0.8999), "refuted"),
        (found(0.5, 0.4, 0.9), "inconclusive"),
        (found(1.0, 1.0, 1.0), "supported"),
        (found(0.95, 0.9, math.inf), "supported"),
        (found(0.95, -math.inf, math.inf), "inconclusive"),
        (found(0.95, 0.91, None), "supported"),
        (found(0.95, None, 0.99), "inconclusive"),
        (found(math.inf, math.inf, math.inf), "supported"),
        (found(-math.inf, -math.inf, -math.inf), "refuted"),
        (found(math.nan, 0.95, 0.99), "inconclusive"),
        (found(0.95, math.nan, 0.99), "inconclusive"),
        (found(0.95, 0.99, 0.91), "inconclusive"),
        (found(0.95, 0.91, 0.99, n=9), "inconclusive"),
        (found(0.95, 0.91, 0.99, n=10), "supported"),
        (found(0.95, 0.91, 0.99, bounds="only in layers 1 to 3"), "qualified"),
        (found(0.5, 0.4, 0.6, bounds="only in layers 1 to 3"), "refuted"),
        (found(0.9, 0.8, 0.99, bounds="only in layers 1 to 3"), "inconclusive"),
        (found(0.95, 0.91, 0.99, broken="an order gave other logits"), "refuted"),
        (found(0.95, 0.91, 0.99, n=9, broken="an order gave other logits"), "inconclusive"),
        (found(None, None, None, n=0, untestable="no chat template"), "not testable here"),
        (found(0.95, 0.91, 0.99, untestable="no chat template"), "not testable here"),
    ],
)
def test_words(finding, word):
    said, reason = judge(claim(), finding, 10)
    assert said == word
    assert reason


@pytest.mark.parametrize(
    ("finding", "word"),
    [
        (found(0.2, 0.1, 0.3), "measured"),
        (found(0.2, -math.inf, math.inf), "measured"),
        (found(math.nan, 0.1, 0.3), "inconclusive"),
        (found(0.2, 0.1, 0.3, n=3), "inconclusive"),
        (found(0.2, 0.1, 0.3, broken="the sums do not close"), "inconclusive"),
        (found(0.2, 0.1, 0.3, bounds="in some layers"), "measured"),
        (found(None, None, None, n=0, untestable="no attention"), "not testable here"),
    ],
)
def test_words_of_a_measurement(finding, word):
    assert judge(MEASURED, finding, 10)[0] == word


@pytest.mark.parametrize(
    ("finding", "sentence"),
    [
        (found(0.95, 0.9, 0.99), "all of [0.9, 0.99] is >= 0.9"),
        (found(0.9, 0.89999999, 0.99), "not all of [0.89999999, 0.99] is >= 0.9, and not all is"),
        (found(0.5, 0.4, 0.6), "all of [0.4, 0.6] is < 0.9"),
        (found(0.9, 0.9, 0.9), "0.9 is >= 0.9"),
        (found(0.5, 0.5, 0.5), "0.5 is < 0.9"),
        (found(0.5, 0.4, 0.6, n=3), "3 of the 10 items that a verdict needs"),
        (found(0.5, 0.4, 0.6, broken="a law broke"), "a law broke"),
        (found(0.95, 0.9, 0.99, bounds="for its kind"), "for its kind"),
    ],
)
def test_reasons(finding, sentence):
    assert judge(claim(), finding, 10)[1].startswith(sentence)


def test_an_exact_number_between_the_two():
    reason = judge(claim(">= 0.1", "< 0.01"), found(0.05, 0.05, 0.05), 10)
    assert reason == ("inconclusive", "0.05 is neither >= 0.1 nor < 0.01")


@given(claims(), intervals(), st.floats(0, 1))
def test_a_word_is_true_of_every_number_of_the_interval(record, ends, at):
    low, value, high = ends
    word, _ = judge(record, found(value, low, high), 1)
    inside = min(max(low * (1 - at) + high * at, low), high)
    assume(not math.isnan(inside))
    if word == "supported":
        assert read_comparison(record.support).holds(inside, inside)
    elif word == "refuted":
        assert read_comparison(record.refute).holds(inside, inside)
    else:
        assert word == "inconclusive"
        said = [read_comparison(one) for one in (record.support, record.refute)]
        assert not any(one.holds(low, high) for one in said)


@given(claims(), intervals(), intervals())
def test_a_narrower_interval_keeps_the_word(record, ends, others):
    (low, value, high), (inner, _, outer) = ends, others
    word, _ = judge(record, found(value, low, high), 1)
    assume(word != "inconclusive")
    inner, outer = max(low, inner), min(high, outer)
    assume(inner <= outer)
    assert judge(record, found(inner, inner, outer), 1)[0] == word


@given(claims(), intervals())
def test_an_unbounded_interval_decides_nothing(record, ends):
    assert judge(record, found(ends[1], -math.inf, math.inf), 1)[0] == "inconclusive"
    assert judge(record, found(ends[1], None, None), 1)[0] == "inconclusive"


@given(claims(), intervals())
def test_mirrored_numbers_give_the_same_word(record, ends):
    low, value, high = ends
    turned = claim(
        *(
            f"{MIRROR[one.sign]} {-one.level:f}"
            for one in (read_comparison(record.support), read_comparison(record.refute))
        )
    )
    word = judge(record, found(value, low, high), 1)[0]
    assert judge(turned, found(-value, -high, -low), 1)[0] == word


@given(claims(), ANY, ANY, ANY, st.integers(0, 50), st.integers(1, 50))
def test_what_is_missing_or_too_little_never_decides(record, value, low, high, n, least):
    assume(value is not None)
    word, reason = judge(record, found(value, low, high, n=n), least)
    numbers = [one for one in (value, low, high) if one is not None]
    if n < least or any(map(math.isnan, numbers)):
        assert word == "inconclusive"
    assert word in ("supported", "refuted", "inconclusive")
    assert "\n" not in reason


@given(claims(), intervals())
def test_bounds_only_turn_supported_into_qualified(record, ends):
    low, value, high = ends
    word = judge(record, found(value, low, high), 1)[0]
    bounded = judge(record, found(value, low, high, bounds="here, not there"), 1)[0]
    assert bounded == ("qualified" if word == "supported" else word)


@given(st.floats(allow_nan=False), FINITE)
def test_a_number_that_is_not_a_level_is_not_shown_as_one(number, level):
    assert (float(shown_beside(number, level)) == level) == (number == level)


@pytest.mark.parametrize(
    "written", ["", "0.9", "= 1", ">=0.9", ">= x", ">= nan", "> inf", ">= 1e999", "=> 1", ">= 1 ",
                "> 0.1 and < 0.2", ">= 1,5"],
)  # fmt: skip
def test_malformed_comparisons(written):
    with pytest.raises(ValueError, match="accepted is one of"):
        read_comparison(written)


@given(PAIRS, st.integers(-5, 5), st.integers(-5, 5))
def test_overlap_is_a_number_in_both(signs, one, two):
    first, second = (
        read_comparison(f"{sign} {level}") for sign, level in zip(signs, (one, two), strict=True)
    )
    points = [k / 2 for k in range(-14, 15)]
    both = any(first.holds(x, x) and second.holds(x, x) for x in points)
    assert overlap(first, second) == both
