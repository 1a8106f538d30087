"""A room run again from its own log, and the first event at which the two part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import worldline as wl
from worldline.errors import InputError
from worldline.room.actions import ActionRequest, DeclinedError, Deeds, Hit, Picture
from worldline.room.event_records import ActionResult, FlowNumbers, MessageFlow, NoFlow
from worldline.room.events import (
    Arrival,
    Body,
    Command,
    Event,
    FlowRecord,
    Message,
    Notice,
    Outcome,
    timeless,
)
from worldline.room.log import Log, line_of
from worldline.room.opening import RoomRequest
from worldline.room.providers.catalog import Catalog
from worldline.room.providers.local_model import Local
from worldline.room.room import Room
from worldline.room.state import BROKEN_OFF

_BY_TURN = frozenset({"ended", "context", "no_reply"})  # notices that a turn brings


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of it: the events of the second run, and where it parts from the first.

    `differs` is the number of the first event that is not the same apart from its times, in the
    numbering of a branch alone; 0 where all are equal. `at` is the character of that message's
    text at which the two part, where they part in a text.
    """

    events: tuple[Event, ...]
    differs: int
    reason: str = ""
    at: int | None = None


def replay(line: Sequence[Event], catalog: Catalog, deeds: Deeds | None = None) -> Replay:
    """Run a branch again in memory: what people did is given, what models said is asked anew.

    What replies drew on is taken over, as what people did is, and a reply that broke off. Without
    `deeds` pictures and hits are those of the log (pictures as empty bytes under the names they
    had). **Exactness**: bitwise, where the models promise it.
    """
    first = renumber(line)
    log = Log(clock=lambda: 0.0)
    room = Room(log, catalog, deeds or actions_from_log(first))
    n_compared = 0  # so many events are the same
    try:
        while len(new_events := log.events()) < len(first):
            differs_at = _first_differing(
                first[n_compared : len(new_events)], new_events[n_compared:]
            )
            if differs_at:
                break
            n_compared = len(new_events)
            _next(room, first[len(new_events)])
            if len(log.events()) == len(new_events):
                number = len(new_events) + 1
                return Replay(tuple(new_events), number, "the second run had nothing to say here")
        new_events = log.events()
        differs_at = _first_differing(first, new_events) or (
            len(first) + 1 if len(new_events) > len(first) else 0
        )
    finally:
        room.close()
    if not differs_at:
        return Replay(tuple(new_events), 0)
    first_body = first[differs_at - 1].body if differs_at <= len(first) else None
    return Replay(
        tuple(new_events), differs_at, *_difference(first_body, new_events[differs_at - 1].body)
    )


def replay_log(events: Sequence[Event], request: RoomRequest) -> tuple[int, str]:
    """Run a log's newest branch again, with the models that the request and the log name.

    Returns:
        How many events the second run has, and which event is the first that comes out different
        and how; "" where all are as they were.

    Raises: InputError where a script spoke in the log and no scenario is given: a log says who
        spoke from a script, not what stands in it further on.
    """
    arrivals = [event.body for event in events if isinstance(event.body, Arrival)]
    scripted_names = [arrival.name for arrival in arrivals if arrival.scripted]
    if scripted_names and request.scenario is None:
        raise InputError(
            f"this room has a script, that of {scripted_names[0]}, which stands in its scenario: "
            "give it with --scenario"
        )
    line, catalog = line_of(events), request.catalog(events)
    result = replay(line, catalog)
    if not result.differs:
        return len(result.events), ""
    place = _place_in_text(result, line, catalog)
    event_words = f"event {result.differs} comes out different: {result.reason}{place}"
    return len(result.events), event_words


def _place_in_text(result: Replay, line: Sequence[Event], catalog: Catalog) -> str:
    """The first character that differs, and the first token, where a model here wrote the text."""
    if result.at is None:
        return ""
    body = line[result.differs - 1].body
    model = catalog.model(body.model) if isinstance(body, Message) else None
    position_words = f", from character {result.at} on"
    if not isinstance(body, Message) or not isinstance(model, Local):
        return position_words
    tokens = wl.tokenize(model.model.tokenizer, body.text)
    at = next((n for n, (_, end) in enumerate(tokens.char_spans) if end > result.at), None)
    return position_words + (", its end" if at is None else f", token {at} ({tokens.pieces[at]!r})")


