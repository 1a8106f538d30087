"""Experiments on models, one folder or file each, written with worldline's public names.

Knows nothing of how runs are made, watched or drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worldline.doorway import doorway

if TYPE_CHECKING:
    from worldline.experiments.capacity import passage_capacity as passage_capacity
    from worldline.experiments.faithfulness.benchmark import ProgressCallback as ProgressCallback
    from worldline.experiments.faithfulness.table_request import (
        FaithfulnessRequest as FaithfulnessRequest,
    )
    from worldline.experiments.faithfulness.table_request import parts_folder as parts_folder
    from worldline.experiments.faithfulness.table_text import table_lines as table_lines
    from worldline.experiments.stimuli.passages import draw_passages as draw_passages
else:
    __getattr__, __dir__, __all__ = doorway(__name__)
