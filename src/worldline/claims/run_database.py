"""Runs, what was measured in them, and their verdicts: one SQLite file in the user's folder."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from worldline.claims.json_numbers import pack, unpack
from worldline.claims.verdict import Run, RunKey, Verdict, pack_finding, unpack_finding
from worldline.errors import InputError
from worldline.places import data_folder
from worldline.sqlite_file import only_name, open_untouched

VERSION = 1
_BUSY_SECONDS = 30.0
_LOOK_SECONDS = 0.2

_TABLES = """
CREATE TABLE runs (
  id TEXT PRIMARY KEY, claim TEXT NOT NULL, model TEXT NOT NULL, weights_hash TEXT NOT NULL,
  config_hash TEXT NOT NULL, code_hash TEXT NOT NULL, record_hash TEXT NOT NULL,
  seed INTEGER NOT NULL, n INTEGER NOT NULL, quick INTEGER NOT NULL, counts TEXT NOT NULL,
  versions TEXT NOT NULL, started TEXT NOT NULL, finished TEXT
) STRICT;
CREATE TABLE items (
  run TEXT NOT NULL REFERENCES runs, key TEXT NOT NULL, measured TEXT NOT NULL,
  PRIMARY KEY (run, key)
) STRICT;
CREATE TABLE verdicts (
  run TEXT PRIMARY KEY REFERENCES runs, word TEXT NOT NULL, finding TEXT NOT NULL,
  reason TEXT NOT NULL, date TEXT NOT NULL
) STRICT;
"""
_NAMES = "SELECT name FROM sqlite_master WHERE type = 'table'"
_MOST_TABLES = 100
_JOINED = "SELECT * FROM runs JOIN verdicts ON runs.id = verdicts.run"
_KEY = "claim, weights_hash, config_hash, code_hash, record_hash, seed, n"


class Store:
    """One file, written by any number of processes; every item is kept as soon as it is measured.

    Of a folder that holds no store nothing is made before the first run.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = data_folder() if folder is None else folder
        self.path = self.folder / "claims.sqlite"
        self._open: sqlite3.Connection | None = None

    def start(self, run: Run) -> Run:
        """Keep a new run, or give the one that is there with the same key."""
        with self._writing() as connection:
            connection.execute(
                f"INSERT OR IGNORE INTO runs (id, {_KEY}, model, quick, counts, versions, started)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (run.id, *asdict(run.key).values(), run.model, int(run.quick), run.counts,
                 json.dumps(dict(run.versions), sort_keys=True), run.started),
            )  # fmt: skip
            (row,) = connection.execute("SELECT * FROM runs WHERE id = ?", (run.id,))
        return _run(row)

    def keep_item(self, run: str, key: str, measurement: Any) -> None:
        """Keep what was measured for one item; what is there already stays as it is.

        Raises:
            TypeError: it is not plain JSON.
        """
        json_text = pack(measurement)
        with self._writing() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO items VALUES (?, ?, ?)", (run, key, json_text)
            )

    def items(self, run: str) -> dict[str, Any]:
        """What was measured in a run, by the items' keys."""
        rows = self._rows("SELECT key, measured FROM items WHERE run = ?", run)
        with self._words():
            return {row["key"]: unpack(row["measured"]) for row in rows}

    def conclude(self, verdict: Verdict) -> None:
        """Keep a run's verdict and that it is finished; its last verdict takes the others' place.

        Raises:
            InputError: the store holds no such run.
        """
        row = (verdict.run.id, verdict.word, pack_finding(verdict.finding), verdict.reason)
        with self._writing() as connection:
            cursor = connection.execute(
                "UPDATE runs SET finished = ? WHERE id = ?", (verdict.date, verdict.run.id)
            )
            if cursor.rowcount != 1:
                raise InputError(f"{self.path}: a verdict without its run {verdict.run.id}")
            connection.execute(
                "INSERT OR REPLACE INTO verdicts VALUES (?, ?, ?, ?, ?)", (*row, verdict.date)
            )

    def verdicts(self) -> list[Verdict]:
        """All of them, the oldest first."""
        rows = self._rows(f"{_JOINED} ORDER BY date, id")
        with self._words():
            return [_verdict(row) for row in rows]

    def verdict(self, run: str) -> Verdict | None:
        """The verdict of one run, where it has one."""
        rows = self._rows(f"{_JOINED} WHERE id = ?", run)
        with self._words():
            return _verdict(rows[0]) if rows else None

    @contextmanager
    def alone(self, run: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Be the only process that makes a run; another one waits until this one ends or dies.

        The lock goes with its process; its empty file stays, for somebody may be waiting at it.
        """
        self._connection()
        place = Path(only_name(self.path)).parent / "locks" / run
        lock = FileLock(place, poll_interval=_LOOK_SECONDS, fallback_to_soft=False)
        with self._words():
            place.parent.mkdir(parents=True, exist_ok=True)
            with suppress(Timeout):
                lock.acquire(blocking=False)
        if not lock.is_locked:
            waiting()
            with self._words():
                lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def close(self) -> None:
        """Let go of the file."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _rows(self, query: str, *values: str) -> list[sqlite3.Row]:
        if self._open is None and not self.path.exists():
            return []
        with self._words():
            return self._connection().execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is kept, or nothing."""
        with self._words():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _words(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error, TypeError, ValueError, LookupError) as error:
            if isinstance(error, InputError) and str(error).startswith(str(self.path)):
                raise
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{self.path}: cannot be used ({reason})") from None

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            with self._words():
                self.folder.mkdir(parents=True, exist_ok=True)
                self._open = _open_database(only_name(self.path))
        return self._open


def _refuse_other_file(path: str) -> None:
    """Raise InputError for a file that is no store of this form, of which nothing is changed."""
    if not Path(path).exists() or not Path(path).stat().st_size:
        return
    connection = open_untouched(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (mark,) = connection.execute("PRAGMA application_id").fetchone()
        held = {name for (name,) in connection.execute(_NAMES).fetchmany(_MOST_TABLES)}
    finally:
        connection.close()
    blank = not held and not version  # of a start that died, or of another process's
    if mark or not (blank or "runs" in held):
        raise InputError(f"{path}: another program's file, not a store of claims")
    if version != VERSION and not blank:
        raise InputError(f"{path}: made by another worldline (version {version})")


def _open_database(path: str) -> sqlite3.Connection:
    _refuse_other_file(path)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        connection.row_factory = sqlite3.Row
        _until_free(lambda: connection.execute("PRAGMA journal_mode = WAL"))
        connection.execute("PRAGMA synchronous = NORMAL")  # what is kept outlives the process
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN IMMEDIATE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _until_free(act: Callable[[], Any]) -> None:
    """Changing to WAL does not wait by itself where another process does the same."""
    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            act()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.05)


def _verdict(row: sqlite3.Row) -> Verdict:
    finding = unpack_finding(row["finding"])
    return Verdict(_run(row), row["word"], finding, row["reason"], row["date"])


def _run(row: sqlite3.Row) -> Run:
    key = RunKey(**{name: row[name] for name in _KEY.split(", ")})
    return Run(
        key=key, model=row["model"], quick=bool(row["quick"]), counts=row["counts"],
        versions=json.loads(row["versions"]), started=row["started"], finished=row["finished"],
    )  # fmt: skip
