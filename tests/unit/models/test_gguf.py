"""What is read from a GGUF file is the model that wrote it, or is refused by the key's name."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
import transformers as tf

from gguf_files import write_gguf
from worldline.errors import InputError
from worldline.models import conversion as converted
from worldline.models import exclusive_use
from worldline.models.cache_folder import list_cache
from worldline.models.gguf_keys import GgufHead, settle
from worldline.models.gguf_rope import refuse_other_rope
from worldline.models.loader import load_model

pytestmark = pytest.mark.usefixtures("own_cache")

SHAPE = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64,
    "pad_token_id": None, "bos_token_id": None, "eos_token_id": None,
}  # fmt: skip
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24}

# Every family that transformers reads from GGUF and a file can be written for by its rules. Not
# here: gemma4, qwen35 and qwen35moe (their converters rearrange more than a test should repeat),
# gpt_oss (transformers looks for its experts under names that files do not use), deci (its reader
# names a type that transformers has not), t5 and umt5 (encoder and decoder).
FAMILIES = {
    "llama": (tf.LlamaConfig, {"rms_norm_eps": 1e-3}),
    "llama with biases": (
        tf.LlamaConfig,
        {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
    ),
    "mistral": (tf.MistralConfig, {"sliding_window": None}),
    "qwen2": (tf.Qwen2Config, {}),
    "qwen2_moe": (tf.Qwen2MoeConfig, EXPERTS | {"shared_expert_intermediate_size": 40}),
    "qwen3": (tf.Qwen3Config, {"head_dim": 32}),
    "qwen3_moe": (tf.Qwen3MoeConfig, EXPERTS | {"head_dim": 32, "norm_topk_prob": True}),
    "phi3": (tf.Phi3Config, {"partial_rotary_factor": 0.5, "sliding_window": 8}),
    "stablelm": (tf.StableLmConfig, {"partial_rotary_factor": 0.5, "layer_norm_eps": 1e-3}),
    "stablelm, parallel": (
        tf.StableLmConfig,
        {"use_parallel_residual": True, "use_qkv_bias": True, "qk_layernorm": False},
    ),
    "starcoder2": (tf.Starcoder2Config, {"norm_epsilon": 1e-3}),
    "nemotron": (tf.NemotronConfig, {"norm_eps": 1e-3, "head_dim": 16}),
    "gemma2": (
        tf.Gemma2Config,
        {
            "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8,
            "attn_logit_softcapping": 3.0, "final_logit_softcapping": 2.0,
        },
    ),
    "gemma3": (
        tf.Gemma3TextConfig,
        {"head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8, "num_hidden_layers": 7},
    ),
    "falcon": (tf.FalconConfig, {}),
    "lfm2": (
        tf.Lfm2Config,
        {"block_auto_adjust_ff_dim": False, "layer_types": ["conv", "full_attention"]},
    ),
    "minimax_m2": (
        tf.MiniMaxM2Config,
        {"head_dim": 16, "rotary_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
    "gpt2": (tf.GPT2Config, {"n_layer": 2, "layer_norm_epsilon": 1e-3}),
    "bloom": (tf.BloomConfig, {"n_layer": 2, "n_head": 2}),
    "mamba": (tf.MambaConfig, {"state_size": 8}),
}  # fmt: skip
WITHOUT_ROTATION = {"gpt2", "bloom", "mamba"}

# Per kind of scaling: what the module is made with, and what the file says of it.
SCALINGS = {
    "linear": (
        {"rope_type": "linear", "factor": 4.0},
        {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0},
    ),
    "linear, the old key": (
        {"rope_type": "linear", "factor": 4.0}, {"rope.scale_linear": 4.0},
    ),
    "dynamic": (
        {"rope_type": "dynamic", "factor": 4.0},
        {"rope.scaling.type": "dynamic", "rope.scaling.factor": 4.0},
    ),
    "yarn": (
        {
            "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16,
            "beta_fast": 16.0, "beta_slow": 2.0, "attention_factor": 1.5 * (0.1 * np.log(4) + 1),
        },
        {
            "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
            "rope.scaling.original_context_length": 16, "rope.scaling.finetuned": True,
            "rope.scaling.yarn_beta_fast": 16.0, "rope.scaling.yarn_beta_slow": 2.0,
            "rope.scaling.attn_factor": 1.5,
        },
    ),
    "longrope": (
        {
            "rope_type": "longrope", "original_max_position_embeddings": 16, "factor": 4.0,
            "attention_factor": 1.2,
        },
        {
            "rope.scaling.type": "longrope", "rope.scaling.original_context_length": 16,
            "rope.scaling.attn_factor": 1.2,
        },
    ),
    "llama3": (
        {
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
        {},
    ),
}  # fmt: skip


def made(name, **more):
    kind, own = FAMILIES[name]
    said = SHAPE | own | more
    config = kind(**said)
    torch.manual_seed(0)
    module = tf.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for key, weight in module.named_parameters():
            if weight.ndim > 1:
                weight.mul_(4)
            elif key.endswith("bias") or "norm" in key:
                weight.add_(0.2 * torch.randn_like(weight))
    return module


@cache
def ids():
    return torch.randint(1, 250, (1, 40), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def logits(module):
    return module(input_ids=ids()).logits


@pytest.mark.parametrize("name", FAMILIES)
def test_is_the_module_that_wrote_the_file(name, tmp_path):
    module = made(name)
    model = load_model(str(write_gguf(module, tmp_path / "model.gguf")))
    torch.testing.assert_close(logits(model.module), logits(module), atol=1e-5, rtol=0)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("name", FAMILIES)
def test_scaling(name, scaling, tmp_path):
    said, keys = SCALINGS[scaling]
    file = tmp_path / "model.gguf"
    if name in WITHOUT_ROTATION:
        tensors = {"rope_freqs.weight": np.full(8, 2.0)} if not keys else {}
        refused = f"{name}.{next(iter(keys))}" if keys else "rope_freqs.weight"
        write_gguf(made(name), file, keys, tensors)
        with pytest.raises(InputError, match=refused.replace(".", r"\.")):
            load_model(str(file))
        return
    plain = made(name)
    module, tensors = scaled(name, said, plain)
    write_gguf(module, file, keys, tensors)
    only = {"gemma3": {"linear", "linear, the old key"}, "phi3": {"longrope", "llama3"}}
    if scaling not in only.get(name, SCALINGS):
        with pytest.raises(InputError, match=rf"rope_freqs|{name}\.rope\.scal"):
            load_model(str(file))
        return
    model = load_model(str(file))
    torch.testing.assert_close(logits(model.module), logits(module), atol=1e-4, rtol=0)
    if scaling != "dynamic":  # which does nothing below the length that it was made for
        assert (logits(model.module) - logits(plain)).abs().max() > 1e-3


def scaled(name, said, plain):
    """A module with scaled positions, and the tensors that its file holds on that account."""
    frequencies = frequencies_of(plain)
    parameters = plain.config.rope_parameters
    tensors = {}
    if said["rope_type"] == "longrope":
        long = np.linspace(1.0, 9.0, len(frequencies)).astype(np.float32)
        short = np.linspace(1.0, 3.0, len(frequencies)).astype(np.float32)
        said = said | {"long_factor": long.tolist(), "short_factor": short.tolist()}
        tensors = {"rope_factors_long.weight": long, "rope_factors_short.weight": short}
    if name == "gemma3":
        if said["rope_type"] == "llama3":
            return plain, {"rope_freqs.weight": np.full(8, 2.0)}
        if said["rope_type"] != "linear":
            return plain, tensors
        full = plain.config.rope_parameters["full_attention"] | said
        return made(
            name, rope_parameters=plain.config.rope_parameters | {"full_attention": full}
        ), {}
    more = {}
    if (
        name == "phi3" and said["rope_type"] == "llama3"
    ):  # in its own words, of which it has one kind
        factors = np.linspace(1.0, 5.0, len(frequencies)).astype(np.float32)
        own = {"short_factor": factors.tolist(), "long_factor": factors.tolist()}
        said = {"rope_type": "longrope", "factor": 1.0, "attention_factor": 1.0} | own
        module = made(name, rope_parameters=parameters | said, original_max_position_embeddings=64)
        return module, {"rope_freqs.weight": factors}
    if name == "phi3" and said["rope_type"] != "longrope":
        return plain, {}
    if name == "phi3" and "original_max_position_embeddings" in said:
        more["original_max_position_embeddings"] = said["original_max_position_embeddings"]
    module = made(name, rope_parameters=parameters | said, **more)
    if said["rope_type"] == "llama3":
        tensors = {"rope_freqs.weight": (frequencies / frequencies_of(module)).numpy()}
    return module, tensors


def frequencies_of(module):
    return next(
        buffer
        for name, buffer in module.named_buffers()
        if name.endswith((".inv_freq", ".full_attention_inv_freq"))
    )


def test_factors_are_checked_where_a_file_names_no_base():
    """The base is 10,000 then, as readers of these files take it."""
    module = made("llama")  # which passes over the factors
    factors = {"rope_freqs.weight": [2.0] * len(frequencies_of(module))}
    head = GgufHead("m", {"general.architecture": "llama"}, tuple(factors), factors)
    with pytest.raises(InputError, match=r"the tensor rope_freqs\.weight"):
        refuse_other_rope(module, head)
    ones = {"rope_freqs.weight": [1.0] * len(frequencies_of(module))}
    refuse_other_rope(module, GgufHead("m", head.metadata, tuple(ones), ones))


class TestUnknown:
    """What is in a file and not known is refused by its name, whatever it is."""

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("attention.some_new_thing", 1.5),
            ("attn_logit_softcapping", 30.0),
            ("final_logit_softcapping", 30.0),
            ("attention.sliding_window", 8),
            ("attention.scale", 0.5),
            ("attention.max_alibi_bias", 8.0),
            ("attention.clamp_kqv", 2.0),
            ("attention.causal", False),
            ("attention.value_length", 8),
            ("logit_scale", 0.25),
            ("residual_scale", 0.22),
            ("embedding_scale", 12.0),
            ("expert_count", 8),
            ("rope.dimension_count", 8),
            ("rope.freq_base_swa", 500.0),
            ("rope.scaling.type", "su"),
            ("rope.scaling.alpha", 1000.0),
            ("rope.scaling.yarn_log_multiplier", 0.1),
            ("attention.head_count_kv", [1, 2]),
            ("rope.scaling.attn_factor", 2.0),
            ("rope.scaling.yarn_attn_factor", 2.0),
            ("rope.scaling.factor", float("inf")),
            ("rope.scaling.factor", -2.0),
            ("rope.freq_base", 0.0),
            ("attention.layer_norm_rms_epsilon", float("nan")),
        ],
    )
    def test_key(self, key, value, tmp_path):
        file = write_gguf(made("llama"), tmp_path / "model.gguf", {key: value})
        with pytest.raises(InputError, match=rf"llama\.{key.replace('.', chr(92) + '.')} = .*"):
            load_model(str(file))

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
    def test_a_yarn_without_a_number(self, value, tmp_path):
        keys = {"rope.scaling.type": "yarn", "rope.scaling.factor": value}
        file = write_gguf(made("llama"), tmp_path / "model.gguf", keys)
        with pytest.raises(InputError, match=r"llama\.rope\.scaling\.(factor|type) = .*"):
            load_model(str(file))

    @pytest.mark.parametrize("value", [0.0, -1.0, float("inf")])
    def test_frequencies_over_no_number(self, value, tmp_path):
        file = tmp_path / "model.gguf"
        write_gguf(made("llama"), file, tensors={"rope_freqs.weight": np.full(8, value)})
        with pytest.raises(InputError, match=r"rope_freqs\.weight .*finite numbers above 0"):
            load_model(str(file))

    @pytest.mark.parametrize(
        "name", ["blk.0.attn_q.bias", "blk.1.attn_sinks.weight", "rope_factors_long.weight"]
    )
    def test_tensor(self, name, tmp_path):
        file = tmp_path / "model.gguf"
        write_gguf(made("llama"), file, tensors={name: np.ones(32)})
        with pytest.raises(InputError, match=r"rope\.scaling\.type|tensor " + name):
            load_model(str(file))

    def test_values_that_say_nothing(self, tmp_path):
        module = made("llama")
        keys = {
            "attention.sliding_window": 64, "attention.clamp_kqv": 0.0, "logit_scale": 1.0,
            "expert_count": 0, "rope.scaling.type": "none", "attention.causal": True,
            "attention.scale": 0.25, "rope.scale_linear": 1.0,
            "/general.author": "nobody", "/quantize.imatrix.file": "x",
        }  # fmt: skip
        model = load_model(str(write_gguf(module, tmp_path / "model.gguf", keys)))
        assert torch.equal(logits(model.module), logits(module))

    def test_none_of_what_the_family_has_by_default(self, tmp_path):
        """gemma2 caps its logits where its configuration is not told otherwise."""
        module = made("gemma2", attn_logit_softcapping=None, final_logit_softcapping=None)
        keys = {"attn_logit_softcapping": 0.0, "final_logit_softcapping": 0.0}
        model = load_model(str(write_gguf(module, tmp_path / "model.gguf", keys)))
        torch.testing.assert_close(logits(model.module), logits(module), atol=1e-5, rtol=0)
        capped = made("gemma2")
        assert (logits(model.module) - logits(capped)).abs().max() > 1e-2

    @pytest.mark.parametrize(
        ("config", "key", "value", "name", "expected"),
        [
            (tf.Gemma4TextConfig, "embedding_length_per_layer_input", 0,
             "hidden_size_per_layer_input", 0),
            (tf.Gemma4TextConfig, "attention.shared_kv_layers", 0, "num_kv_shared_layers", 0),
            (tf.GraniteConfig, "residual_scale", 0.0, "residual_multiplier", 1.0),
            (tf.GraniteConfig, "attention.scale", 0.0, "attention_multiplier", 128**-0.5),
            (tf.Gemma2Config, "attention.scale", 0.0, "query_pre_attn_scalar", 256),
            (tf.CohereConfig, "logit_scale", 0.0, "logit_scale", 1.0),
            (tf.DeepseekV3Config, "expert_weights_scale", 0.0, "routed_scaling_factor", 1.0),
            (tf.DeepseekV3Config, "expert_group_count", 0, "n_group", 1),
            (tf.Gemma2Config, "attention.sliding_window", 8192, "sliding_window", 8192),
        ],
    )  # fmt: skip
    def test_a_value_is_not_left_to_the_default(self, config, key, value, name, expected):
        config = config()
        kind = config.model_type.removesuffix("_text")
        said = {
            "general.architecture": kind,
            f"{kind}.context_length": 8192,
            f"{kind}.{key}": value,
        }
        if kind == "gemma4":  # whose heads have one width per kind of layer
            said["gemma4.attention.key_length"] = 512
        settle(config, GgufHead("m", said, ()))
        assert getattr(config, name) == expected

    @pytest.mark.parametrize(
        ("config", "key"),
        [
            (tf.Qwen2MoeConfig, "expert_count"),
            (tf.Qwen2MoeConfig, "expert_used_count"),
            (tf.Qwen2MoeConfig, "expert_shared_feed_forward_length"),
            (tf.Gemma2Config, "attention.sliding_window"),
        ],
    )
    def test_none_of_what_the_family_cannot_do_without(self, config, key):
        said = {"general.architecture": "m", f"m.{key}": 0}
        with pytest.raises(InputError, match=rf"m\.{key.replace('.', chr(92) + '.')} = 0 "):
            settle(config(), GgufHead("m", said, ()))

    def test_keys_outside_the_family_are_said(self, tmp_path):
        lines = []
        file = write_gguf(made("llama"), tmp_path / "model.gguf", {"/mergekit.version": "1"})
        load_model(str(file), progress=lines.append)
        assert any("mergekit.version" in line for line in lines)


def test_the_widest_gemma_divides_by_another_number(tmp_path):
    module = made("gemma2", num_hidden_layers=46, query_pre_attn_scalar=32 // 2)
    module.config.query_pre_attn_scalar = 16
    model = load_model(str(write_gguf(module, tmp_path / "model.gguf")))
    assert model.config["query_pre_attn_scalar"] == 32 // 2


class TestCache:
    """The dense model is kept: by the file's content, and for this form of the conversion."""

    def test_the_second_time_nothing_is_dequantized(self, tmp_path, monkeypatch):
        module, lines = made("llama"), []
        file = write_gguf(module, tmp_path / "model.gguf", {"/mergekit.version": "1"})
        load_model(str(file))
        monkeypatch.setattr("worldline.models.conversion.read_gguf", None)
        model = load_model(str(file), progress=lines.append)
        assert torch.equal(logits(model.module), logits(module))
        assert (model.name, model.source) == (str(file), str(file))
        assert any("mergekit.version" in line for line in lines)  # said every time
        assert [entry.complete for entry in list_cache()] == [True]
        assert list_cache()[0].name.startswith("model-")

    def test_another_file_of_the_same_name(self, tmp_path):
        file = tmp_path / "model.gguf"
        load_model(str(write_gguf(made("llama"), file)))
        module = made("llama", rms_norm_eps=0.5)
        model = load_model(str(write_gguf(module, file)))
        torch.testing.assert_close(logits(model.module), logits(module), atol=1e-5, rtol=0)
        assert len(list_cache()) == 2

    @pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
    def test_dtypes_are_cast_from_the_same_numbers(self, tmp_path, dtype):
        module = made("qwen2")
        model = load_model(str(write_gguf(module, tmp_path / "model.gguf")), dtype=dtype)
        expected = module.to(getattr(torch, dtype)).state_dict()
        assert all(torch.equal(w, expected[k]) for k, w in model.module.state_dict().items())

    def test_hashing_and_writing_hold_up_no_other_model(self, tmp_path, monkeypatch):
        had = []
        for name in ("sha256_of", "sync_tree", "publish"):
            does = getattr(converted, name)
            noted = lambda *given, does=does: (had.extend(exclusive_use._turns), does(*given))[1]  # noqa: E731
            monkeypatch.setattr(converted, name, noted)
        load_model(str(write_gguf(made("llama"), tmp_path / "model.gguf")))
        assert had == []

    def test_too_large_for_the_cache(self, tmp_path, monkeypatch):
        monkeypatch.setattr("worldline.models.conversion._LARGEST_BYTES", 1000)
        module, lines = made("llama"), []
        file = write_gguf(module, tmp_path / "model.gguf")
        model = load_model(str(file), progress=lines.append)
        assert torch.equal(logits(model.module), logits(module))
        assert any("too large for the cache" in line for line in lines)
        assert list_cache() == []

    def test_a_file_that_is_refused_leaves_nothing(self, tmp_path, own_cache):
        file = write_gguf(made("llama"), tmp_path / "model.gguf", {"attention.scale": 0.5})
        with pytest.raises(InputError, match=r"attention\.scale"):
            load_model(str(file))
        assert not list(own_cache.rglob("*.safetensors"))


def test_every_family_of_the_reader_is_in_the_table():
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING
    from transformers.integrations.gguf import GGUF_CONFIG_ARCHS

    written = {name.partition(" ")[0].rstrip(",") for name in FAMILIES}
    unwritten = {"gpt_oss", "gemma4", "qwen35", "qwen35moe", "deci", "t5", "umt5"}
    known = set(GGUF_CONFIG_MAPPING) - {"general", "tokenizer"} | set(GGUF_CONFIG_ARCHS)
    assert known == written | unwritten
