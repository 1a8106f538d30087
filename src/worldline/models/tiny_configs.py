"""How a default configuration is shrunk: rules on the names of its fields, then a table.

The rules read only the name of a field and the value a configuration class gives it. The table
`OVERRIDES` holds what no name tells: divisibility a model insists on, switches that have to be on
for a mechanism to take part. Both describe test configurations; the engine never looks in here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig

HIDDEN, HEADS, KV_HEADS, HEAD_DIM = 32, 4, 2, 16
LAYERS, VOCAB, POSITIONS, WINDOW = 3, 112, 256, 8
EXPERTS, TOP_K = 4, 2

#: Ids of special tokens, by the stem of the field's name; all lie below `FIRST_ORDINARY_ID`.
SPECIAL_IDS = {
    "pad": 0,
    "bos": 1,
    "eos": 2,
    "sep": 3,
    "mask": 4,
    "unk": 5,
    "cls": 6,
    "image": 7,
    "video": 8,
    "audio": 9,
    "boi": 10,
    "eoi": 11,
    "boa": 12,
    "eoa": 13,
    "vision_start": 14,
    "vision_end": 15,
    "decoder_start": 1,
    "forced_eos": 2,
}
FIRST_ORDINARY_ID = 16

#: Names under which configurations keep the number of layers.
_DEPTH = (
    "num_hidden_layers n_layer n_layers num_layers decoder_layers num_decoder_layers num_blocks"
)

#: The value of a field, by the field's name.
#: Fields that say beyond how many tokens a type behaves otherwise.
WINDOW_FIELDS = (
    "sliding_window window_size attention_window_size sliding_window_size local_attention "
    "attention_chunk_size local_attention_window_len index_topk keep_window_size"
)
_SIZES: list[tuple[float, str]] = [
    (
        HIDDEN,
        "hidden_size d_model n_embd emb_dim embedding_dim hidden_size_global lru_width embed_dim "
        "out_hidden_size hidden_dim vision_output_dim dim_model_base backbone_hidden_size "
        "projector_input_dim projector_output_dim",
    ),
    (
        48,
        "intermediate_size intermediate_size_mlp decoder_ffn_dim encoder_ffn_dim ffn_dim n_inner "
        "d_inner dff dim_ff ffn_hidden_size feed_forward_size dense_intermediate_size d_ff mlp_dim "
        "prefix_dense_intermediate_size",
    ),
    (
        24,
        "moe_intermediate_size shared_expert_intermediate_size shared_experts_intermediate_size "
        "shared_intermediate_size expert_ffn_hidden_size moe_shared_expert_intermediate_size "
        "kv_lora_rank q_lora_rank",
    ),
    (LAYERS, _DEPTH),
    (1, "encoder_layers num_encoder_layers depth conf_num_hidden_layers num_global_layers"),
    (
        HEADS,
        "num_attention_heads n_head n_heads num_heads decoder_attention_heads attention_heads "
        "num_decoder_attention_heads encoder_attention_heads num_encoder_attention_heads "
        "swa_num_attention_heads linear_num_heads linear_num_value_heads conf_num_attention_heads",
    ),
    (
        KV_HEADS,
        "num_key_value_heads kv_n_heads num_kv_heads swa_num_key_value_heads "
        "num_global_key_value_heads linear_num_key_heads index_n_heads indexer_n_heads",
    ),
    (
        HEAD_DIM,
        "head_dim swa_head_dim dim_head kv_channels linear_head_dim global_head_dim "
        "linear_value_head_dim qk_head_dim index_head_dim indexer_head_dim",
    ),
    (12, "v_head_dim"),
    (24, "embedding_size input_embedding_size output_embedding_size word_embed_proj_dim"),
    (16, "num_position_embeddings query_pre_attn_scalar"),
    (2, "no_rope_layer_interval"),
    (0.25, "attention_multiplier"),
    (0.5, "residual_multiplier"),
    (2.0, "embedding_multiplier logits_scaling"),
    (
        0.75,
        "attention_in_multiplier attention_out_multiplier key_multiplier lm_head_multiplier "
        "ssm_in_multiplier ssm_out_multiplier",
    ),
    (8, "qk_rope_head_dim qk_nope_head_dim d_head attention_head_size linear_key_head_dim"),
    (
        VOCAB,
        "vocab_size vocab_size_per_layer_input decoder_vocab_size audio_vocab_size "
        "unpadded_vocab_size",
    ),
    (
        POSITIONS,
        "max_position_embeddings n_positions max_seq_len model_max_length max_target_positions "
        "n_ctx context_length original_max_position_embeddings max_source_positions",
    ),
    (WINDOW, WINDOW_FIELDS),
    (EXPERTS, "num_experts n_routed_experts num_local_experts moe_num_experts"),
    (
        TOP_K,
        "num_experts_per_tok num_experts_per_token moe_topk moe_top_k moe_k top_k_experts "
        "n_group num_expert_group",
    ),
    (1, "topk_group first_k_dense_replace num_dense_layers n_shared_experts num_shared_experts"),
    (
        8,
        "chunk_size mamba_chunk_size mamba_d_state state_size ssm_state_size rel_extent d_rel "
        "hidden_size_per_layer_input laurel_rank adapter_rank router_hidden_size mamba_dt_rank "
        "mamba_d_head mamba_head_dim image_size patch_size in_channels num_filters codebook_dim "
        "base_channels latent_channels time_step_rank mamba_headdim",
    ),
]
_SIZE = {name: size for size, names in _SIZES for name in names.split()}

#: Fields of which the default may be None, and None would leave the mechanism out.
_SET_THOUGH_NONE = {"sliding_window", "head_dim", "num_key_value_heads"}


def special_id(name: str) -> int | None:
    """The id a special-token field gets, or None where the name is not that of such a field."""
    for end in ("_token_id", "_token_index"):
        if name.endswith(end):
            return SPECIAL_IDS.get(name.removesuffix(end), 15)
    return None


def shrink(
    config: PreTrainedConfig, extra: Mapping[str, Any] | None = None, *, aside: bool = False
) -> dict[str, Any]:
    """Keyword arguments with which the class of `config` builds a small configuration.

    `extra` holds what the table adds, with a mapping for a nested configuration. `aside` marks
    what takes no part in a text-only forward (a vision tower), which gets a single layer.
    """
    extra = dict(extra or {})
    names = [field.name for field in dataclasses.fields(config)]
    values = {name: _value(config, name) for name in names}
    out: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, PreTrainedConfig):
            nested_extra = extra.pop(name, {})
            out[name] = type(value)(**shrink(value, nested_extra, aside=aside or _is_aside(name)))
        elif (small := _small(name, value, values)) is not None:
            out[name] = small
    depth_names = [name for name in out if name in _DEPTH.split()]
    per_layer = {
        name: list(value)
        for name, value in values.items()
        if "layer" in name or name == "indexer_types"
        if isinstance(value, (list, tuple)) and value and isinstance(value[0], str)
    }
    kinds = {name: list(dict.fromkeys(value)) for name, value in per_layer.items()}
    if "sliding_window" in values and kinds.get("layer_types") == ["full_attention"]:
        kinds["layer_types"] = ["sliding_attention", "full_attention"]
    if "use_sliding_window" in values:
        out["use_sliding_window"] = True
    depth = 1 if aside else max([LAYERS, *map(len, kinds.values())])
    for name in depth_names:
        depth = out[name] = extra.get(name, depth)
    for name, layer_kinds in kinds.items():
        out[name] = _spread(name, layer_kinds, depth)
    return out | extra


def _value(config: PreTrainedConfig, name: str) -> Any:
    """The value of a field, or the class's default for one that varies over the layers."""
    try:
        return getattr(config, name, None)
    except RuntimeError:  # a value kept per layer has no single one to show
        return next(f.default for f in dataclasses.fields(config) if f.name == name)


