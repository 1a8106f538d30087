"""A room: one step is a speaker, what it reads, its reply, its commands, in the log in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, TypeAlias

from worldline.errors import InputError, RefusedError
from worldline.room.actions import Deeds
from worldline.room.branch import Branch
from worldline.room.dispatch import Means, run
from worldline.room.event_records import FlowNumbers
from worldline.room.events import (
    Arrival,
    Body,
    Budget,
    Command,
    Departure,
    Event,
    FlowRecord,
    Message,
    Notice,
    PlayState,
    Setting,
)
from worldline.room.internal_errors import fault_line
from worldline.room.log import Log
from worldline.room.participants import alike, checked_name, checked_newcomer, checked_temperature
from worldline.room.prompt import ReplyPrompt, seen_by
from worldline.room.providers.catalog import Catalog
from worldline.room.providers.chat_model import Model, ReplyError, Settings, Usage
from worldline.room.providers.stop_signal import stoppable
from worldline.room.reply_events import Provisional, Reply, as_events, heard
from worldline.room.settings import checked_setting
from worldline.room.speech import begins_thinking
from worldline.room.state import BROKEN_OFF, Participant, State, state_of
from worldline.room.token_usage import reply_usage
from worldline.room.turns import mentioned_participants, next_speaker, over_budget, reply_seed
from worldline.steps import StoppedError

Watch: TypeAlias = Callable[[Event | Provisional], None]
Attribute: TypeAlias = Callable[[Model, Usage], "FlowNumbers | str"]


class Room:
    """The writer of a log. `watch` is called with every event once it is on the disk.

    `attribute` is asked after each reply for its flow, as plain numbers, or for the reason why
    there is none; the answer is an event. `hold` is entered for each turn: who shares a model with
    others waits there.

    Opening a log again goes on from its newest event; commands that were left without an outcome
    expire. Speaking, settings and pausing are safe from other threads while a reply streams.
    """

    def __init__(
        self,
        log: Log,
        catalog: Catalog,
        deeds: Deeds | None = None,
        watch: Watch = lambda _event: None,
        attribute: Attribute | None = None,
        hold: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.log = log
        self.catalog = catalog
        self._means = Means(catalog, deeds or Deeds(), log.keep)
        self._watch = watch
        self._attribute, self._hold = attribute, hold
        self._stop = threading.Event()
        self._watch_error: Exception | None = None  # what whoever watches raised
        self._branch = Branch(log, self._tell)
        self._lock = self._branch.lock

    @property
    def state(self) -> State:
        """How the room stands now."""
        return self._branch.state

    @property
    def line(self) -> list[Event]:
        """The events of the current branch, the first one first."""
        return self._branch.line

    def append(self, *bodies: Body) -> list[Event]:
        """Write events as they are; every other method comes down to it."""
        return self._branch.append(*bodies)

    def join(self, name: str, model: str, persona: str = "", temperature: float = 1.0) -> Event:
        """Seat a participant.

        Raises: InputError if the room is full, the name or temperature is unusable, or there is
        no such model.
        """
        is_scripted = self.catalog.model(model).scripted
        with self._lock:
            warmth = checked_temperature(temperature)
            newcomer = Arrival(name, model, persona, warmth, scripted=is_scripted)
            return self.append(checked_newcomer(self.state, newcomer))[0]

    def say(self, speaker_name: str, text: str) -> Event:
        """A person speaks; commands are for participants, so this text is not read for any.

        Raises: InputError if the name is a participant's or unusable, or the text is empty.
        """
        speaker_name = checked_name(speaker_name)
        if taken_name := alike(
            speaker_name, (participant.name for participant in self.state.present)
        ):
            raise InputError(
                f"name {speaker_name!r}: a participant has it, {taken_name!r}; accepted is another"
            )
        if not text.strip():
            raise InputError("an empty message; accepted is any text")
        with self._lock:
            event = self.append(Message(speaker_name, text, text, read_to=self.state.tip))[0]
            self._unmute()
        return event

    def remove(self, name: str) -> Event:
        """Show a participant out.

        Raises: InputError if nobody of this name is present.
        """
        with self._lock:
            return self.append(Departure(self._present(name).name, "shown out"))[0]

    def set(self, setting: str, value: Any, participant: str = "") -> Event:
        """Change a setting of the room, or of one participant (temperature, muted, persona).

        Raises: InputError if there is no such setting, or the value cannot be.
        """
        with self._lock:
            participant = self._present(participant).name if participant else ""
            return self.append(
                Setting(setting, checked_setting(setting, value, participant), participant)
            )[0]

    def limit(
        self,
        messages: int | None = None,
        tokens: int | None = None,
        dollars: float | None = None,
    ) -> Event:
        """Set the budget, counted from the beginning; None: no limit."""
        if any(cap is not None and cap < 0 for cap in (messages, tokens, dollars)):
            raise InputError("a budget below 0; accepted are 0 and above")
        if any(cap is not None and cap >= 1 << 63 for cap in (messages, tokens)):
            raise InputError("a budget of over 2^63 - 1; accepted are smaller ones")
        return self.append(Budget(messages, tokens, dollars))[0]

    def pause(self, reason: str = "") -> None:
        """No further turns until `play`; a reply that streams is finished first."""
        with self._lock:
            if self.state.playing == "playing":
                self.append(PlayState("paused", reason))

    def stop(self, reason: str = "") -> None:
        """End this run: a reply that streams is cut off, and no further turn follows."""
        self._stop.set()
        with self._lock:
            self._stop.set()  # once more: `resume` may have come in between
            if self.state.playing != "stopped":
                self.append(PlayState("stopped", reason))

    def play(self, turns: int | None = None) -> int:
        """Take turns until paused, stopped, out of budget, or `turns` were taken; how many were.

        With `step` as the way of taking turns it takes one.
        """
        self.resume()
        return self.take_turns(turns)

    def resume(self) -> None:
        """Allow turns again after a pause or a stop; a `stop` from here on holds."""
        with self._lock:
            self._stop.clear()
            if self.state.playing != "playing":
                self.append(PlayState("playing"))

    def take_turns(self, turns: int | None = None) -> int:
        """As `play`, of a room that is playing; nothing where it was stopped since `resume`.

        A turn in which worldline itself fails ends there, once, and the room pauses.
        """
        if self.state.settings["mode"] == "step":
            turns = 1 if turns is None else min(turns, 1)
        n_taken = 0
        while (turns is None or n_taken < turns) and self.state.playing == "playing":
            n_taken += self._turn() is not None
        return n_taken

    def step(self, read_to: int | None = None) -> Event | None:
        """One turn, paused or not; the message, or None where there is none.

        `read_to` lets the speaker read no further than that event (for replays).
        """
        self._stop.clear()
        return self._turn(read_to)

    def branch(self, number: int) -> Event:
        """Go on from an earlier event (of any branch): what came after it stays in the log.

        The commands of the message there keep the outcomes that they had. The seed changes, so
        that a model that samples does not say the same again.

        Raises: InputError if there is no such event.
        """
        return self._branch.turn_aside(number)

    def rewind(self, messages: int = 1) -> Event:
        """Go back to before the latest messages.

        Raises: InputError if fewer were said.
        """
        message_events = [event for event in self.line if isinstance(event.body, Message)]
        if not message_events:
            raise InputError("rewind: nothing was said yet; accepted is a room with messages")
        if not 1 <= messages <= len(message_events):
            raise InputError(f"{messages} messages back: accepted are 1 to {len(message_events)}")
        return self.branch(message_events[-messages].parent)

    def close(self) -> None:
        """Let the log go."""
        self.log.close()

    def _turn(self, read_to: int | None = None) -> Event | None:
        speaker_name = ""
        try:
            with self._lock:
                line, state = self._branch.line, self.state
                if read_to is not None and read_to < state.tip:
                    line = [event for event in line if event.number <= read_to]
                    state = state_of(line)
                speaker = self._ready(state)
            if speaker is None:
                return None
            speaker_name = speaker.name
            with stoppable(self._stop.is_set), self._hold():
                return self._take_reply(speaker, state, line)
        except InputError:  # the log cannot be written
            raise
        except StoppedError as error:
            self._no_reply(speaker_name, str(error), Usage())
        except Exception as error:
            if error is self._watch_error:
                raise
            self._end_in_fault(speaker_name, error)
        return None

    def _end_in_fault(self, speaker_name: str, error: Exception) -> None:
        """Worldline itself failed: say so once, and wait for a person."""
        turn = f"{speaker_name}'s turn" if speaker_name else "a turn"
        text = f"{turn} ended in a fault of worldline's own: {fault_line(error)}"
        with self._lock:
            playing = self.state.playing == "playing"
            pause = [PlayState("paused", "a fault of worldline's own")] if playing else []
            self.append(Notice("broken", text, 0, speaker_name), *pause)
            self._branch.expire("its turn ended in a fault")

    def _tell(self, update: Event | Provisional) -> None:
        try:
            self._watch(update)
        except Exception as error:
            self._watch_error = error
            raise

    def _ready(self, state: State) -> Participant | None:
        """Who speaks; where nobody may, the room says why and pauses."""
        speaker, reason = next_speaker(state), over_budget(state)
        able = sum(not participant.muted for participant in state.present)
        if not reason and speaker is None:
            reason = "nobody here can speak"
        if not reason and state.failures >= able:
            reason = "no reply came from anybody"
        if reason:
            self.append(Notice("ended", reason), PlayState("paused", reason))
            return None
        return speaker

    def _take_reply(self, me: Participant, state: State, line: Sequence[Event]) -> Event | None:
        """A reply, and everything that it brings with it."""
        try:
            model = self.catalog.model(me.model)
            settings = _settings(me, state, model)
            prompt = seen_by(me, state, line, model, settings.max_tokens)
            self._tell_cut(me, prompt, line)
            unknown = None if getattr(model, "template_hidden", False) else False
            thinks = begins_thinking(_words_of(me, model, line), unknown)
            reply = heard(model, prompt, settings, me.name, self._tell, self._stop.is_set, thinks)
        except (ReplyError, InputError) as error:
            return self._no_reply(me.name, str(error), Usage())
        reply = replace(reply, usage=reply_usage(reply, model, prompt.messages))
        if reply.failure and (self._stop.is_set() or not reply.text.strip()):
            return self._no_reply(me.name, reply.failure, reply.usage)
        if reply.failure:
            reply = replace(reply, usage=replace(reply.usage, ending=BROKEN_OFF))
        with self._lock:
            names = (*state.names, *self.catalog.names())
            read_range = (prompt.read_from, state.tip)
            number = self.log.last + 1
            bodies = as_events(
                reply, me, model, settings, names, self.catalog.names(), number, read_range
            )
            events = self.append(*_as_it_was(bodies, reply, me, model, number, line))
            self._unmute()
        self._run([event for event in events if isinstance(event.body, Command)])
        if self._attribute is not None:
            self._append_flow(events[0].number, self._attribute, model, reply.usage)
        return events[0]

    def _append_flow(self, message: int, attribute: Attribute, model: Model, usage: Usage) -> None:
        try:
            flow_or_reason = attribute(model, usage)
        except (InputError, RefusedError, StoppedError) as error:
            flow_or_reason = " ".join(str(error).split())
        flow_body = (
            FlowRecord(message, reason=flow_or_reason)
            if isinstance(flow_or_reason, str)
            else FlowRecord(message, flow_or_reason)
        )
        self.append(flow_body)

    def _tell_cut(self, me: Participant, prompt: ReplyPrompt, line: Sequence[Event]) -> None:
        """Say once for each new place from where a speaker reads no further back."""
        last = next(
            (
                event.body.about
                for event in reversed(line)
                if isinstance(event.body, Notice)
                and event.body.code == "context"
                and event.body.who == me.name
            ),
            0,
        )
        if prompt.read_from and prompt.read_from != last:
            text = f"{me.name} cannot read all of this; it reads from event {prompt.read_from} on"
            self.append(Notice("context", text, prompt.read_from, me.name))

    def _no_reply(self, speaker_name: str, reason: str, usage: Usage) -> None:
        text = f"{speaker_name} did not answer: {_line(reason)}"
        took = usage.tokens_in, usage.tokens_out, usage.price
        self.append(Notice("no_reply", text, 0, speaker_name, None, *took))

    def _unmute(self) -> None:
        """Whoever is silent and was just addressed may speak again."""
        silent = [participant for participant in self.state.present if participant.muted]
        for participant in mentioned_participants(self.state.last_text, silent):
            if participant.name != self.state.last_speaker:
                self.append(Setting("muted", False, participant.name))

    def _run(self, commands: Sequence[Event]) -> None:
        for place, event in enumerate(commands):
            if isinstance(event.body, Command):
                state = self.state
                self.append(*run(event.number, event.body, state, place, self._means))

    def _present(self, name: str) -> Participant:
        participant = self.state.find(name)
        if participant is None:
            present_names = ", ".join(member.name for member in self.state.present) or "nobody"
            raise InputError(f"{name!r} is not here; present: {present_names}")
        return participant


def _as_it_was(
    bodies: Sequence[Body],
    reply: Reply,
    me: Participant,
    model: Model,
    number: int,
    line: Sequence[Event],
) -> list[Body]:
    """The events of a reply, with what of it is not as it was meant to be: said, and not claimed.

    No command of a reply that broke off is run: nobody knows how it would have gone on.
    """
    usage, notice_texts = (
        reply.usage,
        {entry.body.text for entry in line if isinstance(entry.body, Notice)},
    )
    unset: dict[str, Any] = {
        entry: None for entry in ("temperature", "seed") if entry in usage.left_out
    }
    message_fields = {"estimated": usage.estimated, **unset}
    new_bodies = [
        replace(entry, **message_fields) if isinstance(entry, Message) else entry
        for entry in bodies
    ]
    if usage.left_out:
        text = f"{model.name} does not take {', '.join(usage.left_out)}: asked without"
        new_bodies += (
            [Notice("left_out", text, number, me.name)] if text not in notice_texts else []
        )
    if not reply.failure:
        return new_bodies
    non_commands = [entry for entry in new_bodies if not isinstance(entry, Command)]
    quiet = "; its commands were not run" if len(non_commands) < len(new_bodies) else ""
    text = f"{me.name}'s reply broke off: {_line(reply.failure)}{quiet}"
    return [*non_commands, Notice("broken_off", text, number, me.name)]


def _line(reason: str) -> str:
    return " ".join(reason.split())[:300]


def _words_of(me: Participant, model: Model, line: Sequence[Event]) -> Iterator[Message]:
    """What somebody said with its model, the latest first; then what others said with it."""
    messages = [entry.body for entry in reversed(line) if isinstance(entry.body, Message)]
    same_model = [entry for entry in messages if entry.model == model.name]
    yield from (entry for entry in same_model if entry.who == me.name)
    yield from (entry for entry in same_model if entry.who != me.name)


def _settings(me: Participant, state: State, model: Model) -> Settings:
    """How the next reply is drawn; it leaves half of a short context for reading."""
    longest = int(state.settings["max_tokens"])
    if model.context_tokens is not None:
        longest = min(longest, max(1, model.context_tokens // 2))
    return Settings(me.temperature, reply_seed(state, me), longest, me.turns)
