"""SQLite files that may be somebody else's: looked at before anything is changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote


def open_read_only(path: str | Path) -> sqlite3.Connection:
    """A connection that changes nothing of a file, and sees what others write to it meanwhile.

    Of a file in WAL mode it may leave the files beside it that a reader needs.
    """
    return _opened(path, "mode=ro")


def open_untouched(path: str | Path) -> sqlite3.Connection:
    """A connection for a glance at a file, which stays as it is, and alone where it is alone.

    Where a log of writes lies beside it, to be read with it, SQLite may add the index of that.
    """
    waiting = Path(f"{path}-wal").exists()
    return _opened(path, "mode=ro" if waiting else "mode=ro&immutable=1")


def _opened(path: str | Path, how: str) -> sqlite3.Connection:
    where = f"file:{quote(str(Path(path).absolute()))}?{how}"
    return sqlite3.connect(where, uri=True, isolation_level=None, timeout=10.0)
