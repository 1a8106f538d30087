"""The folder on this machine where converted models are kept: where it is, what is in it."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from worldline.errors import InputError
from worldline.foreign_json import read_json_file
from worldline.places import expand_path

MANIFEST = "manifest.json"
_UNFINISHED = ".making-"
_MARK = ".worldline"  # in a folder that is worldline's to remove
_STALE_SECONDS = 24 * 3600
_TOLD = {"schema": int, "name": str, "made": str, "versions": dict, "files": dict,
         "model_safetensors_sha256": str}  # fmt: skip


@dataclass(frozen=True)
class CachedModel:
    """One entry of the cache: a converted model, or what an interrupted conversion left."""

    name: str
    n_bytes: int
    path: Path
    complete: bool


def cache_root() -> Path:
    """Where the cache is: the environment variable WORLDLINE_CACHE, or the user's cache folder."""
    configured_path = os.environ.get("WORLDLINE_CACHE")
    return (
        expand_path(configured_path)
        if configured_path
        else Path(platformdirs.user_cache_dir("worldline"))
    )


def models_folder() -> Path:
    """Where the converted models are, one folder each."""
    return cache_root() / "models"


def list_cache() -> list[CachedModel]:
    """What worldline put into the cache, by name; empty if there is none.

    A folder of the user's own beside it, where WORLDLINE_CACHE names one with more in it, is not.
    """
    folder = models_folder()
    if not folder.is_dir():
        return []
    return [
        CachedModel(entry.name, _size(entry), entry, (entry / MANIFEST).is_file())
        for entry in sorted(folder.iterdir())
        if entry.is_dir() and not entry.is_symlink() and is_ours(entry)
    ]


def clear_cache() -> list[tuple[CachedModel, str]]:
    """Remove what is in the cache, and nothing else; say of each entry why it stays, "" if not.

    A conversion that runs at this moment in another process is left alone.
    """
    return [
        (entry, "a conversion is running" if _in_use(entry.path) else _remove(entry.path))
        for entry in list_cache()
    ]


@contextmanager
def workplace(parent: Path) -> Iterator[Path]:
    """A hidden folder to make something in, removed afterwards however that ends.

    Its name holds host and process, so that `sweep` can tell when nobody is left to remove it.
    """
    prefix = f"{_UNFINISHED}{_host()}-{os.getpid()}-"
    place = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    mark(place)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def mark(folder: Path) -> None:
    """Say in a folder that worldline made it, so that a later process may remove it."""
    (folder / _MARK).touch()


def is_marked(folder: Path) -> bool:
    """Whether worldline made a folder to work in; one without anything is nobody's loss."""
    return folder.is_dir() and ((folder / _MARK).is_file() or not any(folder.iterdir()))


def sweep(parent: Path) -> None:
    """Remove hidden folders that were left behind: their process is gone, or they are a day old."""
    for leftover in parent.glob(f"{_UNFINISHED}*"):
        if _is_workplace(leftover) and not _in_use(leftover):
            shutil.rmtree(leftover, ignore_errors=True)


def is_ours(folder: Path) -> bool:
    """Whether worldline made a folder: no name tells, but a mark or the manifest in it."""
    return _is_workplace(folder) or bool(_files_of(folder))


def _is_workplace(folder: Path) -> bool:
    return folder.name.startswith(_UNFINISHED) and is_marked(folder)


def _files_of(folder: Path) -> list[str]:
    """The files that a manifest of worldline's lists, and itself; none if it is another's."""
    try:
        manifest = read_json_file(folder / MANIFEST)
    except (InputError, OSError):
        return []
    if not isinstance(manifest, dict):
        return []
    ours = all(isinstance(manifest.get(key), kind) for key, kind in _TOLD.items())
    if not ours or not {"torch", "transformers"} <= manifest["versions"].keys():
        return []
    return [MANIFEST, *(name for name in manifest["files"] if Path(name).name == name)]


def _remove(folder: Path) -> str:
    """Take away what was made here; what somebody put beside it stays, and its folder with it.

    Why it is still an entry of the cache, if it is.
    """
    try:
        if _is_workplace(folder):
            shutil.rmtree(folder)
        for name in reversed(_files_of(folder)):  # the manifest last, by which the rest is found
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        return f"a file in it cannot be removed ({error.strerror or type(error).__name__})"
    with suppress(OSError):
        folder.rmdir()
    return ""


def _in_use(folder: Path) -> bool:
    if not folder.name.startswith(_UNFINISHED):
        return False
    host, _, process = folder.name.removeprefix(_UNFINISHED).rpartition("-")[0].rpartition("-")
    if host == _host() and process.isdigit():
        return is_running(int(process))
    try:
        return time.time() - folder.stat().st_mtime < _STALE_SECONDS
    except FileNotFoundError:
        return False


def is_running(process: int) -> bool:
    """Whether a process of that number lives on this machine."""
    import psutil  # comes with accelerate

    try:
        return psutil.pid_exists(process)
    except OverflowError:
        return False  # no number of a process


def _host() -> str:
    return socket.gethostname().replace("/", "_")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
