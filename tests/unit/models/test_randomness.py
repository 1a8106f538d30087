"""A model that answers one text in two ways is refused, and what makes it so is named."""

from __future__ import annotations

import random
import threading

import numpy as np
import pytest
import torch

from worldline.models.laws import check_model
from worldline.models.tiny_models import tiny_model


def hooked(hook):
    module = tiny_model("llama")
    module.model.layers[1].mlp.register_forward_hook(hook)
    return module


def rare_dropout(_module, _args, out):
    return torch.nn.functional.dropout(out, 1e-7)


def rarely_doubled(_module, _args, out):
    return 2 * out if random.random() < 1e-9 else out


def rarely_doubled_by_numpy(_module, _args, out):
    return 2 * out if np.random.rand() < 1e-9 else out


class Counting:
    def __init__(self):
        self.calls = 0

    def __call__(self, _module, _args, out):
        self.calls += 1
        return out * (1 + 1e-3 * self.calls)


class OwnNoise:
    def __init__(self):
        self.draw = torch.Generator().manual_seed(0)

    def __call__(self, _module, _args, out):
        return out + 1e-3 * torch.randn(out.shape, generator=self.draw)


@pytest.mark.parametrize(
    ("hook", "named"),
    [
        (rare_dropout, r"draws random numbers as it runs: bernoulli_ in model\.layers\.1\.mlp"),
        (rarely_doubled, r"draws random numbers as it runs: Python's random in model\.layers\.1"),
        (rarely_doubled_by_numpy, "NumPy's generator moves"),
        (Counting(), r"3 plain runs of one text differ by .*the hook Counting on model\.layers\.1"),
        (OwnNoise(), r"3 plain runs of one text differ by .*the hook OwnNoise on model\.layers\.1"),
    ],
)
def test_what_is_random_is_refused_by_its_name(hook, named):
    report = check_model(hooked(hook))
    assert report.status == "refused"
    with pytest.raises(AssertionError, match=named):
        raise AssertionError(report.reason)


@pytest.mark.parametrize("part", ["", "model.layers.1.self_attn"])
def test_dropout_in_train_mode_is_named_wherever_it_is(part):
    module = tiny_model("llama")
    module.model.layers[1].self_attn.attention_dropout = 1e-9
    assert check_model(module).status == "exact"
    module.get_submodule(part).train()
    report = check_model(module)
    assert report.status == "refused"
    assert "train mode" in report.reason
    assert "model.layers.1.self_attn (attention_dropout=1e-09)" in report.reason


def test_train_mode_that_drops_nothing_is_accepted():
    assert check_model(tiny_model("llama").train()).status == "exact"


def test_noise_that_is_the_same_each_time_is_no_randomness():
    def fixed(_module, _args, out):
        draw = torch.Generator().manual_seed(1)
        return out + 1e-2 * torch.randn(out.shape[-1], generator=draw)

    assert check_model(hooked(fixed)).status == "exact"


def test_what_another_thread_draws_is_not_the_models():
    stop = threading.Event()

    def draw():
        while not stop.is_set():
            torch.randn(10)
            random.random()

    thread = threading.Thread(target=draw)
    thread.start()
    try:
        report = check_model(tiny_model("llama"))
    finally:
        stop.set()
        thread.join()
    assert report.status == "exact"
    assert report.floor == 0.0
