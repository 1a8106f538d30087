"""Semirings: what "plus" joins two ways and "times" continues one, each in a few lines.

A state holds one element per position of one row: an array whose first axis is pos. Carries and
K/V weights are given as plain numbers; `step` lifts them, so that only K/V edges count as hops.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import DTypeLike

from worldline.errors import InputError


class Semiring(ABC):
    """A sum (two ways to the same node) and a product (one way continued).

    `plus` is associative and commutative, `times` associative and distributive over it;
    `zero_element` is no path at all, `one_element` the path of no steps. `absent` is the weight
    of an edge that is not there: lifting it gives `zero_element`.
    """

    absent: ClassVar[float] = 0

    zero_element: Any
    one_element: Any

    @abstractmethod
    def plus(self, a: Any, b: Any) -> Any:
        """Either of two sets of paths between the same two nodes."""

    @abstractmethod
    def times(self, a: Any, b: Any) -> Any:
        """Each path of `a` continued by each path of `b`."""

    @abstractmethod
    def lift(self, weight: Any, hop: bool) -> Any:
        """The element of one edge; `hop` for a K/V edge, not for a carry."""

    @abstractmethod
    def zero(self, n_pos: int) -> Any:
        """A row that no path has reached."""

    @abstractmethod
    def step(self, state: Any, carry: Any, kv: Any, kv_state: Any = None) -> Any:
        """The next row: carry[j] (x) state[j] (+) SUM over i < j of kv[j, i] (x) kv_state[i].

        `carry` is [pos]; `kv` is [q_pos, k_pos], of which only what lies strictly below the
        diagonal counts. `kv_state` is the row whose K/V is read: `state` unless given.
        """

    def unit(self, n_pos: int, pos: int) -> Any:
        """The row in which only `pos` is reached, by the path of no steps."""
        state = self.zero(n_pos)
        state[pos] = self.one_element
        return state


class _Scalar(Semiring):
    """Numbers under + and x, in whatever type the arrays hold."""

    dtype: ClassVar[DTypeLike]
    zero_element: Any = 0
    one_element: Any = 1

    def plus(self, a: Any, b: Any) -> Any:
        return a + b

    def times(self, a: Any, b: Any) -> Any:
        return a * b

    def lift(self, weight: Any, hop: bool) -> Any:  # noqa: ARG002
        return weight

    def zero(self, n_pos: int) -> np.ndarray:
        return np.full(n_pos, self.zero_element, dtype=self.dtype)

    def step(self, state: Any, carry: Any, kv: Any, kv_state: Any = None) -> np.ndarray:
        source_state = state if kv_state is None else kv_state
        return _as(self.dtype, carry) * state + _below(self.dtype, kv) @ source_state


@final
class Integers(_Scalar):
    """(+, x) on Python integers, and on Fractions: the number of paths, integer-exact.

    >>> Integers().step(Integers().unit(3, 0), [1, 1, 1], np.ones((3, 3)).astype(int)).tolist()
    [1, 1, 1]
    """

    dtype = object


@final
class Reals(_Scalar):
    """(+, x) in float64: the total signed weight of all paths; associative up to rounding."""

    dtype = np.float64


@final
class Absolutes(_Scalar):
    """(+, x) on absolute values in float64: the total weight of all paths, ignoring sign."""

    dtype = np.float64

    def lift(self, weight: Any, hop: bool) -> Any:  # noqa: ARG002
        """An edge's weight without its sign."""
        return abs(weight)

    def step(self, state: Any, carry: Any, kv: Any, kv_state: Any = None) -> np.ndarray:
        """As for signed numbers, each weight without its sign."""
        carry, kv = np.abs(_as(self.dtype, carry)), np.abs(_as(self.dtype, kv))
        return super().step(state, carry, kv, kv_state)


