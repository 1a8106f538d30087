"""The laws of every semiring, on integers and Fractions, and its step against its own elements."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldline.errors import InputError
from worldline.graph.semirings import (
    Absolutes,
    Expectation,
    Integers,
    Lengths,
    Polynomials,
    Reals,
)

NUMBERS = st.one_of(
    st.integers(-(10**25), 10**25),
    st.fractions(min_value=-9, max_value=9, max_denominator=7),
)
POLYNOMIALS = st.lists(NUMBERS, min_size=4, max_size=4).map(lambda c: np.array(c, dtype=object))
PAIRS = st.tuples(NUMBERS, NUMBERS)
ELEMENTS = {
    "integers": (Integers(), NUMBERS),
    "reals": (Reals(), NUMBERS),
    "absolutes": (Absolutes(), NUMBERS.map(abs)),
    "polynomials": (Polynomials(3), POLYNOMIALS),
    "expectation": (Expectation(), PAIRS),
    "lengths": (Lengths(), st.one_of(NUMBERS, st.just(-math.inf))),
}


def same(a, b):
    return np.array_equal(np.asarray(a, dtype=object), np.asarray(b, dtype=object))


@pytest.mark.parametrize("name", ELEMENTS)
@given(data=st.data())
def test_laws(name, data):
    ring, elements = ELEMENTS[name]
    a, b, c = data.draw(st.tuples(elements, elements, elements))
    plus, times = ring.plus, ring.times
    zero, one = ring.zero_element, ring.one_element
    assert same(plus(plus(a, b), c), plus(a, plus(b, c)))
    assert same(plus(a, b), plus(b, a))
    assert same(times(times(a, b), c), times(a, times(b, c)))
    assert same(times(a, plus(b, c)), plus(times(a, b), times(a, c)))
    assert same(times(plus(a, b), c), plus(times(a, c), times(b, c)))
    assert same(plus(a, zero), a)
    assert same(times(a, one), a)
    assert same(times(one, a), a)
    assert same(times(a, zero), zero)
    assert same(times(zero, a), zero)


RINGS = [
    (Integers(), False),
    (Reals(), False),
    (Absolutes(), False),
    (Polynomials(2), False),
    (Polynomials(2, dtype=np.float64), False),
    (Polynomials(0), False),
    (Expectation(), True),
    (Lengths(), False),
]


@pytest.mark.parametrize(("ring", "positive"), RINGS, ids=lambda r: type(r).__name__)
@given(data=st.data())
def test_a_step_is_what_the_elements_say(ring, positive, data):
    """Also with another row's K/V; whole numbers, so that floats are exact."""
    n = data.draw(st.integers(1, 4))
    weights = st.integers(0 if positive else -5, 5)
    row = st.lists(weights, min_size=n, max_size=n)
    carry, first, kv = data.draw(row), data.draw(row), [data.draw(row) for _ in range(n)]
    state = ring.step(ring.unit(n, 0), first, np.tril(np.ones((n, n), dtype=int)))
    for read in (state, ring.unit(n, 0)):
        after = ring.step(state, carry, kv, read)
        for j in range(n):
            expected = ring.times(ring.lift(carry[j], hop=False), _element(ring, state[j]))
            for i in range(j):
                edge = ring.lift(kv[j][i], hop=True)
                expected = ring.plus(expected, ring.times(edge, _element(ring, read[i])))
            got, wanted = _element(ring, after[j]), expected
            if isinstance(ring, Expectation):
                assert np.allclose(got, wanted, rtol=1e-12, atol=1e-12)
            else:
                assert same(got, wanted)


def _element(ring, value):
    return tuple(value.tolist()) if isinstance(ring, Expectation) else value


@pytest.mark.parametrize(("ring", "positive"), RINGS, ids=lambda r: type(r).__name__)
def test_an_absent_edge_leads_nowhere(ring, positive):
    assert same(ring.lift(ring.absent, hop=True), ring.zero_element)
    assert same(ring.lift(ring.absent, hop=False), ring.zero_element)
    cut = np.full((3, 3), ring.absent)
    state = ring.step(ring.unit(3, 0), np.full(3, ring.absent), cut)
    assert same(state, ring.zero(3))


def test_integers_never_wrap_and_fractions_stay():
    big = np.array([2**62, 2**62])
    state = Integers().step(Integers().unit(2, 0), big, np.full((2, 2), 2**62))
    assert Integers().step(state, big, np.full((2, 2), 2**62)).tolist() == [2**124, 2**125]
    third = Fraction(1, 3)
    state = Integers().step(Integers().unit(2, 0), [third, 1], [[0, 0], [third, 0]])
    assert state.tolist() == [third, third]


def test_absolutes_ignore_the_sign_where_reals_cancel():
    carry, kv = [1.0, -1.0], [[0.0, 0.0], [1.0, 0.0]]
    start = np.array([1.0, 1.0])
    assert Reals().step(start, carry, kv).tolist() == [1.0, 0.0]
    assert Absolutes().step(start, carry, kv).tolist() == [1.0, 2.0]


def test_expectation_gives_the_entropy_of_the_paths():
    """Two blocks, three paths into column 1: weights 1/4, 1/4 x 1/2, 1/2 x 3."""
    ring = Expectation()
    state = ring.step(ring.unit(2, 0), [0.5, 9.0], [[0, 0], [0.25, 0]])
    state = ring.step(state, [1.0, 0.5], [[0, 0], [3.0, 0]])
    total, surprise = state[1]
    weights = np.array([0.25 * 0.5, 0.5 * 3])
    shares = weights / weights.sum()
    assert total == pytest.approx(weights.sum())
    entropy = -(shares * np.log(shares)).sum()
    assert math.log(total) + surprise / total == pytest.approx(entropy)


def test_refuses():
    with pytest.raises(InputError, match="max_hops -1: at least 0"):
        Polynomials(-1)
    with pytest.raises(InputError, match="weights of at least 0"):
        Expectation().lift(-1, hop=True)
    with pytest.raises(InputError, match="weights of at least 0"):
        Expectation().step(Expectation().unit(1, 0), [-1.0], [[0.0]])
    with pytest.raises(InputError, match=r"weights \[1\]: NaN among them"):
        Reals().step(Reals().unit(1, 0), [math.nan], [[0.0]])
