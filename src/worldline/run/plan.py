"""What is to be run, as an explicit value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """The tokens of a run. Printable, comparable, serialisable.

    >>> Plan((1, 2, 3))
    Plan(ids=(1, 2, 3))
    """

    ids: tuple[int, ...]
