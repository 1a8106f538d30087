"""A room in the terminal: replies as they stream, the room's lines, what each reply drew on."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from worldline.room import BADGES, Command, Event, FlowRecord, Message, event_line, strip
from worldline.tokens import cover_unseen

if TYPE_CHECKING:
    from worldline.room import Provisional

INDENT = "    "


class Lines:
    """Writes what happens, once it is in the log; on a terminal replies are seen as they come."""

    def __init__(self, out: TextIO, own_name: str = "") -> None:
        self._out, self._own_name = out, own_name
        self._streams = out.isatty()
        self._open = ""
        self._commands: dict[int, Command] = {}
        self._speakers: dict[int, str] = {}

    def __call__(self, update: Event | Provisional) -> None:
        """Show one event, or a piece of a reply that is not yet one."""
        if isinstance(update, Event):
            self._event(update)
        elif self._streams and update.text and not update.reasoning:
            if self._open != update.speaker:
                self._end()
                self._write(f"{update.speaker}: ")
                self._open = update.speaker
            self._write(update.text)

    def mark_cut_off(self) -> None:
        """A reply was cut off: say so where it was being shown."""
        self._end(" … (not kept)")

    def _event(self, event: Event) -> None:
        body = event.body
        if isinstance(body, Command):
            self._commands[event.number] = body
        if isinstance(body, Message):
            self._speakers[event.number] = body.who
            self._message(event.number, body)
        elif isinstance(body, FlowRecord):
            strip_text = strip(body.flow, self._speakers.get(body.message, "")) if body.flow else ""
            self._line(f"{INDENT}{strip_text or body.reason}")
        elif text := event_line(event, self._commands):
            self._end()
            self._line("\n".join(f"{INDENT}[{line}]" for line in text.splitlines()))

    def _message(self, number: int, body: Message) -> None:
        marks = [f"#{number}"]
        if body.model:
            marks.append("scripted" if body.scripted else body.model)
        if self._open == body.who:  # it streamed: the words are there
            self._end(f"  ({', '.join(marks)})")
        else:
            self._end()
            self._line(f"{body.who} ({', '.join(marks)}): {body.shown}")
        for claim in body.claims:
            self._line(f"{INDENT}({BADGES.get(claim.name, claim.name)})")

    def _end(self, last: str = "") -> None:
        if self._open:
            self._line(last)
        self._open = ""

    def _line(self, text: str) -> None:
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        self._out.write(cover_unseen(text))
        self._out.flush()
