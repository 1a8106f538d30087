"""The light cone: exact zeros, two highways that add up, finite steps against the derivative."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import worldline as wl
from oracles import Float64
from tiny_runs import FLOAT64, loaded, some_tokens
from worldline.errors import InputError, RefusedError
from worldline.graph.node import Node
from worldline.interventions.light_cone import _zero_outside, light_cone
from worldline.models.validation import anatomy_of

TYPES = (
    "llama", "gpt2", "gemma2", "gpt_neox", "opt", "mistral", "gpt_oss", "qwen2", "deepseek_v3",
    "bloom", "gemma4_text", "diffllama",
)  # fmt: skip
N_POS = 12


@pytest.mark.parametrize("name", TYPES)
def test_zeros_are_exact_and_highways_add_up(name):
    model = loaded(name, FLOAT64)
    for layer in (0, 1):
        with Float64():
            seen = light_cone(model, some_tokens(N_POS), at=Node(layer=layer, pos=4), step=1e-5)
        if name not in ("deepseek_v3", "gpt_oss"):  # experts take other products
            assert seen.outside_zero
        if name == "bloom":  # its GELU is a function with a backward pass of its own only
            assert seen.derivative_error is None
            assert "no forward-mode derivative" in seen.derivative
        else:
            assert seen.derivative == "forward mode"
            assert seen.additivity_error < 1e-8
            assert seen.derivative_error < 1e-3
        assert seen.relative["both"][layer, 4] == pytest.approx(1e-5, rel=1e-6)
        assert seen.relative["kv"][layer].max() == 0
        assert seen.relative["kv"][layer + 1, 5:].max() > 0
        assert (seen.relative["both"][-1, 4:] > 0).all() or name in ("mistral", "gemma4_text")


def test_the_step_is_a_derivative_in_the_limit():
    with Float64():
        errors = [
            light_cone(
                loaded("llama", FLOAT64), some_tokens(6), at=Node(layer=1, pos=2), step=step
            ).derivative_error
            for step in (1e-2, 1e-3, 1e-4)
        ]
    assert errors[0] > 5 * errors[1] > 25 * errors[2]


def test_against_hooks_of_the_users_own():
    """The second witness: block 1's input perturbed by a plain hook, no Edits, nothing watched."""
    model, tokens, at = loaded("llama", FLOAT64), some_tokens(7), Node(layer=1, pos=3)
    ids = torch.tensor([tokens.ids])
    blocks = model.module.model.layers
    rows, perturbation = [], None

    def note(_module, args, kwargs):
        x = args[0] if args else kwargs["hidden_states"]
        if perturbation is not None and len(rows) == at.layer:
            x = x.clone()
            x[0, at.pos] += perturbation
        rows.append(x[0].clone())
        if args:
            return (x, *args[1:]), kwargs
        return args, kwargs | {"hidden_states": x}

    handles = [block.register_forward_pre_hook(note, with_kwargs=True) for block in blocks]
    try:
        with torch.no_grad():
            model.module(ids)
            plain, rows = rows, []
            draw = torch.Generator().manual_seed(5)
            unit = torch.randn(plain[1][3].shape, generator=draw, dtype=FLOAT64)
            perturbation = unit / unit.norm() * plain[1][3].norm() * 1e-3
            model.module(ids)
    finally:
        for handle in handles:
            handle.remove()
    seen = light_cone(model, tokens, at=at, directions=1, step=1e-3, seed=5, derivative=False)
    for row, (old, new) in enumerate(zip(plain, rows, strict=True)):
        true = ((new - old).norm(dim=-1) / old.norm(dim=-1)).numpy()
        np.testing.assert_allclose(seen.relative["both"][row], true, atol=1e-9)


def test_the_last_row_has_no_way_on():
    model = loaded("llama", FLOAT64)
    n_layers = anatomy_of(model.module).n_layers
    seen = light_cone(model, some_tokens(5), at=Node(layer=n_layers, pos=2))
    assert seen.outside_zero
    assert seen.reach("kv") == [0] * (n_layers + 1)
    assert seen.reach("both") == [0] * n_layers + [1]
    assert json.dumps(seen.json(), allow_nan=False)


def test_what_cannot_be_perturbed():
    model, tokens = loaded("llama"), some_tokens(5)
    at = Node(layer=1, pos=1)
    for options, said in (
        ({"at": Node(layer=99, pos=1)}, "is off the grid: accepted are rows 0 to"),
        ({"at": Node(layer=1, pos=5)}, "positions 0 to 4"),
        ({"at": at, "directions": 0}, "directions = 0"),
        ({"at": at, "step": 0.0}, "step = 0.0"),
        ({"at": at, "through": ("air",)}, "through='air': accepted are residual, kv, both"),
    ):
        with pytest.raises(ValueError) as caught:
            light_cone(model, tokens, **options)
        assert said in str(caught.value)
    with pytest.raises(RefusedError, match="cannot be told apart"):
        light_cone(loaded("jamba"), tokens, at=Node(layer=0, pos=1))
    assert wl.light_cone is light_cone


def test_a_perturbation_that_leaves_no_numbers_verifies_nothing():
    with pytest.raises((InputError, RefusedError), match="finite"):
        light_cone(loaded("gpt2"), some_tokens(6), at=Node(layer=1, pos=2), step=1e30)


def test_what_is_no_number_is_a_change():
    changes = [torch.zeros(3, 4, 2, dtype=torch.float64) for _ in range(3)]
    assert _zero_outside(changes, Node(layer=1, pos=1))
    changes[0][0, 0, 0] = float("nan")
    assert not _zero_outside(changes, Node(layer=1, pos=1))
