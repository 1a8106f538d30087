"""Rotary positions as a GGUF file gives them: base, width, scaling, factors held as tensors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from worldline.errors import first_line
from worldline.models.gguf_keys import GgufHead

if TYPE_CHECKING:
    import torch

FREQUENCIES, LONG, SHORT = (
    "rope_freqs.weight",
    "rope_factors_long.weight",
    "rope_factors_short.weight",
)
FACTORS = (FREQUENCIES, LONG, SHORT)
"""Tensors that are no weights: what the frequencies are divided by."""

_BASE = 10000.0  # where a file names none, as readers of these files take it
_SCALED = "full_attention"  # where kinds of layers have positions of their own, scaling is of these


def settle_rope(config: Any, head: GgufHead) -> None:
    """Set a configuration's rotary positions to what the file says.

    Factors held as a tensor, as the Llama 3.1 family has them, become "longrope" with the same
    factors for short and long texts: the one kind that takes arbitrary ones, exactly.

    Raises: InputError naming the key or tensor that cannot be set.
    """
    parts = _parts(config)
    if not parts:
        for key in (
            "rope.freq_base", "rope.scaling.type", "rope.scale_linear", "rope.scaling.factor",
        ):  # fmt: skip
            if head.get(key) not in {None, "none", 0.0, 1.0}:
                raise head.refusal(key, f"{type(config).__name__} has no rotary positions")
        _refuse_attention_factor(head)
        return
    is_nested = len(parts) > 1 or parts[0] is not config.rope_parameters
    parameters = config.rope_parameters[_SCALED] if is_nested else parts[0]
    if head.architecture == "gemma4":
        _as_the_family_has_it(head)
        return
    parameters["rope_theta"] = head.get("rope.freq_base", _BASE)
    if (base := head.get("rope.freq_base_swa")) is not None:
        if not is_nested:
            raise head.refusal("rope.freq_base_swa")
        config.rope_parameters["sliding_attention"]["rope_theta"] = base
    _settle_width(config, parameters, head)
    scaling = _scaling(config, head)
    if is_nested and (
        FREQUENCIES in head.tensors or scaling.get("rope_type") not in {None, "linear"}
    ):
        raise head.refusal(FREQUENCIES if FREQUENCIES in head.tensors else "rope.scaling.type")
    if scaling:
        truncates = parameters.get("truncate") if scaling["rope_type"] == "yarn" else None
        parameters.update(scaling)
        if truncates is not None:
            parameters["truncate"] = truncates
        if "original_max_position_embeddings" in scaling and hasattr(
            config, "original_max_position_embeddings"
        ):
            config.original_max_position_embeddings = scaling["original_max_position_embeddings"]
        _refuse_unmakeable(config, head)
    else:
        for key in [key for key in parameters if key not in _PLAIN]:
            del parameters[key]
        parameters["rope_type"] = "default"


_PLAIN = {"rope_theta", "partial_rotary_factor", "mrope_section", "mrope_interleaved"}


def _refuse_unmakeable(config: Any, head: GgufHead) -> None:
    """Some families' configurations accept some kinds of scaling only."""
    try:
        type(config).from_dict(config.to_dict())
    except Exception as error:
        key = FREQUENCIES if FREQUENCIES in head.tensors else "rope.scaling.type"
        key = key if key in head.tensors or head.get(key) else "rope.scale_linear"
        raise head.refusal(key, first_line(error, 120)) from error


def _parts(config: Any) -> list[dict[str, Any]]:
    parameters = getattr(config, "rope_parameters", None)
    if not parameters:
        return []
    nested_parts = [value for value in parameters.values() if isinstance(value, dict)]
    return nested_parts or [parameters]


def _as_the_family_has_it(head: GgufHead) -> None:
    """Gemma 4's positions are its configuration's own; scaling on top of them is not known."""
    _refuse_attention_factor(head)
    for key in ("rope.scaling.type", "rope.scaling.factor", "rope.scale_linear"):
        if head.get(key) not in {None, "none", 0.0, 1.0}:
            raise head.refusal(key)


def _settle_width(config: Any, parameters: dict[str, Any], head: GgufHead) -> None:
    """Heads that turn in a part of their width only."""
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rotary_width = head.get("rope.dimension_count")
    if rotary_width is None:
        return
    if hasattr(config, "rotary_dim"):
        config.rotary_dim = rotary_width
    if rotary_width != width or parameters.get("partial_rotary_factor", 1.0) != 1.0:
        parameters["partial_rotary_factor"] = rotary_width / width


