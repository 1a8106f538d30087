"""SQLite files that may be somebody else's, or have other names: looked at before all else."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from worldline.errors import InputError
from worldline.places import is_file


def only_name(place: str | Path) -> str:
    """The file that a path leads to, links followed, for a database that others write as well.

    SQLite keeps what is not yet in the file beside its name: writers by two names would each lose
    what the other wrote.

    Raises: InputError if the file has another name (a hard link).
    """
    file = os.path.realpath(place)
    if is_file(Path(file)) and (n_names := Path(file).stat().st_nlink) > 1:
        raise InputError(
            f"{place}: its file has {n_names} names (hard links), and what is written by one is "
            "lost by the other; accepted is a file of one name, such as a copy"
        )
    return file


def open_read_only(path: str | Path) -> sqlite3.Connection:
    """A connection that changes nothing of a file, and sees what others write to it meanwhile.

    Beside a file in WAL mode it makes what a reader needs: see leave_nothing_beside.
    """
    return _opened(path, "mode=ro")


def open_untouched(path: str | Path) -> sqlite3.Connection:
    """A connection for a glance at a file, which stays as it is, and alone where it is alone.

    Where a log of writes lies beside it, to be read with it, SQLite may add the index of that.
    """
    waiting = Path(f"{os.path.realpath(path)}-wal").exists()
    return _opened(path, "mode=ro" if waiting else "mode=ro&immutable=1")


def leave_nothing_beside(path: str | Path) -> None:
    """Have SQLite take away what it made beside a file that was read, and is now closed.

    It does so where one that may write is the last to close. What holds something, of a writer
    that died, stays as it is.
    """
    try:
        if Path(f"{os.path.realpath(path)}-wal").stat().st_size:
            return
        connection = _opened(path, "mode=rw")
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        finally:
            connection.close()
    except (OSError, sqlite3.Error):
        pass  # there is nothing, or this is a place that is only read


def _opened(path: str | Path, how: str) -> sqlite3.Connection:
    where = f"file:{quote(str(Path(path).absolute()))}?{how}"
    return sqlite3.connect(where, uri=True, isolation_level=None, timeout=10.0)
