"""The model is handed on in the order of asking, and whoever waits can be stopped."""

from __future__ import annotations

import threading
import time

import pytest

from worldline.live.alone import Alone, in_turn
from worldline.live.answering import Answer
from worldline.live.questions import SeeQuestion
from worldline.steps import StoppedError, stepping

SOON = 10.0


def started(what):
    thread = threading.Thread(target=what, daemon=True)
    thread.start()
    return thread


def wait_for(found):
    end = time.monotonic() + SOON
    while not found():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_who_asks_again_at_once_comes_after_who_waits():
    alone, order = Alone(), []
    inside, go = threading.Event(), threading.Event()

    def greedy():
        for n in range(3):
            with alone.held():
                order.append(f"greedy {n}")
                inside.set()
                assert go.wait(SOON)

    def patient():
        with alone.held():
            order.append("patient")

    one = started(greedy)
    assert inside.wait(SOON)
    other = started(patient)
    wait_for(lambda: len(alone._waiting) == 2)
    go.set()
    one.join(SOON)
    other.join(SOON)
    assert order == ["greedy 0", "patient", "greedy 1", "greedy 2"]
    assert not alone.taken


def test_nobody_is_inside_with_another():
    alone, inside, worst = Alone(), [0], [0]

    def work():
        for _ in range(50):
            with alone.held():
                inside[0] += 1
                worst[0] = max(worst[0], inside[0])
                inside[0] -= 1

    threads = [started(work) for _ in range(4)]
    for one in threads:
        one.join(SOON)
    assert worst == [1]
    assert not alone.taken


def test_a_question_that_waits_says_so_and_can_be_stopped():
    alone, said, stop = Alone(), [], threading.Event()
    answers = in_turn(lambda question, say: Answer(question.text), alone)

    def stepped():
        if stop.is_set():
            raise StoppedError

    with alone.held():
        ended = []

        def ask():
            with stepping(stepped), pytest.raises(StoppedError):
                answers(SeeQuestion(text="one"), said.append)
            ended.append(True)

        thread = started(ask)
        wait_for(lambda: said == ["waiting for the room"])
        stop.set()
        thread.join(SOON)
        assert ended == [True]
    assert answers(SeeQuestion(text="two"), said.append).wire == "two"
    assert said == ["waiting for the room"]
    assert not alone.taken
