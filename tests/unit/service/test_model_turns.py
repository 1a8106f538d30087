"""A page's question waits for who has the model, says so, and can be stopped meanwhile."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from worldline.models.exclusive_use import exclusive
from worldline.service.answers import Answer
from worldline.service.model_turns import in_turn
from worldline.service.questions import TraceQuestion
from worldline.steps import StoppedError, stepping

SOON = 10.0


def test_a_question_that_waits_says_so_and_can_be_stopped():
    module, said, stop, ended = torch.nn.Linear(2, 2), [], threading.Event(), []
    answers = in_turn(lambda question, _say: Answer(question.text), module)

    def stepped():
        if stop.is_set():
            raise StoppedError

    def ask():
        with stepping(stepped), pytest.raises(StoppedError):
            answers(TraceQuestion(text="one"), said.append)
        ended.append(True)

    with exclusive(module):
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        end = time.monotonic() + SOON
        while said != ["waiting for the room"]:
            assert time.monotonic() < end
            time.sleep(0.002)
        stop.set()
        thread.join(SOON)
        assert ended == [True]
    assert answers(TraceQuestion(text="two"), said.append).wire == "two"
    assert said == ["waiting for the room"]
