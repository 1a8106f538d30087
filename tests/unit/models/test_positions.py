"""Positions that depend on a text's length: those of the text, whatever was read before."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    FalconConfig,
    Gemma3nTextConfig,
    Gemma3TextConfig,
    LlamaConfig,
    Qwen2Config,
)

import worldline as wl
from worldline.errors import InputError
from worldline.interventions.cut import patch_source_of
from worldline.models.positions import context_length, fixed_length

pytestmark = pytest.mark.usefixtures("own_cache")
SHAPE = {
    "vocab_size": 270, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 16,
}  # fmt: skip
DYNAMIC = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}
LONG = "a text of more than 16 letters"


def made(config):
    torch.manual_seed(0)
    module = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in module.parameters():
            if weight.ndim > 1:
                weight.mul_(4)
    return module


@torch.no_grad()
def last_row(module, ids):
    return module(input_ids=torch.tensor([list(ids)])).logits[0, -1].double().log_softmax(-1)


@pytest.mark.parametrize("config", [LlamaConfig, Qwen2Config])
class TestDynamic:
    def test_a_text_is_read_as_a_fresh_model_reads_it(self, config, tiny_tokenizer):
        model = wl.load_model((made(config(**SHAPE, rope_parameters=DYNAMIC)), tiny_tokenizer))
        assert model.context_tokens is None
        assert fixed_length(model.module) == 16
        longer = wl.record(model, 2 * LONG).tokens.ids
        last_row(model.module, longer)  # of which transformers keeps the constants
        trace = wl.record(model, LONG)
        fresh = last_row(made(config(**SHAPE, rope_parameters=DYNAMIC)), trace.tokens.ids)
        assert trace.predictions[0].id == int(fresh.argmax())
        assert trace.predictions[0].logprob == pytest.approx(float(fresh.max()), abs=1e-6)
        last_row(model.module, longer)
        kept = last_row(model.module, trace.tokens.ids)
        assert abs(float(kept[trace.predictions[0].id]) - float(fresh.max())) > 1e-4

    def test_altered_runs_share_the_constants_of_the_text(self, config, tiny_tokenizer):
        model = wl.load_model((made(config(**SHAPE, rope_parameters=DYNAMIC)), tiny_tokenizer))
        wl.record(model, 2 * LONG)
        curve = wl.hop_curve(model, LONG)  # the last budget is the model
        assert curve.loss_nats[-1] == pytest.approx(curve.loss_full_nats, abs=1e-5)
        seen = wl.run_orders(model, LONG, ["decode", "wavefront(1)"])
        assert max(order.nats for order in seen.orders) < 1e-4
        assert max(order.row_error for order in seen.orders) < 1e-4


def test_a_patch_source_of_another_length_has_other_constants(tiny_tokenizer):
    model = wl.load_model((made(LlamaConfig(**SHAPE, rope_parameters=DYNAMIC)), tiny_tokenizer))
    tokens = wl.tokenize(tiny_tokenizer, LONG)
    with pytest.raises(InputError, match=r"beyond 16 tokens .* depend on the text's length"):
        patch_source_of(model, tokens, LONG + " and more", align="words")
    assert patch_source_of(model, tokens, f"{LONG[:-1]}z").ids != tokens.ids


@pytest.mark.parametrize(
    "config",
    [
        BloomConfig(vocab_size=270, hidden_size=32, n_layer=2, n_head=4, seq_length=16),
        FalconConfig(
            vocab_size=270, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
            alibi=True, max_position_embeddings=16,
        ),
    ],
)  # fmt: skip
def test_alibi_has_no_limit(config, tiny_tokenizer):
    module = made(config)
    trace = wl.record(wl.load_model((module, tiny_tokenizer)), LONG)
    last = last_row(module, trace.tokens.ids)
    assert trace.predictions[0].logprob == pytest.approx(float(last.max()), abs=1e-6)


@pytest.mark.parametrize(
    ("scaling", "limit"),
    [
        ({"rope_type": "default"}, 16),
        ({"rope_type": "linear", "factor": 4.0}, 64),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4}, 16),
        ({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}, 64),
        ({"rope_type": "dynamic", "factor": 4.0}, None),
    ],
)
def test_limits(scaling, limit):
    assert context_length({"max_position_embeddings": 16, "rope_parameters": scaling}) == limit
    nested = {"text_config": {"n_positions": 16, "rope_scaling": scaling}}
    assert context_length(nested) == limit


def test_a_factor_counts_once():
    linear = {"rope_type": "linear", "factor": 4.0}
    config = {"max_position_embeddings": 16, "rope_parameters": linear, "rope_scaling": linear}
    assert context_length(config) == 64
    yarn = {"rope_type": "yarn", "factor": 4.0}
    nested = {"full_attention": yarn, "sliding_attention": yarn}
    assert context_length({"max_position_embeddings": 16, "rope_parameters": nested}) == 64


@pytest.mark.parametrize("config", [Gemma3TextConfig, Gemma3nTextConfig])
def test_the_length_of_a_model_of_which_some_layers_are_stretched(config):
    linear = {"rope_type": "linear", "factor": 8.0}
    written = {"model_type": config.model_type, "max_position_embeddings": 128}
    assert context_length(written | {"rope_scaling": linear}) == 128
    assert context_length(config(max_position_embeddings=128, rope_scaling=linear).to_dict()) == 128


def test_others_are_still_refused(tiny_tokenizer):
    model = wl.load_model((made(LlamaConfig(**SHAPE)), tiny_tokenizer))
    with pytest.raises(InputError, match="was made for at most 16"):
        wl.record(model, LONG)
