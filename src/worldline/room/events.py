"""What can happen in a room: ten kinds of event, each a record that JSON can hold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, FiniteFloat, TypeAdapter, ValidationError

from worldline.errors import InputError
from worldline.field_errors import fault_line, field_of
from worldline.room.event_records import ActionResult, FlowNumbers, NoFlow
from worldline.tokens.sanitize import one_line

End = Literal["done", "refused", "failed", "expired"]
ROOM = "room"  # the name under which the room itself speaks; no participant may have it


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `[start, end)` of a message's shown text, and what they are called."""

    start: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """A participant came in; `temperature` and `persona` are its own."""

    name: str
    model: str
    persona: str = ""
    temperature: FiniteFloat = 1.0
    invited_by: str = ""
    scripted: bool = False
    kind: Literal["joined"] = "joined"


@dataclass(frozen=True, slots=True)
class Departure:
    """A participant went out."""

    name: str
    reason: str = ""
    kind: Literal["left"] = "left"


@dataclass(frozen=True, slots=True)
class Message:
    """Something said, whole.

    `text` is what was written, `shown` the same without the speaker's own label in front.
    `borrowed` are passages of `shown` in another's name; `claims` are passages that say something
    was done which no command asked for. `turn` counts the speaker's earlier replies. `model` is
    empty where a person spoke. What the speaker had read are the events `read_from` (0: from the
    beginning) to `read_to`. `seconds` is a time: no comparison of runs looks at it. `ending` is
    how a reply ended, "broken off" where it did not come to its end. `estimated`: the tokens are,
    since nobody said. `temperature` and `seed` are None where the model does not take them.
    """

    who: str
    text: str
    shown: str
    borrowed: tuple[Span, ...] = ()
    claims: tuple[Span, ...] = ()
    reasoning: str = ""
    model: str = ""
    temperature: FiniteFloat | None = None
    seed: int | None = None
    turn: int = 0
    tokens_in: int | None = None
    tokens_out: int | None = None
    price: FiniteFloat | None = None
    seconds: FiniteFloat | None = None
    ending: str = "stop"
    scripted: bool = False
    read_from: int = 0
    read_to: int = 0
    estimated: bool = False
    kind: Literal["message"] = "message"


@dataclass(frozen=True, slots=True)
class Command:
    """A command that a message gives: the message's number, where it stands, what it asks."""

    message: int
    who: str
    start: int
    end: int
    name: str
    arguments: tuple[str, ...] = ()
    kind: Literal["command"] = "command"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended; `result` is what came of it (never parsed for commands)."""

    command: int
    end: End
    reason: str = ""
    result: ActionResult = field(default_factory=ActionResult)
    kind: Literal["outcome"] = "outcome"


@dataclass(frozen=True, slots=True)
class FlowRecord:
    """What a reply drew on: `flow` as `flow.ReplyFlow.json`, or the `reason` why none is known.

    A measurement of the message; no participant reads it.
    """

    message: int
    flow: FlowNumbers | NoFlow = field(default_factory=NoFlow)
    reason: str = ""
    kind: Literal["drawn"] = "drawn"


@dataclass(frozen=True, slots=True)
class Notice:
    """A word of the room to everyone; `code` names its kind, `about` an event, `who` a person.

    Where no reply came, the tokens and the price are what it took all the same, if anybody knows.
    """

    code: str
    text: str
    about: int = 0
    who: str = ""
    span: Span | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    price: FiniteFloat | None = None
    kind: Literal["notice"] = "notice"


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that holds from here on: of one participant, or of the room where `who` is empty."""

    what: str
    value: Any
    who: str = ""
    kind: Literal["setting"] = "setting"


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits from here on; None: no limit. What was spent is counted from the messages."""

    messages: int | None = None
    tokens: int | None = None
    dollars: FiniteFloat | None = None
    kind: Literal["budget"] = "budget"


@dataclass(frozen=True, slots=True)
class PlayState:
    """Whether the room goes on by itself: playing, paused (by a person), stopped (for good)."""

    state: Literal["playing", "paused", "stopped"]
    reason: str = ""
    kind: Literal["paused"] = "paused"


Body: TypeAlias = (
    Arrival
    | Departure
    | Message
    | Command
    | Outcome
    | FlowRecord
    | Notice
    | Setting
    | Budget
    | PlayState
)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the log: its number (1, 2, ... without a gap), the event before it, when."""

    number: int
    parent: int
    time: float
    body: Body

    @property
    def kind(self) -> str:
        """Which of the ten kinds this is."""
        return self.body.kind


_BODY: TypeAdapter[Body] = TypeAdapter(Annotated[Body, Field(discriminator="kind")])


def encode(body: Body) -> str:
    """An event's body as JSON, the same text for the same body.

    Raises: InputError where a text in it holds half a character, or where it is nested too deep.

    >>> encode(Departure("Ada"))
    '{"name":"Ada","reason":"","kind":"left"}'
    """
    try:
        return _BODY.dump_json(body, warnings=False).decode("utf-8")
    except (ValueError, RecursionError) as error:  # pydantic's own error is a ValueError
        reason = (
            "half a character (a lone surrogate) in a text"
            if "surrogate" in str(error)
            else "not plain JSON"
        )
        raise InputError(f"a {body.kind} that cannot be written: {reason}") from None


def decode(text: str) -> Body:
    """The body that `encode` wrote.

    Raises: InputError where the text is no event.
    """
    try:
        return _BODY.validate_json(text)
    except ValidationError as error:
        raise InputError(f"{one_line(text, 60)!r}: no event of a room: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    fault = error.errors()[0]
    return fault_line(fault, field_of(fault))


def timeless(body: Body) -> Body:
    """The body without what differs between two equal runs: how long a reply took."""
    return replace(body, seconds=None) if isinstance(body, Message) else body


def plain_event(event: Event) -> dict[str, Any]:
    """An event as plain JSON values."""
    return {
        "number": event.number,
        "parent": event.parent,
        "time": event.time,
        "body": json.loads(encode(event.body)),
    }


def ended_badly(events: Iterable[Event]) -> bool:
    """Whether a turn ended in a fault, or replies were asked for and not one came."""
    bodies = [event.body for event in events]
    codes = {body.code for body in bodies if isinstance(body, Notice)}
    has_reply = any(isinstance(body, Message) for body in bodies)
    return "broken" in codes or ("no_reply" in codes and not has_reply)
