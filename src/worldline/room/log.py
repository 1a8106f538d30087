"""The log of a room: events in one SQLite file, only ever added to, by one writer."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

from worldline.atomic_file import stream_to, write_bytes
from worldline.errors import InputError
from worldline.places import is_file
from worldline.room.events import Body, Event, encode
from worldline.room.log_checks import SQLITE_ERRORS, CheckedEvents, checked_events, event_of
from worldline.sqlite_file import (
    leave_nothing_beside,
    only_name,
    open_read_only,
    open_untouched,
)
from worldline.tokens.sanitize import one_line

MEMORY = ":memory:"
_MARK = 0x776C726D  # "wlrm": tells a room's file from any other
_FORMAT = 1
_MADE = f"""
PRAGMA application_id = {_MARK};
PRAGMA user_version = {_FORMAT};
CREATE TABLE events (
  number INTEGER PRIMARY KEY, parent INTEGER NOT NULL CHECK (parent >= 0 AND parent < number),
  time REAL NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE contents (name TEXT PRIMARY KEY, type TEXT NOT NULL, bytes BLOB NOT NULL);
CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER events_keep BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'append only'); END;
"""
_SCHEMA = "SELECT type, name, coalesce(sql, '') FROM sqlite_master"
_OF_A_BLANK = (  # nothing but 0 in each
    "SELECT count(*) FROM sqlite_master", "PRAGMA application_id", "PRAGMA user_version",
)  # fmt: skip
_MOST_TABLES = 100
_INSERT = "INSERT INTO events VALUES (?, ?, ?, ?, ?)"


class Reading:
    """A log as a reader sees it: whole events only, while a writer may be adding more.

    `damage` says what is wrong with the file, in a line; the events are those before it. A file
    without a byte (a start that died) is a log without events.

    Raises: InputError if the file is no room's log.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        if not is_file(Path(self.path)):
            raise InputError(f"{self.path}: no such file; accepted are logs of a room")
        self.damage = ""
        _refuse_other_file(self.path)
        self._base = open_read_only(self.path) if Path(self.path).stat().st_size else None
        if self._base is not None:
            try:
                _refuse_others(self._base, self.path)
            except InputError:
                self.close()
                raise

    def events(self, after: int = 0) -> list[Event]:
        """Every event numbered above `after`, in order, up to the first that is damaged."""
        if self._base is None:
            return []
        check = checked_events(self._base, after)
        if check.damage:
            n = after + len(check.events)
            self.damage = f"{self.path}: damaged at {check.damage}; read as far as event {n}"
        return check.events

    def content(self, name: str) -> tuple[str, bytes]:
        """The type and bytes of a picture that an outcome names."""
        if self._base is None:
            raise InputError(f"{name[:16]!r}: no picture of that name in this room")
        return _content(self._base, name)

    def close(self) -> None:
        """Let the file go."""
        if self._base is not None:
            self._base.close()
            leave_nothing_beside(self.path)


