"""A room killed at any point loses at most the reply being written; resumed, it goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import worldline

HERE = Path(__file__).parent
N_KILLS = 60


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_many_times_nothing_is_lost_or_doubled():
    """The checks are in the program itself (it fails on the first room that breaks a rule)."""
    source = Path(worldline.__path__[0]).parent
    ran = subprocess.run(
        [sys.executable, str(HERE / "killed_rooms.py"), str(N_KILLS), "1"],
        capture_output=True,
        text=True,
        timeout=175,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    told = json.loads(ran.stdout)
    assert told["kills"] >= N_KILLS
    assert told["torch"] is False
    # the kills fell where it matters: after some events were shown, and while commands ran
    assert told["partial"] > N_KILLS / 10
    assert told["expired"] > N_KILLS / 40
