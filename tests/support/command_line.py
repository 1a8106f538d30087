"""Command lines, run in this process: each loads what it needs, but torch is there already."""

from __future__ import annotations

import io
import shlex
import sys
from pathlib import Path
from typing import Any, NamedTuple


class Said(NamedTuple):
    """What a command line did."""

    code: int | str
    out: str
    err: str


class CommandLine:
    """Runs `worldline` in this process, as if from a shell."""

    def __init__(self, capsys: Any, monkeypatch: Any):
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def __call__(self, *words: object, stdin: bytes | str | None = None) -> Said:
        """Run it with the given words."""
        from worldline.apps.cli import main

        self._monkeypatch.setattr(sys, "argv", ["worldline", *map(str, words)])
        if stdin is not None:
            raw = stdin if isinstance(stdin, bytes) else stdin.encode()
            self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        said = self._capsys.readouterr()
        return Said(code, said.out, said.err)

    def line(self, line: str, folder: Path, *more: object) -> Said:
        """Run a line as a page shows it, in a folder."""
        name, *words = shlex.split(line)
        assert name == "worldline", line
        self._monkeypatch.chdir(folder)
        return self(*words, *more)
