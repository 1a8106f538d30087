"""Each highway of a light cone by itself: plain forwards with hooks say the same, zeros by rule."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oracles import Float64
from tiny_runs import FLOAT64, loaded, some_tokens, tokens_of
from worldline.errors import InputError, RefusedError
from worldline.graph.node import Node
from worldline.interventions import light_cone as cone
from worldline.interventions.light_cone import THROUGH, light_cone
from worldline.models.validation import anatomy_of
from worldline.tokens.tokens import Tokens

#: Where each model keeps its blocks, found in its source and not by us.
BLOCKS = {
    "llama": "model.layers",
    "qwen2": "model.layers",
    "gemma2": "model.layers",
    "mistral": "model.layers",
    "gpt_neox": "gpt_neox.layers",
    "opt": "model.decoder.layers",
    "gpt2": "transformer.h",
    "gpt_oss": "model.layers",
    "mixtral": "model.layers",
    "deepseek_v3": "model.layers",
}
N_POS, POS = 12, 4
STEP = 1e-4


def plain_rows(model, tokens: Tokens, change=None) -> list[torch.Tensor]:
    """Every row of a plain forward, [pos, d]; `change(row, x)` may edit what enters a block."""
    rows: list[torch.Tensor] = []
    blocks = model.module.get_submodule(BLOCKS[model.config["model_type"]])

    def enter(_module, args, kwargs):
        x = args[0] if args else kwargs["hidden_states"]
        new = x.clone()
        if change is not None:
            change(len(rows), new[0])
        rows.append(new[0].clone())
        if args:
            return (new, *args[1:]), kwargs
        return args, kwargs | {"hidden_states": new}

    def leave(_module, _args, out):
        rows.append((out if isinstance(out, torch.Tensor) else out[0])[0].clone())

    handles = [block.register_forward_pre_hook(enter, with_kwargs=True) for block in blocks]
    handles.append(blocks[-1].register_forward_hook(leave))
    try:
        with torch.no_grad():
            model.module(torch.tensor([tokens.ids]), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return rows


def first_perturbation(row: torch.Tensor, seed: int) -> torch.Tensor:
    """The perturbation in the first direction, as the docstring of `light_cone` defines it."""
    unit = torch.randn(row[POS].shape, generator=torch.Generator().manual_seed(seed), dtype=FLOAT64)
    return unit / unit.norm() * row[POS].norm() * STEP


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("name", BLOCKS)
def test_each_highway_by_plain_forwards(name, layer):
    """The second witness: no Edits, nothing watched; two forwards for each highway.

    One step above the perturbation, the perturbed column has heard of it through the residual
    stream only and later columns through K and V only: so a forward in which one or the others are
    put where the perturbation on both had taken them is that highway's.
    """
    model, tokens = loaded(name, FLOAT64), some_tokens(N_POS, seed=2)
    with Float64():
        plain = plain_rows(model, tokens)
        perturbation = first_perturbation(plain[layer], 7)

        def perturbed(row, x):
            if row == layer:
                x[POS] += perturbation

        both = plain_rows(model, tokens, perturbed)

        def of_column(row, x):
            if row == layer + 1:
                x[POS] = both[row][POS]

        def of_later(row, x):
            if row == layer + 1:
                x[POS + 1 :] = both[row][POS + 1 :]

        by_hand = {
            "both": both,
            "residual": plain_rows(model, tokens, of_column),
            "kv": plain_rows(model, tokens, of_later),
        }
        seen = light_cone(
            model, tokens, at=Node(layer=layer, pos=POS), directions=1, step=STEP, seed=7,
            derivative=False,
        )  # fmt: skip
    assert len(plain) > layer + 2  # else nothing could have travelled on
    for through, rows in by_hand.items():
        for row, (old, new) in enumerate(zip(plain, rows, strict=True)):
            if row == layer:
                continue  # the residual highway's forward by hand starts one row above
            true = ((new - old).norm(dim=-1) / old.norm(dim=-1)).numpy()
            found = seen.relative[through][row]
            np.testing.assert_allclose(found, true, rtol=1e-6, atol=1e-13, err_msg=through)
        assert seen.relative[through][layer + 2, POS + 1] > 1e-9, through


@pytest.mark.parametrize("name", [*BLOCKS, "gemma4_text", "diffllama", "bloom"])
@pytest.mark.parametrize("layer", [0, 1])
def test_zeros_by_rule(name, layer):
    """Law 3, node by node: only what sees the perturbed node, and by this highway, may change."""
    model, at = loaded(name, FLOAT64), Node(layer=layer, pos=POS)
    with Float64():
        seen = light_cone(model, some_tokens(N_POS), at=at, directions=2, derivative=False)
    assert seen.outside_zero
    assert (seen.derivative, seen.derivative_error) == ("not asked for", None)
    for through in THROUGH:
        table = seen.relative[through]
        for row in range(table.shape[0]):
            for pos in range(N_POS):
                if not Node(layer=row, pos=pos).sees(at):
                    assert table[row, pos] == 0
    assert (seen.relative["kv"][layer : layer + 2, POS] == 0).all()
    assert (seen.relative["residual"][layer + 1, POS + 1 :] == 0).all()
    for through in ("residual", "both"):
        assert seen.relative[through][layer + 1, POS] > 0
    assert seen.relative["kv"][layer + 1, POS + 1] > 0


EXPERTS = ("gpt_oss",)  # bitwise is promised of dense models only


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt_oss", "opt"])
def test_later_tokens_change_no_earlier_response(name):
    model, at = loaded(name, FLOAT64), Node(layer=1, pos=2)
    one = some_tokens(10)
    other = tokens_of([*one.ids[:7], *(16 + (number - 15) % 96 for number in one.ids[7:])])
    a, b = (light_cone(model, t, at=at, directions=1, derivative=False) for t in (one, other))
    for through in THROUGH:
        before, after = a.relative[through][:, :7], b.relative[through][:, :7]
        if name in EXPERTS:  # a later token that chooses an expert changes the shapes it runs in
            np.testing.assert_allclose(before, after, rtol=1e-9, atol=1e-12)
        else:
            assert (before == after).all()
        assert (a.relative[through][-1, 7:] != b.relative[through][-1, 7:]).any()


def test_nothing_beyond_the_window_hears_in_one_row():
    model = loaded("mistral", FLOAT64)
    window = model.config["sliding_window"]
    tokens = some_tokens(window + 6)
    seen = light_cone(model, tokens, at=Node(layer=0, pos=1), directions=1, derivative=False)
    row = seen.relative["kv"][1]
    assert (row[2 : 1 + window] > 0).all()
    assert (row[1 + window :] == 0).all()
    assert (seen.relative["kv"][2, 1 + window :] > 0).all()


def test_nobody_reads_the_last_column():
    seen = light_cone(loaded("llama", FLOAT64), some_tokens(6), at=Node(layer=1, pos=5))
    assert not seen.relative["kv"].any()
    assert not seen.spread["kv"].any()
    assert (seen.relative["residual"] == seen.relative["both"]).all()
    assert seen.reach("both") == [0] + [1] * (len(seen.relative["both"]) - 1)


def test_what_is_reported_is_over_the_directions():
    model, tokens, at = loaded("llama", FLOAT64), some_tokens(7), Node(layer=0, pos=2)
    one, two, other = (
        light_cone(model, tokens, at=at, directions=n, seed=seed, derivative=False)
        for n, seed in ((1, 3), (2, 3), (1, 4))
    )
    assert not one.spread["both"].any()
    assert not np.array_equal(one.relative["both"], other.relative["both"])
    for through in THROUGH:
        first, mean = one.relative[through], two.relative[through]
        second = 2 * mean - first  # the first of two directions is the one of one
        spread = np.divide(abs(first - second) / 2, mean, out=np.zeros_like(mean), where=mean > 0)
        np.testing.assert_allclose(two.spread[through], spread, atol=1e-12)
    assert two.spread["both"][-1, 3:].min() > 0
    again = light_cone(model, tokens, at=at, directions=1, seed=3, derivative=False)
    assert all((again.relative[t] == one.relative[t]).all() for t in THROUGH)


@pytest.mark.parametrize("name", ["llama", "gpt_oss", "gemma4_text", "opt"])
def test_the_worst_node_falls_with_the_step(name):
    """One-sided steps: the error is that of the second order, in proportion to the step."""
    with Float64():
        errors = [
            light_cone(
                loaded(name, FLOAT64), some_tokens(8), at=Node(layer=1, pos=2), step=step
            ).derivative_worst
            for step in (1e-3, 1e-4, 1e-5)
        ]
    assert 7 < errors[0] / errors[1] < 13
    assert 7 < errors[1] / errors[2] < 13


def test_a_change_outside_is_told(monkeypatch):
    true = cone._Perturbation.row

    def also_left(self, x):
        new = true(self, x)
        if self.at_row - 1 == self.at.layer and bool(self.perturbation.any()):
            new[1, 0] += 1e-12
        return new

    monkeypatch.setattr(cone._Perturbation, "row", also_left)
    at = Node(layer=1, pos=2)
    seen = light_cone(loaded("llama", FLOAT64), some_tokens(5), at=at, derivative=False)
    assert not seen.outside_zero


def test_copies_that_read_their_own_are_told(monkeypatch):
    """Were no K and V swapped, the residual copy would carry everything, and the zeros say so."""
    monkeypatch.setattr(cone._Perturbation, "rewrite_read", lambda self, call: None)
    at = Node(layer=1, pos=2)
    seen = light_cone(loaded("llama", FLOAT64), some_tokens(5), at=at, derivative=False)
    assert not seen.outside_zero
    assert (seen.relative["residual"] == seen.relative["both"]).all()


def test_a_mask_made_from_values_is_refused():
    model = loaded("doge", FLOAT64)
    at = Node(layer=1, pos=2)
    with pytest.raises(RefusedError, match="layer 1 makes its mask from the perturbed node too"):
        light_cone(model, some_tokens(6), at=at)
    last = Node(layer=anatomy_of(model.module).n_layers, pos=2)
    assert light_cone(model, some_tokens(6), at=last).outside_zero


def test_no_highway_is_no_question():
    with pytest.raises(InputError, match="accepted are residual, kv, both"):
        light_cone(loaded("llama"), some_tokens(4), at=Node(layer=0, pos=1), through=())


def test_one_highway_is_the_same_as_among_all():
    model, tokens, at = loaded("llama", FLOAT64), some_tokens(5), Node(layer=0, pos=1)
    every = light_cone(model, tokens, at=at, directions=1)
    only = light_cone(model, tokens, at=at, directions=1, through=("kv",))
    assert list(only.relative) == list(only.spread) == ["kv"]
    assert (only.relative["kv"] == every.relative["kv"]).all()
    assert only.json()["derivative_worst"] == every.derivative_worst