class Log:
    """The one writer of a log; the file is made if it is not there.

    An event is on the disk before `append` returns. Events given together are written together:
    all of them or, if the process dies, none. A second writer is refused until this one closes
    or its process ends, by whatever link it comes; a file of two names is refused to all.

    A log whose later events are damaged is taken up to the last sound one. The file as it was
    stays beside it under a new name, and `repair_note` says so in a line.

    Raises: InputError if the file is another program's or is being written by someone else.
    """

    def __init__(self, path: str | Path = MEMORY, clock: Callable[[], float] = time.time) -> None:
        self.path = str(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._file = MEMORY if self.path == MEMORY else os.path.realpath(self.path)
        self._claim = _claim_writer(self._file, self.path)
        try:  # from here on nobody else of ours makes or changes the file
            only_name(self.path)
            _refuse_other_file(self.path)
            self._base = _open_log(self._file)
            check = checked_events(self._base)
            self.repair_note = self._repair(check) if check.damage else ""
        except BaseException:
            self._release()
            raise
        self._last = len(check.events)
        self._known = _known(self._file)

    @property
    def last(self) -> int:
        """The number of the newest event; 0 where there is none."""
        return self._last

    def append(self, bodies: Sequence[Body], parent: int | None = None) -> list[Event]:
        """Write `bodies` as the next events, the first under `parent` (else the newest event)."""
        with self._lock:
            before = self._last if parent is None else parent
            events: list[Event] = []
            for body in bodies:
                number = self._last + 1 + len(events)
                events.append(Event(number, before, self._clock(), body))
                before = number
            self._write(events)
            self._last += len(events)
        return events

    def restore(self, events: Sequence[Event]) -> None:
        """Write events of another log, numbers and times as they are, into this empty one."""
        with self._lock:
            self._write(events)
            self._last += len(events)

    def keep(self, content: bytes, type: str) -> str:
        """Store a picture's bytes; the name it has from now on (the same bytes, the same name)."""
        name = hashlib.sha256(content).hexdigest()
        with self._lock, _as_input_error(self.path):
            self._base.execute(
                "INSERT OR IGNORE INTO contents VALUES (?, ?, ?)", (name, type, content)
            )
        return name

    def events(self, after: int = 0) -> list[Event]:
        """Every event numbered above `after`, in order."""
        with self._lock:
            return checked_events(self._base, after).events

    def content(self, name: str) -> tuple[str, bytes]:
        """The type and bytes of a picture that an outcome names."""
        with self._lock:
            return _content(self._base, name)

    def content_of_file(self) -> bytes:
        """All of it as the bytes of a log's file."""
        with self._lock:
            return self._base.serialize()

    def close(self) -> None:
        """Let the file go, for the next writer."""
        with suppress(sqlite3.Error):  # where somebody still reads, closing moves no event there
            self._base.execute("PRAGMA busy_timeout = 0")
            self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._base.close()
        self._release()

    def _write(self, events: Sequence[Event]) -> None:
        rows = [_row(event) for event in events]
        if _known(self._file) != self._known:
            raise InputError(f"{self.path}: it was moved or replaced while this room wrote it")
        with _as_input_error(self.path):
            self._base.execute("BEGIN IMMEDIATE")
            try:
                self._base.executemany(_INSERT, rows)
                self._base.execute("COMMIT")
            except BaseException:
                if self._base.in_transaction:
                    self._base.execute("ROLLBACK")
                raise

    def _repair(self, check: CheckedEvents) -> str:
        """Put the sound events into a new file in this one's place; what was done, in a line."""
        sound = _file_of(check.events, _pictures(self._base))
        self._base.close()
        copy_path = copied_aside(Path(self._file))
        with stream_to(self._file) as out:
            out.write(sound)
            for ending in ("-wal", "-shm"):  # of the old file: the new one is not to read them
                Path(f"{self._file}{ending}").unlink(missing_ok=True)
        self._base = _open_log(self._file)
        n = len(check.events)
        return (
            f"damaged at {check.damage}; it goes on after event {n}, and the file as it was is "
            f"{copy_path.name}"
        )

    def _release(self) -> None:
        if self._claim is not None:
            place = Path(f"{self._file}.writer")
            with suppress(OSError):  # of Windows, where what is open stays
                if not place.stat().st_size:  # else it is somebody else's
                    place.unlink()
            self._claim.release()
            self._claim = None


def line_of(events: Sequence[Event], tip: int | None = None) -> list[Event]:
    """The events that lead to `tip` (else the newest), the first one first: one branch.

    `events` are a whole log, so that event n stands at place n - 1.

    Raises: InputError if there is no event of that number, or one follows itself or a later one.
    """
    at = len(events) if tip is None else tip
    if not 0 <= at <= len(events):
        raise InputError(f"event {at}: this room has the events 1 to {len(events)}")
    line: list[Event] = []
    while at:
        event = events[at - 1]
        if event.number != at or not 0 <= event.parent < at:
            raise InputError(f"event {at}: {event.number} stands there and follows {event.parent}")
        line.append(event)
        at = event.parent
    return line[::-1]


def copied_aside(path: Path) -> Path:
    """A copy beside a file under a name that is free, and what its database has beside it."""
    for n in range(1, 10_000):
        aside = path.with_name(f"{path.name}.damaged-{n}")
        if aside.exists() or Path(f"{aside}-wal").exists():
            continue
        waiting = Path(f"{path}-wal")
        if waiting.exists():
            _copy(waiting, Path(f"{aside}-wal"))
        _copy(path, aside)
        return aside
    raise InputError(f"{path}: no free name beside it; take some of {path.name}.damaged-* away")


def _copy(old: Path, new: Path) -> None:
    with old.open("rb") as content, stream_to(new, exclusive=True) as out:
        shutil.copyfileobj(content, out)


def _row(event: Event) -> tuple[int, int, float, str, str]:
    """The row of an event, which can be read again as it is, or it is not written."""
    body = encode(event.body)
    if event_of((event.number, event.parent, event.time, body), event.number) != event:
        raise InputError(f"a {event.kind} that could not be read again as it is")
    return event.number, event.parent, event.time, event.kind, body


def _pictures(base: sqlite3.Connection) -> list[tuple[str, str, bytes]]:
    """The pictures that can still be read."""
    pictures: list[tuple[str, str, bytes]] = []
    try:
        for row in base.execute("SELECT name, type, bytes FROM contents"):
            pictures.append(row)
    except SQLITE_ERRORS:
        pass  # the file as it was stays beside
    return pictures


def _claim_writer(file: str, path: str) -> FileLock | None:
    """A lock that dies with its process, of an empty file beside."""
    if file == MEMORY:
        return None
    place = Path(f"{file}.writer")
    if is_file(place) and place.stat().st_size:
        raise InputError(f"{place}: holds something, so it is no room's; accepted is an empty file")
    if not place.parent.is_dir():  # which the lock would make
        raise InputError(f"{path}: cannot be written; accepted is a folder that is there")
    # A room may be closed by another thread. A lock of another kind would fill the file.
    lock = FileLock(place, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(f"{path}: another program writes this room; close it first") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
    return lock


def _known(file: str | Path) -> tuple[int, int] | None:
    """What tells a file from any other, whatever its name; None where there is none."""
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


@contextmanager
def _as_input_error(path: str) -> Iterator[None]:
    """What the disk refuses (it is full, or only read), or the file, is said of the file."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise InputError(f"{path}: cannot be written ({error})") from None


def _open_log(path: str) -> sqlite3.Connection:
    if path != MEMORY and not Path(path).exists():
        _make(path)
    with _as_input_error(path):
        return _opened_file(path)


def _make(path: str) -> None:
    """A log without events, whole from its first moment on: a process may die in between."""
    write_bytes(path, _file_of((), ()), exclusive=True)


def _file_of(events: Sequence[Event], pictures: Sequence[tuple[str, str, bytes]]) -> bytes:
    """All of a log's file."""
    base = sqlite3.connect(MEMORY, isolation_level=None)
    try:
        base.executescript(_MADE)
        base.executemany("INSERT OR IGNORE INTO contents VALUES (?, ?, ?)", pictures)
        base.executemany(_INSERT, map(_row, events))
        return base.serialize()
    finally:
        base.close()


def _opened_file(path: str) -> sqlite3.Connection:
    base = sqlite3.connect(path, isolation_level=None, timeout=10.0, check_same_thread=False)
    try:
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = FULL")
        if not base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            base.executescript(f"BEGIN IMMEDIATE;{_MADE}COMMIT;")
    except sqlite3.OperationalError:
        base.close()
        raise
    except SQLITE_ERRORS:
        base.close()
        raise InputError(f"{path}: not a room's log; accepted is a new or an earlier log") from None
    _refuse_others(base, path)
    return base


def _refuse_other_file(path: str) -> None:
    """Raise InputError for another program's file, of which nothing is changed.

    A file without a byte, or without a table and a mark, is a start that died.
    """
    if path == MEMORY or not Path(path).exists() or not Path(path).stat().st_size:
        return
    with _as_input_error(path):
        base = open_untouched(path)
    try:
        if not _is_blank(base):
            _refuse_others(base, path)
    finally:
        base.close()


def _is_blank(base: sqlite3.Connection) -> bool:
    try:
        return not any(base.execute(asked).fetchone()[0] for asked in _OF_A_BLANK)
    except SQLITE_ERRORS:
        return False


def _refuse_others(base: sqlite3.Connection, path: str) -> None:
    """Raise InputError unless a file is a log, and holds what a log holds and nothing that acts.

    A view in a table's place, or a trigger of somebody else's, could run for ever.
    """
    try:
        mark = base.execute("PRAGMA application_id").fetchone()[0]
        version = base.execute("PRAGMA user_version").fetchone()[0]
    except SQLITE_ERRORS:
        mark, version = 0, 0
    if mark == _MARK and version == _FORMAT:
        _refuse_other_tables(base, path)
    if mark != _MARK or version != _FORMAT:
        base.close()
        raise InputError(f"{path}: not a room's log of format {_FORMAT}; accepted are only those")


def _refuse_other_tables(base: sqlite3.Connection, path: str) -> None:
    try:
        schema_objects = set(base.execute(_SCHEMA).fetchmany(_MOST_TABLES))
    except SQLITE_ERRORS as error:
        schema_objects, difference = set[tuple[str, str]](), str(error)
    else:
        missing = {
            schema_object
            for schema_object in _log_schema() - schema_objects
            if schema_object[0] != "trigger"
        }  # a guard may be gone
        odd = sorted((schema_objects - _log_schema()) | missing, key=str)
        difference = ", ".join(one_line(f"{kind} {name}", 40) for kind, name, _ in odd)
    if not schema_objects or difference:
        base.close()
        raise InputError(
            f"{path}: its tables are not those of a room's log ({one_line(difference, 120)}); "
            "accepted are only those"
        )


@cache
def _log_schema() -> frozenset[tuple[str, str, str]]:
    """What a log holds: (kind, name, how it was made)."""
    base = sqlite3.connect(MEMORY, isolation_level=None)
    try:
        base.executescript(_MADE)
        return frozenset(base.execute(_SCHEMA))
    finally:
        base.close()


def _content(base: sqlite3.Connection, name: str) -> tuple[str, bytes]:
    try:
        row = base.execute("SELECT type, bytes FROM contents WHERE name = ?", (name,)).fetchone()
    except SQLITE_ERRORS:
        row = None
    if row is None or [type(value) for value in row] != [str, bytes]:
        raise InputError(f"{name[:16]!r}: no picture of that name in this room")
    return row[0], row[1]
