"""Writes small models as GGUF files, the way llama.cpp's converter does.

Names of tensors are the `gguf` package's, keys those that the converter sets for each family, so
what is read can be compared with the module that wrote the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from tokenizers import pre_tokenizers

_ARCHITECTURES = {
    "mistral": "llama", "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe", "gemma3_text": "gemma3",
    "gemma4_text": "gemma4", "minimax_m2": "minimax-m2", "gpt_oss": "gpt-oss",
}  # fmt: skip


def architecture_of(module: torch.nn.Module) -> str:
    """The name that GGUF files give to a module's family."""
    kind = module.config.model_type
    return _ARCHITECTURES.get(kind, kind)


def write_gguf(
    module: torch.nn.Module,
    file: Path,
    keys: Mapping[str, Any] | None = None,
    tensors: Mapping[str, Any] | None = None,
) -> Path:
    """Write a module as it is; `keys` (without the family's prefix) come on top, None removes."""
    kind = architecture_of(module)
    writer = gguf.GGUFWriter(str(file), kind)
    writer.add_name("mistral" if module.config.model_type == "mistral" else "made up")
    for key, value in (_keys(module.config) | dict(keys or {})).items():
        if value is not None:
            _add(writer, f"{kind}.{key}" if not key.startswith("/") else key[1:], value)
    _add_tokenizer(writer, module.config.vocab_size)
    for name, value in _tensors(module, kind):
        writer.add_tensor(name, np.ascontiguousarray(value))
    for name, value in (tensors or {}).items():
        writer.add_tensor(name, np.asarray(value, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _add(writer: Any, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def _keys(config: Any) -> dict[str, Any]:
    """What the converter writes of a family's configuration."""
    kind = config.model_type
    said: dict[str, Any] = {"block_count": config.num_hidden_layers}
    said["embedding_length"] = config.hidden_size
    if kind == "mamba":
        return said | {
            "context_length": 1 << 20, "feed_forward_length": 0, "attention.head_count": 0,
            "ssm.conv_kernel": config.conv_kernel, "ssm.inner_size": config.intermediate_size,
            "ssm.state_size": config.state_size, "ssm.time_step_rank": config.time_step_rank,
            "attention.layer_norm_rms_epsilon": config.layer_norm_epsilon, "ssm.dt_b_c_rms": False,
        }  # fmt: skip
    said["attention.head_count"] = config.num_attention_heads
    if kind == "bloom":
        return said | {
            "context_length": 64, "feed_forward_length": 4 * config.hidden_size,
            "attention.head_count_kv": config.n_head,
            "attention.layer_norm_epsilon": config.layer_norm_epsilon,
        }  # fmt: skip
    said["context_length"] = config.max_position_embeddings
    if kind == "gpt2":
        return said | {
            "feed_forward_length": 4 * config.hidden_size,
            "attention.layer_norm_epsilon": config.layer_norm_epsilon,
        }  # fmt: skip
    if kind == "falcon":
        return said | {
            "tensor_data_layout": "jploski", "feed_forward_length": 4 * config.hidden_size,
            "attention.head_count_kv": 1, "attention.layer_norm_epsilon": config.layer_norm_epsilon,
        }  # fmt: skip
    said["feed_forward_length"] = config.intermediate_size
    said["attention.head_count_kv"] = config.num_key_value_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = config.rope_parameters
    full = rope.get("full_attention", rope)
    said["rope.freq_base"] = float(full["rope_theta"])
    for name in ("rms_norm_eps", "norm_eps"):
        if hasattr(config, name) and kind != "nemotron":
            said["attention.layer_norm_rms_epsilon"] = getattr(config, name)
    for name in ("layer_norm_eps", "norm_epsilon") + ("norm_eps",) * (kind == "nemotron"):
        if hasattr(config, name):
            said["attention.layer_norm_epsilon"] = getattr(config, name)
    if kind in {"llama", "mistral", "phi3", "stablelm", "nemotron", "minimax_m2"}:
        turned = getattr(config, "rotary_dim", None) or int(
            width * full.get("partial_rotary_factor", 1.0)
        )
        said["rope.dimension_count"] = turned
    if (
        kind.startswith(("gemma", "qwen3", "minimax"))
        or width * config.num_attention_heads != config.hidden_size
    ):
        said |= {"attention.key_length": width, "attention.value_length": width}
    if kind.startswith(("gemma", "phi3")) and config.sliding_window:
        said["attention.sliding_window"] = config.sliding_window
    if kind == "gemma2":
        said |= {
            "attn_logit_softcapping": config.attn_logit_softcapping,
            "final_logit_softcapping": config.final_logit_softcapping,
        }  # fmt: skip
    if kind == "stablelm":
        said["use_parallel_residual"] = config.use_parallel_residual
    if kind == "lfm2":
        said["shortconv.l_cache"] = config.conv_L_cache
        said["attention.head_count_kv"] = [
            config.num_key_value_heads * (layer == "full_attention") for layer in config.layer_types
        ]
    experts = getattr(config, "num_experts", None) or getattr(config, "num_local_experts", None)
    if experts:
        said |= {"expert_count": experts, "expert_used_count": config.num_experts_per_tok}
        own = getattr(config, "moe_intermediate_size", config.intermediate_size)
        said["expert_feed_forward_length"] = own
        if hasattr(config, "shared_expert_intermediate_size"):
            said["expert_shared_feed_forward_length"] = config.shared_expert_intermediate_size
        if kind == "minimax_m2":
            said["expert_gating_func"] = 2
    return said


def _add_tokenizer(writer: Any, n_rows: int) -> None:
    vocabulary = ["<|end|>", *sorted(pre_tokenizers.ByteLevel.alphabet()), "th"]
    vocabulary += [f"<x{number}>" for number in range(n_rows - len(vocabulary))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(vocabulary[:n_rows])
    writer.add_token_types([3] + [1] * (n_rows - 1))
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)


def _tensors(module: torch.nn.Module, kind: str) -> Iterator[tuple[str, np.ndarray]]:
    architecture = next(n for n, name in gguf.MODEL_ARCH_NAMES.items() if name == kind)
    names = gguf.get_tensor_name_map(architecture, module.config.num_hidden_layers)
    tied = module.config.tie_word_embeddings
    for name, tensor in module.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        base, suffix = re.fullmatch(r"(.*?)(\.weight|\.bias)?", name).groups(default="")
        base = base.removeprefix("transformer.") if kind == "bloom" else base
        base = re.sub(
            r"\.mlp\.e_score_correction_bias", ".block_sparse_moe.e_score_correction", base
        )
        value = tensor.float().numpy()
        if m := re.fullmatch(r"model\.layers\.(\d+)\.mlp\.experts\.(gate_up|down)_proj", base):
            yield from _experts(m[1], m[2], value)
            continue
        own = names.get_name(base)
        if own is None:
            raise ValueError(f"GGUF has no name for {name}")
        suffix = ".bias" if own.endswith("exp_probs_b") else suffix
        yield own + suffix, _as_written(module.config, kind, own + suffix, value)


def _experts(layer: str, part: str, value: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    parts = {"down": value}
    if part == "gate_up":
        parts = dict(zip(("gate", "up"), np.split(value, 2, axis=1), strict=True))
    for name, own in parts.items():
        yield f"blk.{layer}.ffn_{name}_exps.weight", own


def _as_written(config: Any, kind: str, name: str, value: np.ndarray) -> np.ndarray:
    """What the converter does to a tensor of a family."""
    if kind == "llama" and ".attn_q." in name:
        return _halves(value, config.num_attention_heads)
    if kind == "llama" and ".attn_k." in name:
        return _halves(value, config.num_key_value_heads)
    if kind == "gpt2" and re.search(r"(attn_qkv|ffn_down|ffn_up|attn_output)\.weight", name):
        return value.T
    if kind == "bloom" and "attn_qkv" in name:
        heads = value.reshape(config.n_head, 3, -1, *value.shape[1:])
        return heads.swapaxes(0, 1).reshape(value.shape)
    if kind in {"gemma2", "gemma3", "nemotron"} and "norm.weight" in name:
        return value + 1
    if kind == "mamba" and name.endswith("ssm_a"):
        return -np.exp(value)
    if name.endswith(("ssm_conv1d.weight", "shortconv.conv.weight")):
        return value.squeeze(1)
    if name.endswith("ffn_gate_inp_shexp.weight"):
        return value.squeeze(0)
    return value


def _halves(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a head from half after half, as its module has them, to pair after pair."""
    split = weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
    return split.swapaxes(1, 2).reshape(weight.shape)
