"""Folders as people have them: clones without git-lfs, wild numbers, models that read pictures."""

from __future__ import annotations

import json
import tracemalloc

import pytest
import torch
import transformers as tf
from safetensors.torch import save_file

from worldline.errors import InputError
from worldline.models.loader import load_model
from worldline.runs.recorder import record
from worldline.tokens.tokens import tokenize

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n"


def rewrite(folder, **changes):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


class TestPointers:
    @pytest.mark.parametrize(
        "name",
        ["model.safetensors", "tokenizer.json", "config.json", "model.safetensors.index.json"],
    )
    def test_of_a_folder(self, tiny_folder, name):
        (tiny_folder / name).write_text(POINTER)
        with pytest.raises(InputError, match=rf"{name} is a pointer of git-lfs.*git lfs pull"):
            load_model(str(tiny_folder))

    def test_of_a_gguf_file(self, tmp_path):
        (tmp_path / "x.gguf").write_text(POINTER)
        with pytest.raises(InputError, match=r"x\.gguf is a pointer of git-lfs"):
            load_model(str(tmp_path / "x.gguf"))


class TestNumbers:
    """Refused in a line, before memory is taken or time spent on what they would make."""

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("num_hidden_layers", 10**9),
            ("num_hidden_layers", 1e9),
            ("num_hidden_layers", 10_000),
            ("num_hidden_layers", 0),
            ("num_hidden_layers", -3),
            ("num_attention_heads", 10**9),
            ("hidden_size", 10**12),
            ("intermediate_size", 10**12),
            ("vocab_size", 10**13),
            ("head_dim", 10**9),
            ("num_local_experts", 10**9),
            ("max_position_embeddings", 10**12),
            ("vision_config", {"num_hidden_layers": 10**9}),
        ],
    )
    def test_too_large(self, tiny_folder, key, value):
        rewrite(tiny_folder, **{key: value})
        tracemalloc.start()
        with pytest.raises(InputError, match=r"config\.json has (vision_config\.)?\w+ = "):
            load_model(str(tiny_folder))
        assert tracemalloc.get_traced_memory()[1] < 50e6
        tracemalloc.stop()

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), "many", [3], None, {}])
    def test_no_number(self, tiny_folder, value):
        rewrite(tiny_folder, num_hidden_layers=value)
        with pytest.raises(InputError):
            load_model(str(tiny_folder))

    @pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "[]", "7", "\xff"])
    def test_no_configuration(self, tiny_folder, content):
        (tiny_folder / "config.json").write_bytes(content.encode("latin-1"))
        with pytest.raises(InputError, match=r"config\.json is (nested too|not JSON|no JSON)"):
            load_model(str(tiny_folder))

    def test_a_rope_scaling_of_a_factor_is_no_size(self, tiny_folder):
        scaling = {"rope_type": "default", "rope_theta": 1e11}
        rewrite(tiny_folder, rope_parameters=scaling, max_position_embeddings=10_485_760)
        assert load_model(str(tiny_folder)).context_tokens == 10_485_760


def test_weights_without_a_place_are_said(tiny_folder, tiny_module):
    extra = {"model.layers.7.mlp.up_proj.weight": torch.ones(2, 2)}
    weights = {key: value.clone() for key, value in tiny_module.state_dict().items()}
    save_file(weights | extra, tiny_folder / "model.safetensors", metadata={"format": "pt"})
    lines = []
    load_model(str(tiny_folder), progress=lines.append)
    assert any("1 weights have no place in the model: model.layers.7" in line for line in lines)


def test_no_tokenizer_is_said_to_the_end(tiny_folder, remove_files):
    remove_files(tiny_folder, "tokenizer*", "special_tokens_map.json")
    with pytest.raises(InputError, match=r"tokenizer.*[^:]$"):
        load_model(str(tiny_folder))


@pytest.mark.parametrize("asked", ["flash_attention_2", "flash_attention_3", "kernels-co/fa3"])
def test_an_attention_that_is_not_here(tiny_folder, tiny_module, asked):
    rewrite(tiny_folder, attn_implementation=asked, _attn_implementation=asked)
    lines = []
    model = load_model(str(tiny_folder), progress=lines.append)
    assert any(f"the attention {asked}; sdpa" in line for line in lines)
    ids = torch.tensor([[5, 9, 60]])
    assert torch.equal(model.module(ids).logits, tiny_module.eval()(ids).logits)


TEXT = {
    "vocab_size": 263, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
}  # fmt: skip
CLIP = {
    "model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 16,
    "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
}  # fmt: skip
MROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
SEES = {
    "llava": lambda: tf.LlavaForConditionalGeneration(
        tf.LlavaConfig(
            text_config=TEXT | {"model_type": "llama"}, vision_config=CLIP, image_token_index=250
        )
    ),
    "gemma3": lambda: tf.Gemma3ForConditionalGeneration(
        tf.Gemma3Config(
            text_config=TEXT,
            vision_config=CLIP | {"model_type": "siglip_vision_model"},
            mm_tokens_per_image=4,
            image_token_index=250,
        )
    ),
    "idefics3": lambda: tf.Idefics3ForConditionalGeneration(
        tf.Idefics3Config(
            text_config=TEXT | {"model_type": "llama", "pad_token_id": 0},
            vision_config=CLIP | {"model_type": "idefics3_vision"},
            image_token_id=250,
            pad_token_id=0,
        )
    ),
    "qwen2_vl": lambda: tf.Qwen2VLForConditionalGeneration(
        tf.Qwen2VLConfig(
            text_config=TEXT | {"rope_parameters": MROPE},
            vision_config={
                "embed_dim": 16, "hidden_size": 16, "depth": 1, "num_heads": 2, "mlp_ratio": 1,
                "patch_size": 4, "spatial_merge_size": 1, "temporal_patch_size": 1,
            },
            image_token_id=250, video_token_id=251, vision_start_token_id=252,
            vision_end_token_id=253,
        )
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", SEES)
def test_a_model_that_sees_is_read_as_text(tmp_path, own_cache, tiny_tokenizer, kind):
    torch.manual_seed(0)
    module = SEES[kind]().eval()
    module.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    lines = []
    model = load_model(str(tmp_path), progress=lines.append)
    if kind != "gemma3":  # which transformers itself loads as a causal language model
        assert any("reads more than text" in line for line in lines)
    trace = record(model, tokenize(tiny_tokenizer, "the the"))
    with torch.no_grad():
        logits = module(input_ids=torch.tensor([list(trace.tokens.ids)])).logits[0, -1]
    expected = float(logits.double().log_softmax(-1).max())
    assert trace.predictions[0].logprob == pytest.approx(expected, abs=1e-6)
