"""A GGUF file as a plain model folder in the cache: made once, read in a second or two after.

Dequantizing takes many times as long as reading what came of it. The folder's name holds the hash
of the file and the form of the conversion, so neither another file nor an older conversion is ever
taken for it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from worldline.atomic_file import write_text
from worldline.errors import InputError, first_line
from worldline.foreign_json import read_json_file
from worldline.models.cache_folder import MANIFEST, is_ours, models_folder, sweep, workplace
from worldline.models.folder_install import publish, sync_tree
from worldline.models.gguf import dense_bytes, read_gguf
from worldline.models.load_errors import refuse_incomplete
from worldline.models.quiet_logging import Progress, quiet, say

_FORM = 2  # raised when something else is made of the same file
_LARGEST_BYTES = 16_000_000_000  # of the dense form: nobody's disk is filled unasked
_SPARE_BYTES = 500_000_000


def converted_gguf(name: str, file: Path, progress: Progress | None = None) -> Path | None:
    """Folder of a GGUF file's dense float32 model, made first if it is not there.

    None if that form is larger than 16 GB, or than what is free on the cache's disk.

    Raises: InputError for a file that cannot be read or whose content cannot be taken up.
    """
    size = dense_bytes(file)
    folder = models_folder() / _folder_name(file)
    if (folder / MANIFEST).is_file():
        refuse_damaged(folder)
        for line in read_json_file(folder / MANIFEST).get("said", ()):
            say(progress, line)
        return folder
    if size > _LARGEST_BYTES or not _fits(folder.parent, size):
        return None
    progress_lines: list[str] = []
    with disk_errors(folder.parent, name, size):
        sweep(folder.parent)
        with workplace(folder.parent) as place:
            say(progress, f"reading {name} (GGUF: it may take a minute, once)")
            out = place / "model"
            convert(file, out, progress_lines.append)
            about = {"weights": "dense float32", "made_of": file.name, "said": progress_lines}
            write_manifest(out, name, _FORM, **about)
            sync_tree(out)
            publish(out, folder)
    for line in progress_lines:
        say(progress, line)
    return folder


def _folder_name(file: Path) -> str:
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem)[:60].strip(".-") or "model"
    return f"{stem}-{sha256_of(file)[:16]}-{_FORM}-{version('transformers')}"


def _fits(parent: Path, size: int) -> bool:
    try:
        parent.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(parent).free > size + _SPARE_BYTES
    except OSError:
        return False


def convert(gguf: Path, out: Path, progress: Progress | None = None) -> None:
    """Write a GGUF file's model as a plain model folder: safetensors, configuration, tokenizer.

    **Exactness**: logits are bitwise those of the model that transformers reads from the GGUF.
    """
    import torch
    from safetensors.torch import save_file

    out.mkdir()
    with quiet():
        module, tokenizer, report = read_gguf(gguf, torch.float32, progress=progress)
        refuse_incomplete(str(gguf), report)
        tokenizer.save_pretrained(out)
    tensors = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    if module.config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    weights = out / "model.safetensors"
    save_file(tensors, weights, metadata={"format": "pt"})
    config = module.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.architectures = [type(module).__name__]
    config.save_pretrained(out)
    weights.chmod((out / "config.json").stat().st_mode)


def write_manifest(out: Path, name: str, form: int, **about: Any) -> None:
    """Write what a converted folder holds and what made it; a folder without it is unfinished."""
    files = {file.name: file.stat().st_size for file in sorted(out.iterdir())}
    manifest: dict[str, Any] = {
        "schema": form,
        "name": name,
        **about,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("torch", "transformers", "gguf")},
        "model_safetensors_sha256": sha256_of(out / "model.safetensors"),
        "files": files,
    }
    write_text(out / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def refuse_damaged(folder: Path) -> None:
    """Raise InputError if a folder's files are not those that its manifest lists."""
    try:
        sizes = read_json_file(folder / MANIFEST)["files"]
        is_intact = all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, InputError, ValueError, KeyError, AttributeError):
        is_intact = False
    if not is_intact:
        cure = '"worldline cache clear" removes it' if is_ours(folder) else "remove that folder"
        raise InputError(
            f"the cached model in {folder} is damaged; {cure}, the next use makes it anew"
        )


def refuse_small_disk(parent: Path, item_name: str, needed_bytes: int) -> None:
    """Raise InputError if a folder's disk has less than ``needed_bytes`` bytes free."""
    free = shutil.disk_usage(parent).free
    if free < needed_bytes:
        raise InputError(
            f"no room for {item_name}: it needs {needed_bytes // 10**6} MB in {parent}, "
            f"{free // 10**6} MB are free; free some, or set WORLDLINE_CACHE to another folder"
        )


@contextmanager
def disk_errors(parent: Path, item_name: str, needed_bytes: int) -> Iterator[None]:
    """A full or closed disk is the user's to mend: say where, and what would help."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}
        if not full and isinstance(error, SafetensorError) and "No space" not in str(error):
            raise
        reason = "the disk is full" if full else first_line(error)
        raise InputError(
            f"{item_name} could not be stored in {parent}: {reason}; "
            f"free {needed_bytes // 10**6} MB there, or set WORLDLINE_CACHE to another folder"
        ) from error
