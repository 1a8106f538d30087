from __future__ import annotations

import functools

import pytest

pytest.importorskip("transformers")

import torch
from transformers.utils import logging

from worldline.models import tiny_models as tiny

TYPES = tiny.causal_types()
#: One of each sort, for what need not be tried on every type.
SOME = [
    "bert",
    "cpmant",
    "falcon_h1",
    "gpt_oss",
    "llama",
    "mamba",
    "mixtral",
    "qwen3_next",
    "reformer",
    "xlstm",
]
RUNNABLE = [name for name in TYPES if name not in tiny.UNRUNNABLE]

#: Every type that is no plain decoder; found by watching and, where it says "other", by reading.
UNCOMMON = {
    "bailing_hybrid": "hybrid",
    "bamba": "hybrid",
    "blt": "other",
    "cpmant": "encoder",
    "deepseek_v4": "other",
    "falcon_h1": "hybrid",
    "falcon_mamba": "recurrent",
    "gemma4_assistant": "other",
    "gemma4_unified_assistant": "other",
    "granitemoehybrid": "hybrid",
    "inkling2_loop_text": "hybrid",
    "inkling2_text": "hybrid",
    "inkling_text": "hybrid",
    "jamba": "hybrid",
    "kimi_linear": "hybrid",
    "lara_mini": "hybrid",
    "lfm2": "hybrid",
    "lfm2_moe": "hybrid",
    "lfm3": "hybrid",
    "mamba": "recurrent",
    "mamba2": "recurrent",
    "minimax": "hybrid",
    "nemotron_h": "hybrid",
    "olmo_hybrid": "hybrid",
    "prophetnet": "other",
    "qwen3_5": "hybrid",
    "qwen3_5_moe": "hybrid",
    "qwen3_5_moe_text": "hybrid",
    "qwen3_5_text": "hybrid",
    "qwen3_next": "hybrid",
    "qwen4_exp": "hybrid",
    "qwen4_exp_text": "hybrid",
    "recurrent_gemma": "hybrid",
    "reformer": "other",
    "rwkv": "recurrent",
    "xlstm": "recurrent",
    "zamba": "hybrid",
    "zamba2": "hybrid",
    "zaya": "hybrid",
}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@functools.cache
def cached(name):
    return tiny.tiny_model(name)


def weights(model):
    return {name: p for name, p in model.named_parameters() if p.ndim == 2 and "A_log" not in name}


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=ids, **tiny.forward_kwargs(model)).logits


@pytest.mark.parametrize("name", RUNNABLE)
def test_model_builds_small_and_its_logits_depend_on_its_input(name):
    model = tiny.tiny_model(name)
    assert not model.training
    assert sum(p.numel() for p in model.parameters()) < 300_000
    ids = tiny.tiny_ids(24, batch=2)
    out = logits(model, ids)
    assert out.shape[:2] == (2, 24)
    assert out.isfinite().all()
    assert not torch.allclose(out[0], out[1], atol=1e-3)
    assert 0.05 < out.std() < 20


@pytest.mark.parametrize("name", SOME)
def test_seed_alone_decides_the_weights(name):
    verbosity = logging.get_verbosity()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = tiny.tiny_model(name).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert logging.get_verbosity() == verbosity
    first = cached(name).state_dict()
    assert again.keys() == first.keys()
    assert all(torch.equal(value, first[key]) for key, value in again.items())


@pytest.mark.parametrize("name", ["llama", "mamba", "bert"])
def test_another_seed_gives_other_weights(name):
    other = tiny.tiny_model(name, seed=1).state_dict()
    assert not any(torch.equal(value, other[key]) for key, value in weights(cached(name)).items())


@pytest.mark.parametrize("name", SOME)  # tests/families/test_census.py asks it of every type
def test_kind(name):
    assert tiny.kind(name) == UNCOMMON.get(name, "softmax decoder")
    assert tiny.kind(name) in tiny.KINDS
    assert tiny.reason(name)


@pytest.mark.parametrize("name", sorted(tiny.UNRUNNABLE))
def test_draft_models_read_no_text(name):
    with pytest.raises(ValueError, match="shared_kv_states cannot be None"):
        logits(tiny.tiny_model(name), tiny.tiny_ids(8))


@pytest.mark.parametrize("name", ["llama", "gpt_oss", "mamba2", "mixtral"])
def test_half_precision(name):
    model = tiny.tiny_model(name, dtype=torch.bfloat16)
    assert all(p.dtype == torch.bfloat16 for p in weights(model).values())
    assert logits(model, tiny.tiny_ids(12)).isfinite().all()


def test_every_type_is_listed_and_notes_are_about_types():
    assert len(TYPES) >= 196
    assert sorted(set(TYPES)) == TYPES
    assert set(tiny.NOTES) | set(UNCOMMON) | set(tiny.UNRUNNABLE) <= set(TYPES)


def test_configuration_exercises_groups_windows_and_experts():
    config = tiny.tiny_config("qwen3")
    assert (config.num_attention_heads, config.num_key_value_heads) == (4, 2)
    assert config.num_attention_heads * config.head_dim != config.hidden_size
    assert config.sliding_window == 8
    assert set(config.layer_types) == {"sliding_attention", "full_attention"}
    config = tiny.tiny_config("qwen2_moe")
    assert (config.num_experts, config.num_experts_per_tok) == (4, 2)
    assert tiny.tiny_config("bert").is_decoder
    assert not tiny.tiny_config("bert").add_cross_attention
