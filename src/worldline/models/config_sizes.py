"""Refuses a configuration whose numbers its own weights belie, before memory is taken for them."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from worldline.errors import InputError

_LAYERS = re.compile(
    r"(num|n|encoder|decoder)_(hidden_|text_|nextn_predict_)?layers?|depth|num_blocks"
)
_FREE = re.compile(
    r"_ids?$|position|context|window|length|seq|theta|token|seed|chunk|size_limit|offset|max_|_max$"
)
_POSITIONS = re.compile(r"position|seq_len|context")
_GGUF_LAYERS = re.compile(r"block_count$|nextn_predict_layers$")
_GGUF_FREE = re.compile(r"context|window|position|theta|freq|scale|scaling|chunk|_ids?$")
_MOST_LAYERS = 10_000
_LONGEST = 1 << 25  # positions; the longest model so far was made for 10 million
_WIDEST = 1 << 20
_MOST_PACKED = 16  # numbers in one that is stored, as of two bits in 32
_TABLES_BYTES = 1 << 28  # of positions and masks, which no file holds


def refuse_absurd(name: str, config: Mapping[str, Any], folder: Path) -> None:
    """Raise InputError for numbers of layers, experts, widths that cannot be this folder's model's.

    A block has at least one tensor of its own, and no width is much larger than the largest of the
    weights: a model that is built first and compared after takes the memory first.
    """
    n_tensors, widest, _ = _weights_of(folder)
    for key, value in _integers(config):
        last = key.rpartition(".")[2]
        if _LAYERS.fullmatch(last):
            most, least = n_tensors or _MOST_LAYERS, 0 if "." in key or "nextn" in key else 1
        elif _FREE.search(last):
            most, least = _LONGEST if _POSITIONS.search(last) else 1 << 62, -(1 << 62)
        else:
            most, least = max(64 * widest, _WIDEST), -(1 << 31)
        if not least <= value <= most:
            raise InputError(
                f'model "{name}": config.json has {key} = {value:,}; accepted here '
                f"{f'are {least:,} to' if least >= 0 else 'is at most'} {most:,}"
                f"{' (the weights have no more tensors)' if most == n_tensors else ''}"
            )


def refuse_absurd_head(name: str, keys: Mapping[str, Any], shapes: Sequence[Sequence[int]]) -> None:
    """The same of the keys that a GGUF file has of its architecture, and of its tensors' shapes."""
    widest = max((size for shape in shapes for size in shape), default=0)
    for key, value in keys.items():
        for number in value if isinstance(value, list) else [value]:
            if not isinstance(number, int) or isinstance(number, bool):
                continue
            most = max(64 * widest, _WIDEST)
            if _GGUF_LAYERS.search(key):
                most = len(shapes)
            elif _GGUF_FREE.search(key):
                most = _LONGEST if "context" in key else 1 << 62
            if number > most:
                raise InputError(
                    f'model "{name}": the key {key} is {number:,}; accepted here is at most '
                    f"{most:,}{' (the file has no more tensors)' if most == len(shapes) else ''}"
                )


def refuse_oversized(name: str, auto: Any, config: Any, n_stored: int) -> None:
    """Raise InputError for a configuration that describes far more numbers than are stored.

    No single number of it need be absurd for that: widths multiply. The module is made without
    memory for its weights. Packed weights hold up to 16 numbers in one that is stored.
    """
    import torch
    from transformers.initialization import no_init_weights

    with torch.device("meta"), no_init_weights():
        module = auto.from_config(copy.deepcopy(config))
    n_bytes = sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))
    if n_bytes > 4 * _MOST_PACKED * n_stored + _TABLES_BYTES:
        raise InputError(
            f'model "{name}": its configuration describes weights of {n_bytes:,} bytes, where its '
            f"files hold {n_stored:,} numbers"
        )


def n_stored(folder: Path) -> int:
    """How many numbers the safetensors files of a folder hold; 0 where it has none."""
    return _weights_of(folder)[2]


def _integers(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, int]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _integers(value, f"{before}{key}.")
        elif isinstance(value, int) and not isinstance(value, bool):
            yield before + key, value
        elif isinstance(value, float) and value.is_integer():
            yield before + key, int(value)


def _weights_of(folder: Path) -> tuple[int, int, int]:
    """How many tensors a folder's safetensors files have, the largest size, and all numbers."""
    from safetensors import SafetensorError, safe_open

    n_tensors = widest = n_numbers = 0
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="np") as weights:
                for key in weights.keys():  # noqa: SIM118 - no mapping
                    shape = weights.get_slice(key).get_shape()
                    n_tensors += 1
                    widest = max(widest, *shape, 0)
                    n_numbers += prod(shape)
        except (SafetensorError, OSError):  # said when they are read
            return 0, 0, 0
    return n_tensors, widest, n_numbers
