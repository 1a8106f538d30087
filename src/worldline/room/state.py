"""How a room stands after some events: the one function that resuming and rewinding use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from worldline.room.events import (
    Arrival,
    Budget,
    Command,
    Departure,
    Event,
    FlowRecord,
    Message,
    Notice,
    Outcome,
    PlayState,
    Setting,
)

MAX_PARTICIPANTS = 5
BROKEN_OFF = "broken off"  # the ending of a reply that did not come to its end
DEFAULTS: Mapping[str, Any] = {
    "max_participants": MAX_PARTICIPANTS,
    "mode": "round_robin",
    "seed": 0,
    "max_tokens": 400,
    "quota_message": 4,
    "quota_room": 200,
    "topic": "",
}


@dataclass(frozen=True, slots=True)
class Participant:
    """Someone who answers in the room, as it is now.

    `prompt` is what it added to its own persona, `turns` the replies it has written, `last` the
    number of its latest message (0: none yet).
    """

    name: str
    model: str
    persona: str
    temperature: float
    is_scripted: bool
    since: int
    muted: bool = False
    prompt: str = ""
    turns: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Spending:
    """What replies took so far; `unpriced` counts the replies whose price nobody knows."""

    messages: int = 0
    tokens: int = 0
    dollars: float = 0.0
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """A room at one event: everything that is not the words themselves.

    `participants` by name, in the order of joining. `names`: everyone who ever spoke or was named
    as one who would, in that order; the values say nothing. `pending`: commands without an outcome
    yet, by number. `commands` counts those given, `borrowed` the passages each wrote in another's
    name, `replies` the messages of each. `people`, as `names`, spoke without being models.
    `failures`: turns in a row that brought no whole reply.
    """

    tip: int = 0
    participants: dict[str, Participant] = field(default_factory=dict)
    names: dict[str, None] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    limits: Budget = field(default_factory=Budget)
    spent: Spending = Spending()
    playing: str = "playing"
    pending: dict[int, Command] = field(default_factory=dict)
    commands: int = 0
    last_speaker: str = ""
    last_message: int = 0
    last_text: str = ""
    borrowed: dict[str, int] = field(default_factory=dict)
    replies: dict[str, int] = field(default_factory=dict)
    people: dict[str, None] = field(default_factory=dict)
    failures: int = 0

    @property
    def present(self) -> tuple[Participant, ...]:
        """Who is in the room, in the order of joining."""
        return tuple(self.participants.values())

    def find(self, name: str) -> Participant | None:
        """Who is present under this name, letter case aside."""
        folded_name = name.casefold()
        return next(
            (
                participant
                for participant in self.present
                if participant.name.casefold() == folded_name
            ),
            None,
        )


def state_of(events: Iterable[Event]) -> State:
    """How the room stands after `events`, one branch from its beginning."""
    state = State()
    for event in events:
        state = _advance(state, event)
    return state


def after(state: State, event: Event) -> State:
    """How the room stands after one more event."""
    own_tables = {name: getattr(state, name).copy() for name in _TABLES}
    return _advance(replace(state, **own_tables), event)


_TABLES = ("participants", "names", "pending", "borrowed", "replies", "people")


def _advance(state: State, event: Event) -> State:
    """The state after one more event, its tables changed in place.

    So an event costs the same however many have spoken.
    """
    state = replace(state, tip=event.number)
    match event.body:
        case Arrival() as body:
            _seat(state, body, event.number)
        case Departure(name=name):
            state.participants.pop(name, None)
        case Message() as body:
            return _after_message(state, body, event.number)
        case Command() as body:
            state.pending[event.number] = body
            return replace(state, commands=state.commands + 1)
        case Outcome(command=number):
            state.pending.pop(number, None)
        case Setting() as body:
            return _set(state, body)
        case Budget() as body:
            return replace(state, limits=body)
        case PlayState(state=playing):
            failures = 0 if playing == "playing" else state.failures  # a person asks again
            return replace(state, playing=playing, failures=failures)
        case Notice(code="no_reply", who=who) as body:
            _change(state, who, last=event.number)  # its turn is used up, though nothing came
            spending = _add_usage(state.spent, body)
            return replace(state, failures=state.failures + 1, spent=spending)
        case Notice(code="broken", who=who):
            _change(state, who, last=event.number)
        case Notice(code="ended"):
            return replace(state, failures=0)
        case Notice() | FlowRecord():
            pass
    return state


def _change(state: State, name: str, **values: Any) -> None:
    """Give somebody who is present other values."""
    participant = state.participants.get(name)
    if participant is not None:
        state.participants[name] = replace(participant, **values)


def _seat(state: State, body: Arrival, number: int) -> None:
    state.names[body.name] = None
    state.participants[body.name] = Participant(
        body.name,
        body.model,
        body.persona,
        body.temperature,
        body.scripted,
        number,
        turns=state.replies.get(body.name, 0),
    )


def _after_message(state: State, body: Message, number: int) -> State:
    speaker = state.participants.get(body.who)
    if speaker is not None:
        _change(state, body.who, turns=speaker.turns + 1, last=number)
    state.names[body.who] = None
    state.replies[body.who] = state.replies.get(body.who, 0) + 1
    if body.borrowed:
        state.borrowed[body.who] = state.borrowed.get(body.who, 0) + len(body.borrowed)
    if not body.model:
        state.people[body.who] = None
    return replace(
        state,
        spent=_count_reply(state.spent, body) if body.model else state.spent,
        last_speaker=body.who,
        last_message=number,
        last_text=body.shown,
        failures=state.failures + 1 if body.ending == BROKEN_OFF else 0,
    )


def _count_reply(spending: Spending, body: Message) -> Spending:
    spending = _add_usage(spending, body)
    n_unpriced = spending.unpriced + (body.price is None)
    return replace(spending, messages=spending.messages + 1, unpriced=n_unpriced)


def _add_usage(spending: Spending, body: Message | Notice) -> Spending:
    tokens = spending.tokens + (body.tokens_in or 0) + (body.tokens_out or 0)
    return replace(spending, tokens=tokens, dollars=spending.dollars + (body.price or 0.0))


def _set(state: State, body: Setting) -> State:
    if not body.who:
        return replace(state, settings={**state.settings, body.what: body.value})
    if body.what in ("temperature", "muted", "prompt", "persona"):
        _change(state, body.who, **{body.what: body.value})
    return state
