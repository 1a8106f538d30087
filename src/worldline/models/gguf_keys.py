"""What a GGUF file's metadata says about a model, set in the configuration or refused by name.

transformers' reader sets some keys and passes over the others, so that a model could be read with
another attention than it was made with, and agree with itself. Here every key of the architecture
is either set, known to change no number, or refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from worldline.errors import InputError


@dataclass(frozen=True)
class GgufHead:
    """The metadata of a file, the names of its tensors, and its short tensors by name."""

    name: str
    metadata: Mapping[str, Any]
    tensors: tuple[str, ...]
    factors: Mapping[str, list[float]] = field(default_factory=dict)

    @property
    def architecture(self) -> str:
        """As the file calls it; the first part of its keys."""
        return str(self.metadata["general.architecture"])

    @property
    def own_keys(self) -> dict[str, Any]:
        """The keys of the architecture, each with its value."""
        before = f"{self.architecture}."
        return {key: value for key, value in self.metadata.items() if key.startswith(before)}

    def get(self, key: str, default: Any = None) -> Any:
        """Value of a key of the architecture."""
        return self.metadata.get(f"{self.architecture}.{key}", default)

    def refusal(self, key: str, why: str = "") -> InputError:
        """The error that a key (or a tensor, where it is one's name) cannot be taken up."""
        full = key if key in self.tensors else f"{self.architecture}.{key}"
        value = self.metadata.get(full)
        value_text = "" if value is None else f" = {str(value)[:60]}"
        kind = "tensor" if key in self.tensors else "key"
        return InputError(
            f'model "{self.name}": the {kind} {full}{value_text} of the file cannot be taken up'
            f"{f' ({why})' if why else ''}, and the numbers would be another model's without it"
        )


@dataclass(frozen=True)
class _Field:
    """Where a value goes: every one of these fields that the configuration has.

    `off` are values that say that there is nothing of the kind. Fields then become `unset`; without
    one, a family whose default is something is refused. Without a field only `off` is accepted.
    """

    fields: tuple[str, ...]
    off: tuple[Any, ...] = ()
    unset: Any = ...


def _fields(*names: str, off: tuple[Any, ...] = (), unset: Any = ...) -> _Field:
    return _Field(names, off, unset)


_EPSILONS = _fields(
    "rms_norm_eps", "norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon",
    "rms_norm_epsilon",
)  # fmt: skip
_FIELDS: dict[str, _Field] = {
    "embedding_length": _fields("hidden_size"),
    "attention.head_count": _fields("num_attention_heads", off=(0,)),
    "attention.layer_norm_rms_epsilon": _EPSILONS,
    "attention.layer_norm_epsilon": _EPSILONS,
    "attn_logit_softcapping": _fields("attn_logit_softcapping", off=(0,), unset=None),
    "final_logit_softcapping": _fields("final_logit_softcapping", off=(0,), unset=None),
    "router_logit_softcapping": _fields("router_logit_softcapping", off=(0,), unset=None),
    "attention.clamp_kqv": _fields("clip_qkv", off=(0,), unset=None),
    "residual_scale": _fields("residual_multiplier", off=(0, 1), unset=1.0),
    "embedding_scale": _fields("embedding_multiplier", off=(0, 1), unset=1.0),
    "expert_count": _fields("num_experts", "num_local_experts", off=(0,)),
    "expert_used_count": _fields("num_experts_per_tok", off=(0,)),
    "expert_shared_feed_forward_length": _fields("shared_expert_intermediate_size", off=(0,)),
    "expert_shared_count": _fields("n_shared_experts", off=(0,)),
    "expert_weights_norm": _fields("norm_topk_prob", off=()),
    "expert_weights_scale": _fields("routed_scaling_factor", off=(0, 1), unset=1.0),
    "expert_group_count": _fields("n_group", off=(0, 1), unset=1),
    "expert_group_used_count": _fields("topk_group", off=(0, 1), unset=1),
    "leading_dense_block_count": _fields("first_k_dense_replace", off=(0,), unset=0),
    "interleave_moe_layer_step": _fields("interleave_moe_layer_step", off=(0, 1)),
    "moe_every_n_layers": _fields("moe_every_n_layers", off=(0, 1)),
    "use_parallel_residual": _fields("use_parallel_residual"),
    "full_attention_interval": _fields("full_attention_interval"),
    "shortconv.l_cache": _fields("conv_L_cache"),
    "attention.causal": _fields(off=(True,)),
    "attention.shared_kv_layers": _fields("num_kv_shared_layers", off=(0,), unset=0),
    "embedding_length_per_layer_input": _fields("hidden_size_per_layer_input", off=(0,), unset=0),
    "rope.scaling.yarn_ext_factor": _fields(off=(1.0, -1.0)),
    "rope.scaling.yarn_log_multiplier": _fields(off=(0,)),
    "rope.scaling.alpha": _fields(off=(0,)),
    "ssm.dt_b_c_rms": _fields(off=(False,)),
}
_HARMLESS = frozenset(
    {
        "vocab_size",  # the embedding's own rows are compared with it
        "tensor_data_layout",
        "rope.scaling.finetuned",
        "rope.dimension_sections",  # of a text all parts of a position are equal
        "pooling_type",  # of an embedding, after the last norm
        "max_position_embeddings",
    }
)
_STATES = {"ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.time_step_rank"}
_SHAPES = {  # taken up by these families' readers; another shape would not load
    "mamba": _STATES,
    "qwen35": _STATES | {"ssm.group_count"},
    "qwen35moe": _STATES | {"ssm.group_count"},
}


def refuse_lists(head: GgufHead) -> None:
    """Raise InputError for widths that differ from layer to layer, before a reader meets them."""
    for key in ("attention.head_count", "attention.head_count_kv", "feed_forward_length"):
        if isinstance(head.get(key), list) and (head.architecture, key) != _LAYER_KINDS:
            raise head.refusal(key, "it differs from layer to layer")


def refuse_unfit_numbers(head: GgufHead) -> None:
    """Raise InputError for numbers that are none, and for positions turned by none or backwards."""
    prefix = f"{head.architecture}."
    for full, value in head.metadata.items():
        if not full.startswith(prefix):
            continue
        key = full.removeprefix(prefix)
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            raise head.refusal(key, "accepted are finite numbers")
        if key in ROPE_KEYS - _WORDS:
            least = "0 or more" if key in _NONE_IS_0 else "more than 0"
            for number in numbers:
                if number < 0 or (number == 0 and key not in _NONE_IS_0):
                    raise head.refusal(key, f"accepted is {least}")
    for name, factors in head.factors.items():
        if not all(math.isfinite(factor) and factor > 0 for factor in factors):
            raise head.refusal(name, "accepted are finite numbers above 0")


_WORDS = {"rope.scaling.type"}
_NONE_IS_0 = {"rope.scale_linear", "rope.scaling.factor", "rope.scaling.original_context_length"}
_LAYER_KINDS = ("lfm2", "attention.head_count_kv")  # 0 for a layer without attention


def settle(config: Any, head: GgufHead) -> list[str]:
    """Set in a configuration all that the file's keys say, rope apart; what else it holds.

    Returns: keys outside the architecture's own that nobody here knows; no reader of GGUF files
    takes numbers from those.

    Raises: InputError naming the first key that changes numbers and cannot be set.
    """
    _settle_unsaid(config, head)
    prefix, unknown_keys = f"{head.architecture}.", []
    for full in head.metadata:
        if full.startswith(prefix):
            _settle_key(config, head, full.removeprefix(prefix))
        elif full.startswith(("adapter.", "clip.")) or (
            full == "split.count" and head.metadata[full] > 1
        ):
            raise InputError(
                f'model "{head.name}": it has the key {full}: '
                "a part of a model, an adapter or an image encoder, not a whole language model"
            )
        elif not full.startswith(("general.", "tokenizer.", "GGUF.", "split.", "quantize.")):
            unknown_keys.append(full)
    return unknown_keys


def _settle_key(config: Any, head: GgufHead, key: str) -> None:
    value = head.get(key)
    if key in _HARMLESS or key in _SHAPES.get(head.architecture, ()) or key in ROPE_KEYS:
        return
    if special := _SPECIAL.get(key):
        special(config, head, key, value)
        return
    target_field = _FIELDS.get(key)
    if target_field is None:
        raise head.refusal(key, "it is not known here")
    if isinstance(value, list):
        value = _shared_value(head, key, value)
    present = [name for name in target_field.fields if hasattr(config, name)]
    if value in target_field.off:
        present = [
            name for name in present if getattr(config, name) not in (None, *target_field.off)
        ]
        if present and target_field.unset is ...:
            raise head.refusal(key, f"{type(config).__name__} is not made without it")
        value = target_field.unset
    elif not present:
        raise head.refusal(key, f"{type(config).__name__} has nothing of the kind")
    for name in present:
        setattr(config, name, value)


def _shared_value(head: GgufHead, key: str, values: list[Any]) -> Any:
    """The value that all layers share."""
    if len(set(values)) != 1:
        raise head.refusal(key, "it differs from layer to layer")
    return values[0]


def _context(config: Any, _head: GgufHead, _key: str, value: int) -> None:
    if hasattr(config, "max_position_embeddings"):
        config.max_position_embeddings = value


def _blocks(config: Any, head: GgufHead, key: str, value: int) -> None:
    if config.num_hidden_layers != value - head.get("nextn_predict_layers", 0):
        raise head.refusal(key)


def _next_tokens(_config: Any, head: GgufHead, key: str, value: int) -> None:
    if value and head.architecture not in _SHAPES:
        raise head.refusal(key)


def _feed_forward(config: Any, head: GgufHead, _key: str, value: int) -> None:
    for name in ("intermediate_size", "n_inner", "ffn_hidden_size"):
        if value and hasattr(config, name) and head.architecture != "mamba":
            setattr(config, name, value)


def _expert_feed_forward(config: Any, head: GgufHead, key: str, value: int) -> None:
    """Experts' width; families without dense blocks keep it as their only one."""
    if hasattr(config, "moe_intermediate_size"):
        config.moe_intermediate_size = value
    elif value not in {0, config.intermediate_size}:
        if head.get("feed_forward_length") not in {None, 0, value}:
            raise head.refusal(key)
        config.intermediate_size = value


def _kv_heads(config: Any, head: GgufHead, key: str, value: Any) -> None:
    if isinstance(value, list) or value == 0:
        return
    if head.architecture == "falcon":
        _falcon_heads(config, head, key, value)
    elif hasattr(config, "num_key_value_heads"):
        config.num_key_value_heads = value
    elif value != config.num_attention_heads:
        raise head.refusal(key)


def _falcon_heads(config: Any, head: GgufHead, key: str, value: int) -> None:
    """One head of keys and values is `multi_query`; groups of them stand in another order."""
    if value not in {1, config.num_attention_heads} or any(
        "attn_norm_2" in t for t in head.tensors
    ):
        raise head.refusal(key, "Falcon with groups of heads is not read right by transformers")
    if value > 1:
        raise head.refusal(key, "the order of its heads is not known here")
    config.multi_query, config.new_decoder_architecture = True, False
    config.num_kv_heads = value


def _head_width(config: Any, head: GgufHead, key: str, value: int) -> None:
    if value == 0 or head.architecture == "gemma4":
        return
    usual = config.hidden_size // config.num_attention_heads
    if head.get("attention.key_length", usual) != head.get("attention.value_length", usual):
        raise head.refusal(key, "keys and values have different widths")
    if _has_own_width(config):
        config.head_dim = value
    elif value != usual:
        raise head.refusal(key, f"{type(config).__name__} has no field for it")


def _has_own_width(config: Any) -> bool:
    """Whether heads may be of another width than the stream's share; some only compute that."""
    return hasattr(config, "head_dim") and not isinstance(
        getattr(type(config), "head_dim", None), property
    )


def _window(config: Any, head: GgufHead, key: str, value: int) -> None:
    """Only families that always look through a window can be told how wide it is.

    transformers' reader may have set it already, to 0 too, of which it makes no sense.
    """
    optional = hasattr(config, "use_sliding_window")
    always = not optional and getattr(config, "sliding_window", None) is not None
    if not value and always:
        raise head.refusal(key, f"{type(config).__name__} is not made without it")
    if not always and (not value or value >= head.get("context_length", 0) > 0):
        return
    if optional or not hasattr(config, "sliding_window"):
        raise head.refusal(key, "which layers look through it is not said")
    config.sliding_window = value


def _window_pattern(config: Any, head: GgufHead, key: str, value: Any) -> None:
    """Which layers look through the window: one truth a layer, or every how many-th does not."""
    layers = config.num_hidden_layers
    if isinstance(value, int):
        value = [(layer + 1) % value != 0 for layer in range(layers)] if value else [False] * layers
    if not hasattr(config, "layer_types") or len(value) != layers:
        raise head.refusal(key)
    config.layer_types = ["sliding_attention" if near else "full_attention" for near in value]


def _attention_scale(config: Any, head: GgufHead, key: str, value: float) -> None:
    """What scores are multiplied by; 0 for the usual one."""
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    usual = width**-0.5
    if hasattr(config, "attention_multiplier"):
        config.attention_multiplier = value or usual
    elif hasattr(config, "query_pre_attn_scalar"):
        if value:
            config.query_pre_attn_scalar = value**-2
    elif value and abs(value / usual - 1) > 1e-5:
        raise head.refusal(key)


def _gating(config: Any, head: GgufHead, key: str, value: int) -> None:
    """How routers turn scores into weights: 0 and 1 by softmax, 2 by the sigmoid."""
    if hasattr(config, "scoring_func"):
        if value not in {1, 2}:
            raise head.refusal(key)
        config.scoring_func = ("softmax", "sigmoid")[value - 1]
    elif value not in {0, 1}:
        raise head.refusal(key)


def _logit_scale(config: Any, head: GgufHead, key: str, value: float) -> None:
    if hasattr(config, "logit_scale"):
        config.logit_scale = value or 1.0
    elif value not in {0, 1}:
        raise head.refusal(key)


def _alibi(config: Any, head: GgufHead, key: str, value: float) -> None:
    has_alibi = config.model_type == "bloom" or getattr(config, "alibi", False)
    if value != (8.0 if has_alibi else 0.0):
        raise head.refusal(key)


_SPECIAL: dict[str, Callable[[Any, GgufHead, str, Any], None]] = {
    "context_length": _context,
    "block_count": _blocks,
    "nextn_predict_layers": _next_tokens,
    "feed_forward_length": _feed_forward,
    "expert_feed_forward_length": _expert_feed_forward,
    "attention.head_count_kv": _kv_heads,
    "attention.key_length": _head_width,
    "attention.value_length": _head_width,
    "attention.sliding_window": _window,
    "attention.sliding_window_pattern": _window_pattern,
    "attention.scale": _attention_scale,
    "attention.max_alibi_bias": _alibi,
    "expert_gating_func": _gating,
    "logit_scale": _logit_scale,
}
ROPE_KEYS = frozenset(
    {
        "rope.freq_base",
        "rope.freq_base_swa",
        "rope.dimension_count",
        "rope.scale_linear",
        "rope.scaling.type",
        "rope.scaling.factor",
        "rope.scaling.original_context_length",
        "rope.scaling.attn_factor",
        "rope.scaling.yarn_attn_factor",
        "rope.scaling.yarn_beta_fast",
        "rope.scaling.yarn_beta_slow",
    }
)
"""Keys that `worldline.models.gguf_rope` takes up."""

_SCALE_OF_WIDEST = {"gemma2": 46, "gemma3": 62}  # layers of the one size that divides otherwise


def _settle_unsaid(config: Any, head: GgufHead) -> None:
    """What files leave out because it follows from the family, the size or the tensors."""
    names = frozenset(head.tensors)
    config.tie_word_embeddings = "output.weight" not in names
    if (getattr(config, "pad_token_id", None) or 0) >= config.vocab_size:
        config.pad_token_id = None  # a default of the family's, outside this vocabulary
    for name, sign in (("attention_bias", "attn_output.bias"), ("mlp_bias", "ffn_down.bias")):
        if hasattr(config, name):
            setattr(config, name, f"blk.0.{sign}" in names)
    if hasattr(config, "qk_layernorm"):
        config.qk_layernorm = "blk.0.attn_q_norm.weight" in names
    if not head.get("attention.key_length") and _has_own_width(config):
        config.head_dim = config.hidden_size // config.num_attention_heads
    if head.architecture in {"llama", "mistral"} and hasattr(config, "sliding_window"):
        config.sliding_window = None  # Mistral's default; the key sets it where there is one
    if head.architecture in _SCALE_OF_WIDEST and head.get("attention.key_length"):
        widest = head.get("block_count") == _SCALE_OF_WIDEST[head.architecture]
        config.query_pre_attn_scalar = (
            head.get("embedding_length") // head.get("attention.head_count")
            if widest
            else head.get("attention.key_length")
        )
