"""Which of two past turns was pushed harder: strengths a and 2a, each in both places."""

from __future__ import annotations

import zlib
from typing import Any

import worldline as wl
from worldline.lab.introspection.chat import Message, ask
from worldline.lab.introspection.choosing import chosen
from worldline.lab.introspection.localising import TIE
from worldline.lab.introspection.pushing import Push, answer_logits
from worldline.lab.introspection.scope import Scope
from worldline.lab.introspection.vectors import bank_of
from worldline.lab.stimuli.introspection.texts import drawn, lines_of

QUESTION = (
    "While you were reading my messages 1 and 2, a thought was injected into your activations "
    "both times, once more strongly. In which message was it stronger? Answer with its number."
)


def measure_compare(model: wl.LoadedModel, scope: Scope, concept: str) -> dict[str, Any]:
    """For the concept and a random vector: is the stronger turn named, 1, 0 or 1/2 at a tie.

    Scores are logits of "1" and "2" less those of the run without a push; the two orders make two
    trials. A model that only hears that there was a push says the same in both, and gets 1/2.
    """
    bank, cell = bank_of(model, scope), chosen(model, scope)
    one, two = drawn(lines_of("sentences.txt"), 2, scope.seed, zlib.crc32(concept.encode()), 2)
    messages = [
        Message("system", ""),
        Message("user", f"Message 1: {one}"),
        Message("assistant", "Read."),
        Message("user", f"Message 2: {two}"),
        Message("assistant", "Read."),
        Message("user", QUESTION),
    ]
    asked = ask(model, messages, "The number is", (" 1", " 2"))
    turns = asked.turn(1), asked.turn(3)
    found: dict[str, Any] = {"row": cell.row, "strength": cell.strength}
    for kind in ("concept", "random"):
        edits = [frozenset()]
        for times in ((2, 1), (1, 2)):
            edits.append(
                frozenset(
                    Push(
                        cell.row,
                        turn,
                        bank.vector(kind, concept, cell.row, cell.strength * factor / 2),
                    ).edit
                    for turn, factor in zip(turns, times, strict=True)
                )
            )
        logits = answer_logits(model, asked.ids, asked.answers, edits)
        scores = logits[1:] - logits[0]
        towards = [float(scores[0, 0] - scores[0, 1]), float(scores[1, 1] - scores[1, 0])]
        found[kind] = [1.0 if one > TIE else 0.0 if one < -TIE else 0.5 for one in towards]
        found[f"{kind}_logits"] = towards
    return found
