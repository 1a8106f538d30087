"""Block by block or through the whole graph: the same gradients, or the whole graph it is."""

from __future__ import annotations

import pytest
import torch

from tiny_runs import FLOAT64, loaded, some_tokens
from worldline.attribution.attribute import attribute
from worldline.models import gradients
from worldline.models.gradients import block_gradients, whole_gradients
from worldline.models.laws import check_model
from worldline.models.tiny_models import tiny_model
from worldline.models.unembed import tail_of
from worldline.models.validation import anatomy_of, checked_report
from worldline.runs.forward_passes import inputs_of
from worldline.runs.plan import Plan
from worldline.runs.recorder import record


def margin(logits):
    return logits[7] - logits[11:15].logsumexp(0)


def both_ways(name, length=29):
    """(block by block or None, through the whole graph) for a type longer than its window."""
    model, tokens = loaded(name, FLOAT64), some_tokens(length)
    trace = record(model, tokens)
    reruns = [block.rerun for block in trace.live]
    inputs = inputs_of(model, Plan(tuple(tokens.ids)))
    blocks = block_gradients(model.module, reruns, trace.resid, margin)
    return blocks, whole_gradients(model.module, anatomy_of(model.module), inputs, margin)


@pytest.mark.parametrize("name", ["llama", "gpt_oss", "gemma3_text", "qwen3_moe", "stablelm"])
def test_blocks_by_themselves_give_the_gradients_of_the_whole_graph(name):
    blocks, whole = both_ways(name)
    assert checked_report(loaded(name, FLOAT64)).separable
    assert blocks is not None
    assert blocks[0] == pytest.approx(whole[0], rel=1e-12)
    assert [len(reads) for reads in blocks[1]] == [len(reads) for reads in whole[1]]
    for found, true in zip(blocks[1], whole[1], strict=True):
        for a, b in zip(found, true, strict=True):
            assert a.abs().max() > 0
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_where_layers_share_keys_and_values_blocks_do_not_stand_for_themselves():
    """gemma4: a later layer reads the K and V of an earlier one, past the residual stream.

    Its soft-cap of logits is taken away, which would be another reason.
    """
    module = tiny_model("gemma4_text")
    for config in (module.config, module.config.get_text_config()):
        config.final_logit_softcapping = None
    report = check_model(module)
    assert tail_of(module) is not None
    assert report.status == "exact"
    assert not report.separable


def test_a_block_that_gives_another_row_is_not_used(monkeypatch):
    model, tokens = loaded("llama", FLOAT64), some_tokens(9)
    trace = record(model, tokens)
    reruns = [block.rerun for block in trace.live]
    rows = list(trace.resid)
    rows[1] = rows[1] + 1e-12
    assert block_gradients(model.module, reruns, trace.resid, margin) is not None
    assert block_gradients(model.module, reruns, rows, margin) is None


def test_attribution_takes_the_blocks_where_they_stand_for_themselves(monkeypatch):
    """The same flow either way, and the whole graph is not even built."""
    trace = record(loaded("llama", FLOAT64), some_tokens(13))
    by_blocks = attribute(trace, "gradient", top=50)
    for block in trace.live:
        block.rerun = None
    whole = attribute(trace, "gradient", top=50)
    assert [e[:4] for e in by_blocks.edges] == [e[:4] for e in whole.edges]
    assert [e.weight for e in by_blocks.edges] == pytest.approx([e.weight for e in whole.edges])
    assert by_blocks.target_value == pytest.approx(whole.target_value)

    again = record(loaded("llama", FLOAT64), some_tokens(13))
    monkeypatch.setattr(gradients, "watched_forward", None)
    assert [e[:4] for e in attribute(again, "gradient", top=50).edges] == [
        e[:4] for e in whole.edges
    ]


def test_weights_ask_for_gradients_as_before():
    trace = record(loaded("llama", FLOAT64), some_tokens(5))
    before = {name: p.requires_grad for name, p in trace.model.module.named_parameters()}
    assert all(before.values())
    attribute(trace, "gradient")
    assert {n: p.requires_grad for n, p in trace.model.module.named_parameters()} == before
    assert all(p.grad is None for p in trace.model.module.parameters())
