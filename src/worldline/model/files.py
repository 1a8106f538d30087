"""Puts finished folders in place so that nobody ever sees a half-made one."""

from __future__ import annotations

import os
from pathlib import Path


def publish(made: Path, destination: Path) -> bool:
    """Rename a finished folder to its place; False if someone else's got there first.

    The one already there is kept: both were made from the same checked bytes.
    """
    try:
        made.rename(destination)
    except OSError:
        if destination.is_dir():
            return False
        raise
    _sync(destination.parent)
    return True


def sync_tree(folder: Path) -> None:
    """Have every file of a folder, and the folder, written to the disk."""
    for file in folder.rglob("*"):
        _sync(file)
    _sync(folder)


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
