"""A log as a file of the user's: where a new one lies, what lies beside it, a look into one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from worldline.places import data_folder, expand_path
from worldline.room.events import Event
from worldline.room.log import Reading


def new_log() -> Path:
    """A place among the user's own data, named by the time."""
    timestamp = time.strftime("%Y-%m-%d-%H%M%S")
    return data_folder() / "rooms" / f"{timestamp}-{os.getpid()}.room"


def files_beside(log: Path) -> list[Path]:
    """What its database, and whoever writes it, keep beside a log."""
    file = os.path.realpath(expand_path(log))
    return [Path(f"{file}{ending}") for ending in ("-wal", "-shm", "-journal", ".writer")]


def events_of(path: Path, warn: Callable[[str], None]) -> list[Event]:
    """What is in a log already; nothing where there is none. `warn` is told of damage."""
    if not path.exists():
        return []
    with open_log(path, warn) as log_reading:
        return log_reading.events()


@contextmanager
def open_log(path: Path, warn: Callable[[str], None]) -> Iterator[Reading]:
    """A log to look into, let go afterwards; `warn` is told of damage."""
    log_reading = Reading(expand_path(path))
    try:
        yield log_reading
        if log_reading.damage:
            warn(log_reading.damage)
    finally:
        log_reading.close()
