"""The branch of a log that a room is on: its events, its state, and how both grow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from worldline.room.events import (
    Body,
    Command,
    Event,
    FlowRecord,
    Message,
    Notice,
    Outcome,
    Setting,
)
from worldline.room.log import Log, line_of
from worldline.room.seeds import drawn_number
from worldline.room.state import State, after, state_of


class Branch:
    """Everything from the beginning to the newest event, and only ever longer or turned aside.

    `watch` is called with every event once it is on the disk. Safe from several threads.
    """

    def __init__(self, log: Log, watch: Callable[[Event], None]) -> None:
        self.log = log
        self.lock = threading.RLock()
        self._watch = watch
        self._line = line_of(log.events())
        self.state: State = state_of(self._line)
        if log.repair_note:
            self.append(Notice("repaired", log.repair_note))
        self.expire("the program ended before it came back")

    @property
    def line(self) -> list[Event]:
        """The events of this branch, the first one first."""
        with self.lock:
            return list(self._line)

    def append(self, *bodies: Body, parent: int | None = None) -> list[Event]:
        """Write events together, then tell whoever watches."""
        with self.lock:
            events = self.log.append(bodies, parent)
            for event in events:
                self._line.append(event)
                self.state = after(self.state, event)
            for event in events:
                self._watch(event)
        return events

    def turn_aside(self, number: int) -> Event:
        """Go on from an earlier event, of this branch or another; nothing is taken away.

        Raises: InputError if there is no such event.
        """
        with self.lock:
            events = self.log.events()
            at = branch_point(events, number)
            self._line = line_of(events, at)
            self.state = state_of(self._line)
            seed = drawn_number(f"{self.state.settings['seed']}|{len(events)}")
            notice = Notice("branch", f"the conversation goes on from event {number}", number)
            event = self.append(notice, Setting("seed", seed), parent=at)[0]
            self.expire("the conversation goes on from before it came back")
        return event

    def expire(self, reason: str) -> None:
        """End every command that has no outcome yet."""
        outcomes = [Outcome(number, "expired", reason) for number in self.state.pending]
        if outcomes:
            self.append(*outcomes)


def branch_point(events: Sequence[Event], number: int) -> int:
    """The event at which a branch from event `number` leaves: past its message's outcomes.

    A command has one outcome in the whole log, so what a message had done goes along with it; and
    so does what the message drew on.

    Raises: InputError if there is no event of that number.
    """
    state = state_of(line_of(events, number))
    message, at = state.last_message, number
    while (following := _first_child(events, at)) is not None:
        body = following.body
        is_command = isinstance(body, Command) and body.message == message
        remark = isinstance(body, Notice) and body.about == message and at >= message > 0
        remark = remark or (isinstance(body, FlowRecord) and body.message == message)
        if not (state.pending or is_command or remark) or isinstance(body, Message):
            break
        state, at = after(state, following), following.number
    return at


def _first_child(events: Sequence[Event], number: int) -> Event | None:
    return next((event for event in events[number:] if event.parent == number), None)
