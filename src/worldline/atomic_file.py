"""The one writer of files: whole or not at all, whoever else writes and whatever stops it.

What is written goes into a hidden file of a random name in the same folder, to the disk, and only
then takes the name that was asked for. Of a process that is killed stays at most that hidden file
(`.worldline-….part`), which nobody reads and nobody removes: it may be deleted by hand.

With `exclusive` what is there already is never replaced, also where it came a moment ago.

A link is followed: the file that it leads to is replaced, the link stays. What is no file (a pipe,
/dev/null, /dev/stdout) is written to directly, for it cannot be replaced.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from worldline.errors import InputError
from worldline.places import expand_path

THERE = "it is there already; accepted is a new file"
_MOST_LINKS = 40
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)


def write_text(place: str | Path, content: str) -> Path:
    """Write a text as UTF-8, its line ends as they are; the path.

    Raises:
        InputError: it cannot be written; what was there before stays.
    """
    try:
        return write_bytes(place, content.encode())
    except UnicodeEncodeError as error:
        raise InputError(
            f"{place}: cannot be written (character {error.start} is half of a pair, no letter)"
        ) from None


def write_bytes(place: str | Path, content: bytes, *, exclusive: bool = False) -> Path:
    """Write bytes; the path.

    Raises:
        InputError: they cannot be written, or something is there and they are to be `exclusive`;
            what was there before stays.
    """
    with stream_to(place, exclusive=exclusive) as out:
        out.write(content)
    return expand_path(place)


@contextmanager
def stream_to(place: str | Path, *, exclusive: bool = False) -> Iterator[BinaryIO]:
    """A stream of bytes that becomes the file when the block ends, and nothing if it raises.

    Raises:
        InputError: it cannot be written, or something is there and it is to be `exclusive`; what
            was there before stays.
    """
    with _words(place):
        target, direct = _resolve_target(place)
        if exclusive and target.exists():
            raise FileExistsError(errno.EEXIST, THERE)
        if direct:
            with _open_directly(target) as out:
                yield out
            return
        with (
            _part_of(target, exclusive) as (handle, _),
            os.fdopen(handle, "wb", closefd=False) as out,
        ):
            yield out


@contextmanager
def path_for(place: str | Path) -> Iterator[Path]:
    """An empty file for a library that writes by name; it becomes `place` when the block ends.

    Raises:
        InputError: it cannot be written; what was there before stays.
    """
    with _words(place):
        target, direct = _resolve_target(place)
        if not direct:
            with _part_of(target) as (_, part):
                yield part
            return
        with tempfile.TemporaryDirectory(prefix="worldline-") as folder:
            temporary_path = Path(folder) / "part"
            yield temporary_path
            with temporary_path.open("rb") as content, _open_directly(target) as out:
                shutil.copyfileobj(content, out)


def refuse_unwritable(place: str | Path) -> None:
    """Raise InputError before any work if a file cannot be written; nothing is made or changed.

    Its folder may still have to be made: that it can be is part of the question. The folder that a
    link leads into is never made.
    """
    with _words(place):
        target, direct = _resolve_target(place)
        if direct:
            return
        path = expand_path(place)
        folder = path.parent
        if path.is_symlink():
            folder = target.parent
        else:
            while not os.path.lexists(folder) and folder != folder.parent:
                folder = folder.parent
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{folder} is no folder")
        handle, part = _new_part(folder)
        os.close(handle)
        part.unlink()


def written_directly(place: str | Path) -> bool:
    """Whether a place is the null device or an open stream: written into, not replaced.

    Raises:
        InputError: it is no place for a file.
    """
    with _words(place):
        return _resolve_target(place)[1]


@contextmanager
def _words(place: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{place}: cannot be written ({error.strerror or error})") from None


def _resolve_target(place: str | Path) -> tuple[Path, bool]:
    """(The real place, links followed; whether what is there is written to, not replaced)."""
    path = expand_path(place)
    try:
        impossible = b"\0" in os.fsencode(path)
    except UnicodeEncodeError:
        impossible = True
    if impossible:
        raise OSError(errno.EINVAL, "no file can have this name")
    for _ in range(_MOST_LINKS):
        path = Path(os.path.realpath(path.parent)) / path.name
        stream = _own_stream(path)
        if stream is not None:
            _refuse_unwritable_stream(stream)
            return path, True
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return path, False
        if not stat.S_ISLNK(mode):
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, "is a folder; name a file")
            if not os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if not stat.S_ISREG(mode) and not path.samefile(os.devnull):
                raise OSError(errno.EINVAL, f"is {_kind(mode)}; name a file")
            return path, not stat.S_ISREG(mode)
        path = path.parent / path.readlink()
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _own_stream(path: Path) -> int | None:
    """The number of this process's open stream that a path such as /dev/stdout leads to."""
    streams = (Path("/dev/fd"), Path(f"/proc/{os.getpid()}/fd"))
    return int(path.name) if path.parent in streams and path.name.isdecimal() else None


def _refuse_unwritable_stream(stream: int) -> None:
    os.fstat(stream)  # raises where it is not open
    if os.name != "nt":
        import fcntl

        if not fcntl.fcntl(stream, fcntl.F_GETFL) & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EBADF, "is only read")


def _kind(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _open_directly(path: Path) -> BinaryIO:
    """What is no file, to be written to; an open stream goes on where it stands."""
    stream = _own_stream(path)
    return os.fdopen(os.dup(stream) if stream is not None else os.open(path, os.O_WRONLY), "wb")


@contextmanager
def _part_of(target: Path, exclusive: bool = False) -> Iterator[tuple[int, Path]]:
    """A new file beside `target`, open: in its place when the block ends, gone if it raises."""
    before = target.stat() if target.exists() else None
    handle, part = _new_part(target.parent)
    try:
        new_mode = stat.S_IMODE(os.fstat(handle).st_mode)
        if before is not None and hasattr(os, "fchmod"):
            os.fchmod(handle, 0o600)  # not open to more people than the old one, while it grows
        try:
            yield handle, part
        finally:
            os.close(handle)
        if before is not None and hasattr(os, "chown"):
            with suppress(OSError):  # only the administrator gives files away
                os.chown(part, before.st_uid, before.st_gid)
        part.chmod(new_mode if before is None else stat.S_IMODE(before.st_mode))
        sync(part)
        _claim_name(part, target) if exclusive else part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    with suppress(OSError):  # the file is whole by now; some file systems sync no folder
        sync(target.parent)


def _claim_name(part: Path, target: Path) -> None:
    """Give a finished file its name, unless something has it."""
    try:
        if os.name == "nt":
            part.rename(target)  # which replaces nothing there
            return
        try:
            os.link(part, target)
        except FileExistsError:
            raise
        except OSError:  # no links here: the name alone first, which only one can make
            os.close(os.open(target, _NEW))
            part.replace(target)
            return
    except FileExistsError:
        raise FileExistsError(errno.EEXIST, THERE) from None
    part.unlink()


def _new_part(folder: Path) -> tuple[int, Path]:
    part = folder / f".worldline-{secrets.token_hex(8)}.part"
    return os.open(part, _NEW | _BINARY, 0o666), part


def sync(path: Path) -> None:
    """Have a file, or a folder's list of names, written to the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
