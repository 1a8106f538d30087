"""Gradients at some columns alone: those of the whole graph there, or none at all."""

from __future__ import annotations

import pytest
import torch

from tiny_runs import FLOAT64, loaded, some_tokens
from worldline.model.gradients import whole_gradients
from worldline.model.guard import anatomy_of
from worldline.run.columns import column_gradients
from worldline.run.executing import inputs_of
from worldline.run.plan import Plan
from worldline.trace.recording import record

N_POS = 29  # longer than the tiny models' windows
COLUMNS = range(19, 27)
ALONE = ["llama", "gpt2", "gpt_oss", "gemma3_text", "gpt_neox", "falcon", "phi", "cohere", "qwen2"]


def said(logits):
    """What the rows in COLUMNS say of some tokens."""
    chances = logits.log_softmax(-1)
    return chances[range(len(logits)), list(range(3, 3 + len(logits)))].sum()


def said_of_all(logits):
    return said(logits[: len(COLUMNS)])


def both_ways(name, columns=COLUMNS):
    """(At these columns alone or None, through the whole graph)."""
    model, tokens = loaded(name, FLOAT64), some_tokens(N_POS)
    trace = record(model, tokens, keep=())
    reruns, calls = [one.rerun for one in trace.live], [one.calls for one in trace.live]
    alone = column_gradients(model, tokens.ids, said, reruns, calls, trace.resid, columns)
    whole = whole_gradients(
        model.module,
        anatomy_of(model.module),
        inputs_of(model, Plan(tokens.ids)),
        said_of_all,
        last=N_POS - columns.start,
    )
    heads = [
        [
            [call.to_heads(u)[0] for call, u in zip(block, us, strict=True)]
            for block, us in zip(calls, way[1], strict=True)
        ]
        for way in (alone, whole)
        if way is not None
    ]
    return alone, whole, heads


@pytest.mark.parametrize("name", ALONE)
def test_they_are_those_of_the_whole_graph(name):
    alone, whole, heads = both_ways(name)
    assert alone is not None
    assert alone[0] == pytest.approx(whole[0], rel=1e-10)
    for mine, true in zip(*heads, strict=True):
        assert len(mine) == len(true)
        for a, b in zip(mine, true, strict=True):
            here = slice(COLUMNS.start, COLUMNS.stop)
            assert b[:, here].abs().max() > 0
            torch.testing.assert_close(a[:, here], b[:, here], rtol=1e-7, atol=1e-12)
            assert not a[:, : COLUMNS.start].any()
            assert not a[:, COLUMNS.stop :].any()
