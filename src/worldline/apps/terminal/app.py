"""The room's screen: it looks at a room that plays in its own thread, and never waits for it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Input, Static
from textual.widgets.input import Selection

from worldline.apps.terminal.command_handlers import (
    SLOW,
    Save,
    carried_out,
    pause_or_play,
    step,
    stop,
)
from worldline.apps.terminal.entries import QUIET, WARNING, Entry, Telling
from worldline.apps.terminal.input_line import Line
from worldline.apps.terminal.slash_commands import Order, is_order, order_list, read_order
from worldline.apps.terminal.status_panel import headline, panel
from worldline.errors import InputError
from worldline.room import Event, FlowRecord, HostedRoom, Piece, line_of, most_read
from worldline.tokens import cover_unseen

LOOK_S = 0.08  # between two looks at the room
MOST = 300  # blocks on the screen; the log has them all
WIDE = 72  # columns from which on the panel stands beside the conversation


class RoomApp(App[None]):
    """The conversation, who is in it, and a line to write on; the log is the room's alone."""

    CSS_PATH = "room.tcss"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = "#line"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012
    BINDINGS = [  # noqa: RUF012
        Binding("f5", "pause_or_play", "play/pause", key_display="F5", priority=True),
        Binding("f6", "step", "step", key_display="F6", priority=True),
        Binding("escape", "stop", "stop", key_display="Esc", priority=True),
        Binding("f2", "panel", "who", key_display="F2", priority=True),
        Binding("ctrl+q", "quit", "quit", key_display="^Q", priority=True),
        Binding("ctrl+c", "copy_or_break", show=False, priority=True),
        Binding("pageup", "scroll(-1)", show=False, priority=True),
        Binding("pagedown", "scroll(1)", show=False, priority=True),
    ]

    def __init__(
        self, open_room: HostedRoom, name: str, save: Save, turns: int | None = None
    ) -> None:
        super().__init__()
        self.hosted, self.code = open_room, 0
        self._name, self._save, self._turns = name, save, turns
        self._telling = Telling()
        self._blocks: dict[int, Static] = {}
        self._last_number = self._n_hidden = 0
        self._most, self._shown_state = "", ()
        self._piece = Piece()
        self._answers: SimpleQueue[tuple[str, str]] = SimpleQueue()

    def compose(self) -> ComposeResult:
        """The parts of the screen, from the top down."""
        yield Static(id="head", markup=False)
        with Horizontal(id="middle"):
            with VerticalScroll(id="talk", can_focus=False):
                yield Static(id="earlier", markup=False)
                yield Static(id="writing", markup=False)
            with VerticalScroll(id="side", can_focus=False):
                yield Static(id="panel", markup=False)
        yield Static(id="answer", markup=False)
        yield Line(placeholder=f"say something as {cover_unseen(self._name)}, or /help", id="line")
        yield Footer(show_command_palette=False)

    async def on_mount(self) -> None:
        """Show what the log has, begin the turns that were asked for, and keep looking."""
        if not self.is_headless:
            self._heed_signals()
        self.query_one("#talk").anchor()
        await self._look()
        if self._turns:
            self.hosted.play(self._turns)
        self.set_interval(LOOK_S, self._look)

    @on(Input.Submitted)
    async def heard(self, event: Input.Submitted) -> None:
        """A line was given: an order, or words to be said. What cannot be done stays to be mended.

        Words are said as they were typed; an order is never said.
        """
        if not event.value.strip():
            return
        self._answer("")
        try:
            if is_order(event.value):
                await self._order(read_order(event.value))
            else:
                self.hosted.room.say(self._name, event.value)
        except InputError as error:
            self._answer(str(error), WARNING)
            return
        event.input.clear()
        await self._look()

    def action_pause_or_play(self) -> None:
        """Take turns, or take no further one."""
        self._try(lambda: pause_or_play(self.hosted))

    def action_step(self) -> None:
        """One turn."""
        self._try(lambda: step(self.hosted))

    def action_stop(self) -> None:
        """Cut off the reply that is being written."""
        self._try(lambda: self._answer(stop(self.hosted)))

    def action_panel(self) -> None:
        """Show the panel where it is hidden, hide it where it is shown."""
        self.screen.toggle_class("-panel")

    def action_copy_or_break(self) -> None:
        """Copy what is selected; where nothing is, leave as after Ctrl+C."""
        line = self.query_one(Line)
        selection_text = self.screen.get_selected_text() or line.selected_text
        if selection_text:
            self.copy_to_clipboard(selection_text)
            self.screen.clear_selection()
            line.selection = Selection.cursor(line.cursor_position)
        else:
            self._break(signal.SIGINT)

    def action_scroll(self, way: int) -> None:
        """A page up or down in the conversation."""
        talk = self.query_one("#talk")
        talk.scroll_page_up() if way < 0 else talk.scroll_page_down()

    def _heed_signals(self) -> None:
        """Whoever ends this from outside gets the terminal back as it was, and a closed log."""
        loop = asyncio.get_running_loop()
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if (signal_number := getattr(signal, name, None)) is not None:
                with suppress(NotImplementedError, RuntimeError, ValueError):
                    loop.add_signal_handler(signal_number, self._break, signal_number)

    def _break(self, signal_number: int) -> None:
        self.code = 128 + signal_number
        self.exit()

    async def _order(self, order: Order) -> None:
        if order.name == "quit":
            self.exit()
        elif order.name == "help":
            await self._help()
        elif order.name in SLOW:
            self._answer(f"/{order.name}: it is being done")
            threading.Thread(target=self._slowly, args=(order,), daemon=True).start()
        else:
            self._answer(carried_out(order, self.hosted, self._save))

    def _slowly(self, order: Order) -> None:
        """An order that takes its time, in a thread that nobody waits for."""
        try:
            answer_text = carried_out(order, self.hosted, self._save)
        except InputError as error:
            self._answers.put((str(error), WARNING))
        except Exception as error:  # a model that does not load: the room goes on
            self._answers.put((f"/{order.name}: {type(error).__name__}: {error}", WARNING))
        else:
            self._answers.put((answer_text, QUIET))

    def _try(self, deed: Callable[[], None]) -> None:
        self._answer("")
        try:
            deed()
        except InputError as error:
            self._answer(str(error), WARNING)

    def _answer(self, text: str, style: str = QUIET) -> None:
        """A word to whoever sits here; it is not of the room."""
        answer = self.query_one("#answer", Static)
        answer.update(Content.styled(" ".join(cover_unseen(text).split()), style))
        answer.display = bool(text)

    async def _help(self) -> None:
        width = max(len(usage) for usage, _ in order_list())
        wide = self.size.width >= WIDE
        lines = [
            Content.assemble(
                (f"{usage:<{width}}  " if wide else f"{usage}\n  ", "bold"), (does, QUIET)
            )
            for usage, does in order_list()
        ]
        block = Static(Content("\n").join(lines), classes="help", markup=False)
        talk = self.query_one("#talk")
        await talk.mount(block, before="#writing")
        talk.anchor()

    async def _look(self) -> None:
        """Whatever is new in the room."""
        events = self.hosted.after(self._last_number)
        if events:
            await self._tell(events)
        piece = self.hosted.piece
        if piece.serial != self._piece.serial or events:
            self._piece = piece
            writing = self.query_one("#writing", Static)
            writing.display = bool(piece.text)
            if piece.text:
                writing.update(self._telling.writing(piece.speaker, piece.text))
        with suppress(Empty):
            self._answer(*self._answers.get_nowait())
        self._stand()

    async def _tell(self, events: Sequence[Event]) -> None:
        """Show new events; where they leave from an earlier one, that branch from its beginning."""
        before, self._last_number = self._last_number, events[-1].number
        follow = all(new_event.parent == new_event.number - 1 for new_event in events)
        if not before or not follow:
            events = line_of(self.hosted.after(0), self._last_number)
            await self.query_one("#talk").remove_children(".entry, .help")
            self._blocks, self._n_hidden = {}, 0
        if any(isinstance(new_event.body, FlowRecord) for new_event in events):
            self._most = most_read(line_of(self.hosted.after(0), self._last_number))
        new_entries: dict[int, Entry] = {}
        for event in events:
            entry = self._telling.entry(event)
            if entry is not None:
                new_entries[entry.number] = entry
        await self._place(list(new_entries.values()))

    async def _place(self, entries: Sequence[Entry]) -> None:
        """Put blocks at the end, or where an earlier state of them stands; few enough of all."""
        new: list[Static] = []
        for entry in entries:
            if (old := self._blocks.get(entry.number)) is not None:
                old.update(entry.text)
                continue
            block = Static(entry.text, classes="entry", markup=False)
            if entry.colour:
                block.add_class("said")
                block.styles.border_left = ("outer", entry.colour)
            self._blocks[entry.number] = block
            new.append(block)
        await self._drop(len(self._blocks) - MOST)
        kept_blocks = set(self._blocks.values())
        talk = self.query_one("#talk")
        await talk.mount_all(
            [new_block for new_block in new if new_block in kept_blocks], before="#writing"
        )

    async def _drop(self, surplus: int) -> None:
        """Take the first blocks off the screen, and say how many."""
        for number in list(self._blocks)[: max(0, surplus)]:
            block = self._blocks.pop(number)
            if block.is_attached:
                await block.remove()
            self._n_hidden += 1
        earlier = self.query_one("#earlier", Static)
        earlier.display = bool(self._n_hidden)
        text = f"{self._n_hidden} earlier lines are in the log; /save FILE.html shows all"
        earlier.update(Content.styled(text, QUIET))

    def _stand(self) -> None:
        status, wide = self.hosted.status(), self.size.width >= WIDE
        shown_state = (status, wide, self._most)
        if shown_state != self._shown_state:
            self._shown_state = shown_state
            self.query_one("#head", Static).update(headline(status, wide))
            self.query_one("#panel", Static).update(panel(status, self._most, self._telling))
