"""The same conversation in the shapes that chat templates and endpoints ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from worldline.room.providers.chat_model import ChatMessage, merge_neighbours

OPENING = "(The conversation begins.)"


def from_user(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Alternating, and opened by a user, after the system text."""
    merged_messages = merge_neighbours(messages)
    first = 1 if merged_messages and merged_messages[0].role == "system" else 0
    if first < len(merged_messages) and merged_messages[first].role == "assistant":
        merged_messages.insert(first, ChatMessage("user", OPENING))
    return merged_messages


def without_system(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    r"""Alternating, with the system text at the head of the first user's.

    >>> two = [ChatMessage("system", "Be kind."), ChatMessage("user", "Hi")]
    >>> [message.text for message in without_system(two)]
    ['Be kind.\n\nHi']
    """
    return from_user([replace(m, role="user") if m.role == "system" else m for m in messages])


SHAPES: tuple[Callable[[Sequence[ChatMessage]], list[ChatMessage]], ...] = (
    list, merge_neighbours, from_user, without_system,
)  # fmt: skip
