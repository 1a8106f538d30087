"""What of a log's rows can be trusted: whole events, numbered 1, 2, 3, each after its parent."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worldline.errors import InputError
from worldline.room.events import (
    Command,
    Event,
    FlowRecord,
    Message,
    Notice,
    Outcome,
    Setting,
    decode,
)
from worldline.room.reply_commands import FORMS, N_ARGUMENTS
from worldline.room.settings import checked_setting

LARGEST_ROW_BYTES = 1 << 26
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)  # the second: its message quotes broken bytes
_ALL = "SELECT number, parent, time, body FROM events WHERE number > ? ORDER BY number"


@dataclass(frozen=True, slots=True)
class CheckedEvents:
    """The events up to the first that cannot be one, and what is wrong there; "" for nothing."""

    events: list[Event]
    damage: str = ""


def checked_events(base: sqlite3.Connection, after: int = 0) -> CheckedEvents:
    """The events numbered above `after`, as far as each is whole and follows from the ones before.

    Memory is bounded: a row larger than any event that can be written is damage.
    """
    base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_ROW_BYTES)
    events: list[Event] = []
    try:
        for row in _rows(base, after):
            number = after + 1 + len(events)
            events.append(event_of(row, number))
    except (InputError, *SQLITE_ERRORS) as error:
        return CheckedEvents(
            events, f"event {after + 1 + len(events)}: {' '.join(str(error).split())}"
        )
    return CheckedEvents(events)


def event_of(row: Sequence[object], number: int) -> Event:
    """The event of a row that is to be the `number`th.

    Raises: InputError where it cannot be.
    """
    row_number, parent, when, body = row
    if row_number != number or type(row_number) is not int:
        raise InputError(f"the next one there has the number {str(row_number)[:40]}")
    if type(parent) is not int or not 0 <= parent < number:
        raise InputError(f"it follows {str(parent)[:40]}, which is no earlier event")
    if not isinstance(when, int | float) or isinstance(when, bool) or not _is_time(when):
        raise InputError(f"its time is {str(when)[:40]}")
    if not isinstance(body, str):
        raise InputError("it has no text")
    event = Event(number, parent, float(when), decode(body))
    refuse_impossible(event)
    return event


def refuse_impossible(event: Event) -> None:
    """Raise InputError for what no room writes: an unknown command, a setting of another kind."""
    if isinstance(event.body, Command):
        _refuse_other_command(event.body)
    match event.body:
        case Command(message=about) | Outcome(command=about) | FlowRecord(message=about):
            _refuse_later(about or event.number, event.number)
        case Notice(about=about):
            _refuse_later(about, event.number)
        case Message(read_from=start, read_to=end):
            _refuse_later(start, event.number)
            _refuse_later(end, event.number)
        case Setting(what="prompt", value=value):
            if not isinstance(value, str):
                raise InputError(f"setting prompt {str(value)[:40]!r}: accepted is text")
        case Setting(what=what, value=value, who=who):
            if checked_setting(what, value, who) != value:
                raise InputError(f"setting {what} {str(value)[:40]!r}: it is of another kind")
        case _:
            pass


def _refuse_other_command(command: Command) -> None:
    """Raise InputError for a command that no message can give."""
    n_arguments = N_ARGUMENTS.get(command.name, 0)
    if command.name not in FORMS or len(command.arguments) != n_arguments:
        raise InputError(
            f"a command {command.name[:40]!r} with {len(command.arguments)} arguments: accepted "
            f"are {', '.join(FORMS.values())}"
        )


def _refuse_later(number: int, event: int) -> None:
    """Raise InputError where an event names one that was not there before it; 0 is none."""
    if not 0 <= number < event:
        raise InputError(f"it speaks of event {number}, which was not there before it")


def _is_time(when: float | int) -> bool:
    try:
        return math.isfinite(float(when))
    except OverflowError:
        return False


def _rows(base: sqlite3.Connection, after: int) -> Iterator[Sequence[object]]:
    base.text_factory = _text
    yield from base.execute(_ALL, (after,))


def _text(raw: bytes) -> str:
    """A text of the file; broken bytes make it one that no event has."""
    return raw.decode("utf-8", "replace")
