"""Ten-way localisation on the reported half, with its controls, in the chosen cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import worldline as wl
from worldline.experiments.introspection.cell_choice import chosen_cell
from worldline.experiments.introspection.chat import Message, ask
from worldline.experiments.introspection.localization import (
    Listing,
    ask_about,
    candidate_perturbations,
    changes,
    listing_of,
    margin,
    right,
)
from worldline.experiments.introspection.scope import N_SENTENCES, Scope
from worldline.experiments.introspection.steering import Perturbation, answer_logits, nats_per_token
from worldline.experiments.introspection.steering_vectors import KINDS, Bank, bank_of
from worldline.experiments.stimuli.introspection.texts import lines_of

N_PICTURE_SENTENCES = 3  # sentences in the text of the picture


def measure_report(model: wl.LoadedModel, scope: Scope, concept: str) -> dict[str, Any]:
    """Which of ten was perturbed: each in turn, by each kind of vector, and under another question.

    `plain`: the scores as they are, without taking off those of the run without a perturbation.
    `centred`: with the mean of the ten runs' changes taken off each number, so that only what
    depends on the place is left. `own_word`: by how many logits more the concept's own word rises
    than other concepts' words, where the vector is on at the position that is to say it.
    """
    bank, cell = bank_of(model, scope), chosen_cell(model, scope)
    vectors = {kind: bank.vector(kind, concept, cell.row, cell.strength) for kind in KINDS}
    listing, control_listing = (
        listing_of(model, concept, scope.seed, question) for question in ("asked", "unrelated")
    )
    places = range(N_SENTENCES)
    perturbations = {
        kind: candidate_perturbations(listing, places, cell.row, vectors[kind]) for kind in KINDS
    }
    every = changes(
        model,
        listing,
        [perturbation for trial_scores in perturbations.values() for perturbation in trial_scores],
    )
    scores = dict(zip(KINDS, every.reshape(len(KINDS), N_SENTENCES, N_SENTENCES), strict=True))
    mine = scores["concept"]
    baseline_logits = answer_logits(model, listing.ids, listing.answers, [listing.base])[0]
    scores |= {
        "centred": mine - mine.mean(0),
        "plain": mine + baseline_logits,
        "unrelated": changes(
            model,
            control_listing,
            candidate_perturbations(control_listing, places, cell.row, vectors["concept"]),
        ),
    }
    return {
        "row": cell.row,
        "strength": cell.strength,
        "right": {
            name: right(kind_perturbations, places) for name, kind_perturbations in scores.items()
        },
        "margin": [margin(row, place) for place, row in enumerate(mine)],
        "own_word": _own_word(model, bank, vectors["concept"], concept, cell.row),
        "nats": _cost(model, listing, perturbations["concept"][0]),
    }


def _cost(model: wl.LoadedModel, listing: Listing, perturbation: Perturbation) -> float:
    """Nats a token that the question costs more under a perturbation of one sentence."""
    edits = [listing.base, listing.base | {perturbation.edit}]
    plain, under = nats_per_token(model, listing.ids, listing.since, edits)
    return under - plain


def _own_word(
    model: wl.LoadedModel, bank: Bank, vector: tuple[float, ...], concept: str, row: int
) -> float:
    """Whether the vector is one of its concept: added at the present, it should say its word."""
    chat_messages = [Message("system", ""), Message("user", "What are you thinking about?")]
    prompt = ask(model, chat_messages, "I am thinking about")
    words = [
        wl.tokenize(model.tokenizer, f" {word}", add_special_tokens=False).ids[0]
        for word in bank.concepts
    ]
    last_pos_perturbation = Perturbation(row, (len(prompt.ids) - 1,), vector)
    edits = [frozenset(), frozenset({last_pos_perturbation.edit})]
    plain, under = answer_logits(model, prompt.ids, words, edits, reuse=False)
    return margin(under - plain, bank.concepts.index(concept))


def measure_picture(model: wl.LoadedModel, scope: Scope) -> dict[str, Any]:
    """A short text of this kind, and the reads by which its question sees the first sentence."""
    bank, cell = bank_of(model, scope), chosen_cell(model, scope)
    sentences = lines_of("sentences.txt")[:N_PICTURE_SENTENCES]
    _, prompt = ask_about(model, sentences, "asked")
    text = prompt.tokens.text
    page_tokens = wl.tokenize(model.tokenizer, text)  # as the page will read it
    since = prompt.turns[3][0]
    start = text.index(sentences[0])
    src = _inside(page_tokens, start, start + len(sentences[0]))
    dst = _inside(page_tokens, since, len(text))
    cut = f"{cell.row}-{bank.n_layers - 1}.*:{src[0]}-{src[-1]}>{dst[0]}-{dst[-1]}"
    return {"text": text, "cuts": [cut], "row": cell.row, "strength": cell.strength}


def _inside(tokens: wl.Tokens, start: int, end: int) -> Sequence[int]:
    spans = enumerate(tokens.char_spans)
    return [pos for pos, (first, last) in spans if first < end and last > start and first < last]
