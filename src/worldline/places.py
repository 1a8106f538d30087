"""Where what the user keeps lies: verdicts of claims, logs of rooms."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def data_folder() -> Path:
    """The environment variable WORLDLINE_DATA, or the user's data folder; it may not be there."""
    asked = os.environ.get("WORLDLINE_DATA")
    return Path(asked).expanduser() if asked else Path(platformdirs.user_data_dir("worldline"))
