"""Whether the work that runs here is still wanted: asked between blocks, answered by who began it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_WANTED: ContextVar[Callable[[], None] | None] = ContextVar("wanted", default=None)


@contextmanager
def stoppable(still_wanted: Callable[[], None]) -> Iterator[None]:
    """Ask `still_wanted` between blocks while inside; it raises where the work is to stop."""
    token = _WANTED.set(still_wanted)
    try:
        yield
    finally:
        _WANTED.reset(token)


def may_go_on() -> None:
    """Go on, unless whoever began this work no longer wants it; then raises what they raise."""
    ask = _WANTED.get()
    if ask is not None:
        ask()
