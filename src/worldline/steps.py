"""Where long work says that it goes on, a block or a block of rows at a time, and may be stopped.

Whoever waits for it listens with `stepping`; everything that runs calls `step`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

_LISTENER: ContextVar[Callable[[], None] | None] = ContextVar("worldline_steps", default=None)


Thing = TypeVar("Thing")
_EACH = 1024  # of things that cost next to nothing one by one


class StoppedError(Exception):
    """The work was stopped between two steps, by whoever waited for it."""


@contextmanager
def stepping(listener: Callable[[], None]) -> Iterator[None]:
    """Call `listener` at every step taken inside; what it raises ends the work there.

    >>> with stepping(lambda: print("one step")):
    ...     step()
    one step
    """
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def with_steps(items: Iterable[Thing]) -> Iterator[Thing]:
    """The same things, with a step at every 1,024th: for loops over the tokens of a text."""
    for n, item in enumerate(items, 1):
        if n % _EACH == 0:
            step()
        yield item


def step() -> None:
    """One step was taken: a block ran, a block of rows was attributed, a slice was executed."""
    listener = _LISTENER.get()
    if listener is not None:
        listener()
