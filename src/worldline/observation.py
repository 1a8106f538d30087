"""What observe() saw: a trace, its flow, and the Scene, which shows itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worldline.views.notebook import SceneDisplay
from worldline.views.scene_builder import numbers
from worldline.views.schema.scene import Scene

if TYPE_CHECKING:
    from worldline.attribution.flow import Flow
    from worldline.runs.trace import Trace


@dataclass(eq=False, repr=False)
class Observation(SceneDisplay):
    """What observe() saw.

    `show()` is the picture as text, `html()` as a file, `picture` as a widget; as the last line of
    a notebook's cell it shows itself.

    Attributes:
        trace: The recorded run.
        flow: Its attribution.
        scene: The picture of both.
    """

    trace: Trace
    flow: Flow
    scene: Scene

    def json(self) -> dict[str, Any]:
        """The numbers of the command line's --json."""
        return numbers(self.scene, self.trace.opaque_layers)
