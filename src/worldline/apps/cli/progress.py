"""One line on a terminal that says what happens and for how long it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


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
    with Progress(*columns, console=console, transient=True) as shown:

        def say(line: str) -> None:
            for task in shown.task_ids:
                shown.remove_task(task)
            shown.add_task(line, total=None)

        yield say
