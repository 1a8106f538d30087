"""Rooms that talk in a thread of their own, while any number of viewers listen."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from worldline.errors import InputError
from worldline.room.actions import Deeds
from worldline.room.events import Event, Message, Notice, PlayState
from worldline.room.internal_errors import fault_line
from worldline.room.log import Log, Reading
from worldline.room.providers.catalog import Catalog
from worldline.room.providers.chat_model import Model
from worldline.room.reply_events import Provisional
from worldline.room.room import Attribute, Room, Watch
from worldline.room.scenarios import catalog_of, our_scenarios, read_scenario, seat_all
from worldline.room.turns import next_speaker

ENDING = ".room"
MOST_LISTED = 20
ENDING_SECONDS = 0.5  # how long a turn that is over may take to be done
_NAME = re.compile(r"[\w.-]{1,80}")
Models = Mapping[str, Model | Callable[[], Model]]
Hold = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Piece:
    """What of a reply has come so far; `serial` grows with every change, `text` is "" for none."""

    serial: int = 0
    speaker: str = ""
    text: str = ""


class HostedRoom:
    """One open room: it plays in a thread, and keeps what its listeners are told.

    Safe from any thread; what cannot be done raises InputError.
    """

    def __init__(self, name: str, make_room: Callable[[Watch], Room]):
        self.name = name
        self.piece = Piece()
        self.is_closed = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._events: list[Event] = []
        self.room = make_room(self._watch)
        self._events = self.room.log.events()

    @property
    def talking(self) -> bool:
        """Whether turns are being taken."""
        return self._thread is not None and self._thread.is_alive()

    def after(self, number: int) -> list[Event]:
        """The events of the log, of every branch, numbered above `number`."""
        return self._events[max(0, number) :]

    def play(self, turns: int | None = None) -> None:
        """Take turns in the background; nothing where turns are being taken already."""
        with self._lock:
            self._refuse_closed()
            if self.room.state.playing == "stopped" and not self._quiet_soon():
                raise InputError("what was stopped has not ended yet: try again in a moment")
            if not self.talking:
                self.room.resume()  # here, so that a stop from now on is not undone by the thread
                self._thread = threading.Thread(target=self._play, args=(turns,), daemon=True)
                self._thread.start()

    def branch(self, number: int) -> None:
        """Go on from an earlier event.

        Raises: InputError while turns are being taken, or where there is no such event.
        """
        with self._lock:
            self._refuse_closed()
            if not self._quiet_soon():
                raise InputError("the room talks: pause it, then branch")
            self.room.branch(number)

    def status(self) -> dict[str, Any]:
        """How the room stands: who is here, who is next, what was spent, what the limits are."""
        state = self.room.state
        speaker = next_speaker(state)
        return {
            "name": self.name,
            "title": state.settings["topic"] or self.name,
            "tip": state.tip,
            "playing": state.playing,
            "talking": self.talking,
            "present": [
                {
                    "name": participant.name, "model": participant.model,
                    "persona": participant.persona,
                    "temperature": participant.temperature, "muted": participant.muted,
                    "scripted": participant.is_scripted, "replies": participant.turns,
                }
                for participant in state.present
            ],
            "next": None if speaker is None else speaker.name,
            "settings": dict(state.settings),
            "spent": asdict(state.spent),
            "limits": {name: getattr(state.limits, name) for name in LIMITS},
        }  # fmt: skip

    def close(self, reason: str, seconds: float = 10.0) -> None:
        """End the reply that is being written, let the log go, tell the listeners."""
        with self._lock:
            if self.is_closed:
                return
            self.is_closed = True
        self.quiet(reason, seconds)
        self.room.close()

    def quiet(self, reason: str, seconds: float = 10.0) -> None:
        """End the reply that is being written, and wait for its end."""
        if self._thread is not None and self._thread.is_alive():
            self.room.stop(reason)
            self._thread.join(seconds)

    def _quiet_soon(self) -> bool:
        """Whether no turn is being taken; one whose reply was just shown may need a moment."""
        if self._thread is not None:
            self._thread.join(ENDING_SECONDS)
        return not self.talking

    def _play(self, turns: int | None) -> None:
        try:
            self.room.take_turns(turns)
        except Exception as error:  # whatever it was, the room can be gone on with
            if not self.is_closed:
                self.room.append(
                    Notice("broken", fault_line(error)), PlayState("paused", "an error")
                )
        finally:
            self.piece = Piece(self.piece.serial + 1)

    def _watch(self, update: Event | Provisional) -> None:
        if isinstance(update, Event):
            self._events.append(update)
            if isinstance(update.body, (Message, Notice)):
                self.piece = Piece(self.piece.serial + 1)
        elif update.withheld:
            self.piece = Piece(self.piece.serial + 1, update.speaker, WITHHELD)
        elif not update.reasoning:
            going_on = self.piece.speaker == update.speaker and self.piece.text != WITHHELD
            before = self.piece.text if going_on else ""
            self.piece = Piece(self.piece.serial + 1, update.speaker, before + update.text)

    def _refuse_closed(self) -> None:
        if self.is_closed:
            raise InputError("the room is closed: open one")


LIMITS = ("messages", "tokens", "dollars")
WITHHELD = "… thinking or writing: its first reply is shown when it is whole"


class Desk:
    """Where rooms are opened: one at a time, their logs in one folder.

    `models` may be used and invited. `hold` is entered for each turn, so that a model is not run
    from two sides at once.
    """

    def __init__(
        self,
        folder: Path,
        models: Models,
        deeds: Callable[[Catalog], Deeds] = lambda _catalog: Deeds(),
        attribute: Attribute | None = None,
        hold: Hold = nullcontext,
    ):
        self.folder, self.models = folder, models
        self._deeds, self._attribute, self._hold = deeds, attribute, hold
        self._lock = threading.Lock()
        self.open_room: HostedRoom | None = None
        self.closing = False

    def logs(self) -> list[str]:
        """The rooms that can be gone on with, the newest first."""
        paths = sorted(self.folder.glob(f"*{ENDING}"), key=_modified_time, reverse=True)
        return [path.stem for path in paths[:MOST_LISTED]]

    def scenarios(self) -> list[dict[str, str]]:
        """The scenarios that come with the program."""
        scenario_by_name = {name: read_scenario(name) for name in our_scenarios()}
        return [
            {"name": name, "title": scenario.title, "about": scenario.about}
            for name, scenario in scenario_by_name.items()
        ]

    def open(self, scenario: str | None = None, log: str | None = None) -> HostedRoom:
        """Open a room: a new one of a scenario of ours, or a log to go on with.

        What was open before is closed.

        Raises: InputError where neither or both are given, or it is not there.
        """
        if (scenario is None) == (log is None):
            raise InputError("a room: give a scenario or a log, one of them")
        with self._lock:
            if self.closing:
                raise InputError("the server ends")
            name_and_maker = self._new(scenario) if scenario is not None else self._old(log or "")
            if self.open_room is not None:
                self.open_room.close("another room was opened")
            self.open_room = HostedRoom(*name_and_maker)
            return self.open_room

    def close(self) -> None:
        """Close what is open, for good."""
        self.closing = True
        with self._lock:
            if self.open_room is not None:
                self.open_room.close("the server ends")

    def _new(self, name: str) -> tuple[str, Callable[[Watch], Room]]:
        if name not in our_scenarios():
            raise InputError(f"scenario {name[:60]!r}: accepted are {', '.join(our_scenarios())}")
        scenario = read_scenario(name)
        catalog = catalog_of(scenario, self.models)

        def make_room(watch: Watch) -> Room:
            self.folder.mkdir(parents=True, exist_ok=True)
            room = self._room(Log(self.folder / f"{log}{ENDING}"), catalog, watch)
            seat_all(scenario, room)
            return room

        log = _free(self.folder, name)
        return log, make_room

    def _old(self, log: str) -> tuple[str, Callable[[Watch], Room]]:
        path = self.folder / f"{log}{ENDING}"
        if not _NAME.fullmatch(log) or not path.is_file():
            raise InputError(f"log {log[:60]!r}: accepted are {', '.join(self.logs()) or 'none'}")
        if (
            self.open_room is not None
            and self.open_room.name == log
            and not self.open_room.is_closed
        ):
            self.open_room.close("it is opened anew")
        scenario = next(
            (
                scenario_name
                for scenario_name in our_scenarios()
                if log.startswith(f"{scenario_name}-")
            ),
            None,
        )
        catalog = catalog_of(read_scenario(scenario) if scenario else None, self.models)
        Reading(path).close()
        return log, lambda watch: self._room(Log(path), catalog, watch)

    def _room(self, log: Log, catalog: Catalog, watch: Watch) -> Room:
        return Room(log, catalog, self._deeds(catalog), watch, self._attribute, self._hold)


def _free(folder: Path, name: str) -> str:
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    candidates: Sequence[str] = [stem, *(f"{stem}-{n}" for n in range(2, 1000))]
    return next(
        candidate for candidate in candidates if not (folder / f"{candidate}{ENDING}").exists()
    )


def _modified_time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
