"""Refuses a configuration whose numbers its own weights belie, before memory is taken for them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
_MOST_LAYERS = 10_000
_LONGEST = 1 << 25  # positions; the longest model so far was made for 10 million
_WIDEST = 1 << 20


def refuse_absurd(name: str, config: Mapping[str, Any], folder: Path) -> None:
    """Raise InputError for numbers of layers, experts, widths that cannot be this folder's model's.

    A block has at least one tensor of its own, and no width is much larger than the largest of the
    weights: a model that is built first and compared after takes the memory first.
    """
    n_tensors, widest = _weights_of(folder)
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


def _integers(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, int]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _integers(value, f"{before}{key}.")
        elif isinstance(value, int) and not isinstance(value, bool):
            yield before + key, value
        elif isinstance(value, float) and value.is_integer():
            yield before + key, int(value)


def _weights_of(folder: Path) -> tuple[int, int]:
    """How many tensors the safetensors files of a folder have, and the largest of their sizes."""
    from safetensors import SafetensorError, safe_open

    n_tensors = widest = 0
    for file in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(file, framework="np") as weights:
                for key in weights.keys():  # noqa: SIM118 - no mapping
                    n_tensors += 1
                    widest = max(widest, *weights.get_slice(key).get_shape(), 0)
        except (SafetensorError, OSError):  # said when they are read
            return 0, 0
    return n_tensors, widest
