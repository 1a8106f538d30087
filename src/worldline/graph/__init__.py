"""Nodes, edges, edits and orders of a run; exact counts, sums and strongest paths over its grid.

Knows no torch, no models and no text: a grid is arrays of weights, a count is a Python integer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worldline.doorway import doorway

if TYPE_CHECKING:
    from worldline.graph.path_conventions import CONVENTIONS as CONVENTIONS
else:
    __getattr__, __dir__, __all__ = doorway(__name__)
