"""Loads a causal language model by name, or takes one that is already in memory as it is."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldline.arguments import with_checked_arguments
from worldline.errors import InputError, first_line
from worldline.models.adapters import full_name, is_adapter, load_adapter, unwrap_peft
from worldline.models.bundled import BUNDLED_NAME, ensure_bundled
from worldline.models.config_sizes import n_stored, refuse_oversized
from worldline.models.conversion import converted_gguf
from worldline.models.gguf import read_gguf
from worldline.models.hub import settle_hub
from worldline.models.load_errors import (
    config_message,
    reads_more_than_text,
    refuse_empty_folder,
    refuse_incomplete,
    refuse_missing_device,
    refuse_no_files,
    refuse_other_kinds,
    refuse_pointers,
    refuse_unknown_dtype,
    weights_message,
)
from worldline.models.positions import context_length
from worldline.models.quiet_logging import Progress, quiet, say
from worldline.models.source import Source
from worldline.models.torch_modes import usual_modes
from worldline.models.weights import refuse_nonfinite, weights_hash
from worldline.places import expand_path, is_file, is_folder
from worldline.tokens.tokenizer import tokenizer_in

if TYPE_CHECKING:
    import torch

    from worldline.models.identity import Identity
    from worldline.tokens.tokens import Tokenizer

TINY = "tiny:"
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # errors are one line
_LONGEST_NAME = 4096


@dataclass(eq=False)
class LoadedModel:
    """A causal language model with its tokenizer and what identifies it.

    Attributes:
        module: The model, in evaluation mode.
        tokenizer: Its tokenizer.
        name: The name that it was loaded by, or that of its class in memory.
        config: Its configuration as plain values.
        device: Where it is.
        dtype: In what it computes.
        loaded_as: What the name stood for when it was loaded; None for a pair in memory, and for
            what only `trust_remote_code` or `allow_pickle` loads.
    """

    module: torch.nn.Module
    tokenizer: Tokenizer
    name: str
    config: dict[str, Any]
    device: str
    dtype: str
    loaded_as: Source | None = None

    @property
    def source(self) -> str | None:
        """What `load_model` takes to load this model again (`dtype` and `device` apart).

        None for a pair made in memory, of which nobody knows where it came from; for what only
        `trust_remote_code` or `allow_pickle` loads; and for a model that was changed since: its
        weights, configuration, parts, adapters, hooks, functions, tokenizer, dtype or device.
        """
        if self.loaded_as is None:
            return None
        first = next(self.module.parameters())
        was_moved = (str(first.device), str(first.dtype)) != (self.device, f"torch.{self.dtype}")
        return None if was_moved else self.loaded_as.still(self.module, self.tokenizer)

    @property
    def weights_hash(self) -> str:
        """Hash of the weights as they are now; see `worldline.models.weights.weights_hash`."""
        return weights_hash(self.module)

    @property
    def identity(self) -> Identity:
        """What the model is at this moment; see `worldline.models.identity.identify`."""
        from worldline.models.identity import identify

        return identify(self)

    @property
    def context_tokens(self) -> int | None:
        """The most tokens that the model was made for; None if it names no limit."""
        return context_length(self.config)

    @property
    def n_rows(self) -> int | None:
        """How many tokens the embedding knows; None where the model has no such table."""
        find: Any = getattr(self.module, "get_input_embeddings", None)
        try:
            weight = None if find is None else find().weight
        except (NotImplementedError, AttributeError):
            return None
        return None if weight is None else int(weight.shape[0])

    def continuation(
        self,
        ids: Sequence[int],
        *,
        temperature: float = 0.0,
        seed: int = 0,
        max_tokens: int = 400,
        stop: Collection[int] = (),
    ) -> Iterator[int]:
        """Ids that follow `ids`, one at a time; one of `stop` ends it and is the last.

        Temperature 0 takes the likeliest token. What was read is kept in the model's own cache
        for as long as the iterator lives, and no longer.

        Exactness: equal seeds give the same tokens at equal weights, versions, threads and machine.

        Raises: InputError for no ids, a temperature below 0, logits that are not numbers.
        """
        from worldline.models.generation import continuation

        return continuation(
            self.module, ids,
            temperature=temperature, seed=seed, max_tokens=max_tokens, stop=stop,
        )  # fmt: skip


@usual_modes()
@with_checked_arguments
def load_model(
    name: str | os.PathLike[str] | tuple[Any, Any] | None = None,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    progress: Progress | None = None,
) -> LoadedModel:
    """Load a causal language model and its tokenizer, ready to run.

    Args:
        name: Taken as the first of these that fits:

            1. None, "bundled" or "smollm2-135m-instruct": the bundled model;
            2. a ``(model, tokenizer)`` pair: handed on exactly as it was found;
            3. a path of a folder, or of a ``.gguf`` file;
            4. "tiny:TYPE", a tiny random model of one of transformers' types, made in memory; its
               words are t3 to t111;
            5. a hub id such as "owner/name".
        device: Where to; None is the cpu. Of a pair it is what it has, and no other may be named.
        dtype: None keeps that of the stored weights (float32 for GGUF). Of a pair as `device`.
        trust_remote_code: Whether code that came with the model is run.
        allow_pickle: Whether weights that were pickled are opened, which can run code.
        progress: Called with a line whenever work goes on.

    Returns:
        The model with its tokenizer and its name.

    Raises:
        InputError: there is no such model, it is not a causal language model, its weights are
            missing, damaged or not finite, or the device is not there.
    """
    device, dtype = _word_of(device), _word_of(dtype)
    refuse_unknown_dtype(dtype)
    if isinstance(name, tuple):
        model = _take_pair(name)
        refuse_another(model, device=device, dtype=dtype)
        return model
    if isinstance(name, os.PathLike):
        name = os.fspath(name)
    if name is not None and not isinstance(name, str):
        raise InputError(
            f"load_model: model of type {type(name).__name__}; accepted are a name, the path of a "
            "folder or a .gguf file, or a (model, tokenizer) pair"
        )
    device = device or "cpu"
    refuse_missing_device(device)
    if name is None or name.lower() in {"bundled", BUNDLED_NAME}:
        name = BUNDLED_NAME
        folder = str(ensure_bundled(progress))
        say(progress, f"loading {name}")
        module, tokenizer = _from_folder(folder, name, dtype, local=True)
    else:
        module, tokenizer = _by_name(name, dtype, trust_remote_code, allow_pickle, progress)
    refuse_nonfinite(module, name)
    module.to(device).eval()
    model = _make_loaded_model(module, tokenizer, full_name(name, module))
    if not trust_remote_code and not allow_pickle:  # no command line asks for these
        model.loaded_as = Source(name, module, model.tokenizer)
    return model


def refuse_another(
    model: LoadedModel,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
) -> None:
    """Raise InputError where a device or a dtype is named that a model in memory does not have."""
    device, dtype = _word_of(device), _word_of(dtype)
    refuse_unknown_dtype(dtype)
    if dtype not in {None, model.dtype}:
        raise InputError(
            f"dtype {dtype}: a model in memory is used as it is, and this one is {model.dtype}"
        )
    if device not in {None, model.device, model.device.partition(":")[0]}:
        raise InputError(
            f"device {device}: a model in memory is used where it is, and this one is on "
            f"{model.device}"
        )


def _word_of(value: Any) -> str | None:
    """A dtype or a device of torch as its word."""
    return None if value is None else str(value).removeprefix("torch.")


def _take_pair(pair: tuple[Any, Any]) -> LoadedModel:
    import torch

    if len(pair) != 2 or not isinstance(pair[0], torch.nn.Module) or not callable(pair[1]):
        kinds = ", ".join(type(item).__name__ for item in pair)
        raise InputError(f"model ({kinds}): a pair in memory is (torch module, tokenizer)")
    from worldline.models.unfit_weights import refuse_unfit

    module, tokenizer = unwrap_peft(pair[0]), tokenizer_in(pair[1])
    refuse_unfit(module)
    if not hasattr(module, "config"):
        raise InputError(f"model {type(module).__name__} has no .config, as transformers' have")
    # Its _name_or_path would be that of its base.
    name = f"{full_name(type(module).__name__, pair[0])} in memory"
    refuse_nonfinite(module, name)
    return _make_loaded_model(module, tokenizer, name)


def _make_loaded_model(module: Any, tokenizer: Any, name: str) -> LoadedModel:
    first = next(module.parameters(), None)
    if first is None:
        raise InputError(f'model "{name}" has no weights')
    return LoadedModel(
        module=module,
        tokenizer=tokenizer,
        name=name,
        config=module.config.to_dict(),
        device=str(first.device),
        dtype=str(first.dtype).removeprefix("torch."),
    )


def _by_name(
    name: str, dtype: str | None, remote_code: bool, pickle: bool, progress: Progress | None
) -> tuple[Any, Any]:
    if len(name) > _LONGEST_NAME or _BREAKS.search(name):
        raise InputError(
            f"model {name[:80]!r}: accepted are names of files and hub ids, up to {_LONGEST_NAME} "
            "letters without control characters"
        )
    path = expand_path(name)
    if name and is_folder(path):
        return _from_local(name, path, dtype, remote_code, pickle, progress)
    if path.suffix.lower() == ".gguf" or is_file(path):
        return _from_gguf(name, path, dtype, progress)
    if name.startswith(TINY):
        return _tiny(name.removeprefix(TINY), dtype)
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name or not name:
        raise InputError(
            f'model "{name}": there is no such folder; give a folder, a .gguf file, '
            'a hub id like "owner/name", or "bundled"'
        )
    local = settle_hub(name, progress)
    say(progress, f"loading {name}")
    return _from_folder(name, name, dtype, remote_code, pickle, local, progress)


def _from_local(
    name: str, path: Path, dtype: str | None, remote_code: bool, pickle: bool,
    progress: Progress | None,
) -> tuple[Any, Any]:  # fmt: skip
    """Model and tokenizer of a folder: a whole model, or an adapter and the base that it names."""
    files = list(path.iterdir())
    refuse_no_files(name, *files)
    refuse_pointers(name, *files)
    options: dict[str, Any] = {"progress": progress}
    if not is_adapter(path):
        refuse_empty_folder(name, path, pickle)
        say(progress, f"loading {name}")
        return _from_folder(str(path), name, dtype, remote_code, pickle, local=True, **options)

    def base(base_name: str) -> tuple[Any, Any]:
        return _by_name(base_name, dtype, remote_code, pickle, progress)

    module, tokenizer, base_name = load_adapter(name, path, base)
    say(progress, f"{name} is an adapter on {base_name}; both are read")
    if any(file.name.startswith("tokenizer") for file in path.iterdir()):
        with quiet():
            tokenizer = _tokenizer(str(path), name, {"local_files_only": True})
    return module, tokenizer


def _tiny(model_type: str, dtype: str | None) -> tuple[Any, Any]:
    import torch

    from worldline.models.known_circuits import NamesIds
    from worldline.models.tiny_models import causal_types, tiny_model

    known_types = causal_types()
    if model_type not in known_types:
        near = get_close_matches(model_type, known_types, 3) or known_types[:3]
        raise InputError(f'model "{TINY}{model_type}": no such type; near it: {", ".join(near)}')
    with quiet():  # making it sets torch's default dtype, which is that of all threads
        return tiny_model(model_type, dtype=getattr(torch, dtype or "float32")), NamesIds()


def _from_gguf(
    name: str, path: Path, dtype: str | None, progress: Progress | None
) -> tuple[Any, Any]:
    import torch

    if not is_file(path):
        raise InputError(f'model "{name}": there is no such file')
    if path.suffix.lower() != ".gguf":
        raise InputError(f'model "{name}" is a file, but not a .gguf file; a folder is fine too')
    refuse_pointers(name, path)
    try:
        folder = converted_gguf(name, path, progress)  # takes others' turns for its reading alone
        if folder is not None:
            say(progress, f"loading {name}")
            return _from_folder(str(folder), name, dtype, local=True)
        say(progress, f"reading {name} (GGUF, too large for the cache: some minutes)")
        with quiet():
            module, tokenizer, report = read_gguf(
                path, getattr(torch, dtype or "float32"), progress=progress
            )
    except InputError:
        raise
    except Exception as error:
        raise InputError(f'model "{name}" cannot be read: {first_line(error)}') from error
    refuse_incomplete(name, report)
    return module, tokenizer


def _from_folder(
    where: str,
    name: str,
    dtype: str | None,
    remote_code: bool = False,
    pickle: bool = False,
    local: bool = False,
    progress: Progress | None = None,
) -> tuple[Any, Any]:
    """Model and tokenizer of a local folder or, with ``local`` false, a hub id."""
    import transformers

    options: dict[str, Any] = {"trust_remote_code": remote_code, "local_files_only": local}
    with quiet():
        try:
            config = transformers.AutoConfig.from_pretrained(where, **options)
        except Exception as error:
            raise InputError(config_message(name, error)) from error
        refuse_other_kinds(name, config, remote_code)
        tokenizer = _tokenizer(where, name, options)
        auto: Any = transformers.AutoModelForCausalLM
        if reads_more_than_text(config):
            say(progress, f"{name} reads more than text; its text part is what is traced")
            auto = transformers.AutoModelForMultimodalLM
        _settle_attention(name, config, progress)
        options |= {"config": config, "dtype": dtype or "auto", "output_loading_info": True}
        try:
            if not (pickle or remote_code) and is_folder(Path(where)):
                refuse_oversized(name, auto, config, n_stored(Path(where)))
            module, report = auto.from_pretrained(
                where, use_safetensors=None if pickle else True, **options
            )
        except InputError:
            raise
        except Exception as error:
            raise InputError(weights_message(name, error, pickle)) from error
    refuse_incomplete(name, report)
    if leftover_keys := sorted(map(str, report.get("unexpected_keys") or ())):
        say(
            progress,
            f"{name}: {len(leftover_keys)} weights have no place in the model: "
            f"{leftover_keys[0]}, ...",
        )
    return module, tokenizer


def _settle_attention(name: str, config: Any, progress: Progress | None) -> None:
    """Let a model that asks for an attention that is not here take torch's own.

    Which one computes it is no part of what a model is; kernels of the hub are code of others.
    """
    implementation = getattr(config, "_attn_implementation", None)
    if not isinstance(implementation, str) or not implementation.removeprefix("paged|").startswith(
        "flash"
    ):
        elsewhere = isinstance(implementation, str) and "/" in implementation
        if not elsewhere:
            return
    say(progress, f"{name} asks for the attention {implementation}; sdpa, torch's own, is taken")
    config._attn_implementation = "sdpa"


def _tokenizer(where: str, name: str, options: dict[str, Any]) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
        works = len(tokenizer("a")["input_ids"]) > 0
    except Exception as error:
        raise InputError(f'model "{name}" has no usable tokenizer: {first_line(error)}') from error
    if not works:
        raise InputError(f'model "{name}" has no tokenizer files (such as tokenizer.json)')
    return tokenizer