def _is_aside(name: str) -> bool:
    return any(word in name for word in ("vision", "audio", "encoder", "vq", "qformer", "speech"))


def _spread(name: str, kinds: list[str], depth: int) -> list[str]:
    """Kinds of layers over the depth: feed-forward kinds in a run, mixers in turn."""
    if name.startswith("mlp"):
        return (kinds + [kinds[-1]] * depth)[:depth]
    return [kinds[i % len(kinds)] for i in range(depth)]


def _small(name: str, value: Any, values: Mapping[str, Any]) -> Any:
    """The value a field of this name gets, or None to leave the default."""
    if (token := special_id(name)) is not None:
        return None if value is None else token
    if "drop" in name and isinstance(value, float):
        return 0.0
    if name == "is_decoder":
        return True
    if name == "add_cross_attention":
        return False
    if name not in _SIZE or isinstance(value, bool):
        return None
    if value is None and name not in _SET_THOUGH_NONE:
        return None
    latent = values.get("kv_lora_rank") is not None
    if latent and name == "head_dim":
        return None  # the rotary part's size; the class derives it
    if latent and name == "num_key_value_heads":
        return HEADS  # every head expands its own keys from the latent
    return _SIZE[name]


_WINDOWED_ROPE = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
    "full_attention": {"rope_type": "default", "rope_theta": 10000.0},
}
_ROTARY_PART = {"rotary_dim": 4}
_PLAIN_HEADS = {"head_dim": HIDDEN // HEADS}
_MAMBA_HEADS = {"mamba_n_heads": 8, "mamba_n_groups": 2}
_DENSE_FIRST = {"mlp_layer_types": ["dense", "sparse", "sparse"]}
_CONV_MIXED = {"layer_types": ["conv", "full_attention", "conv"]}
# Two kinds of layer, each of which the last two borrow keys and values from.
_SHARED_KV = {
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "num_hidden_layers": 4,
    "num_kv_shared_layers": 2,
}
_GEMMA3N = _SHARED_KV | {"activation_sparsity_pattern": [0.5, 0.0, 0.5, 0.0], "altup_num_inputs": 3}
_GEMMA4 = _SHARED_KV | {
    "global_head_dim": 24,
    "enable_moe_block": True,
    "num_experts": EXPERTS,
    "top_k_experts": TOP_K,
    "moe_intermediate_size": 24,
}
_GEMMA4_UNIFIED = _SHARED_KV | {
    "global_head_dim": 24,
    "attention_k_eq_v": True,
    "num_global_key_value_heads": 1,
}
_ALL_SHARED = {
    "layer_types": ["sliding_attention", "full_attention"],
    "num_hidden_layers": 2,
    "num_kv_shared_layers": 2,
    "global_head_dim": 24,
}
_DOTS3 = {
    "head_dim": 16,
    "swa_num_attention_heads": 2,
    "swa_num_key_value_heads": 2,
    "swa_q_lora_rank": 20,
    "swa_kv_lora_rank": 20,
    "swa_head_dim": 20,
    "swa_qk_nope_head_dim": 12,
    "swa_v_head_dim": 12,
}
_QWEN4 = {
    "eos_token_id": 2,
    "hc_count": 2,
    "hc_lowrank": 8,
    "heads_per_ngram": 2,
    "indexer_budget": 8,
    "indexer_compress_ratio": 4,
    "indexer_head_dim": HEAD_DIM,
    "indexer_kv_heads": 1,
    "indexer_n_heads": 2,
    "make_ngram_vocab_size_divisible_by": 8,
    "ngram_vocab_size_base": 50,
    "ple_layer_ids": [1],
    "split_ngram_parts": 1,
}

#: What a class needs to be built at all where its own defaults contradict each other.
NEEDED: dict[str, dict[str, Any]] = {
    "gemma4_assistant": {
        "text_config": {
            "model_type": "gemma4_text",
            "hidden_size_per_layer_input": 0,
            "vocab_size_per_layer_input": 0,
        }
    }
}

#: What the rules cannot know, by model type; a mapping goes to the nested configuration.
OVERRIDES: dict[str, dict[str, Any]] = {
    "bailing_hybrid": {"head_dim": HEAD_DIM},  # of the linear mixer
    "bamba": _MAMBA_HEADS | {"attn_layer_indices": [1]},
    "big_bird": {"attention_type": "original_full"},  # block-sparse attention is for encoders
    "blt": {"encoder_hash_byte_group_vocab": 97, "patching_threshold": 4.42},
    "codegen": _ROTARY_PART,
    "cohere2_moe": _DENSE_FIRST,
    "cohere_compass_text": {"rope_parameters": _WINDOWED_ROPE},
    "cpmant": {
        "position_bias_max_distance": 64,
        "position_bias_num_buckets": 32,
        "prompt_length": 4,
        "prompt_types": 4,
        "segment_types": 4,
    },
    # Both are read without a default.
    "dbrx": {"attn_config": {"rope_theta": 10000.0, "clip_qkv": 4.0}},
    "deepseek_v2": {"num_experts_per_tok": TOP_K},
    "deepseek_v4": {
        "compress_rates": {"compressed_sparse_attention": 4, "heavily_compressed_attention": 8},
        "hc_mult": 2,
        "layer_types": [
            "sliding_attention",
            "compressed_sparse_attention",
            "heavily_compressed_attention",
        ],
        "num_key_value_heads": 1,
        "o_groups": 2,
        "o_lora_rank": 16,
    },
    "doge": {"keep_window_size": 5},  # fewer than the window, so that it drops some
    "dots1": {"n_routed_experts": EXPERTS, "num_experts_per_tok": TOP_K, "n_shared_experts": 1},
    "dots3_note": {
        "text_config": _DOTS3,
        "vision_config": {"adapter_in_dim": HIDDEN, "adapter_out_dim": HIDDEN},
        "audio_config": {"adapter_input_size": HIDDEN, "adapter_out_dim": HIDDEN},
    },
    "dots3_note_text": _DOTS3,
    "falcon_h1": _MAMBA_HEADS | {"mamba_d_ssm": 64},
    "gemma3n": {"text_config": _GEMMA3N},
    "gemma3n_text": _GEMMA3N,
    "gemma4": {"text_config": _GEMMA4},
    "gemma4_assistant": {
        "text_config": _ALL_SHARED
        | {"hidden_size_per_layer_input": 0, "vocab_size_per_layer_input": 0},
    },
    "gemma4_text": _GEMMA4,
    "gemma4_unified": {"text_config": _GEMMA4_UNIFIED},
    "gemma4_unified_assistant": {"text_config": _ALL_SHARED},
    "gemma4_unified_text": _GEMMA4_UNIFIED,
    "glm_moe_dsa": {"indexer_types": ["full", "shared", "full"]},
    "got_ocr2": {"vision_config": {"output_channels": 8, "global_attn_indexes": [0]}},
    "gpt_neo": {"attention_types": [[["local", "global", "local"], 1]]},
    "gptj": _ROTARY_PART,
    "granitemoehybrid": _MAMBA_HEADS
    | {"layer_types": ["linear_attention", "full_attention", "linear_attention"]},
    "dory": {"n_input_layers": 1, "n_recurrent_layers": 1, "n_output_layers": 1},
    "helium": _PLAIN_HEADS,  # its output projection takes heads that make up the hidden size
    "inkling2_loop_text": {
        "n_layers_per_attn_res_block": 1,
        "loop_layer_index_start": 1,
        "loop_layer_index_end": 2,
        "loop_gate_rank": 8,
    },
    "inkling2_text": {"n_layers_per_attn_res_block": 2},
    # Each of the two stacks runs over and over, with the same weights.
    "hrm_text": {"num_hidden_layers": 2, "L_cycles": 2, "L_bp_cycles": [1]},
    "inkling_text": _DENSE_FIRST | {"logits_mup_width_multiplier": 1.0},  # for 6144 channels, 24
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "laguna": {"num_attention_heads_per_layer": [4, 6, 4]},
    "lfm2": _CONV_MIXED | {"block_multiple_of": 8},
    "lfm2_moe": _CONV_MIXED,
    "llama4": {"text_config": {"interleave_moe_layer_step": 2, "floor_scale": 4}},
    "llama4_text": {"interleave_moe_layer_step": 2, "floor_scale": 4},
    "longcat_flash": {"head_dim": 8, "zero_expert_num": 2},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 2},
    "mellum": _DENSE_FIRST,
    "minimax": {"block_size": 8},
    "minimax_m3_vl_text": _DENSE_FIRST
    | {
        "index_block_size": 4,
        "index_topk_blocks": 2,
        "layer_types": ["full_attention", "minimax_m3_sparse", "minimax_m3_sparse"],
    },
    "ministral": {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
    "mllama": {"text_config": {"cross_attention_layers": [1], "num_hidden_layers": 4}},
    "musicgen": {"decoder": {"num_codebooks": 1}},  # one stream of codes stands for text
    "musicgen_melody": {"decoder": {"num_codebooks": 1}},
    "nemotron_h": {"mamba_num_heads": 8, "n_groups": 2},
    "phi4_multimodal": {
        "audio_config": {
            "depthwise_separable_out_channel": HIDDEN,
            "ext_pw_out_channel": HIDDEN,
            "nemo_conv_channels": 8,
        }
    },
    "qwen4_exp": {"text_config": _QWEN4},
    "qwen4_exp_text": _QWEN4,
    "reformer": {
        "attn_layers": ["local", "lsh", "local"],
        "axial_pos_embds_dim": (16, 16),
        "axial_pos_shape": (16, 16),
        "hash_seed": 0,
        "local_attn_chunk_length": 8,
        "lsh_attn_chunk_length": 8,
        "num_buckets": 4,
    },
    "roc_bert": {
        "pronunciation_embed_dim": 8,
        "pronunciation_vocab_size": VOCAB,
        "shape_embed_dim": 8,
        "shape_vocab_size": VOCAB,
    },
    "xlm": {"causal": True},
    "xlnet": {"attn_type": "uni"},
    "xmod": {"languages": ("en_XX",), "default_language": "en_XX"},
    # The second shared block exists only to be tied to the first.
    "zamba": {
        "num_hidden_layers": 5,
        "layers_block_type": ["linear_attention", "hybrid"] * 2 + ["linear_attention"],
    },
    "zamba2": {
        "num_hidden_layers": 5,
        "layers_block_type": ["linear_attention", "hybrid"] * 2 + ["linear_attention"],
    },
    "zaya": {"num_experts_per_tok": 1, "layer_types": ["hybrid", "hybrid_sliding", "hybrid"]},
}
