"""One line on a terminal that says what happens and for how long it has."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


EVERY_S = 10.0  # at most so long nothing is said where no line ticks


class Pace:
    """Whether a further line of the same piece of work is due where every line stays."""

    def __init__(self) -> None:
        self.said_at = time.monotonic()

    def due(self, is_new: bool) -> bool:
        """True for a new piece of work, else once `EVERY_S` have gone since the last line."""
        now = time.monotonic()
        if not is_new and now - self.said_at < EVERY_S:
            return False
        self.said_at = now
        return True


@contextmanager
def elapsed_line(console: Console) -> Iterator[Callable[[str], None]]:
    """Give out a progress function whose last line is shown with the time since it was said.

    On a terminal the line ticks and is gone at the end; elsewhere each line is written once. Give
    a console on standard error, so that results on standard output stay clean.
    """
    if not console.is_terminal:
        yield lambda line: console.print(f"{line} …", markup=False, highlight=False)
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:

        def say(line: str) -> None:
            for task in progress.task_ids:
                progress.remove_task(task)
            progress.add_task(line, total=None)

        yield say
