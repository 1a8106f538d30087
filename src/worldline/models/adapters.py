"""Adapters of peft: a folder that holds one, put on the base that it names."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from worldline.errors import InputError, first_line
from worldline.models.load_errors import read_json
from worldline.models.quiet_logging import quiet
from worldline.places import expand_path, is_folder

ADAPTER_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter; what else lies in it is of its training."""
    return (folder / ADAPTER_CONFIG).is_file()


def load_adapter(
    name: str, folder: Path, load_base: Callable[[str], tuple[Any, Any]]
) -> tuple[Any, Any, str]:
    """Module with the adapter in it, the base's tokenizer, and the name of the base.

    The module is the base's own, its layers replaced by peft's: `peft`'s model calls just that.

    **Exactness**: logits are bitwise those of `peft.PeftModel.from_pretrained`.

    Raises: InputError if peft is not there, the base cannot be had, the weights are not those of
    the adapter, or the adapter is of a kind that puts tokens in front of the text.
    """
    base, place = _base_of(name, folder)
    _refuse_circle(name, folder)
    peft = _peft(name, base)
    if not (folder / _WEIGHTS).is_file():
        raise InputError(f'model "{name}" is an adapter without {_WEIGHTS}; pickles are not opened')
    try:
        module, tokenizer = load_base(place)
    except InputError as error:
        raise InputError(
            f'model "{name}" is an adapter, and its base cannot be had: {error}'
        ) from error
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft's, on what transformers is to remove
        try:
            config = peft.PeftConfig.from_pretrained(str(folder), local_files_only=True)
            if config.is_prompt_learning:
                raise InputError(
                    f'model "{name}" is an adapter of the kind {config.peft_type}, which puts '
                    "tokens of its own in front of the text: accepted are those inside the layers"
                )
            peft_model = peft.PeftModel.from_pretrained(module, str(folder), config=config)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f'the adapter "{name}" cannot be put on {base}: {first_line(error)}'
            ) from error
    _refuse_other_weights(name, folder, peft.get_peft_model_state_dict(peft_model))
    inner = peft_model.get_base_model()
    inner.peft_config = peft_model.peft_config  # what is in the module is told by the module
    return inner, tokenizer, base


def _base_of(name: str, folder: Path) -> tuple[str, str]:
    """(What an adapter calls its base, where that is: maybe a folder of that name beside it)."""
    base = read_json(name, folder / ADAPTER_CONFIG).get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise InputError(f'model "{name}" is an adapter whose {ADAPTER_CONFIG} names no base model')
    beside = folder / base
    return base, str(beside) if is_folder(beside) and not is_folder(Path(base)) else base


def _refuse_circle(name: str, folder: Path) -> None:
    """Raise InputError where the bases of adapters on adapters lead back to one of them."""
    visited_folders: list[Path] = []
    while is_folder(folder) and is_adapter(folder):
        if folder.resolve() in visited_folders:
            names = " on ".join(
                f'"{adapter_folder.name}"'
                for adapter_folder in (*visited_folders, folder.resolve())
            )
            raise InputError(f'model "{name}": adapters that lead back to themselves: {names}')
        visited_folders.append(folder.resolve())
        folder = expand_path(_base_of(str(folder), folder)[1])


def full_name(name: str, module: Any) -> str:
    """A model's name with the kind of its adapters and what they are on, if it has any.

    >>> full_name("owner/name", object())
    'owner/name'
    """
    adapters = getattr(module, "peft_config", None)
    if not isinstance(adapters, dict) or not adapters:
        return name
    kinds = sorted(
        {
            str(getattr(adapter_config, "peft_type", "adapter")).rpartition(".")[2]
            for adapter_config in adapters.values()
        }
    )
    bases = sorted(
        {
            str(getattr(adapter_config, "base_model_name_or_path", None) or "?")
            for adapter_config in adapters.values()
        }
    )
    return f"{name} ({', '.join(kinds)} on {', '.join(bases)})"


def unwrap_peft(module: Any) -> Any:
    """The module inside a peft model, whose layers hold the adapters; any other as it is.

    Raises: InputError for adapters that put tokens in front of the text.
    """
    if not hasattr(module, "peft_config") or not hasattr(module, "get_base_model"):
        return module
    if any(config.is_prompt_learning for config in module.peft_config.values()):
        raise InputError(
            "a peft model that puts tokens of its own in front of the text cannot be traced; "
            "accepted are adapters inside the layers, such as LoRA"
        )
    return module.get_base_model()


def _peft(name: str, base: str) -> Any:
    try:
        import peft
    except ImportError as error:
        raise InputError(
            f'model "{name}" is an adapter on {base}: reading it needs peft; '
            'pip install "worldline[lora]"'
        ) from error
    return peft


def _refuse_other_weights(name: str, folder: Path, module_weights: dict[str, Any]) -> None:
    """Peft only warns of adapter weights that are missing, and leaves them at nothing."""
    from safetensors import safe_open

    with safe_open(folder / _WEIGHTS, framework="np") as weights:
        file_keys = set(weights.keys())
    for keys, problem in (
        (set(module_weights) - file_keys, "lacks"),
        (file_keys - set(module_weights), "has, without a place,"),
    ):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise InputError(f'the adapter "{name}" {problem} the weights {min(keys)}{more}')
