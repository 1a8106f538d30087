"""A model that is changed while one call makes several runs of it: refused, and by name."""

from __future__ import annotations

import pytest
import torch

import worldline as wl
from tiny_runs import NamesIds, some_tokens
from worldline.errors import RefusedError
from worldline.models import call_identity as meanwhile
from worldline.models.loader import load_model
from worldline.models.tiny_models import tiny_model

TOKENS = some_tokens(6)
IDS = tuple(TOKENS.ids)
MASK, AT = wl.EdgeCut("mask", src=(2,)), wl.Node(layer=1, pos=2)


def _many(model):
    plans = [wl.Plan(IDS, frozenset([wl.EdgeCut("mask", src=(at,))])) for at in range(3)]
    return wl.execute_many(model, plans, batch=1)


CALLS = {
    "cut": lambda model: wl.cut(model, TOKENS, [MASK]),
    "light_cone": lambda model: wl.light_cone(
        model, TOKENS, at=wl.Node(layer=1, pos=2), directions=2
    ),
    "run_orders": lambda model: wl.run_orders(model, TOKENS, ["decode", "prefill"]),
    "hop_curve": lambda model: wl.hop_curve(model, TOKENS, max_hops=2),
    "execute_many": _many,
    "record": lambda model: wl.record(model, TOKENS, verify=True),
    "observe": lambda model: wl.observe(TOKENS.text, model),
}


class At:
    """A hook that does something the n-th time that it runs; no part of what the model is."""

    __module__ = "worldline.of_a_test"

    def __init__(self, module, n: int, what):
        self.n_runs, self.n, self.what = 0, n, what
        self.handle = module.register_forward_pre_hook(self)

    def __call__(self, _module, _args):
        self.n_runs += 1
        if self.n_runs == self.n:
            self.what()


@pytest.fixture(scope="module")
def model():
    found = load_model((tiny_model("llama"), NamesIds()))
    wl.record(found, TOKENS)
    return found


@pytest.mark.parametrize("name", CALLS)
def test_weights_that_change_during_a_call(name, model):
    layer = model.module.model.layers[0]
    weight = layer.mlp.down_proj.weight
    CALLS[name](model)  # whatever is looked at once
    counter = At(layer, 0, lambda: None)
    CALLS[name](model)
    counter.handle.remove()
    n = counter.n_runs
    kept = weight.detach().clone()
    counter = At(layer, n - n // 3, lambda: weight.data[0, 0].add_(3.0))
    try:
        with pytest.raises(RefusedError, match=r"weights of .*layers\.0\.mlp\.down_proj"):
            CALLS[name](model)
    finally:
        counter.handle.remove()
        weight.data.copy_(kept)
    assert not meanwhile._calls.first
    CALLS[name](model)


def test_what_a_hook_holds_may_move_and_move_no_number(model):
    """What another thread sets meanwhile counts where the probe says something else then."""
    held = {"by": 0.0, "noted": 0}
    layers = model.module.model.layers
    handles = [layers[1].register_forward_hook(lambda _m, _a, out: out * (1 + held["by"]))]
    try:
        CALLS["cut"](model)
        for name, refused in (("noted", False), ("by", True)):
            counter = At(layers[0], 2, lambda name=name: held.__setitem__(name, 1))
            try:
                if refused:
                    with pytest.raises(RefusedError):
                        CALLS["cut"](model)
                else:
                    CALLS["cut"](model)
            finally:
                counter.handle.remove()
                held.update(by=0.0)
    finally:
        for handle in handles:
            handle.remove()


def test_an_error_of_the_call_itself_comes_through(model):
    weight = model.module.model.layers[0].mlp.down_proj.weight
    kept = weight.detach().clone()

    def fail() -> None:
        weight.data[0, 0].add_(3.0)
        raise ZeroDivisionError

    counter = At(model.module.model.layers[0], 1, fail)
    try:
        with pytest.raises(ZeroDivisionError):
            wl.execute(model, wl.Plan(IDS))
    finally:
        counter.handle.remove()
        weight.data.copy_(kept)
    assert torch.isfinite(wl.execute(model, wl.Plan(IDS)).logits).all()
