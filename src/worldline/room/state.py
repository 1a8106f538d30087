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

    `present` in the order of joining. `names`: everyone who ever spoke or was named as one who
    would. `pending`: commands without an outcome yet. `commands` counts those given, `borrowed`
    the passages each wrote in another's name, `replies` the messages of each. `people`
    spoke without being models. `failures`: turns in a row that brought no whole reply.
    """

    tip: int = 0
    present: tuple[Participant, ...] = ()
    names: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=lambda: dict(DEFAULTS))
    limits: Budget = field(default_factory=Budget)
    spent: Spending = Spending()
    playing: str = "playing"
    pending: tuple[tuple[int, Command], ...] = ()
    commands: int = 0
    last_speaker: str = ""
    last_message: int = 0
    last_text: str = ""
    borrowed: Mapping[str, int] = field(default_factory=dict)
    replies: Mapping[str, int] = field(default_factory=dict)
    people: tuple[str, ...] = ()
    failures: int = 0

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
        state = after(state, event)
    return state


def after(state: State, event: Event) -> State:
    """How the room stands after one more event."""
    state = replace(state, tip=event.number)
    match event.body:
        case Arrival() as body:
            return _after_join(state, body, event.number)
        case Departure(name=name):
            remaining = tuple(entry for entry in state.present if entry.name != name)
            return replace(state, present=remaining)
        case Message() as body:
            return _after_message(state, body, event.number)
        case Command() as body:
            pending = (*state.pending, (event.number, body))
            return replace(state, pending=pending, commands=state.commands + 1)
        case Outcome(command=number):
            pending = tuple(entry for entry in state.pending if entry[0] != number)
            return replace(state, pending=pending)
        case Setting() as body:
            return _set(state, body)
        case Budget() as body:
            return replace(state, limits=body)
        case PlayState(state=playing):
            failures = 0 if playing == "playing" else state.failures  # a person asks again
            return replace(state, playing=playing, failures=failures)
        case Notice(code="no_reply", who=who) as body:
            spending = _add_usage(state.spent, body)
            new_state = _use_turn(state, who, event.number)
            return replace(new_state, failures=state.failures + 1, spent=spending)
        case Notice(code="broken", who=who):
            return _use_turn(state, who, event.number)
        case Notice(code="ended"):
            return replace(state, failures=0)
        case Notice() | FlowRecord():
            return state


def _use_turn(state: State, speaker: str, number: int) -> State:
    """Its turn is used up, though nothing came."""
    present = tuple(
        replace(participant, last=number) if participant.name == speaker else participant
        for participant in state.present
    )
    return replace(state, present=present)


def _after_join(state: State, body: Arrival, number: int) -> State:
    newcomer = Participant(
        body.name,
        body.model,
        body.persona,
        body.temperature,
        body.scripted,
        number,
        turns=state.replies.get(body.name, 0),
    )
    return replace(state, present=(*state.present, newcomer), names=_with(state.names, body.name))


def _after_message(state: State, body: Message, number: int) -> State:
    present = tuple(
        replace(participant, turns=participant.turns + 1, last=number)
        if participant.name == body.who
        else participant
        for participant in state.present
    )
    borrowed_counts = dict(state.borrowed)
    if body.borrowed:
        borrowed_counts[body.who] = borrowed_counts.get(body.who, 0) + len(body.borrowed)
    return replace(
        state,
        present=present,
        names=_with(state.names, body.who),
        spent=_count_reply(state.spent, body) if body.model else state.spent,
        people=state.people if body.model else _with(state.people, body.who),
        last_speaker=body.who,
        last_message=number,
        last_text=body.shown,
        borrowed=borrowed_counts,
        failures=state.failures + 1 if body.ending == BROKEN_OFF else 0,
        replies={**state.replies, body.who: state.replies.get(body.who, 0) + 1},
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
    if body.what not in ("temperature", "muted", "prompt", "persona"):
        return state
    present = tuple(
        replace(participant, **{body.what: body.value})
        if participant.name == body.who
        else participant
        for participant in state.present
    )
    return replace(state, present=present)


def _with(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return names if name in names else (*names, name)
