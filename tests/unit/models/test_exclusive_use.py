"""Threads take turns over what two models share; who waits comes in order, and can be stopped."""

from __future__ import annotations

import copy
import threading
import time

import pytest
import torch

from tiny_runs import loaded
from worldline.errors import RefusedError
from worldline.models import exclusive_use
from worldline.models.exclusive_use import exclusive, exclusive_everywhere, own_hooks
from worldline.models.loader import load_model
from worldline.models.tiny_models import tiny_model
from worldline.steps import StoppedError, stepping

SOON = 10.0


def started(what):
    thread = threading.Thread(target=what, daemon=True)
    thread.start()
    return thread


def wait_for(condition):
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def nobody_is_left():
    yield
    assert exclusive_use._turns == []


def waits(module, other):
    """Whether a thread that asks for `other` waits while this one has `module`."""
    came = threading.Event()

    def ask():
        with exclusive(other):
            came.set()

    with exclusive(module):
        thread = started(ask)
        wait_for(lambda: came.is_set() or len(exclusive_use._turns) == 2)
        waited = not came.is_set()
    thread.join(SOON)
    assert came.is_set()
    return waited


def test_who_asks_again_at_once_comes_after_who_waits():
    module, order = torch.nn.Linear(2, 2), []
    inside, go = threading.Event(), threading.Event()

    def greedy():
        for n in range(3):
            with exclusive(module):
                order.append(f"greedy {n}")
                inside.set()
                assert go.wait(SOON)

    def patient():
        with exclusive(module):
            order.append("patient")

    threads = [started(greedy)]
    assert inside.wait(SOON)
    threads.append(started(patient))
    wait_for(lambda: len(exclusive_use._turns) == 2)
    go.set()
    for thread in threads:
        thread.join(SOON)
    assert order == ["greedy 0", "patient", "greedy 1", "greedy 2"]


def test_nobody_is_inside_with_another():
    module, inside, worst = torch.nn.Linear(2, 2), [0], [0]

    def work():
        for _ in range(50):
            with exclusive(module), exclusive(module):
                inside[0] += 1
                worst[0] = max(worst[0], inside[0])
                inside[0] -= 1

    for thread in [started(work) for _ in range(4)]:
        thread.join(SOON)
    assert worst == [1]


def test_models_that_share_a_part_take_turns_and_others_do_not():
    one, other = tiny_model("llama"), tiny_model("llama")
    assert not waits(one, other)
    assert waits(one, one)
    assert waits(one, one.model.layers[0])
    assert waits(one.model.layers[0], one)
    assert waits(one, copy.copy(one))  # the same parts in another shell
    other.lm_head.weight = one.lm_head.weight
    assert waits(one, other)


def test_modules_of_one_configuration_take_turns():
    one = tiny_model("llama")
    other = type(one)(one.config).eval()
    assert other.config is one.config
    assert waits(one, other)


def test_what_changes_the_process_waits_for_every_model():
    module, came = torch.nn.Linear(2, 2), threading.Event()

    def ask():
        with exclusive_everywhere():
            came.set()

    with exclusive(module):
        thread = started(ask)
        wait_for(lambda: len(exclusive_use._turns) == 2)
        assert not came.is_set()
    thread.join(SOON)
    assert came.is_set()


def test_two_that_wait_for_each_other_are_told():
    one, two = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    both = threading.Barrier(2)
    said, done = [], []

    def take(first, second):
        try:
            with exclusive(first):
                both.wait(SOON)
                with exclusive(second):
                    done.append(True)
        except RefusedError as error:
            said.append(str(error))

    for thread in [started(lambda: take(one, two)), started(lambda: take(two, one))]:
        thread.join(SOON)
    assert said == [exclusive_use.MANY_WAYS]
    assert done == [True]


def test_who_waits_can_be_stopped():
    module, stop, ended = torch.nn.Linear(2, 2), threading.Event(), []

    def stepped():
        if stop.is_set():
            raise StoppedError

    def ask():
        with stepping(stepped), pytest.raises(StoppedError), exclusive(module):
            pass
        ended.append(True)

    with exclusive(module):
        thread = started(ask)
        wait_for(lambda: len(exclusive_use._turns) == 2)
        stop.set()
        thread.join(SOON)
    assert ended == [True]


def test_hooks_are_deaf_to_other_threads_and_gone_afterwards():
    module, heard = torch.nn.Linear(2, 2), []

    def interrupted():
        with own_hooks() as hooks:
            hooks.before(module, lambda *_: heard.append("before"))
            hooks.after(module, lambda *_: heard.append("after"))
            started(lambda: module(torch.ones(2))).join(SOON)
            assert heard == []
            module(torch.ones(2))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    module(torch.ones(2))
    assert heard == ["before", "after"]


def test_buffers_that_a_run_registers_anew_are_put_back():
    module = loaded("llama").module
    rotary = module.model.rotary_emb
    before, length = rotary.inv_freq, rotary.max_seq_len_cached
    with exclusive(module):
        rotary.register_buffer("inv_freq", before * 2, persistent=False)
        rotary.max_seq_len_cached = 7
    assert rotary.inv_freq is before
    assert rotary.max_seq_len_cached == length


def test_a_tiny_model_is_made_while_no_other_thread_has_a_model():
    """Making it sets torch's default dtype, in which another thread's run would be counted."""
    seen = []
    with exclusive(torch.nn.Linear(2, 2)):
        thread = started(lambda: seen.append(load_model("tiny:llama", dtype="bfloat16")))
        wait_for(lambda: seen or len(exclusive_use._turns) == 2)
        assert not seen
        assert torch.get_default_dtype() == torch.float32
    thread.join(SOON)
    assert [model.dtype for model in seen] == ["bfloat16"]
