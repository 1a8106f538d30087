"""Keeps transformers' bars, log lines and side trips out of the way while something loads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from worldline.models.exclusive_use import exclusive_everywhere

Progress = Callable[[str], None]
"""Takes one line on what happens now; the caller decides where it is shown."""


def say(progress: Progress | None, line: str) -> None:
    """Hand a line to whoever listens."""
    if progress is not None:
        progress(line)


@contextmanager
def quiet() -> Iterator[None]:
    """No bars and no log lines below errors from transformers; restored afterwards.

    Also keeps transformers from asking a converter on the hub to rewrite pickled weights. All of
    this, and the default dtype that it sets while it makes a model, belongs to the whole process:
    so no other thread runs a model meanwhile. The model is made in the midst of transformers' own
    loading, so that no part of that can be done while others run; what needs no library is done
    outside.
    """
    with exclusive_everywhere():
        yield from _quiet()


def _quiet() -> Iterator[None]:
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    previous_value = os.environ.get("DISABLE_SAFETENSORS_CONVERSION")
    os.environ["DISABLE_SAFETENSORS_CONVERSION"] = "1"
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if previous_value is None:
            del os.environ["DISABLE_SAFETENSORS_CONVERSION"]
        else:
            os.environ["DISABLE_SAFETENSORS_CONVERSION"] = previous_value
