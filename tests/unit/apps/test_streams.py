"""Standard streams of any encoding, closed, cut off, without colours; and Ctrl-C."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from worldline.apps.cli import streams

COUNT = ["count", "--n-layers", "3", "--distance", "4"]
WORLDLINE = [sys.executable, "-m", "worldline.apps.cli"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "cp437", "utf-8"])
def test_whatever_a_stream_cannot_write_is_written_as_something_else(encoding):
    env = os.environ | {"PYTHONIOENCODING": encoding}
    lines = (COUNT, ["count", "--help"], ["trace", "\u4f60", "--by", "\u597d"])
    code = (
        "import sys\nfrom worldline.apps.cli import main\n"
        f"for line in {lines!a}:\n"
        "    sys.argv = ['worldline', *line]\n"
        "    try: main()\n"
        "    except SystemExit as stop: print('code', stop.code)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    said = done.stdout.decode(encoding) + done.stderr.decode(encoding)
    assert re.findall(r"^code (\d+)", said, re.MULTILINE) == ["0", "0", "2"]
    wrong = b"\\u597d" if encoding != "utf-8" else "\u597d".encode()
    assert b"--by " + wrong in done.stderr


def test_what_we_draw_with_keeps_its_width(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), "ascii"))
    streams.prepare_streams()
    sys.stdout.write("│█▏→…·“é” 日 \U0001f389 \udcff")
    sys.stdout.flush()
    assert raw.getvalue() == rb'|#|>.."\xe9" \u65e5 \U0001f389 \udcff'
    assert all(len(plain) == 1 and plain.isascii() for plain in streams.ALIKE.values())


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams(tmp_path, closed):
    """What is written by name stays whole: no file takes the number of a closed stream."""
    words = " ".join([*WORLDLINE, *COUNT, "--json", f"{tmp_path}/f"])
    done = subprocess.run(["sh", "-c", f"{words} {closed}"], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    assert (tmp_path / "f").read_bytes().startswith(b'{"schema": "worldline.count/1"')


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_nobody_reads_on():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as out:
        done = subprocess.run([*WORLDLINE, *COUNT], stdout=out, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["typer", "worldline.apps.cli.commands", "worldline.session"])
def test_ctrl_c_during_imports(name):
    """A module that is imported there says so, and takes its time."""
    code = (
        "import sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {name!r}: print('now', flush=True); time.sleep(60)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "from worldline.apps.cli import main\n"
        "sys.argv = ['worldline', 'trace', 'a']; main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"now\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err in (b"", b"worldline: stopped\n")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_left_out_where_nobody_wants_them(monkeypatch, variables, wanted):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert streams.wants_color(terminal) is wanted
    assert not streams.wants_color(io.StringIO())

    from worldline.apps.cli.progress import elapsed_line

    with elapsed_line(streams.console(stderr=True)) as say:
        say("[bold]loading")
        time.sleep(0.2)
    assert ("\x1b" in terminal.getvalue()) is wanted
    assert "[bold]loading" in terminal.getvalue()
