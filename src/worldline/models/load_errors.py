"""What cannot be loaded, and the one line that says why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worldline.errors import InputError, first_line
from worldline.models.config_sizes import refuse_absurd

_POINTER = b"version https://git-lfs"
_POINTER_BYTES = 1024
_LARGEST_JSON = 64 << 20
DTYPES = ("float32", "bfloat16", "float16", "float64")


def config_message(name: str, error: Exception) -> str:
    """Why a configuration cannot be used."""
    if "trust_remote_code" in str(error):
        return _remote_message(name)
    return f'model "{name}": its configuration cannot be read: {first_line(error)}'


def _remote_message(name: str) -> str:
    return (
        f'model "{name}" comes with its own code, which is not run unless you ask, in Python: '
        "load_model(..., trust_remote_code=True)"
    )


def weights_message(name: str, error: Exception, pickle: bool) -> str:
    """Why weights cannot be used."""
    if not pickle and ".safetensors" in str(error) and "no file named" in str(error).lower():
        return _pickle_message(name)
    if not pickle and "cannot be loaded with `safetensors`" in str(error):
        return _pickle_message(name)
    return f'the weights of model "{name}" cannot be loaded: {first_line(error)}'


def _pickle_message(name: str) -> str:
    return (
        f'model "{name}" has no safetensors weights; pickled weights can run code and are not '
        "opened unless you ask, in Python: load_model(..., allow_pickle=True)"
    )


def refuse_pointers(name: str, *files: Path) -> None:
    """Raise InputError for a file that git-lfs left a pointer of, as clones without it have."""
    for file in files:
        if file.is_file() and file.stat().st_size < _POINTER_BYTES:
            with file.open("rb") as stream:
                if stream.read(len(_POINTER)) == _POINTER:
                    raise InputError(
                        f'model "{name}": {file.name} is a pointer of git-lfs, not the file; '
                        'fetch it with "git lfs pull" in the repository'
                    )


def refuse_no_files(name: str, *places: Path) -> None:
    """Raise InputError for a pipe or a device among a model's files: reading it may never end."""
    for place in places:
        if place.exists() and not (place.is_file() or place.is_dir()):
            raise InputError(f'model "{name}": {place.name} is no file but a pipe or a device')


def read_json(name: str, file: Path) -> dict[str, Any]:
    """A JSON file of a model's folder, which holds an object.

    Raises: InputError if it is not that, or larger than such files are.
    """
    if file.stat().st_size > _LARGEST_JSON:
        raise InputError(f'model "{name}": {file.name} is larger than {_LARGEST_JSON >> 20} MiB')
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise InputError(f'model "{name}": {file.name} is nested too deeply') from error
    except ValueError as error:
        raise InputError(f'model "{name}": {file.name} is not JSON: {first_line(error)}') from error
    if not isinstance(value, dict):
        raise InputError(f'model "{name}": {file.name} is no JSON object')
    return value


def refuse_empty_folder(name: str, path: Path, pickle: bool) -> None:
    """Raise InputError if a folder has no configuration or no weights that may be opened."""
    config = path / "config.json"
    if not config.is_file():
        raise InputError(f'model "{name}" is a folder without a config.json')
    content = read_json(name, config)
    weights = [file.suffix for file in path.iterdir() if file.is_file()]
    if ".safetensors" not in weights and not pickle:
        if ".bin" in weights:
            raise InputError(_pickle_message(name))
        raise InputError(f'model "{name}" is a folder without weights (model.safetensors)')
    for index in path.glob("*.index.json"):
        _refuse_elsewhere(name, index)
    refuse_absurd(name, content, path)


def _refuse_elsewhere(name: str, index: Path) -> None:
    """Raise InputError for weights that are said to lie anywhere but in the model's folder."""
    places = read_json(name, index).get("weight_map")
    if not isinstance(places, dict):
        raise InputError(f'model "{name}": {index.name} has no weight_map of names to files')
    for place in {repr(place): place for place in places.values()}.values():
        if not (isinstance(place, str) and _is_inside(index.parent, place)):
            raise InputError(
                f'model "{name}": {index.name} names {str(place)[:80]!r}, '
                "which is no file of the model's folder"
            )


def _is_inside(folder: Path, place: str) -> bool:
    path = Path(place)
    try:
        return not path.is_absolute() and ".." not in path.parts and (folder / path).is_file()
    except (OSError, ValueError):  # no name that a file can have
        return False


def refuse_other_kinds(name: str, config: Any, remote_code: bool) -> None:
    """Raise InputError if a configuration is not that of a causal language model."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    if reads_more_than_text(config):
        return
    kind = getattr(config, "model_type", "?")
    if getattr(config, "is_encoder_decoder", False):
        raise InputError(
            f'model "{name}" ({kind}) has an encoder and a decoder; '
            "a causal language model (decoder only) is needed"
        )
    has_own_code = "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING and not (has_own_code and remote_code):
        if has_own_code:
            raise InputError(_remote_message(name))
        raise InputError(f'model "{name}" ({kind}) is not a causal language model')


def reads_more_than_text(config: Any) -> bool:
    """Whether a configuration is of a model of pictures or sound with a causal text part."""
    from transformers.models.auto import modeling_auto

    text = getattr(config, "text_config", None)
    return (
        type(config) not in modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING
        and type(config) in modeling_auto.MODEL_FOR_MULTIMODAL_LM_MAPPING
        and text is not None
        and not getattr(config, "is_encoder_decoder", False)
        and not getattr(text, "is_encoder_decoder", False)
    )


def refuse_incomplete(name: str, report: Mapping[str, Any]) -> None:
    """Weights that were not in the files would be random numbers: no trace of those."""
    for report_key in ("missing_keys", "mismatched_keys"):
        keys = sorted(str(key) for key in report.get(report_key) or ())
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            problem = "are missing" if report_key == "missing_keys" else "have another shape"
            raise InputError(f'model "{name}": weights {problem}: {keys[0]}{more}')


def refuse_unknown_dtype(dtype: str | None) -> None:
    """Raise InputError if a dtype is not one of `DTYPES`."""
    if dtype is not None and dtype not in DTYPES:
        raise InputError(f'dtype "{dtype}" is not one of {", ".join(DTYPES)}')


def refuse_missing_device(device: str) -> None:
    """Raise InputError, naming what is there, if this machine has no such device."""
    import torch

    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += ["cuda", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    if device not in devices:
        raise InputError(f'device "{device}" is not available; here there is: {", ".join(devices)}')
