"""Steering vectors: differences of means, with random and shuffled ones of the same norm."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import worldline as wl
from worldline.experiments.introspection.chat import Message, ask
from worldline.experiments.introspection.item_cache import once
from worldline.experiments.introspection.scope import Scope
from worldline.experiments.stimuli.introspection.texts import draw_distinct, openings

if TYPE_CHECKING:
    from jaxtyping import Float

KINDS = ("concept", "random", "shuffled")


@dataclass(frozen=True, eq=False)
class Bank:
    """Mean states of prompts about each concept, and the vectors made of them.

    `means[row]` is [concept, opening, d_model]: the residual stream at that row, averaged over the
    tokens of one prompt from the concept's word on. `norms[row]` is the mean norm of the stream at
    these tokens. (From the word on, not the answer alone: the vectors then say their own word.)
    """

    concepts: tuple[str, ...]
    means: dict[int, Float[np.ndarray, "concept opening d_model"]]
    norms: dict[int, float]
    n_layers: int
    seed: int

    def vector(self, kind: str, concept: str, row: int, strength: float) -> tuple[float, ...]:
        """What is added to a node, `strength` times the stream's mean norm at this row long.

        "concept": the mean over prompts about it less that over prompts about all others;
        "shuffled": the same after the prompts were dealt to concepts at random; "random": a
        normal draw. Of one length, so that they differ in direction only.
        """
        if kind == "random":
            draw = np.random.default_rng((self.seed, zlib.crc32(concept.encode()), row))
            direction = draw.standard_normal(self.means[row].shape[-1])
        else:
            direction = difference(self._dealt(row, kind), self.concepts.index(concept))
        length = float(np.linalg.norm(direction))
        if not length > 0:
            raise wl.InputError(f"concept {concept}: its prompts leave the same states as others")
        return tuple((direction * (strength * self.norms[row] / length)).tolist())

    def _dealt(self, row: int, kind: str) -> Float[np.ndarray, "concept opening d_model"]:
        means = self.means[row]
        if kind == "concept":
            return means
        flat = means.reshape(-1, means.shape[-1])
        order = np.random.default_rng((self.seed, row)).permutation(len(flat))
        return flat[order].reshape(means.shape)


def difference(
    means: Float[np.ndarray, "concept opening d_model"], index: int
) -> Float[np.ndarray, " d_model"]:
    """Mean over one concept's prompts less the mean over all other concepts' prompts.

    >>> difference(np.array([[[3.0]], [[1.0]], [[2.0]]]), 0).tolist()
    [1.5]
    """
    other_means = np.delete(means, index, axis=0)
    return means[index].mean(0) - other_means.mean((0, 1))


def bank_of(model: wl.LoadedModel, scope: Scope) -> Bank:
    """The vectors of a run, made once: one short recorded run for each concept and opening."""
    key = (
        "bank",
        scope.vector_concepts[0],
        len(scope.vector_concepts),
        scope.seed,
        scope.n_openings,
        scope.depths,
    )
    return once(model, key, lambda: _make(model, scope))


def _make(model: wl.LoadedModel, scope: Scope) -> Bank:
    chosen_openings = draw_distinct(openings(), scope.n_openings, scope.seed, 1)
    states, sizes = {}, {}
    n_layers = 0
    for concept in scope.vector_concepts:
        for opening in chosen_openings:
            chat_messages = [Message("system", ""), Message("user", f"Talk about {concept}.")]
            prompt = ask(model, chat_messages, opening)
            trace = wl.record(model, prompt.tokens, keep=())
            n_layers, since = trace.n_layers, prompt.words(1, concept)[0]
            for row in scope.rows(n_layers):
                rows = trace.resid[row][since:].double().cpu().numpy()
                states.setdefault(row, []).append(rows.mean(0))
                sizes.setdefault(row, []).append(np.linalg.norm(rows, axis=-1).mean())
    shape = (len(scope.vector_concepts), scope.n_openings, -1)
    return Bank(
        concepts=tuple(scope.vector_concepts),
        means={row: np.stack(prompt_norms).reshape(shape) for row, prompt_norms in states.items()},
        norms={row: float(np.mean(prompt_means)) for row, prompt_means in sizes.items()},
        n_layers=n_layers,
        seed=scope.seed,
    )
