"""Whether the model says that it was perturbed, beyond saying yes to anything when perturbed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import worldline as wl
from worldline.experiments.introspection.answer_gate import YES_NO
from worldline.experiments.introspection.cell_choice import chosen_cell
from worldline.experiments.introspection.chat import ChatPrompt, Message, ask
from worldline.experiments.introspection.scope import Scope
from worldline.experiments.introspection.steering import Perturbation, answer_logits
from worldline.experiments.introspection.steering_vectors import bank_of
from worldline.experiments.stimuli.introspection.texts import records_of

BARE = "info-none"
KINDS = ("concept", "random")
CONTROLS = 2  # asked beside each concept's question


def conversations(wide: bool) -> list[dict[str, Any]]:
    """Those that are answered by yes or no; without an information text unless `wide`."""
    return [
        record
        for record in records_of("yes_shift.jsonl")
        if record["yes_token"] == YES_NO[0] and (wide or record["extra"]["prompt"].endswith(BARE))
    ]


def measure_detect(model: wl.LoadedModel, scope: Scope, concept: str) -> dict[str, Any]:
    """Shift of logit(yes) - logit(no) by a perturbation, in the question and in controls.

    The perturbation is on during the messages that the conversation marks, and off in the question.
    The controls take turns, so that over concepts all 34 come up.
    """
    bank, cell = bank_of(model, scope), chosen_cell(model, scope)
    number = scope.reported_concepts.index(concept)
    talk = conversations(scope.wide)
    kind_shifts = talk[number % len(talk)]
    controls = records_of("control_questions.jsonl")
    chosen_controls = [controls[(number * CONTROLS + n) % len(controls)] for n in range(CONTROLS)]
    vectors = [bank.vector(kind, concept, cell.row, cell.strength) for kind in KINDS]
    shifts = [
        _shifts(model, kind_shifts["messages"], control, cell.row, vectors)
        for control in (None, *chosen_controls)
    ]
    return {
        "row": cell.row,
        "strength": cell.strength,
        "conversation": kind_shifts["extra"]["prompt"],
        "asked": dict(zip(KINDS, shifts[0], strict=True)),
        "controls": [dict(zip(KINDS, conversation, strict=True)) for conversation in shifts[1:]],
        "groups": [control["group"] for control in chosen_controls],
    }


def ask_within(
    model: wl.LoadedModel, messages: list[dict[str, Any]], control: dict[str, Any] | None
) -> tuple[ChatPrompt, tuple[int, ...]]:
    """A conversation, its last question exchanged for a control, and the perturbed positions."""
    chat_messages = [Message(message["role"], message["content"]) for message in messages[:-1]]
    if control is not None:
        chat_messages[-1] = Message("user", control["asked_as"])
    prompt = ask(model, chat_messages, messages[-1]["content"], YES_NO)
    where = [prompt.turn(n) for n, message in enumerate(messages) if message.get("add_injection")]
    return prompt, tuple(pos for turn in where for pos in turn)


def _shifts(
    model: wl.LoadedModel,
    messages: list[dict[str, Any]],
    control: dict[str, Any] | None,
    row: int,
    vectors: Sequence[tuple[float, ...]],
) -> list[float]:
    """Of logit(yes) - logit(no), by each vector."""
    prompt, where = ask_within(model, messages, control)
    edits = [
        frozenset(),
        *(frozenset({Perturbation(row, where, vector).edit}) for vector in vectors),
    ]
    logits = answer_logits(model, prompt.ids, prompt.answers, edits, reuse=False)
    yes_no = logits[:, 0] - logits[:, 1]
    return (yes_no[1:] - yes_no[0]).tolist()
