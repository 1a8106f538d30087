"""The line that a person writes on."""

from __future__ import annotations

from textual import events
from textual.widgets import Input


class Line(Input):
    """One line; in a paste of several the ends of lines become spaces, and nothing is lost."""

    def _on_paste(self, event: events.Paste) -> None:
        self.replace(" ".join(event.text.splitlines()), *self.selection)
        event.stop()
        event.prevent_default()
