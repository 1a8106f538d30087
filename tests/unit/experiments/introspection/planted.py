"""A model that says which position was perturbed, by construction, and a listing to ask it with."""

from __future__ import annotations

import numpy as np

import worldline as wl
from worldline.experiments.introspection.localization import Listing
from worldline.experiments.introspection.steering import Perturbation
from worldline.models.known_circuits import (
    OUT,
    POSITION,
    TOKEN,
    WASTE,
    Head,
    NamesIds,
    Stream,
    at_first,
    hand_built,
)

FLAG = "flag"
SCORE = 20.0  # how far a flag of 1 lifts its position above the others, in logits of attention
N_POS, PLACES = 14, tuple(range(1, 11))
HEADS = {
    (0, 0): Head(lambda stream: (_anyone(stream), _flag(stream)), POSITION, OUT),
    (0, 1): Head(at_first, FLAG, WASTE),  # gives the stream a slot for the flag, and reads 0
}
STREAM = Stream([TOKEN, POSITION, OUT, FLAG, WASTE], 2)


def _anyone(stream):
    return SCORE * stream.read(POSITION).sum(1, keepdim=True)


def _flag(stream):
    return stream.read(FLAG)[:, :1]


def planted() -> wl.LoadedModel:
    """Its last token reads the flagged position, and says the number of that position."""
    return wl.load_model((hand_built(HEADS, squares=(2, 3)), NamesIds()))


def listing(base=frozenset()) -> Listing:
    """Ten candidates of one token, at 1 to 10, each named by the token of its number."""
    ids = tuple(n % 12 for n in range(N_POS))
    return Listing(ids, tuple((place,) for place in PLACES), PLACES, since=11, base=base)


def flag(place: int, size: float = 1.0) -> Perturbation:
    """The flag at one candidate: it changes that position's key, not its value."""
    return Perturbation(0, (place,), tuple((size * STREAM.write(FLAG)[0]).tolist()))


def louder(place: int, size: float = 5.0) -> Perturbation:
    """A candidate's own number written once more: it changes that position's value, not its key."""
    return Perturbation(0, (place,), tuple((size * STREAM.write(POSITION)[place]).tolist()))


def noise(place: int, seed: int) -> Perturbation:
    """A random vector as long as a flag, without any of it."""
    vector = np.random.default_rng(seed).standard_normal(STREAM.d_model)
    y = STREAM.slots[FLAG]
    vector[y] = vector[STREAM.n_dims + y.start : STREAM.n_dims + y.stop] = 0.0
    return Perturbation(0, (place,), tuple((vector / np.linalg.norm(vector)).tolist()))