def renumber(line: Sequence[Event]) -> list[Event]:
    """A branch as a log of its own: numbered from 1, everything that names a number as well."""
    numbers = {event.number: place for place, event in enumerate(line, 1)}
    numbers[0] = 0
    return [
        Event(place, place - 1, event.time, _renumber_body(event.body, numbers))
        for place, event in enumerate(line, 1)
    ]


def actions_from_log(line: Iterable[Event]) -> Deeds:
    """Deeds that give again what a log says that they gave, one after another."""
    line = list(line)
    commands = {entry.number: entry.body for entry in line if isinstance(entry.body, Command)}
    outcomes: dict[tuple[int, str, str], Outcome] = {}
    for event in line:
        body = event.body
        command = commands.get(body.command) if isinstance(body, Outcome) else None
        if command is not None and isinstance(body, Outcome) and command.arguments:
            outcomes[command.message, command.name, command.arguments[0]] = body

    def logged_result(name: str, request: ActionRequest) -> ActionResult:
        outcome = outcomes.get((request.message, name, request.text))
        if outcome is None:
            raise RuntimeError("the log has no outcome for this")
        if outcome.end == "refused":
            raise DeclinedError(outcome.reason)
        if outcome.end != "done":
            raise RuntimeError(outcome.reason)
        return outcome.result

    def draw(request: ActionRequest) -> Picture:
        result = logged_result("image", request)
        about, name = result.get("about", ""), result.get("picture", "")
        return Picture(b"", result.get("type", ""), about, name)

    def search(request: ActionRequest) -> list[Hit]:
        return [Hit(**hit) for hit in logged_result("search", request).get("hits", [])]

    return Deeds(draw, search)


def _next(room: Room, event: Event) -> None:
    """Give what a person did; ask again for what a turn brought."""
    body = event.body
    if isinstance(body, Message) and body.model and body.ending != BROKEN_OFF:
        room.step(read_to=body.read_to)
    elif isinstance(body, Notice) and body.code in _BY_TURN:
        room.step()
    else:
        room.append(body)


def _first_differing(first: Sequence[Event], second: Sequence[Event]) -> int:
    for first_event, two in zip(first, second, strict=False):
        if timeless(first_event.body) != timeless(two.body):
            return first_event.number
    return 0


def _difference(first_body: Body | None, two: Body) -> tuple[str, int | None]:
    if first_body is None:
        return f"the second run goes on with a {two.kind}", None
    if first_body.kind != two.kind:
        return f"a {first_body.kind} in the first run, a {two.kind} in the second", None
    names = _different_fields(timeless(first_body), timeless(two))
    reason = f"a {first_body.kind} differs in {', '.join(names)}"
    if isinstance(first_body, Message) and isinstance(two, Message) and first_body.text != two.text:
        pairs = enumerate(zip(first_body.text, two.text, strict=False))
        shorter = min(len(first_body.text), len(two.text))
        return reason, next((place for place, (a, b) in pairs if a != b), shorter)
    return reason, None


def _different_fields(first_body: Body, two: Body) -> Iterator[str]:
    for name in first_body.__dataclass_fields__:
        if getattr(first_body, name) != getattr(two, name):
            yield name


def _renumber_body(body: Body, numbers: dict[int, int]) -> Body:
    match body:
        case Message(read_from=start, read_to=end):
            return replace(body, read_from=numbers.get(start, 0), read_to=numbers.get(end, 0))
        case Command(message=message):
            return replace(body, message=numbers.get(message, 0))
        case Outcome(command=command):
            return replace(body, command=numbers.get(command, 0))
        case Notice(about=about):
            return replace(body, about=numbers.get(about, 0))
        case FlowRecord(message=message, flow=flow):
            return replace(body, message=numbers.get(message, 0), flow=_moved_flow(flow, numbers))
    return body


def _moved_flow(flow: FlowNumbers | NoFlow, numbers: dict[int, int]) -> FlowNumbers | NoFlow:
    """A flow whose messages have other numbers."""
    if "messages" not in flow:
        return flow
    rows: list[MessageFlow] = [
        {**entry, "event": None if entry["event"] is None else numbers.get(entry["event"])}
        for entry in flow["messages"]
    ]
    unplaced_numbers = [numbers[entry] for entry in flow["unplaced"] if entry in numbers]
    return {**flow, "messages": rows, "unplaced": unplaced_numbers}
