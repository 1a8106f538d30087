"""What a room asks of a model: messages and settings in, pieces of a reply out, usage last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

JOINT = "\n\n"  # between what two events of one role say
Role = Literal["system", "user", "assistant"]
Ending = Literal["stop", "length", "refused", "stopped", "broken off"]


@dataclass(frozen=True, slots=True)
class Part:
    """Where one event of the room stands inside a `ChatMessage`: `text[start:end]`, by whom.

    `event` is its number in the log; None for what no event holds (the system text).
    `speaker` is a participant's name; empty where the room itself speaks.
    """

    event: int | None
    speaker: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat template, and the events that it is made of, in order."""

    role: Role
    text: str
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """How one reply is to be drawn.

    `turn` counts the replies that this participant has in the log already, on this branch: a
    scripted model answers with its line of that number, so that resuming and rewinding need no
    memory in the model. `seed` is fixed by the room's seed and the turn.
    """

    temperature: float = 1.0
    seed: int = 0
    max_tokens: int = 400
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a reply as it streams; `reasoning` where the model thinks before it speaks.

    Reasoning that comes in its own channel is kept apart from the message: never parsed, never
    read by the others.
    """

    text: str
    reasoning: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What a reply took; the last thing that `reply` yields, once.

    None where it is not known. `price` is in US dollars. `model` is what the endpoint says that
    it ran, where it says so. `left_out` names the settings that the endpoint does not take, and
    that were not sent. `estimated` where the tokens are counted here.
    """

    tokens_in: int | None = None
    tokens_out: int | None = None
    price: float | None = None
    ending: Ending = "stop"
    model: str = ""
    left_out: tuple[str, ...] = ()
    estimated: bool = False


class ReplyError(RuntimeError):
    """No reply came (time-out, refused, empty, cut off): one line, why, free of secrets.

    `usage` is what it took all the same, where that is known.
    """

    usage: Usage | None = None


@runtime_checkable
class Model(Protocol):
    """Anything that answers: scripted lines, a worldline model, an endpoint.

    `alternates`: its chat template wants user and assistant in turn, so neighbours of one role
    are merged before it reads them. `context_tokens`: how much it can read; None where unknown.
    `scripted`: its replies are written beforehand, and every view says so.
    """

    @property
    def name(self) -> str:
        """The model's name as commands and the roster use it."""
        ...

    @property
    def scripted(self) -> bool:
        """Whether the replies were written beforehand."""
        ...

    @property
    def alternates(self) -> bool:
        """Whether neighbours of one role have to be merged."""
        ...

    @property
    def context_tokens(self) -> int | None:
        """How many tokens messages and reply may have together; None where unknown."""
        ...

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """How many tokens `messages` are for this model; an estimate where it cannot know."""
        ...

    def reply(self, messages: Sequence[ChatMessage], settings: Settings) -> Iterator[Delta | Usage]:
        """Stream a reply to `messages`, then its `Usage`.

        Closing the iterator early ends the work. The same messages and settings give the same
        deltas where the model can promise that (scripted; local at one version and machine).

        Raises: ReplyError.
        """
        ...


def merge_neighbours(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    r"""Neighbours of one role put together; the parts move with their texts.

    >>> two = [ChatMessage("user", "a", (Part(1, "Ada", 0, 1),)), ChatMessage("user", "b")]
    >>> [one.text for one in merge_neighbours(two)]
    ['a\n\nb']
    """
    merged_messages: list[ChatMessage] = []
    for message in messages:
        if merged_messages and merged_messages[-1].role == message.role:
            merged_messages[-1] = _join_messages(merged_messages[-1], message)
        else:
            merged_messages.append(message)
    return merged_messages


def _join_messages(first: ChatMessage, second: ChatMessage) -> ChatMessage:
    by = len(first.text) + len(JOINT)
    shifted_parts = (
        replace(part, start=part.start + by, end=part.end + by) for part in second.parts
    )
    return ChatMessage(first.role, first.text + JOINT + second.text, (*first.parts, *shifted_parts))
