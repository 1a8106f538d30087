"""Puts finished folders in place so that nobody ever sees a half-made one."""

from __future__ import annotations

from pathlib import Path

from worldline.atomic_file import sync


def publish(finished_folder: Path, destination: Path) -> bool:
    """Rename a finished folder to its place; False if someone else's got there first.

    The one already there is kept: both were made from the same checked bytes.
    """
    try:
        finished_folder.rename(destination)
    except OSError:
        if destination.is_dir():
            return False
        raise
    sync(destination.parent)
    return True


def sync_tree(folder: Path) -> None:
    """Have every file of a folder, and the folder, written to the disk."""
    for file in folder.rglob("*"):
        sync(file)
    sync(folder)
