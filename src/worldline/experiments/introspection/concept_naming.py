"""Which of nine concepts was injected, or none: answered by a number out of ten."""

from __future__ import annotations

from typing import Any

import numpy as np

import worldline as wl
from worldline.experiments.introspection.cell_choice import chosen_cell
from worldline.experiments.introspection.chat import Message, ask
from worldline.experiments.introspection.localization import right
from worldline.experiments.introspection.scope import CHOICES, Scope
from worldline.experiments.introspection.steering import Perturbation, answer_logits
from worldline.experiments.introspection.steering_vectors import bank_of
from worldline.experiments.stimuli.introspection.texts import concepts, records_of

NO_INJECTION = "(no injection)"


def choices(wide: bool) -> list[str]:
    """The labels of the conversations that are asked, without an information text.

    Two orders of the options in one framing; `wide`: five orders in each of five framings.
    """
    labels = [label["label"] for label in records_of("concept_choice.jsonl")]
    bare = [record for record in labels if "_info-none_" in record]
    return bare if wide else bare[:2]


def measure_choice(model: wl.LoadedModel, scope: Scope, label: str) -> dict[str, Any]:
    """Which number is answered when nine concepts are injected one at a time, and none.

    `answered`: by the logits as they are, ten trials; one answer whatever comes gets one in ten.
    `corrected`: by their change against the run without a perturbation, nine trials.
    """
    bank, cell = bank_of(model, scope), chosen_cell(model, scope)
    conversation = next(
        conversation
        for conversation in records_of("concept_choice.jsonl")
        if conversation["label"] == label
    )
    chat_messages = [
        Message(turn["role"], turn["content"]) for turn in conversation["messages"][:-1]
    ]
    prompt = ask(
        model, chat_messages, conversation["messages"][-1]["content"], [str(n) for n in range(10)]
    )
    where = tuple(
        pos
        for n, turn in enumerate(conversation["messages"])
        if turn.get("add_injection")
        for pos in prompt.turn(n)
    )
    options = options_of(chat_messages[-1].content)
    injected_concepts = concepts()[:CHOICES]
    edits = [
        frozenset(
            {
                Perturbation(
                    cell.row, where, bank.vector("concept", name, cell.row, cell.strength)
                ).edit
            }
        )
        for name in injected_concepts
    ]
    logits = answer_logits(model, prompt.ids, prompt.answers, [frozenset(), *edits])
    truth = [options.index(name) for name in injected_concepts]
    return {
        "row": cell.row,
        "strength": cell.strength,
        "answered": right(np.asarray(logits), [options.index(NO_INJECTION), *truth]),
        "corrected": right(logits[1:] - logits[0], truth),
        "options": options,
    }


def options_of(question: str) -> list[str]:
    r"""What the numbers of a question stand for, by number.

    >>> options_of("Which?\n0. bread\n1. (no injection)\nAnswer.")
    ['bread', '(no injection)']
    """
    lines = (line.partition(". ") for line in question.splitlines())
    numbered_options = [(number, name) for number, dot, name in lines if dot and number.isdecimal()]
    return [name for _, name in sorted(numbered_options, key=lambda pair: int(pair[0]))]
