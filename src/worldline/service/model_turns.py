"""One model and two who run it, a page's questions and a room's turns: in the order of asking."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from worldline.models.model_calls import model_call
from worldline.service.answers import Answer
from worldline.service.questions import TextQuestion
from worldline.service.worker import Answers

if TYPE_CHECKING:
    import torch


def in_turn(answers: Answers, module: torch.nn.Module) -> Answers:
    """The same answers, each while nobody else has the model; a question is stopped even before."""

    def answer_in_turn(question: TextQuestion, say: Callable[[str], None]) -> Answer:
        with model_call(module, waits=lambda: say("waiting for the room")):
            return answers(question, say)

    return answer_in_turn
