"""A reply's flow in one line of text: whose messages it read, and what these gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CELLS = 24
NAMED = 3  # speakers that a line names
OTHERS = "·"


def strip(flow: Mapping[str, Any], own_name: str) -> str:
    """How much of the reply's attention lay on messages, whose these were, and the strongest.

    A cell is filled with the first letter of whose words were read, in shares of what lay on
    messages; the rest of attention lies on the first token, the instructions, the room's lines
    and the reply itself. `own_name` speaks of its earlier messages.
    """
    speakers = {name: speaker_flow for name, speaker_flow in flow["speakers"].items() if name}
    order = sorted(speakers, key=lambda name: -speakers[name]["attention"])
    total_attention = sum(speaker_flow["attention"] for speaker_flow in speakers.values())
    strongest = strongest_message(flow)
    if strongest is None or not total_attention > 0:
        return f"read [{OTHERS * CELLS}] nobody's words"
    cells = "".join(
        (name[:1] or "?") * round(CELLS * speakers[name]["attention"] / total_attention)
        for name in order
    )
    cells = (cells + OTHERS * CELLS)[:CELLS]
    speaker_summary = ", ".join(
        f"{'its own earlier words' if name == own_name else name} "
        f"{percent(speaker_flow['attention'])}"
        for name in order[:NAMED]
        for speaker_flow in [speakers[name]]
    )
    whose = "itself" if strongest["speaker"] == own_name else strongest["speaker"]
    return (
        f"read [{cells}] {percent(total_attention)} of its attention on messages: "
        f"{speaker_summary}; most by loss: "
        f"{whose}, {strongest['lost_nats']:+.2f} nats"
    )


def strongest_message(flow: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The message of a speaker without which the reply would lose most, to first order."""
    speaker_messages = [message for message in flow["messages"] if message["speaker"]]
    return max(speaker_messages, key=lambda message: abs(message["lost_nats"]), default=None)


def percent(share: float) -> str:
    """A share of one, in whole percent."""
    return f"{100 * share:.0f} %"