def _scaling(config: Any, head: GgufHead) -> dict[str, Any]:
    """The scaling in transformers' words; nothing if there is none."""
    kind = head.get("rope.scaling.type")
    factor = head.get("rope.scaling.factor", head.get("rope.scale_linear"))
    if kind is None and factor not in {None, 0.0, 1.0}:
        kind = "linear"  # as readers of these files take it
    if FREQUENCIES in head.tensors:
        if kind not in {None, "none"} and not (kind == "linear" and factor in {None, 0.0, 1.0}):
            raise head.refusal("rope.scaling.type", f"together with {FREQUENCIES}")
        _refuse_attention_factor(head)
        factors = head.factors[FREQUENCIES]
        return _by_factors(config.max_position_embeddings, factors, factors, 1.0)
    if kind == "longrope" or LONG in head.tensors:
        return _long(config, head)
    if kind in {None, "none"}:
        _refuse_attention_factor(head)  # readers differ on whether it counts without a scaling
        return {}
    if not factor or factor <= 0:
        raise head.refusal("rope.scaling.type", "without a factor")
    if kind in {"linear", "dynamic"}:
        _refuse_attention_factor(head)
        return {"rope_type": kind, "factor": factor} if factor != 1.0 else {}
    if kind == "yarn":
        return _yarn(head, factor)
    raise head.refusal("rope.scaling.type")


def _yarn(head: GgufHead, factor: float) -> dict[str, Any]:
    original = head.get("rope.scaling.original_context_length") or head.get("context_length")
    file_factor = head.get("rope.scaling.attn_factor", 1.0) * head.get(
        "rope.scaling.yarn_attn_factor", 1.0
    )
    return {
        "rope_type": "yarn",
        "factor": factor,
        "original_max_position_embeddings": original,
        "attention_factor": file_factor * (0.1 * math.log(max(factor, 1.0)) + 1.0),
        "beta_fast": head.get("rope.scaling.yarn_beta_fast", 32.0),
        "beta_slow": head.get("rope.scaling.yarn_beta_slow", 1.0),
    }


def _long(config: Any, head: GgufHead) -> dict[str, Any]:
    if LONG not in head.tensors or SHORT not in head.tensors:
        raise head.refusal("rope.scaling.type", f"without {LONG} and {SHORT}")
    original = head.get("rope.scaling.original_context_length") or config.max_position_embeddings
    _refuse_attention_factor(head, _OF_YARN)
    attention = head.get("rope.scaling.attn_factor")
    if attention is None:
        longer = config.max_position_embeddings / original
        attention = math.sqrt(1 + math.log(longer) / math.log(original)) if longer > 1 else 1.0
    return _by_factors(original, head.factors[SHORT], head.factors[LONG], attention)


def _by_factors(
    original: int, short: list[float], long: list[float], attention: float
) -> dict[str, Any]:
    return {
        "rope_type": "longrope",
        "short_factor": short,
        "long_factor": long,
        "attention_factor": attention,
        "factor": 1.0,
        "original_max_position_embeddings": original,
    }


_OF_YARN = "rope.scaling.yarn_attn_factor"


def _refuse_attention_factor(head: GgufHead, *keys: str) -> None:
    for key in keys or ("rope.scaling.attn_factor", _OF_YARN):
        if head.get(key) not in {None, 1.0}:
            raise head.refusal(key)


def refuse_other_rope(module: torch.nn.Module, head: GgufHead) -> None:
    """Raise InputError if a module's own frequencies are not as many, or not those, of the file.

    A class may pass over what its configuration says.
    """
    import torch

    rotary_width, base = head.get("rope.dimension_count"), head.get("rope.freq_base", _BASE)
    frequencies = [
        (name, buffer)
        for name, buffer in module.named_buffers()
        if name.endswith("inv_freq") and "sliding" not in name and "original" not in name
    ]
    if head.architecture == "gemma4":
        return
    config_type = (getattr(module.config, "rope_parameters", None) or {}).get("rope_type")
    for part in module.modules():
        part_type = getattr(part, "rope_type", None)
        if isinstance(part_type, str) and part_type != config_type:
            raise head.refusal("rope.scaling.type")
    for _, buffer in frequencies:
        if rotary_width is not None and 2 * buffer.numel() != rotary_width:
            raise head.refusal("rope.dimension_count")
        if FREQUENCIES in head.tensors:
            steps = torch.arange(0, 2 * buffer.numel(), 2).double() / (2 * buffer.numel())
            expected_frequencies = 1 / (
                base**steps * torch.tensor(head.factors[FREQUENCIES]).double()
            )
            if not torch.allclose(buffer.double(), expected_frequencies, rtol=1e-5, atol=0):
                raise head.refusal(FREQUENCIES)
    if not frequencies and (set(head.tensors) & set(FACTORS)):
        raise head.refusal(next(name for name in FACTORS if name in head.tensors))
    if head.get("rope.scaling.type") not in {None, "none"} and not frequencies:
        raise head.refusal("rope.scaling.type")
