"""Which of ten sentences was perturbed: a past turn holds them, a later one asks for the number."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import worldline as wl
from worldline.experiments.introspection.chat import ChatPrompt, Message, ask
from worldline.experiments.introspection.scope import N_SENTENCES
from worldline.experiments.introspection.steering import Perturbation, answer_logits, still
from worldline.experiments.stimuli.introspection.texts import draw_distinct, lines_of

if TYPE_CHECKING:
    from jaxtyping import Float

INJECTION_QUESTION = (
    "While you read one of these sentences, a thought was injected into your activations. "
    "Which one was it? Answer with its number."
)
UNRELATED_QUESTION = (
    "Pick one of these sentences at random. Which one is it? Answer with its number."
)
QUESTIONS = {"asked": INJECTION_QUESTION, "unrelated": UNRELATED_QUESTION}
TIE = 1e-3  # logits nearer than this are one: that is above the rounding of equivalent runs


@dataclass(frozen=True)
class Listing:
    """A text with candidates: the tokens of each, the token that names it, where it is asked.

    `since` is the first position of the turn that asks. `base` are edits of every run, those
    without a perturbation too.
    """

    ids: tuple[int, ...]
    candidates: tuple[tuple[int, ...], ...]
    answers: tuple[int, ...]
    since: int
    base: frozenset[wl.Intervention] = frozenset()


def listing_of(model: wl.LoadedModel, concept: str, seed: int, question: str) -> Listing:
    """Ten numbered sentences, drawn for a concept, and a question about them."""
    sentences = draw_distinct(
        lines_of("sentences.txt"), N_SENTENCES, seed, zlib.crc32(concept.encode())
    )
    return ask_about(model, sentences, question)[0]


def ask_about(
    model: wl.LoadedModel, sentences: Sequence[str], question: str
) -> tuple[Listing, ChatPrompt]:
    """Numbered sentences in a past turn and a question about them, and the whole conversation."""
    sentences_text = "\n".join(f"{n}. {sentence}" for n, sentence in enumerate(sentences))
    messages = [
        Message("system", ""),
        Message("user", sentences_text),
        Message("assistant", "Read."),
        Message("user", QUESTIONS[question]),
    ]
    prompt = ask(model, messages, "The number is", [f" {n}" for n in range(len(sentences))])
    candidates = tuple(prompt.words(1, sentence) for sentence in sentences)
    return Listing(prompt.ids, candidates, prompt.answers, prompt.turn(3)[0]), prompt


def changes(
    model: wl.LoadedModel, listing: Listing, perturbations: Sequence[Perturbation]
) -> Float[np.ndarray, "perturbation answer"]:
    """Logits of the answers under each perturbation, less those of the same run without it."""
    edits = [listing.base | {perturbation.edit} for perturbation in perturbations]
    baseline_edits = listing.base | {
        still(max(perturbations, key=lambda perturbation: perturbation.row))
    }
    logits = answer_logits(model, listing.ids, listing.answers, [baseline_edits, *edits])
    return logits[1:] - logits[0]


def right(
    scores: Float[np.ndarray, "trial answer"], truth: Sequence[int], tie: float = TIE
) -> list[float]:
    """For each trial 1 where the true answer has the highest score, 1 / k where k share it, or 0.

    A model on which the perturbation has no effect thus gets exactly one in as many as there are.

    >>> right(np.array([[0.0, 2.0], [0.0, 0.0]]), [1, 1])
    [1.0, 0.5]
    """
    hits = []
    for row, answer in zip(scores, truth, strict=True):
        best = row >= row.max() - tie
        hits.append(float(best[answer]) / int(best.sum()))
    return hits


def margin(scores: Float[np.ndarray, " answer"], truth: int) -> float:
    """By how many logits the true answer is above the mean of the others."""
    return float(scores[truth] - np.delete(scores, truth).mean())


def candidate_perturbations(
    listing: Listing, places: Sequence[int], row: int, vector: tuple[float, ...]
) -> list[Perturbation]:
    """One perturbation for each of these candidates."""
    return [Perturbation(row, listing.candidates[place], vector) for place in places]
