"""Gradients at some columns alone: those of the whole graph there, or none at all."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import chain

import pytest
import torch

from oracles import Float64
from tiny_runs import FLOAT64, loaded, some_tokens
from worldline.attribution.attribute import attribute
from worldline.models.gradients import whole_gradients
from worldline.models.validation import anatomy_of
from worldline.runs.forward_passes import inputs_of
from worldline.runs.partial_forward import column_gradients
from worldline.runs.plan import Plan
from worldline.runs.recorder import record

N_POS = 29  # longer than the tiny models' windows
COLUMNS = range(19, 27)
ALONE = ["llama", "gpt2", "gpt_oss", "gemma3_text", "gpt_neox", "phi", "qwen3_moe", "deepseek_v3"]
WHOLE = {
    "bloom": "attention that is written out",
    "gemma2": "soft-capped logits",
    "jamba": "layers that move information without K/V",
}


def said(logits):
    """What some rows say of some tokens."""
    chances = logits.log_softmax(-1)
    return chances[range(len(logits)), list(range(3, 3 + len(logits)))].sum()


def through_the_whole_graph(model, ids, columns):
    return whole_gradients(
        model.module,
        anatomy_of(model.module),
        inputs_of(model, Plan(ids)),
        lambda logits: said(logits[: len(columns)]),
        last=len(ids) - columns.start,
    )


def both_ways(name, columns=COLUMNS):
    """(At these columns alone or None, through the whole graph)."""
    model, tokens = loaded(name, FLOAT64), some_tokens(N_POS)
    trace = record(model, tokens, keep=())
    reruns, calls = [one.rerun for one in trace.live], [one.calls for one in trace.live]
    alone = column_gradients(model, tokens.ids, said, reruns, calls, trace.resid, columns)
    whole = through_the_whole_graph(model, tokens.ids, columns)
    heads = [
        [
            [call.to_heads(u)[0] for call, u in zip(block, us, strict=True)]
            for block, us in zip(calls, way[1], strict=True)
        ]
        for way in (alone, whole)
        if way is not None
    ]
    return alone, whole, heads


def rounding_of_other_shapes(name):
    """How far gradients of the whole graph move where the tokens that follow are left out.

    Nothing before them depends on them, but the router of deepseek_v3 multiplies in float32
    whatever the weights are, and products of other numbers of rows are summed in another order:
    1e-7 at some numbers of rows, 0 at others, and which ones depends on where memory lies.
    """
    model, ids, worst = loaded(name, FLOAT64), some_tokens(N_POS).ids, 0.0
    for n in (1, 5, 13, 21, 23):
        long, short = (through_the_whole_graph(model, some, range(n))[1] for some in (ids, ids[:n]))
        pairs = zip(chain.from_iterable(long), chain.from_iterable(short), strict=True)
        worst = max(worst, *(float((a[:, :n] - b).abs().max()) for a, b in pairs))
    return worst


@pytest.mark.parametrize("arithmetic", [Float64, nullcontext], ids=["float64", "its own"])
@pytest.mark.parametrize("name", ALONE)
def test_they_are_those_of_the_whole_graph(name, arithmetic):
    """To the last digits where all is float64; where the model casts, to its own rounding."""
    with arithmetic():
        alone, whole, heads = both_ways(name)
        floor = rounding_of_other_shapes(name)
    assert alone is not None
    assert floor < (1e-13 if arithmetic is Float64 else 1e-6)
    assert alone[0] == pytest.approx(whole[0], rel=1e-10)
    for mine, true in zip(*heads, strict=True):
        assert len(mine) == len(true)
        for a, b in zip(mine, true, strict=True):
            here = slice(COLUMNS.start, COLUMNS.stop)
            assert b[:, here].abs().max() > 0
            near = {"rtol": 1e-12, "atol": max(1e-13, 3 * floor)}
            torch.testing.assert_close(a[:, here], b[:, here], **near)
            assert not a[:, : COLUMNS.start].any()
            assert not a[:, COLUMNS.stop :].any()


@pytest.mark.parametrize("name", WHOLE)
def test_where_they_cannot_run_alone_the_whole_graph_is_asked(name):
    alone, whole, _ = both_ways(name)
    assert alone is None
    assert any(u.abs().max() > 0 for us in whole[1] for u in us)


@pytest.mark.parametrize("first", [0, 5, 28])
def test_from_the_first_column_to_the_last(first):
    alone, whole, heads = both_ways("llama", range(first, N_POS))
    assert alone[0] == pytest.approx(whole[0], rel=1e-10)
    for mine, true in zip(*heads, strict=True):
        torch.testing.assert_close(mine[0][:, first:], true[0][:, first:], rtol=1e-7, atol=1e-12)


def test_only_these_columns_run_again():
    model, tokens = loaded("llama", FLOAT64), some_tokens(N_POS)
    trace, seen = record(model, tokens, keep=()), []

    def look(_module, args, _out):
        seen.append(args[0].shape)

    look.__module__ = "worldline.tests"  # anybody else's hook makes another model of it
    hooks = [one.rerun.module.register_forward_hook(look) for one in trace.live]
    try:
        attribute(trace, "gradient", target=range(20, 24), top=0)
    finally:
        for hook in hooks:
            hook.remove()
    assert seen.count((1, 4, trace.resid[0].shape[1])) == trace.n_layers
    assert max(shape[1] for shape in seen) == 4  # and a few tokens, to see what has positions


def test_a_block_that_says_something_else_is_noticed():
    """Where rows are not those of the recorded run nothing is given: the whole graph is asked."""
    model, tokens = loaded("llama", FLOAT64), some_tokens(N_POS)
    trace = record(model, tokens, keep=())
    reruns, calls = [one.rerun for one in trace.live], [one.calls for one in trace.live]
    rows = [row.clone() for row in trace.resid]
    rows[1][COLUMNS.start] *= 1.001
    assert column_gradients(model, tokens.ids, said, reruns, calls, rows, COLUMNS) is None
