"""Ten-way localisation on the reported half, with its controls, in the chosen cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import worldline as wl
from worldline.lab.introspection.chat import Message, ask
from worldline.lab.introspection.choosing import chosen
from worldline.lab.introspection.localising import (
    Listing,
    ask_about,
    changes,
    listing_of,
    margin,
    pushed,
    right,
)
from worldline.lab.introspection.pushing import Push, answer_logits, nats_per_token
from worldline.lab.introspection.scope import LISTED, Scope
from worldline.lab.introspection.vectors import KINDS, Bank, bank_of
from worldline.lab.stimuli.introspection.texts import lines_of

SHOWN = 3  # sentences in the text of the picture


def measure_report(model: wl.LoadedModel, scope: Scope, concept: str) -> dict[str, Any]:
    """Which of ten was pushed: each in turn, by each kind of vector, and under another question.

    `plain`: the scores as they are, without taking off those of the run without a push.
    `centred`: with the mean of the ten runs' changes taken off each number, so that only what
    depends on the place is left. `own_word`: by how many logits more the concept's own word rises
    than other concepts' words, where the vector is on at the position that is to say it.
    """
    bank, cell = bank_of(model, scope), chosen(model, scope)
    vectors = {kind: bank.vector(kind, concept, cell.row, cell.strength) for kind in KINDS}
    asked, other = (listing_of(model, concept, scope.seed, one) for one in ("asked", "unrelated"))
    places = range(LISTED)
    pushes = {kind: pushed(asked, places, cell.row, vectors[kind]) for kind in KINDS}
    every = changes(model, asked, [push for some in pushes.values() for push in some])
    scores = dict(zip(KINDS, every.reshape(len(KINDS), LISTED, LISTED), strict=True))
    mine = scores["concept"]
    rest = answer_logits(model, asked.ids, asked.answers, [asked.base])[0]
    scores |= {
        "centred": mine - mine.mean(0),
        "plain": mine + rest,
        "unrelated": changes(model, other, pushed(other, places, cell.row, vectors["concept"])),
    }
    return {
        "row": cell.row,
        "strength": cell.strength,
        "right": {name: right(some, places) for name, some in scores.items()},
        "margin": [margin(row, place) for place, row in enumerate(mine)],
        "own_word": _own_word(model, bank, vectors["concept"], concept, cell.row),
        "nats": _cost(model, asked, pushes["concept"][0]),
    }


def _cost(model: wl.LoadedModel, listing: Listing, push: Push) -> float:
    """Nats a token that the question costs more under a push of one sentence."""
    edits = [listing.base, listing.base | {push.edit}]
    plain, under = nats_per_token(model, listing.ids, listing.since, edits)
    return under - plain


def _own_word(
    model: wl.LoadedModel, bank: Bank, vector: tuple[float, ...], concept: str, row: int
) -> float:
    """Whether the vector is one of its concept: pushed at the present, it should say its word."""
    said = [Message("system", ""), Message("user", "What are you thinking about?")]
    asked = ask(model, said, "I am thinking about")
    words = [
        wl.tokenize(model.tokenizer, f" {one}", add_special_tokens=False).ids[0]
        for one in bank.concepts
    ]
    here = Push(row, (len(asked.ids) - 1,), vector)
    edits = [frozenset(), frozenset({here.edit})]
    plain, under = answer_logits(model, asked.ids, words, edits, reuse=False)
    return margin(under - plain, bank.concepts.index(concept))


def measure_picture(model: wl.LoadedModel, scope: Scope) -> dict[str, Any]:
    """A short text of this kind, and the reads by which its question sees the first sentence."""
    bank, cell = bank_of(model, scope), chosen(model, scope)
    sentences = lines_of("sentences.txt")[:SHOWN]
    _, asked = ask_about(model, sentences, "asked")
    text = asked.tokens.text
    shown = wl.tokenize(model.tokenizer, text)  # as the page will read it
    since = asked.turns[3][0]
    start = text.index(sentences[0])
    src = _inside(shown, start, start + len(sentences[0]))
    dst = _inside(shown, since, len(text))
    cut = f"{cell.row}-{bank.n_layers - 1}.*:{src[0]}-{src[-1]}>{dst[0]}-{dst[-1]}"
    return {"text": text, "cuts": [cut], "row": cell.row, "strength": cell.strength}


def _inside(tokens: wl.Tokens, start: int, end: int) -> Sequence[int]:
    spans = enumerate(tokens.char_spans)
    return [pos for pos, (first, last) in spans if first < end and last > start and first < last]
