"""The line that says what happens: ticking on a terminal, plain elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from worldline.apps.cli.progress import elapsed_line


def test_plain_lines_elsewhere():
    out = io.StringIO()
    with elapsed_line(Console(file=out, width=80)) as say:
        say("downloading [98 MB]")
        say("converting")
    assert out.getvalue() == "downloading [98 MB] …\nconverting …\n"


def test_gone_at_the_end_on_a_terminal():
    out = io.StringIO()
    with elapsed_line(Console(file=out, width=80, force_terminal=True)) as say:
        say("downloading [98 MB]")
        say("converting")
    assert "converting" in out.getvalue()
    assert "0:00:0" in out.getvalue()
    assert out.getvalue().endswith("\x1b[2K")
