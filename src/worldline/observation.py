"""What observe() saw: a trace, its flow, and the Scene, which shows itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from worldline.views.html import render_html
from worldline.views.picture import numbers
from worldline.views.scene import Scene
from worldline.views.terminal import render_text

if TYPE_CHECKING:
    from worldline.flow.flow import Flow
    from worldline.trace.trace import Trace


@dataclass(eq=False)
class Observation:
    """What observe() saw: the trace, the flow, and the Scene that shows them."""

    trace: Trace
    flow: Flow
    scene: Scene

    def show(self, width: int = 100, *, color: bool = False) -> str:
        """The picture as text for a terminal of `width` cells."""
        return render_text(self.scene, width=width, color=color)

    def html(self) -> str:
        """The picture as one HTML file that asks for nothing from the network."""
        return render_html(self.scene)

    def json(self) -> dict[str, Any]:
        """The numbers of the command line's --json."""
        return numbers(self.scene, self.trace.opaque_layers)
