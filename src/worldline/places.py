"""Where what the user keeps lies, and where a path that somebody typed leads."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def data_folder() -> Path:
    """The environment variable WORLDLINE_DATA, or the user's data folder; it may not be there."""
    folder_setting = os.environ.get("WORLDLINE_DATA")
    return (
        expand_path(folder_setting)
        if folder_setting
        else Path(platformdirs.user_data_dir("worldline"))
    )


def expand_path(place: str | Path) -> Path:
    """A path with `~` as the user's folder; of an unknown user it stays, and there is no such file.

    >>> expand_path("~nobody-of-this-name/a").name
    'a'
    """
    return Path(os.path.expanduser(place))  # noqa: PTH111 - Path's own raises for unknown users


def is_file(place: Path) -> bool:
    """Whether there is such a file; False for a name that no file can have.

    >>> is_file(Path("x" * 5000))
    False
    """
    return os.path.isfile(place)  # noqa: PTH113 - Path's own raises for names that are too long


def is_folder(place: Path) -> bool:
    """Whether there is such a folder; False for a name that no folder can have."""
    return os.path.isdir(place)  # noqa: PTH112 - as above
