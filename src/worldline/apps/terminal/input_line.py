"""The line that a person writes on."""

from __future__ import annotations

from textual import events
from textual.widgets import Input

from worldline.tokens import GONE, visible


class Line(Input):
    """One line; in a paste of several the ends of lines become spaces, and nothing is lost.

    What would move the cursor or turn the direction of writing is replaced as it comes in.
    """

    def validate_value(self, value: str) -> str:
        """The same text, to be looked at safely."""
        return visible(value.replace("\t", " "), keep="", show=lambda _: GONE)

    def _on_paste(self, event: events.Paste) -> None:
        self.replace(" ".join(event.text.splitlines()), *self.selection)
        event.stop()
        event.prevent_default()
