"""The terminal's room: the conversation, who is here, and a line to type in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input, RichLog, Static

from worldline.apps.cli.room_lines import plain
from worldline.apps.terminal.drawing import PALE, lines_of, side_of, speakers_of
from worldline.apps.terminal.orders import help_lines, obey
from worldline.errors import InputError
from worldline.room.events import Command, Event
from worldline.room.hosting import Hosted
from worldline.room.strands import hues_of

LOOK_S = 0.08
HINT = "say something, or /help; F5 play, F6 step, Esc stop, Ctrl+Q end"
Save = Callable[[Path], Path]


class RoomApp(App[None]):
    """Shows one hosted room; what is typed is said, or obeyed where it begins with /."""

    CSS = """
    #side { width: 30; padding: 0 1; border-left: solid $primary-muted; }
    #writing { max-height: 8; padding: 0 1; color: $text-muted; }
    #note { padding: 0 1; color: $warning; max-height: 3; }
    RichLog { padding: 0 1; scrollbar-size-vertical: 1; }
    .-narrow #side { display: none; }
    """
    BINDINGS: ClassVar = [
        ("f5", "play_or_pause", "play or pause"),
        ("f6", "step", "one turn"),
        ("escape", "stop", "stop the reply"),
        ("ctrl+q", "quit", "end"),
    ]
    ENABLE_COMMAND_PALETTE = False
    TITLE = "worldline room"

    def __init__(self, hosted: Hosted, save: Save, who: str = "You", turns: int | None = None):
        super().__init__()
        self.hosted, self._save, self._who, self._turns = hosted, save, who, turns
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (72, "-wide")]
        self._shown: list[int] = []
        self._serial = -1
        self._talk = RichLog(wrap=True, min_width=20, id="talk")
        self._writing, self._note = Static(id="writing"), Static(id="note")
        self._side, self._line = Static(id="side"), Input(placeholder=HINT)

    def compose(self) -> ComposeResult:
        """The conversation on the left, who is here on the right, a line below."""
        with Horizontal():
            with Vertical():
                yield self._talk
                yield self._writing
                yield self._note
            yield self._side
        yield self._line

    def on_mount(self) -> None:
        """Look at the room from now on."""
        self._line.focus()
        self.set_interval(LOOK_S, self.look)
        self.look()
        if self._turns:
            self.hosted.play(self._turns)

    def look(self) -> None:
        """Draw what is new: events of the line, the reply that is being written, who is here."""
        line = self.hosted.room.line
        numbers = [one.number for one in line]
        if numbers != self._shown:
            if numbers[: len(self._shown)] != self._shown:  # another branch: from the beginning
                self._talk.clear()
                self._shown = []
            self._draw(line, line[len(self._shown) :])
            self._shown = numbers
        piece = self.hosted.piece
        if piece.serial != self._serial:
            self._serial = piece.serial
            words = f"{plain(piece.who)} is writing: {plain(piece.text)}" if piece.text else ""
            self._writing.update(Text(words))
        self._side.update(side_of(self.hosted.standing(), line))

    def _draw(self, line: list[Event], fresh: list[Event]) -> None:
        talk, hues, speakers = self._talk, hues_of(line), speakers_of(line)
        commands = {one.number: one.body for one in line if isinstance(one.body, Command)}
        for event in fresh:
            hue = hues.get(speakers.get(event.number, ""), PALE)
            for text in lines_of(event, commands, speakers, hue):
                talk.write(text)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Say what was typed, or do what it orders; what was refused stays in the line."""
        line = event.value.strip()
        if not line:
            return
        self.say("")
        try:
            if line.startswith("/"):
                self._order(line)
            else:
                self.hosted.room.say(self._who, line)
        except InputError as error:
            self.say(str(error))
        else:
            event.input.value = ""
        self.look()

    def _order(self, line: str) -> None:
        name, _, rest = line[1:].partition(" ")
        if name == "quit":
            self.exit()
        elif name == "help":
            for one in help_lines():
                self._talk.write(Text(f"  {one}", PALE))
        elif name == "save":
            self.say(f"saved: {self._save(Path(rest.strip()))}")
        else:
            obey(self.hosted, line)

    def say(self, words: str) -> None:
        """A line to the person alone."""
        self._note.update(Text(plain(words)))

    def action_play_or_pause(self) -> None:
        """Play, or pause after this reply."""
        self._do(self.hosted.room.pause if self.hosted.talking else self.hosted.play)

    def action_step(self) -> None:
        """One turn."""
        self._do(lambda: self.hosted.play(1))

    def action_stop(self) -> None:
        """End the reply that is being written."""
        if self.hosted.talking:
            self._do(lambda: self.hosted.room.stop("by a person"))

    def _do(self, what: Callable[[], object]) -> None:
        try:
            what()
        except InputError as error:
            self.say(str(error))
        self.look()
