"""Keys before positions and the MLP's hidden, against what the model's own modules return."""

from __future__ import annotations

import pytest
import torch

import worldline as wl
from tiny_runs import loaded, some_tokens

KEEP = ("kv", "q", "k_unplaced", "mlp_hidden")


def returned(model, name):
    """What the module of that name is given and returns, in a plain run."""
    seen = []
    module = model.module.get_submodule(name)
    handle = module.register_forward_hook(lambda _m, args, out: seen.append((args[0], out)))
    try:
        with torch.no_grad():
            model.module(input_ids=torch.tensor([some_tokens(9).ids]), use_cache=False)
    finally:
        handle.remove()
    return seen[0]


def test_llama_keys_and_hidden_are_those_of_its_modules():
    model = loaded("llama")
    trace = wl.record(model, some_tokens(9), keep=KEEP)
    for layer in range(trace.n_layers):
        _, keys = returned(model, f"model.layers.{layer}.self_attn.k_proj")
        hidden, _ = returned(model, f"model.layers.{layer}.mlp.down_proj")
        found = trace.array("k_unplaced")[layer]
        assert torch.equal(found.transpose(0, 1).reshape(9, -1), keys[0])
        assert torch.equal(trace.array("mlp_hidden")[layer], hidden[0])
        assert not torch.equal(found, trace.k[layer])  # the positions had turned them


def test_keys_of_a_norm_are_those_after_it():
    model = loaded("qwen3")
    trace = wl.record(model, some_tokens(9), keep=KEEP)
    _, keys = returned(model, "model.layers.0.self_attn.k_norm")
    assert torch.equal(trace.array("k_unplaced")[0].transpose(0, 1), keys[0])


def test_keys_out_of_one_matrix_head_by_head():
    model = loaded("gpt_neox")
    trace = wl.record(model, some_tokens(9), keep=KEEP)
    _, joined = returned(model, "gpt_neox.layers.0.attention.query_key_value")
    n_heads, d_head = trace.k[0].shape[0], trace.k[0].shape[2]
    keys = joined[0].view(9, n_heads, 3, d_head)[:, :, 1]
    assert torch.equal(trace.array("k_unplaced")[0].transpose(0, 1), keys)


def test_where_positions_were_added_below_the_keys_are_the_keys():
    trace = wl.record(loaded("gpt2"), some_tokens(9), keep=KEEP)
    assert torch.equal(trace.array("k_unplaced")[0], trace.k[0])


def test_experts_have_no_one_hidden():
    trace = wl.record(loaded("mixtral"), some_tokens(9), keep=KEEP)
    assert trace.array("mlp_hidden") == [None] * trace.n_layers


def test_nothing_is_found_that_was_not_asked_for():
    trace = wl.record(loaded("llama"), some_tokens(9))
    with pytest.raises(wl.InputError, match='no "mlp_hidden"'):
        trace.array("mlp_hidden")


@pytest.mark.parametrize("model_type", ["llama", "gemma2", "gpt_oss", "bloom"])
def test_a_pattern_is_that_of_the_run(model_type):
    model, tokens = loaded(model_type), some_tokens(9)
    trace = wl.record(model, tokens)
    weights = wl.edge_measures()["attention weight"](trace)
    for layer in range(trace.n_layers):
        assert abs(trace.pattern(layer) - weights[layer]).max() < 1e-6


def test_a_pattern_with_the_queries_of_another_text():
    model = loaded("llama")
    one, two = (wl.record(model, some_tokens(9, seed)) for seed in (0, 1))
    layer = 1
    assert (one.pattern(layer, q_of=one) == one.pattern(layer)).all()
    assert (one.pattern(layer, q_of=two, k_of=two) == two.pattern(layer)).all()
    assert abs(one.pattern(layer, q_of=two) - one.pattern(layer)).max() > 1e-3
    with pytest.raises(wl.InputError, match="a trace of 5 tokens: accepted are 9"):
        one.pattern(layer, k_of=wl.record(model, some_tokens(5)))
    with pytest.raises(wl.InputError, match="layer 9: accepted are"):
        one.pattern(9)


def test_no_pattern_of_a_run_with_cuts():
    trace = wl.record(loaded("llama"), some_tokens(5), edits=[wl.EdgeCut("mask", src=(1,))])
    with pytest.raises(wl.InputError, match="uncut"):
        trace.pattern(0)
