"""A backward pass that is not the derivative of the forward one: refused, and by name."""

from __future__ import annotations

import pytest
import torch

import worldline as wl
from tiny_runs import NamesIds, some_tokens
from worldline.errors import RefusedError
from worldline.models.loader import load_model
from worldline.models.tiny_models import tiny_model
from worldline.models.validation import checked_report

TYPES = ("gpt2", "llama", "mixtral", "gemma2", "bloom", "gpt_oss", "opt", "deepseek_v3")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path))


class Thrice(torch.autograd.Function):
    @staticmethod
    def forward(_ctx, x):
        return x.clone()

    @staticmethod
    def backward(_ctx, *grads):
        return grads[0] * 3


def model_with(hook=None, name="llama", dtype=torch.float32):
    module = tiny_model(name, dtype=dtype)
    if hook is not None:
        module.get_decoder().layers[2].mlp.register_forward_hook(hook)
    return load_model((module, NamesIds()))


HOOKS = {
    "thrice": lambda _m, _a, out: Thrice.apply(out),
    "detached": lambda _m, _a, out: out.detach(),
}


@pytest.mark.parametrize("name", ["llama", "mixtral"])
@pytest.mark.parametrize("which", HOOKS)
def test_gradients_are_refused_and_what_needs_none_is_not(name, which):
    model, tokens = model_with(HOOKS[which], name), some_tokens(7)
    assert checked_report(model).status == "exact"
    trace = wl.record(model, tokens)
    for ask in (
        lambda: wl.attribute(trace, "gradient", target=40),
        lambda: wl.attribute(trace, "gradient", target=range(3, 5)),
        lambda: wl.attribute(trace, "frozen", target=40),
        lambda: wl.hop_spectrum(trace, target=40),
    ):
        with pytest.raises(RefusedError, match=r"backward pass.*the hook <lambda> on .*mlp"):
            ask()
    assert wl.attribute(trace, "contribution").edges
    assert wl.cut(model, tokens, [wl.EdgeCut("mask", src=(2,))]).change_nats


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", TYPES)
def test_types_whose_backward_pass_is_the_derivative(name, dtype):
    assert not checked_report(model_with(None, name, dtype)).gradient


def test_a_hook_whose_backward_pass_is_its_derivative():
    assert not checked_report(model_with(lambda _m, _a, out: 1.3 * torch.tanh(out))).gradient
