"""Law 4: any legal order gives the same run, on tiny models of many architectures."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from oracles import Float64
from tiny_runs import FLOAT64, loaded, some_tokens
from worldline.errors import RefusedError
from worldline.graph.node import Node
from worldline.graph.order import Order, Slice, cone_slices
from worldline.interventions.run_orders import logit_difference, run_orders
from worldline.runs.execution import execute, execute_many
from worldline.runs.foliation import Blocks
from worldline.runs.plan import Plan

#: Multi-head, grouped, multi-query, latent; rotary, learned positions; windows, sinks, soft-caps,
#: parallel blocks, experts, post-norms, two reads in a block, logits scaled after the norm.
TYPES = (
    "llama", "gpt2", "gpt_bigcode", "deepseek_v3", "mistral", "gpt_oss", "gemma2", "gpt_neox",
    "mixtral", "olmo2", "opt", "cohere", "phi", "diffllama", "granite",
)  # fmt: skip
ORDERS = ("prefill", "decode", "wavefront(1)", "wavefront(0.4)", "random(3)", "cone")


@pytest.mark.parametrize("name", TYPES)
def test_order_does_not_matter(name):
    with Float64():
        seen = run_orders(loaded(name, FLOAT64), some_tokens(12), ORDERS)
    assert [one.name for one in seen.orders] == list(ORDERS)
    for one in seen.orders:
        assert one.nats is not None
        assert one.nats < 1e-9
        assert one.row_error < 1e-9
        assert one.longest_chain == len(one.slices)
    cone = seen.orders[-1]
    assert cone.blocks < cone.of_blocks
    assert cone.slices[-1] == [None] * 11 + [len(cone.slices) - 1]
    assert json.dumps(seen.json(), allow_nan=False)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "mixtral", "opt"])
def test_the_floor_covers_the_shapes_that_orders_use(name):
    seen = run_orders(loaded(name), some_tokens(12))
    assert [one.name for one in seen.orders if seen.precision.tells(one.nats or 0.0)] == []


def test_a_plan_may_name_its_order():
    model, ids = loaded("llama", FLOAT64), some_tokens(5).ids
    plain = execute(model, Plan(ids)).logits
    for name in ("decode", "random(1)"):
        seen = execute(model, Plan(ids, order=Order.parse(name))).logits
        torch.testing.assert_close(seen, plain, rtol=0, atol=1e-6)
    (many,) = execute_many(model, [Plan(ids, order=Order.parse("cone"))])
    assert many[:-1].isnan().all()
    torch.testing.assert_close(many[-1], plain[0, -1], rtol=0, atol=1e-6)


def test_a_cone_gives_its_node_and_evaluates_nothing_else():
    model, ids = loaded("mistral", FLOAT64), some_tokens(16).ids
    blocks = Blocks(model, Plan(ids))
    window = model.config["sliding_window"]
    assert window < 16
    assert list(blocks.reads(0, 15)) == list(range(16 - window, 16))
    for layer in range(blocks.n_layers + 1):
        slices = cone_slices(Node(layer=layer, pos=14), blocks.reads)
        found = blocks.run(slices)
        torch.testing.assert_close(found.rows[layer][14], blocks.rows[layer][14], rtol=0, atol=1e-6)
        for row in range(1, blocks.n_layers + 1):
            computed = ~found.rows[row].isnan().any(-1)
            ran = {pos for of, pos in found.ran if of == row - 1}
            assert set(computed.nonzero().flatten().tolist()) == ran


def test_what_was_not_written_is_not_read():
    blocks = Blocks(loaded("llama", FLOAT64), Plan(some_tokens(4).ids))
    with pytest.raises(RefusedError, match="K and V of column 0 were read before they were"):
        blocks.run([Slice(((0, 1),))])


def test_the_users_own_slices():
    model, tokens = loaded("llama", FLOAT64), some_tokens(3)
    n_layers = Blocks(model, Plan(tokens.ids)).n_layers
    own = [[[layer, pos]] for pos in range(3) for layer in range(n_layers)]
    (seen,) = run_orders(model, tokens, [Order.given(own)]).orders
    assert (seen.name, seen.n_slices, seen.widest) == ("given", 3 * n_layers, 1)
    with pytest.raises(ValueError, match=r"slice 0: block \(1, 0\) needs block \(0, 0\)"):
        run_orders(model, tokens, [Order.given([[[1, 0]]])])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("jamba", "move information between columns without K/V"),
        ("bloom", "not through its key"),
        ("gemma4_text", "reads K and V that another layer wrote"),
        ("llama4_text", "away from the plain run"),
        ("xlnet", "not given its row as"),
    ],
)
def test_models_that_keep_to_their_own_order(name, said):
    with pytest.raises(RefusedError, match=said):
        run_orders(loaded(name), some_tokens(9))


def test_differences_are_of_logprobs_and_of_units_in_the_last_place():
    two = torch.tensor([[0.5, -3.0, 1.0]])
    one = two.clone()
    one[0, 1] = float(np.nextafter(np.float32(-3.0), np.float32(0)))
    nats, ulp = logit_difference(one, two)
    assert ulp == 1.0  # the largest logit is 3, and so is the one that moved
    assert 0 < nats < 1e-6
    assert logit_difference(two, two) == (0.0, 0.0)
