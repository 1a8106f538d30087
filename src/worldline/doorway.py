"""The names that a package gives to others: imported from their modules when they are used."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable
from typing import Any

from worldline.extras import naming_extra


def doorway(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """What makes the imports under a package's `if TYPE_CHECKING` lazy.

    They are read off the source of its `__init__.py`, so that the names stand there once, for
    type checkers and for Python.

    Args:
        package: The package's name, whose `__init__.py` is being executed.

    Returns:
        Its `__getattr__`, its `__dir__` and its `__all__`.
    """
    homes = _homes(package)

    def value_of(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(importlib.import_module(homes[name]), name)
        except ModuleNotFoundError:
            with naming_extra():
                raise

    return value_of, lambda: sorted(homes), list(homes)


def _homes(package: str) -> dict[str, str]:
    """The names imported under `if TYPE_CHECKING` out of worldline, each with its module."""
    spec = sys.modules[package].__spec__
    source = spec.loader.get_source(package)  # pyright: ignore
    return {
        alias.name: node.module
        for block in ast.parse(source).body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module is not None
        for alias in node.names
    }
