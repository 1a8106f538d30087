"""The folder on this machine where converted models are kept: where it is, what is in it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from worldline.places import expanded

MANIFEST = "manifest.json"
_UNFINISHED = ".making-"
_STALE_SECONDS = 24 * 3600
_CONVERTED = re.compile(r".+-[0-9a-f]{8}-\d+")  # a model's name, its source's hash, the form


@dataclass(frozen=True)
class CachedModel:
    """One entry of the cache: a converted model, or what an interrupted conversion left."""

    name: str
    n_bytes: int
    path: Path
    complete: bool


def cache_root() -> Path:
    """Where the cache is: the environment variable WORLDLINE_CACHE, or the user's cache folder."""
    asked = os.environ.get("WORLDLINE_CACHE")
    return expanded(asked) if asked else Path(platformdirs.user_cache_dir("worldline"))


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
        if entry.is_dir() and not entry.is_symlink() and _is_ours(entry)
    ]


def clear_cache() -> list[CachedModel]:
    """Remove what is in the cache and say what was removed; nothing else is touched.

    A conversion that runs at this moment in another process is left alone.
    """
    removed = [entry for entry in list_cache() if not _in_use(entry.path)]
    for entry in removed:
        shutil.rmtree(entry.path, ignore_errors=True)
    return [entry for entry in removed if not entry.path.exists()]


@contextmanager
def workplace(parent: Path) -> Iterator[Path]:
    """A hidden folder to make something in, removed afterwards however that ends.

    Its name holds host and process, so that `sweep` can tell when nobody is left to remove it.
    """
    prefix = f"{_UNFINISHED}{_host()}-{os.getpid()}-"
    place = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove hidden folders that were left behind: their process is gone, or they are a day old."""
    for left in parent.glob(f"{_UNFINISHED}*"):
        if not _in_use(left):
            shutil.rmtree(left, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    named = folder.name.startswith(_UNFINISHED) or _CONVERTED.fullmatch(folder.name) is not None
    return named or (folder / MANIFEST).is_file()


def _in_use(folder: Path) -> bool:
    if not folder.name.startswith(_UNFINISHED):
        return False
    host, _, process = folder.name.removeprefix(_UNFINISHED).rpartition("-")[0].rpartition("-")
    if host == _host() and process.isdigit():
        return _alive(int(process))
    try:
        return time.time() - folder.stat().st_mtime < _STALE_SECONDS
    except FileNotFoundError:
        return False


def _alive(process: int) -> bool:
    import psutil

    return psutil.pid_exists(process)


def _host() -> str:
    return socket.gethostname().replace("/", "_")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
