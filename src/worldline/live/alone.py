"""One model and two who run it, a page's questions and a room's turns: in the order of asking."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worldline.live.answering import Answer
from worldline.live.questions import Asked
from worldline.live.worker import Answers
from worldline.steps import step

LOOK_S = 0.1  # how often whoever waits looks whether it is still wanted


class Alone:
    """A lock that is handed on in the order in which it was asked for, so that nobody starves."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def held(self, looks: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Wait, then hold it; `looks` is called while waiting, and what it raises ends that."""
        me = object()
        with self._turn:
            self._waiting.append(me)
        try:
            while not self._mine(me):
                looks()
            yield
        finally:
            with self._turn:
                self._waiting.remove(me)
                self._turn.notify_all()

    @property
    def taken(self) -> bool:
        """Whether somebody holds it."""
        return bool(self._waiting)

    def _mine(self, me: object) -> bool:
        with self._turn:
            return self._turn.wait_for(lambda: self._waiting[0] is me, LOOK_S)


def in_turn(answers: Answers, alone: Alone) -> Answers:
    """The same answers, each while nobody else has the model; a question is stopped even before."""

    def answered(question: Asked, say: Callable[[str], None]) -> Answer:
        if alone.taken:
            say("waiting for the room")
        with alone.held(step):
            return answers(question, say)

    return answered
