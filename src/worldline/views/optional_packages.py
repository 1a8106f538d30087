"""Packages that only some forms of a Scene need: imported when used, asked for in words."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from worldline.errors import InputError


def import_package(package: str) -> Any:
    """Import a package of the extra "graphs".

    Raises:
        InputError: it is not installed.
    """
    refuse_missing(package)
    return importlib.import_module(package)


def refuse_missing(package: str) -> None:
    """Raise InputError where a package of the extra "graphs" is not installed; imports nothing."""
    if importlib.util.find_spec(package) is None:
        raise InputError(f'{package} is not installed; pip install "worldline[graphs]" brings it')
