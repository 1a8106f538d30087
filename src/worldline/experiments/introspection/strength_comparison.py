"""Which of two past turns was perturbed harder: strengths a and 2a, each in both places."""

from __future__ import annotations

import zlib
from typing import Any

import worldline as wl
from worldline.experiments.introspection.cell_choice import chosen_cell
from worldline.experiments.introspection.chat import Message, ask
from worldline.experiments.introspection.localization import TIE
from worldline.experiments.introspection.scope import Scope
from worldline.experiments.introspection.steering import Perturbation, answer_logits
from worldline.experiments.introspection.steering_vectors import bank_of
from worldline.experiments.stimuli.introspection.texts import draw_distinct, lines_of

KINDS = ("concept", "random")
QUESTION = (
    "While you were reading my messages 1 and 2, a thought was injected into your activations "
    "both times, once more strongly. In which message was it stronger? Answer with its number."
)


def measure_compare(model: wl.LoadedModel, scope: Scope, concept: str) -> dict[str, Any]:
    """For the concept and a random vector: is the stronger turn named, 1, 0 or 1/2 at a tie.

    Scores are logits of "1" and "2" less those of the run without a perturbation; the two orders
    make two trials. A model that only hears that there was a perturbation says the same in both,
    and gets 1/2.
    """
    bank, cell = bank_of(model, scope), chosen_cell(model, scope)
    first_sentence, two = draw_distinct(
        lines_of("sentences.txt"), 2, scope.seed, zlib.crc32(concept.encode()), 2
    )
    messages = [
        Message("system", ""),
        Message("user", f"Message 1: {first_sentence}"),
        Message("assistant", "Read."),
        Message("user", f"Message 2: {two}"),
        Message("assistant", "Read."),
        Message("user", QUESTION),
    ]
    prompt = ask(model, messages, "The number is", (" 1", " 2"))
    turns = prompt.turn(1), prompt.turn(3)
    edits: list[frozenset[wl.Intervention]] = [frozenset()]
    for kind in KINDS:
        weak, strong = (
            bank.vector(kind, concept, cell.row, part * cell.strength) for part in (0.5, 1.0)
        )
        for vectors in ((strong, weak), (weak, strong)):
            perturbations = zip(turns, vectors, strict=True)
            edits.append(
                frozenset(
                    Perturbation(cell.row, turn, margin).edit for turn, margin in perturbations
                )
            )
    logits = answer_logits(model, prompt.ids, prompt.answers, edits, reuse=False)
    result: dict[str, Any] = {"row": cell.row, "strength": cell.strength}
    for kind, scores in zip(KINDS, (logits[1:3] - logits[0], logits[3:] - logits[0]), strict=True):
        towards = [float(scores[0, 0] - scores[0, 1]), float(scores[1, 1] - scores[1, 0])]
        result[kind] = [
            1.0 if vector > TIE else 0.0 if vector < -TIE else 0.5 for vector in towards
        ]
        result[f"{kind}_logits"] = towards
    return result
