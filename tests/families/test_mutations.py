"""Every term that is tampered with must be noticed: the checks are only worth what they catch."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest

pytest.importorskip("transformers")

import torch

from worldline.models import attention
from worldline.models.architecture import find_anatomy
from worldline.models.attention import causal_allowed
from worldline.models.laws import check_model, closure_of, tolerance_of
from worldline.models.terms import CONSTANTS, MLP, SKIP, Term
from worldline.models.tiny_models import forward_kwargs, tiny_ids, tiny_model
from worldline.models.tracer import watched_forward

# One of each make: plain, fused and biased, inline with alibi, post-norms and soft-cap, parallel,
# sinks and experts, experts, two reads a block, post-norms only.
TYPES = [
    "llama",
    "gpt2",
    "bloom",
    "gemma2",
    "phi",
    "gpt_oss",
    "mixtral",
    "diffllama",
    "openai-gpt",
    "jetmoe",
    "xlnet",
    "hy_v4",
    "opt",
]
BIASED = {"gpt2", "bloom", "phi", "gpt_oss", "openai-gpt", "jetmoe", "xlnet", "opt"}
ROW = 9


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@functools.cache
def events_of(name):
    model = tiny_model(name)
    inputs = {"input_ids": tiny_ids(17)} | forward_kwargs(model)
    events = []
    watched_forward(model, inputs, find_anatomy(model, inputs), on_block=events.append)
    return events


def fails(event):
    return max(closure_of(event)[:2]) > tolerance_of(torch.float32)


def without(event, name):
    return replace(event, terms={n: t for n, t in event.terms.items() if n != name})


def with_calls(event, change):
    return replace(event, calls=[change(call) for call in event.calls])


def no_values(call):
    v = call.v.clone()
    v[:, 0] = 0
    return replace(call, v=v)


def other_row(call):
    n_pos = call.q.shape[2]
    allowed = causal_allowed(n_pos, call.q.device) if call.allowed is None else call.allowed
    allowed = allowed.expand(-1, -1, n_pos, n_pos).clone()
    shut = allowed[0, 0, ROW].nonzero()[-1]  # the nearest source that the row may read
    allowed[:, :, ROW, shut] = False
    return replace(call, allowed=allowed)


@pytest.mark.parametrize("name", TYPES)
def test_untouched_blocks_pass(name):
    events = events_of(name)
    assert events
    assert not any(fails(event) for event in events)


@pytest.mark.parametrize("name", TYPES)
def test_a_heads_values_lost(name):
    assert all(fails(with_calls(event, no_values)) for event in events_of(name))


@pytest.mark.parametrize("name", TYPES)
def test_one_row_of_the_pattern_changed(name):
    assert all(fails(with_calls(event, other_row)) for event in events_of(name))


@pytest.mark.parametrize("name", TYPES)
def test_wrong_scaling_and_lost_sinks(name):
    for event in events_of(name):
        assert fails(with_calls(event, lambda call: replace(call, scaling=call.scaling * 1.01)))
        if event.calls[0].sinks is not None:
            assert fails(with_calls(event, lambda call: replace(call, sinks=None)))
        if event.calls[0].softcap is not None:
            assert fails(with_calls(event, lambda call: replace(call, softcap=None)))
    assert (name in ("gpt_oss", "hy_v4")) == (events_of(name)[0].calls[0].sinks is not None)
    assert (name == "gemma2") == (events_of(name)[0].calls[0].softcap is not None)


@pytest.mark.parametrize("name", TYPES)
def test_skip_scaled(name):
    for event in events_of(name):
        skip = Term(None, lambda v: v * 1.001, (event.terms[SKIP],))
        assert fails(replace(event, terms=event.terms | {SKIP: skip}))


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("term", [SKIP, MLP, "attn0"])
def test_a_term_lost(name, term):
    assert all(fails(without(event, term)) for event in events_of(name))


@pytest.mark.parametrize("name", TYPES)
def test_constants_lost(name):
    events = events_of(name)
    assert all((CONSTANTS in event.terms) == (name in BIASED) for event in events)
    if name in BIASED:
        assert all(fails(without(event, CONSTANTS)) for event in events)


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma2", "phi", "gpt_oss", "mixtral"])
def test_a_key_that_disturbs_is_refused(name, monkeypatch):
    honest = attention.delegate_of

    def disturbing(module, implementation):
        delegate = honest(module, implementation)

        def forward(*args, **kwargs):
            out, *rest = delegate(*args, **kwargs)
            noise = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
            return (out + 1e-6 * noise, *rest)

        return forward

    monkeypatch.setattr(attention, "delegate_of", disturbing)
    report = check_model(tiny_model(name))
    assert report.status == "refused"
    assert "logits change when watched" in report.reason


@pytest.mark.parametrize("name", ["bloom", "gpt_neo", "falcon", "mpt", "xlnet"])
def test_a_type_that_ignores_the_key_is_read_in_its_operations(name):
    report = check_model(tiny_model(name))
    assert report.status == "exact"
    assert report.reached_by == "operations"
    assert report.calls == report.expected_calls >= 2


def test_a_bidirectional_model_is_refused():
    model = tiny_model("bert")
    for module in model.modules():
        for holder in (module, getattr(module, "config", None)):
            for flag in ("is_decoder", "is_causal"):
                if hasattr(holder, flag):
                    setattr(holder, flag, False)
    report = check_model(model)
    assert report.status == "refused"
    assert "not causal" in report.reason
    assert report.causality_error > 1e-3


def test_one_bidirectional_layer_is_refused():
    model = tiny_model("llama")
    model.model.layers[1].self_attn.is_causal = False
    report = check_model(model)
    assert report.status == "refused"
    assert "layer 1 is not causal" in report.reason


def test_a_layer_that_mixes_columns_by_other_means_is_opaque():
    model = tiny_model("llama")
    block = model.model.layers[1].mlp
    plain = block.forward
    block.forward = lambda x: plain(x) + 0.1 * torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1]
    report = check_model(model)
    assert report.status == "partly"
    assert report.opaque_layers == [1]


def test_queries_that_look_at_other_columns_make_a_layer_opaque():
    model = tiny_model("llama")
    block = model.model.layers[2].self_attn.q_proj
    plain = block.forward
    block.forward = lambda x: plain(x + torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1])
    report = check_model(model)
    assert report.status == "partly"
    assert report.opaque_layers == [2]


def test_a_mask_made_from_what_other_columns_hold_is_a_choice_of_keys():
    model = tiny_model("llama", attn_implementation="eager")
    attn = model.model.layers[1].self_attn
    plain = attn.forward

    def forward(hidden_states, attention_mask=None, **kwargs):
        n_pos = hidden_states.shape[1]
        own = torch.eye(n_pos, dtype=torch.bool)
        scores = (
            hidden_states[0, :, 0]
            .expand(n_pos, -1)
            .masked_fill(own.triu(1) | ~own.new_ones(n_pos, n_pos).tril(), -1e9)
        )
        chosen = own | (scores >= scores.topk(2, -1).values[:, -1:])
        mask = torch.zeros(n_pos, n_pos).masked_fill(~chosen.tril(), -1e9)
        return plain(hidden_states, attention_mask=mask[None, None], **kwargs)

    attn.forward = forward
    report = check_model(model)
    assert (report.status, report.opaque_layers) == ("partly", [])
    assert report.choosing_layers == [1]


def test_what_attention_returned_mixed_between_columns_is_refused():
    model = tiny_model("llama")
    block = model.model.layers[1].self_attn.o_proj
    plain = block.forward
    block.forward = lambda x: plain(x + x.roll(1, 1))
    report = check_model(model)
    assert report.status == "refused"
    assert "mixed into other columns" in report.reason


def test_a_head_that_mixes_columns_after_the_last_block_is_refused():
    model = tiny_model("llama")
    plain = model.lm_head.forward
    model.lm_head.forward = lambda x: plain(x + torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1])
    report = check_model(model)
    assert report.status == "refused"
    assert "after the last block" in report.reason


def test_a_nonlinear_part_after_attention_is_refused():
    model = tiny_model("llama")
    block = model.model.layers[0].self_attn.o_proj
    plain = block.forward
    block.forward = lambda x: plain(torch.tanh(x))
    report = check_model(model)
    assert report.status == "refused"
    assert "non-linear part" in report.reason


def test_weights_that_are_not_finite_are_refused():
    model = tiny_model("llama")
    with torch.no_grad():
        model.lm_head.weight[3, 3] = float("nan")
    report = check_model(model)
    assert report.status == "refused"
    assert "not finite" in report.reason
