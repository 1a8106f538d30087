"""Files are whole or as they were: under links, devices, full disks, kills and competitors."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from worldline.atomic_file import path_for, refuse_unwritable, stream_to, write_bytes, write_text
from worldline.errors import InputError

needs_posix = pytest.mark.skipif(os.name == "nt", reason="links, modes and devices of POSIX")


def _names(folder: Path) -> set[str]:
    return {one.name for one in folder.iterdir()}


def _child(code: str, *arguments: str | Path) -> subprocess.Popen[str]:
    head = "from worldline.atomic_file import *; import sys, os, time\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_what_was_there_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    place = tmp_path / "page.html"
    place.write_bytes(b"old")
    (tmp_path / "page.html.part").write_bytes(b"the user's")
    refuse_unwritable(place)
    assert write_text(place, "one\r\ntwo\né") == place
    assert place.read_bytes() == b"one\r\ntwo\n\xc3\xa9"
    assert (tmp_path / "page.html.part").read_bytes() == b"the user's"
    assert _names(tmp_path) == {"page.html", "page.html.part"}


def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path) -> None:
    place = tmp_path / "f"
    write_bytes(place, b"old")
    for stop in (KeyboardInterrupt(), ValueError()):
        for write in (_stream, _by_a_library):
            with pytest.raises(type(stop)):
                write(place, b"half of the new", stop)
    assert place.read_bytes() == b"old"
    assert _names(tmp_path) == {"f"}


def _stream(place: Path, content: bytes, stop: BaseException | None = None) -> None:
    with stream_to(place) as out:
        out.write(content)
        if stop is not None:
            raise stop


def _by_a_library(place: Path, content: bytes, stop: BaseException | None = None) -> None:
    with path_for(place) as part:
        part.write_bytes(content)
        if stop is not None:
            raise stop


def test_nothing_has_the_name_before_all_is_written(tmp_path: Path) -> None:
    place = tmp_path / "f"
    with stream_to(place) as out:
        out.write(b"half")
        out.flush()
        assert not place.exists()
    with path_for(place) as part:
        part.write_bytes(b"by a library")
        assert place.read_bytes() == b"half"
    assert place.read_bytes() == b"by a library"


@needs_posix
def test_a_new_file_has_the_usual_mode_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    place = tmp_path / "f"
    before = os.umask(0o027)
    try:
        write_bytes(place, b"1")
        assert stat.S_IMODE(place.stat().st_mode) == 0o640
        place.chmod(0o604)
        with path_for(place) as part:
            assert stat.S_IMODE(part.stat().st_mode) == 0o600
            part.write_bytes(b"2")
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.stat().st_mode) == 0o604


@needs_posix
def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    real, link, chain = tmp_path / "kept" / "real", tmp_path / "link", tmp_path / "chain"
    real.write_bytes(b"old")
    link.symlink_to("kept/real")
    chain.symlink_to(link)
    write_bytes(chain, b"new")
    assert real.read_bytes() == b"new"
    assert link.is_symlink()
    assert chain.is_symlink()
    ahead = tmp_path / "ahead"
    ahead.symlink_to(tmp_path / "kept" / "not yet")
    write_bytes(ahead, b"made")
    assert (tmp_path / "kept" / "not yet").read_bytes() == b"made"
    round_ = tmp_path / "round"
    round_.symlink_to(round_)
    with pytest.raises(InputError, match="round: cannot be written"):
        write_bytes(round_, b"")
    assert round_.is_symlink()


@needs_posix
def test_the_null_device_and_an_open_stream_are_written_to() -> None:
    write_bytes("/dev/null", b"gone")
    assert Path("/dev/null").is_char_device()
    reader, writer = os.pipe()
    for write in (write_bytes, _by_a_library):
        refuse_unwritable(f"/dev/fd/{writer}")
        write(Path(f"/dev/fd/{writer}"), b"12")
        assert os.read(reader, 9) == b"12"
    with pytest.raises(InputError, match="is only read"):
        refuse_unwritable(f"/dev/fd/{reader}")
    os.close(reader)
    os.close(writer)
    with pytest.raises(InputError, match="Bad file descriptor"):
        refuse_unwritable(f"/dev/fd/{writer}")


@needs_posix
def test_a_pipe_a_socket_and_a_device_are_refused_for_nobody_may_be_at_the_other_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # for a socket's name is short
    os.mkfifo("pipe")
    Path("link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for place in ("pipe", "link", "socket", "/dev/full", "/dev/tty"):
            for refused in (refuse_unwritable, lambda name: write_bytes(name, b"")):
                with pytest.raises(InputError, match=r"cannot be written \(is a"):
                    refused(place)
    assert _names(tmp_path) == {"pipe", "link", "socket"}


@needs_posix
def test_a_link_into_a_folder_that_is_not_there_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").symlink_to(tmp_path / "none" / "file")
    (tmp_path / "folder").symlink_to(tmp_path / "none")
    for place in (tmp_path / "file", tmp_path / "folder" / "file", tmp_path / "folder" / "a" / "b"):
        with pytest.raises(InputError, match="is no folder"):
            refuse_unwritable(place)
    assert _names(tmp_path) == {"file", "folder"}


@needs_posix
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_goes_on_where_it_stands_when_it_is_a_file(
    tmp_path: Path, name: str
) -> None:
    if not Path(name).exists():
        pytest.skip(f"this system has no {name}")
    code = (
        "print('first', flush=True); refuse_unwritable(sys.argv[1]);"
        "write_text(sys.argv[1], 'the page\\n'); print('last')"
    )
    head = "from worldline.atomic_file import *; import sys\n"
    place = tmp_path / "out"
    with place.open("wb") as out:
        subprocess.run([sys.executable, "-c", head + code, name], stdout=out, check=True)
    assert place.read_text() == "first\nthe page\nlast\n"


@needs_posix
def test_a_full_disk_leaves_the_old_file_and_one_line(tmp_path: Path) -> None:
    place = tmp_path / "f"
    place.write_bytes(b"old")
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: write_bytes(sys.argv[1], b'x' * 9000)\n"
        "except ValueError as error: print(error)"
    )
    out, err = _child(code, place).communicate()
    assert (out, err) == (f"{place}: cannot be written (File too large)\n", "")
    assert place.read_bytes() == b"old"
    assert _names(tmp_path) == {"f"}


def test_where_nothing_can_be_written_is_said_before_any_work(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    for place in (tmp_path, f"{file}/x", f"{tmp_path}/{'n' * 300}", "a\0b", "\ud800"):
        for refused in (lambda p=place: refuse_unwritable(p), lambda p=place: write_bytes(p, b"")):
            with pytest.raises(InputError, match="cannot be written") as error:
                refused()
            assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="character 1 is half of a pair"):
        write_text(tmp_path / "f", "a\ud800")
    refuse_unwritable(tmp_path / "new" / "er" / "f")
    with pytest.raises(InputError, match="No such file or directory"):
        write_bytes(tmp_path / "new" / "er" / "f", b"")
    assert _names(tmp_path) == {"file"}


@pytest.fixture
def ordinary_folder() -> Iterator[Path]:
    """A folder of somebody who is no administrator, which the test is too while it runs."""
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:
        administrator = os.geteuid() == 0
        if administrator:
            os.chown(folder, nobody, nobody)
            os.seteuid(nobody)
        try:
            yield Path(folder)
        finally:
            if administrator:
                os.seteuid(0)
            Path(folder).chmod(0o700)


def test_a_folder_or_a_file_that_is_only_read_is_refused(ordinary_folder: Path) -> None:
    (ordinary_folder / "f").write_bytes(b"old")
    (ordinary_folder / "f").chmod(0o444)
    with pytest.raises(InputError, match="Permission denied"):
        write_bytes(ordinary_folder / "f", b"new")
    ordinary_folder.chmod(0o500)
    for refused in (refuse_unwritable, lambda place: write_bytes(place, b"new")):
        with pytest.raises(InputError, match="Permission denied"):
            refused(ordinary_folder / "g")


def test_two_writers_of_one_file_each_leave_a_whole_one(tmp_path: Path) -> None:
    place = tmp_path / "f"
    code = (
        "for _ in range(20):\n"
        "    with stream_to(sys.argv[1]) as out:\n"
        "        for _ in range(50): out.write(sys.argv[2].encode() * 1000)\n"
    )
    writers = [_child(code, place, letter) for letter in "ab"]
    whole = {b"a" * 50_000, b"b" * 50_000}
    looks = 0
    while any(one.poll() is None for one in writers):
        if place.exists():
            assert place.read_bytes() in whole
            looks += 1
    assert [one.communicate()[1] for one in writers] == ["", ""]
    assert looks
    assert place.read_bytes() in whole
    assert _names(tmp_path) == {"f"}


@needs_posix
def test_a_killed_writer_leaves_a_hidden_part_that_nobody_takes_for_the_file(
    tmp_path: Path,
) -> None:
    place = tmp_path / "f"
    place.write_bytes(b"old")
    code = (
        "with stream_to(sys.argv[1]) as out:\n"
        "    out.write(b'half'); out.flush(); print('now', flush=True); time.sleep(60)"
    )
    writer = _child(code, place)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "now\n"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert place.read_bytes() == b"old"
    (left,) = _names(tmp_path) - {"f"}
    assert left.startswith(".worldline-")
    assert left.endswith(".part")
    write_bytes(place, b"new")  # and a later run removes only what it made itself
    assert place.read_bytes() == b"new"
    assert _names(tmp_path) == {"f", left}


@pytest.mark.parametrize("links", [True, False])
def test_an_exclusive_file_replaces_nothing_that_came_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    place = tmp_path / "a.room"
    if not links:  # as on FAT

        def none(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", none)
    assert write_bytes(place, b"new", exclusive=True) == place
    assert place.read_bytes() == b"new"
    with pytest.raises(InputError, match=r"a\.room: .*it is there already"):
        write_bytes(place, b"newer", exclusive=True)
    assert place.read_bytes() == b"new"
    other = tmp_path / "b.room"
    ours = stream_to(other, exclusive=True)
    ours.__enter__().write(b"ours")
    other.write_bytes(b"another's")  # in the moment before ours has its name
    with pytest.raises(InputError, match="it is there already"):
        ours.__exit__(None, None, None)
    assert other.read_bytes() == b"another's"
    assert _names(tmp_path) == {"a.room", "b.room"}


def test_an_exclusive_file_is_no_device() -> None:
    with pytest.raises(InputError, match="it is there already"):
        write_bytes("/dev/null", b"x", exclusive=True)
