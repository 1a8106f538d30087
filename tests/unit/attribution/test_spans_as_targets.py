"""What a text says at a span as target: its log-probability, and groups of reads cut as one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tiny_runs import FLOAT64, loaded, some_tokens
from worldline.attribution.attribute import attribute
from worldline.errors import InputError
from worldline.graph.edits import EdgeCut
from worldline.models.gradients import block_gradients, whole_gradients
from worldline.models.validation import anatomy_of
from worldline.runs.execution import execute
from worldline.runs.forward_passes import inputs_of
from worldline.runs.plan import Plan
from worldline.runs.recorder import record
from worldline.tokens.units import Grouping

SPAN = range(8, 12)
N_POS = 14
GROUP_OF = (0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4)
GROUPS = Grouping("messages", GROUP_OF, ((0, 0),) * 5, (None,) * 5)
KINDS = ("llama", "gpt2", "gpt_oss", "gemma3_text")


def logprob(model, tokens, edits=()) -> float:
    logits = execute(model, Plan(tokens.ids, frozenset(edits))).logits[0].double()
    return sum(float(logits[at - 1].log_softmax(-1)[tokens.ids[at]]) for at in SPAN)


@pytest.fixture(scope="module", params=KINDS)
def run(request):
    model, tokens = loaded(request.param, FLOAT64), some_tokens(N_POS)
    return model, tokens, record(model, tokens)


def test_its_value_is_the_log_probability_of_the_span(run):
    model, tokens, trace = run
    flow = attribute(trace, "gradient", target=SPAN)
    assert flow.target_value == pytest.approx(logprob(model, tokens), abs=1e-5)
    assert flow.meaning.target.span == (8, 12)
    assert "log-probability of tokens 8 to 11" in flow.meaning.unit
    assert "nats" in flow.meaning.unit


def test_only_rows_about_to_say_it_are_counted(run):
    _, _, trace = run
    flow = attribute(trace, "gradient", target=SPAN, how="mask", top=10**6)
    assert {edge.dst for edge in flow.edges} <= set(range(7, 11))
    whole = sum(np.abs(flow.dense(layer)).sum() for layer in range(flow.n_layers))
    assert flow.coverage.total <= whole * (1 + 1e-9)


@pytest.mark.parametrize("how", ["mask", "zero"])
def test_a_group_cut_at_once_changes_z_by_what_it_says(run, how):
    """Per layer, the change of what attention returns is that of the very cut, times the gradient.

    In the one layer that is cut, z changes as in the cut run; u is the gradient.
    """
    model, tokens, trace = run
    flow = attribute(trace, "gradient", target=SPAN, how=how, groups=[GROUPS], top=0)
    (joint,) = flow.joint
    us = gradients(model, tokens)
    for layer in range(trace.n_layers):
        for group in (0, 1):
            src = tuple(at for at in range(8) if GROUP_OF[at] == group)
            edit = EdgeCut(how, src=src, dst=tuple(range(7, 11)), layers=(layer,))
            before, after = (reads(model, tokens, edits)[layer] for edits in ((), (edit,)))
            lost = ((before - after) * us[layer])[:, 7:11].sum((1, 2))
            assert joint.losses[layer, :, group] == pytest.approx(lost.numpy(), abs=1e-7)


def test_rows_and_heads_are_two_sums_of_one_thing(run):
    _, _, trace = run
    flow = attribute(trace, "gradient", target=SPAN, how="mask", groups=[GROUPS], top=0)
    (joint,) = flow.joint
    assert joint.rows == (7, 11)
    assert joint.by_row.sum(0) == pytest.approx(joint.losses.sum((0, 1)), abs=1e-9)


def test_attention_adds_up_to_one_a_head(run):
    model, _, trace = run
    (joint,) = attribute(trace, "gradient", target=SPAN, groups=[GROUPS], top=0).joint
    total = joint.attention.sum(-1)
    assert total.max() <= 1 + 1e-6
    if model.config["model_type"] != "gpt_oss":  # whose sinks take part
        assert total == pytest.approx(np.ones_like(total), abs=1e-6)


def test_dropping_is_the_sum_over_the_edges(run):
    _, _, trace = run
    flow = attribute(trace, "gradient", target=SPAN, groups=[GROUPS], top=0)
    (joint,) = flow.joint
    for layer in range(trace.n_layers):
        edges = flow.dense(layer).sum(1)  # [head, src]
        for group in range(5):
            members = [at for at in range(N_POS) if GROUP_OF[at] == group]
            assert joint.losses[layer, :, group] == pytest.approx(
                edges[:, members].sum(1), abs=1e-7
            )


def test_block_by_block_is_the_whole_graph(run):
    model, tokens, trace = run
    ids = tokens.ids
    reruns = [block.rerun for block in trace.live]

    def measure(logits):
        return logits.log_softmax(-1)[:4, 3].sum()

    whole = whole_gradients(
        model.module, anatomy_of(model.module), inputs_of(model, Plan(ids)), measure, last=7
    )
    blocks = block_gradients(model.module, reruns, trace.resid, measure, 7)
    if blocks is None:
        pytest.xfail("the blocks of this type do not stand for themselves")
    assert blocks[0] == pytest.approx(whole[0], abs=1e-9)
    for one, two in zip(blocks[1], whole[1], strict=True):
        for a, b in zip(one, two, strict=True):
            torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("span", [range(0), range(0, 3), range(3, 15), range(1, 9, 2), range(5, 4)])
def test_a_span_outside_the_text_is_refused(run, span):
    with pytest.raises(InputError, match="positions 1 to 13"):
        attribute(run[2], "gradient", target=span)


@pytest.mark.parametrize("asked", [{"by": "frozen"}, {"by": "contribution"}, {"versus": 5}])
def test_a_span_is_asked_by_gradient_alone(run, asked):
    with pytest.raises(InputError, match=r"span|asks about no target"):
        attribute(run[2], **{"by": "gradient", "target": SPAN} | asked)


def gradients(model, tokens):
    """Per layer d log-probability / d z, [head, pos, d], by one graph through the whole model."""
    last = N_POS - SPAN.start + 1
    ids = tokens.ids[SPAN.start : SPAN.stop]

    def measure(logits):
        return logits[: len(ids)].log_softmax(-1)[range(len(ids)), list(ids)].sum()

    anatomy, inputs = anatomy_of(model.module), inputs_of(model, Plan(tokens.ids))
    _, found = whole_gradients(model.module, anatomy, inputs, measure, last=last)
    calls = []
    execute(model, Plan(tokens.ids), lambda event: calls.append(event.calls))
    return [
        torch.cat([c.to_heads(u)[0] for c, u in zip(cs, us, strict=True)]).detach()
        for cs, us in zip(calls, found, strict=True)
    ]


def reads(model, tokens, edits):
    found = []
    execute(
        model,
        Plan(tokens.ids, frozenset(edits)),
        lambda event: found.append(torch.cat([call.z[0].detach() for call in event.calls])),
    )
    return found
