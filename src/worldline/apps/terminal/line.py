"""The line that a person writes on."""

from __future__ import annotations

import unicodedata

from textual import events
from textual.widgets import Input

_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # of the direction


class Line(Input):
    """One line; in a paste of several the ends of lines become spaces, and nothing is lost.

    What would move the cursor or turn the direction of writing is replaced as it comes in.
    """

    def validate_value(self, value: str) -> str:
        """The same text, to be looked at safely."""
        return "".join(
            "\ufffd" if unicodedata.category(one) == "Cc" or one in _TURNS else one
            for one in value.replace("\t", " ")
        )

    def _on_paste(self, event: events.Paste) -> None:
        self.replace(" ".join(event.text.splitlines()), *self.selection)
        event.stop()
        event.prevent_default()
