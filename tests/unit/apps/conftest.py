"""A command line, run in this process."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from worldline.apps.cli import main


class Said(NamedTuple):
    """What a command line did."""

    code: int | str
    out: str
    err: str


@pytest.fixture
def command(capsys, monkeypatch) -> Callable[..., Said]:
    """Runs `worldline` with the given words."""

    def command(*words: object, stdin: bytes | str | None = None) -> Said:
        monkeypatch.setattr(sys, "argv", ["worldline", *map(str, words)])
        if stdin is not None:
            raw = stdin if isinstance(stdin, bytes) else stdin.encode()
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return command