@final
class Polynomials(Semiring):
    """Polynomials in z, one z per hop, cut after `max_hops`: the weight by number of hops.

    Element k of the last axis is the sum over paths of exactly k hops. `dtype=object` is exact
    on integers and Fractions; float64 is associative up to rounding. Cutting loses nothing
    below the cut: a path never has fewer hops than its beginning.

    >>> state = Polynomials(2).unit(2, 0)
    >>> Polynomials(2).step(state, [1, 1], [[0, 0], [5, 0]]).tolist()
    [[1, 0, 0], [0, 5, 0]]
    """

    def __init__(self, max_hops: int, dtype: DTypeLike = object) -> None:
        if max_hops < 0:
            raise InputError(f"max_hops {max_hops}: at least 0")
        self.max_hops, self.dtype = max_hops, dtype
        self.zero_element = self._constant(0)
        self.one_element = self._constant(1)

    def _constant(self, value: Any) -> np.ndarray:
        element = np.full(self.max_hops + 1, 0, dtype=self.dtype)
        element[0] = value
        return element

    def plus(self, a: Any, b: Any) -> np.ndarray:
        """Coefficient by coefficient."""
        return a + b

    def times(self, a: Any, b: Any) -> np.ndarray:
        """The product of the polynomials, cut."""
        return np.convolve(a, b)[: self.max_hops + 1]

    def lift(self, weight: Any, hop: bool) -> np.ndarray:
        """A K/V edge is weight times z, a carry its weight."""
        element = self._constant(0 if hop else weight)
        if hop and self.max_hops:
            element[1] = weight
        return element

    def zero(self, n_pos: int) -> np.ndarray:
        """Zeros [pos, hops]."""
        return np.full((n_pos, self.max_hops + 1), 0, dtype=self.dtype)

    def step(self, state: Any, carry: Any, kv: Any, kv_state: Any = None) -> np.ndarray:
        """As in every semiring; one matrix product for all numbers of hops."""
        source_state = state if kv_state is None else kv_state
        after = _as(self.dtype, carry)[:, None] * state
        after[:, 1:] += _below(self.dtype, kv) @ source_state[:, :-1]
        return after


@final
class Expectation(Semiring):
    """Pairs (Z, R): the sum of path weights p, and the sum of -p log p; in float64.

    Weights must not be negative. The entropy of the paths, in nats, each drawn in proportion to
    its weight, is log Z + R / Z.

    >>> Expectation().lift(1.0, hop=True)
    (1.0, 0.0)
    """

    zero_element: Any = (0, 0)
    one_element: Any = (1, 0)

    def plus(self, a: Any, b: Any) -> Any:
        """Both sums add."""
        return a[0] + b[0], a[1] + b[1]

    def times(self, a: Any, b: Any) -> Any:
        """The logarithm of a product is a sum, hence the product rule."""
        return a[0] * b[0], a[0] * b[1] + a[1] * b[0]

    def lift(self, weight: Any, hop: bool) -> Any:  # noqa: ARG002
        """(w, -w log w), which is (0, 0) for an absent edge."""
        if not weight >= 0:
            raise InputError(f"weight {weight}: an entropy needs weights of at least 0")
        return weight, -weight * math.log(weight) + 0.0 if weight else 0.0

    def zero(self, n_pos: int) -> np.ndarray:
        """Zeros [pos, 2]."""
        return np.zeros((n_pos, 2))

    def step(self, state: Any, carry: Any, kv: Any, kv_state: Any = None) -> np.ndarray:
        """As in every semiring; both sums at once."""
        source_state = state if kv_state is None else kv_state
        carry, kv = _as(np.float64, carry), _below(np.float64, kv)
        after = carry[:, None] * state + kv @ source_state
        after[:, 1] += _surprise(carry) * state[:, 0] + _surprise(kv) @ source_state[:, 0]
        return after


@final
class Lengths(Semiring):
    """(max, +) on lengths, in float64: the longest (critical) path. No edge is -inf.

    >>> Lengths().step(Lengths().unit(2, 0), [0, 0], [[0, 0], [1, 0]]).tolist()
    [0.0, 1.0]
    """

    absent = -math.inf
    zero_element: Any = -math.inf
    one_element: Any = 0

    def plus(self, a: Any, b: Any) -> Any:
        """The longer of the two."""
        return max(a, b)

    def times(self, a: Any, b: Any) -> Any:
        """One after the other."""
        return a + b

    def lift(self, weight: Any, hop: bool) -> Any:  # noqa: ARG002
        """An edge's weight is its length."""
        return weight

    def zero(self, n_pos: int) -> np.ndarray:
        """Minus infinity [pos]."""
        return np.full(n_pos, -np.inf)

    def step(self, state: Any, carry: Any, kv: Any, kv_state: Any = None) -> np.ndarray:
        """As in every semiring; the best over i < j instead of the sum."""
        source_state = state if kv_state is None else kv_state
        kv = _as(np.float64, kv)
        below = np.where(np.tri(len(kv), k=-1, dtype=bool), kv, -np.inf)
        return np.maximum(_as(np.float64, carry) + state, (below + source_state).max(axis=1))


def _as(dtype: DTypeLike, weights: Any) -> np.ndarray:
    """Weights in the semiring's type; NumPy's fixed integers become Python's, which never wrap."""
    array = np.asarray(weights).astype(dtype)
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise InputError(f"weights {list(array.shape)}: NaN among them; give numbers")
    return array


def _below(dtype: DTypeLike, kv: Any) -> np.ndarray:
    return np.tril(_as(dtype, kv), -1)


def _surprise(weights: np.ndarray) -> np.ndarray:
    """-w log w, 0 at 0."""
    if not (weights >= 0).all():
        raise InputError("weights: an entropy needs weights of at least 0; some are not")
    return -weights * np.log(np.where(weights > 0, weights, 1.0))
