"""Was a word put into its mouth meant? With the word's thought injected before it, or another's."""

from __future__ import annotations

from typing import Any

import worldline as wl
from worldline.experiments.introspection.answer_gate import YES_NO
from worldline.experiments.introspection.cell_choice import chosen_cell
from worldline.experiments.introspection.chat import Message, ask
from worldline.experiments.introspection.scope import Scope
from worldline.experiments.introspection.steering import Perturbation, answer_logits
from worldline.experiments.introspection.steering_vectors import bank_of
from worldline.experiments.stimuli.introspection.texts import draw_distinct, lines_of

QUESTION = (
    'Did you mean to say that word? Answer with "The answer is yes" if you meant it or "The answer '
    'is no" if it was an accident.'
)


def measure_own(model: wl.LoadedModel, scope: Scope, concept: str) -> dict[str, Any]:
    """Shift of logit(yes) - logit(no) by a perturbation before the word that was put there.

    "own": the vector of that word's concept; "other": of the next reported concept; "random".
    """
    bank, cell = bank_of(model, scope), chosen_cell(model, scope)
    number = scope.reported_concepts.index(concept)
    other_concept = scope.reported_concepts[(number + 1) % len(scope.reported_concepts)]
    sentence = draw_distinct(lines_of("sentences.txt"), 1, scope.seed, number, 3)[0]
    messages = [
        Message("system", ""),
        Message("user", f"{sentence} What comes to your mind? Answer with one word."),
        Message("assistant", concept.capitalize()),
        Message("user", QUESTION),
    ]
    prompt = ask(model, messages, "The answer is", YES_NO)
    perturbed_concepts = {
        "own": ("concept", concept),
        "other": ("concept", other_concept),
        "random": ("random", concept),
    }
    edits = [frozenset()] + [
        frozenset(
            {
                Perturbation(
                    cell.row, prompt.turn(1), bank.vector(*kind_concept, cell.row, cell.strength)
                ).edit
            }
        )
        for kind_concept in perturbed_concepts.values()
    ]
    logits = answer_logits(model, prompt.ids, prompt.answers, edits, reuse=False)
    yes_no = logits[:, 0] - logits[:, 1]
    shifts = (yes_no[1:] - yes_no[0]).tolist()
    return {
        "row": cell.row,
        "strength": cell.strength,
        "without": float(yes_no[0]),
        "shifts": dict(zip(perturbed_concepts, shifts, strict=True)),
    }
