"""From a plan to what happened: one forward pass, whole or partial, edited or not, and its trace.

Judges nothing: it does not know what an edge is worth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worldline.doorway import doorway

if TYPE_CHECKING:
    from worldline.runs.recorder import refuse_length as refuse_length
else:
    __getattr__, __dir__, __all__ = doorway(__name__)
