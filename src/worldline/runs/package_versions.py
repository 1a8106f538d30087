"""Versions of what takes part in a run."""

from __future__ import annotations

import functools
import platform
from importlib.metadata import version


@functools.cache
def _versions() -> tuple[tuple[str, str], ...]:
    names = ("worldline", "torch", "transformers")
    return (*((name, version(name)) for name in names), ("python", platform.python_version()))


def versions() -> dict[str, str]:
    """Versions of what took part in a run."""
    return dict(_versions())
