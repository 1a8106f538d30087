"""Blocks are found by structure and by watching."""

from __future__ import annotations

import itertools

import pytest

pytest.importorskip("transformers")

import torch

from worldline.errors import RefusedError
from worldline.models.architecture import find_anatomy
from worldline.models.tiny_models import forward_kwargs, tiny_ids, tiny_model
from worldline.models.tracer import watched_forward

N_POS = 17


def found(name):
    model = tiny_model(name)
    inputs = {"input_ids": tiny_ids(N_POS)} | forward_kwargs(model)
    return model, inputs, find_anatomy(model, inputs)


def test_blocks_and_keys():
    model, _, anatomy = found("llama")
    assert anatomy.order == [f"model.layers.{k}" for k in range(3)]
    assert anatomy.blocks == list(model.model.layers) == anatomy.distinct_blocks()
    assert anatomy.keys
    assert anatomy.late
    assert anatomy.expected_calls == 3
    assert anatomy.end is None


def test_a_block_that_runs_again_stands_again():
    _, _, anatomy = found("hrm_text")
    assert anatomy.n_layers == len(anatomy.order) > len(anatomy.distinct_blocks())
    assert anatomy.expected_calls == anatomy.n_layers


def test_blocks_spread_over_lists_end_before_the_head():
    model, _, anatomy = found("xlm")
    assert anatomy.order == [f"transformer.attentions.{k}" for k in range(3)]
    assert anatomy.end is model.pred_layer


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mamba", "no softmax attention over the tokens ran"),
        ("cpmant", "ran over 21 x 21 positions"),
        ("deepseek_v4", "its keys are not those of single tokens"),
        ("inkling2_text", "its keys are not those of single tokens"),
    ],
)
def test_refusals_say_why(name, reason):
    with pytest.raises(RefusedError, match=reason):
        found(name)


def rows(name):
    model, inputs, anatomy = found(name)
    events = []
    with torch.no_grad():
        plain = model(**inputs).logits
    seen = watched_forward(model, inputs, anatomy, on_block=events.append)
    assert torch.equal(seen.logits, plain)
    return events


@pytest.mark.parametrize(("name", "width"), [("llama", 32), ("xlnet", 32), ("hy_v4", 4 * 32)])
def test_rows_are_batch_first_and_follow_one_another(name, width):
    events = rows(name)
    for before, after in itertools.pairwise(events):
        assert torch.equal(before.resid_post, after.resid_pre)
    for event in events:
        assert event.resid_pre.shape == event.resid_post.shape == (1, N_POS, width)
        assert event.streams * 32 == width
        for term in event.terms.values():
            assert term.value().shape == event.resid_post.shape


def test_put_back_changes_what_the_next_block_is_given():
    model, inputs, anatomy = found("xlnet")
    plain, changed = [], []
    watched_forward(model, inputs, anatomy, terms=False, on_block=plain.append)

    def alter(event):
        changed.append(event)
        if event.layer == 0:
            event.put_back([3, 4], torch.zeros(1, 2, 32))

    watched_forward(model, inputs, anatomy, terms=False, on_block=alter)
    assert not changed[1].resid_pre[:, 3:5].any()
    assert torch.equal(changed[1].resid_pre[:, :3], plain[1].resid_pre[:, :3])
    assert not torch.equal(changed[2].resid_pre, plain[2].resid_pre)


@pytest.mark.parametrize(
    ("name", "layers"),
    [("gemma4_text", [0, 1, 0, 1]), ("gpt2", [0, 1, 2]), ("bloom", [0, 1, 2])],
)
def test_the_layer_that_wrote_keys_and_values(name, layers):
    model, inputs, anatomy = found(name)
    owners = []

    def note(event):
        for call in event.calls:
            owners.append(call.kv_layer)
            call.release_inputs()  # frees fused buffers, whose place the next layer may take

    watched_forward(model, inputs, anatomy, on_block=note)
    assert owners == layers
