"""Positions that depend on the length of a text: how long it may be, and what its runs share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

LIMITS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "n_ctx",
    "max_sequence_length",
    "seq_length",
    "context_length",
)
_STRETCHED = ("linear", "yarn", "longrope", "llama3")


def context_length(config: Mapping[str, Any]) -> int | None:
    """The most tokens a model was made for, by its configuration; None if it names no limit.

    Dynamic scaling is made for any length, and so is ALiBi, which has no positions to run out of
    (MPT's code makes its biases up to its limit only, so that stays one). Other scaling stretches
    the length before it by its factor: the original one where that is named, else the stated one,
    as transformers reads it; linear scaling of some kinds of layers only (Gemma 3) names no
    original, and there the stated length is that of the whole model already.

    >>> context_length({"max_position_embeddings": 8192}), context_length({})
    (8192, None)
    >>> context_length({"model_type": "bloom", "seq_length": 2048})
    """
    for part in (config, config.get("text_config")):
        if isinstance(part, Mapping):
            for key in LIMITS:
                limit = part.get(key)
                if isinstance(limit, int) and limit > 0:
                    return _stretched_limit(part, limit)
    return None


def _stretched_limit(config: Mapping[str, Any], limit: int) -> int | None:
    if config.get("model_type") == "bloom" or config.get("alibi") is True:
        return None
    stretched = limit
    for parameters, of_all_layers in _scalings(config):
        kind = str(parameters.get("rope_type", parameters.get("type")))
        if "dynamic" in kind:
            return None
        factor = parameters.get("factor")
        if kind in _STRETCHED and isinstance(factor, int | float):
            original = parameters.get("original_max_position_embeddings")
            if original or of_all_layers or kind != "linear":
                stretched = max(stretched, int((original or limit) * factor))
    return stretched


def _scalings(config: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """What is said of rotary positions, and whether of all layers (else of one kind of them).

    An older `rope_scaling` stands for both where both are there, as transformers takes them.
    """
    parameters = config.get("rope_scaling") or config.get("rope_parameters")
    if isinstance(parameters, Mapping):
        gemma3 = str(config.get("model_type")).startswith("gemma3")  # of some layers, not nested
        yield parameters, not gemma3
        yield from ((part, False) for part in parameters.values() if isinstance(part, Mapping))


def fixed_length(module: torch.nn.Module) -> int | None:
    """The length up to which positions are the same for every text; None if they always are.

    Beyond it dynamic scaling (and longrope) turns a text's positions by its whole length: a text
    and its beginning, or two texts of different lengths, have other constants.
    """
    lengths = []
    for part in _rotary(module):
        parameters = getattr(getattr(part, "config", None), "rope_parameters", None) or {}
        first = parameters.get("original_max_position_embeddings", part.original_max_seq_len)
        lengths.append(first if "longrope" in _kind(part) else part.original_max_seq_len)
    return min(lengths, default=None)


def forget_lengths(module: torch.nn.Module) -> None:
    """Let dynamic positions be those of the next text alone.

    transformers keeps the constants of the longest text so far, so that what a model says of one
    text depends on what was read before.
    """
    for part in _rotary(module):
        if "dynamic" not in _kind(part):
            continue
        for name in [name for name in vars(part) if name.endswith("max_seq_len_cached")]:
            setattr(part, name, part.original_max_seq_len)
        for name, buffer in list(part.named_buffers(recurse=False)):
            first = getattr(part, f"{name.removesuffix('inv_freq')}original_inv_freq", None)
            if name.endswith("inv_freq") and "original" not in name and first is not None:
                part.register_buffer(name, first.to(buffer.device).clone(), persistent=False)


def _kind(part: Any) -> str:
    return str(getattr(part, "rope_type", ""))


def _rotary(module: torch.nn.Module) -> list[Any]:
    """Parts whose positions depend on the length of the text."""
    return [
        part
        for part in module.modules()
        if hasattr(part, "original_max_seq_len") and re.search("dynamic|longrope", _kind(part))
    ]
