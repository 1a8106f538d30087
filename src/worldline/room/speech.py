"""What of a reply is speech, decided here alone: for what streams, the log, commands, imports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from worldline.room.events import Message
from worldline.room.inert_regions import begins_inside, may_be_code, without_reasoning
from worldline.room.reasoning import ReasoningFilter
from worldline.room.speaker_labels import without_own_label


@dataclass(frozen=True, slots=True)
class Speech:
    """A reply in two: what is `shown_text` to others, and the reasoning, which is not.

    `unsure`: it was cut off, and whether it is speech or reasoning nothing tells.
    """

    shown_text: str
    reasoning: str
    unsure: bool = False


def speech_of(text: str, begins: bool | None, is_whole: bool = True, own_name: str = "") -> Speech:
    """Which part of a reply is speech, given whether it begins inside reasoning (None: unknown).

    Where it does and no mark ends that, all of it is reasoning. `own_name` is the speaker, whose
    label in front is taken off; a reply that is not `is_whole` was cut off.
    """
    if own_name:
        text = without_own_label(text.strip(), own_name)
    shown_text, reasoning = without_reasoning(text, starts_inside=bool(begins))
    if own_name:
        shown_text = without_own_label(shown_text, own_name) or ("" if reasoning else text)
    unsure = begins is None and not is_whole and begins_inside(text) is None and bool(shown_text)
    return Speech(shown_text, reasoning, unsure)


def streaming(begins: bool | None) -> ReasoningFilter:
    """What takes a reply in pieces and gives of it no more than `speech_of` the whole will."""
    return ReasoningFilter(begins, may_be_code)


def begins_thinking(earlier: Iterable[Message], unknown: bool | None) -> bool | None:
    """Whether a model's replies begin inside reasoning, as those before tell, the latest first.

    Nothing in a reply that streams says so before its reasoning ends; an earlier one does, that
    has marks or came to its end. `unknown` is the answer where there is none.
    """
    for message in earlier:
        starts_inside = begins_inside(message.text)
        if starts_inside is not None:
            return starts_inside
        if message.text.strip() and not message.shown:  # reasoning without a mark
            return True
        if message.reasoning or message.ending == "stop":  # thoughts on a way of their own
            return False
    return unknown
