"""What cannot be loaded, and the one line that says why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worldline.errors import InputError
from worldline.model.quiet import one_line

DTYPES = ("float32", "bfloat16", "float16", "float64")


def config_message(name: str, error: Exception) -> str:
    """Why a configuration cannot be used."""
    if "trust_remote_code" in str(error):
        return _remote_message(name)
    return f'model "{name}": its configuration cannot be read: {one_line(error)}'


def _remote_message(name: str) -> str:
    return (
        f'model "{name}" comes with its own code, which is not run unless you ask: '
        "--trust-remote-code (in Python trust_remote_code=True)"
    )


def weights_message(name: str, error: Exception, pickle: bool) -> str:
    """Why weights cannot be used."""
    if not pickle and ".safetensors" in str(error) and "no file named" in str(error).lower():
        return _pickle_message(name)
    if not pickle and "cannot be loaded with `safetensors`" in str(error):
        return _pickle_message(name)
    return f'the weights of model "{name}" cannot be loaded: {one_line(error)}'


def _pickle_message(name: str) -> str:
    return (
        f'model "{name}" has no safetensors weights; pickled weights can run code and are not '
        "opened unless you ask: --allow-pickle (in Python allow_pickle=True)"
    )


def refuse_empty_folder(name: str, path: Path, pickle: bool) -> None:
    """Raise InputError if a folder has no configuration or no weights that may be opened."""
    config = path / "config.json"
    if not config.is_file():
        raise InputError(f'model "{name}" is a folder without a config.json')
    try:
        json.loads(config.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f'model "{name}": config.json is not JSON: {one_line(error)}') from error
    weights = [file.suffix for file in path.iterdir() if file.is_file()]
    if ".safetensors" not in weights and not pickle:
        if ".bin" in weights:
            raise InputError(_pickle_message(name))
        raise InputError(f'model "{name}" is a folder without weights (model.safetensors)')


def refuse_other_kinds(name: str, config: Any, remote_code: bool) -> None:
    """Raise InputError if a configuration is not that of a causal language model."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    kind = getattr(config, "model_type", "?")
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(
            f'model "{name}" ({kind}) has an encoder and a decoder; '
            "a causal language model (decoder only) is needed"
        )
    own = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING and not (own and remote_code):
        if own:
            raise InputError(_remote_message(name))
        raise InputError(f'model "{name}" ({kind}) is not a causal language model')


def refuse_incomplete(name: str, report: Mapping[str, Any]) -> None:
    """Weights that were not in the files would be random numbers: no trace of those."""
    for what in ("missing_keys", "mismatched_keys"):
        keys = sorted(str(key) for key in report.get(what) or ())
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            problem = "are missing" if what == "missing_keys" else "have another shape"
            raise InputError(f'model "{name}": weights {problem}: {keys[0]}{more}')


def refuse_unknown_dtype(dtype: str | None) -> None:
    """Raise InputError if a dtype is not one of `DTYPES`."""
    if dtype is not None and dtype not in DTYPES:
        raise InputError(f'dtype "{dtype}" is not one of {", ".join(DTYPES)}')


def refuse_missing_device(device: str) -> None:
    """Raise InputError, naming what is there, if this machine has no such device."""
    import torch

    there = ["cpu"]
    if torch.cuda.is_available():
        there += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        there.append("mps")
    if device not in there:
        raise InputError(f'device "{device}" is not available; here there is: {", ".join(there)}')
