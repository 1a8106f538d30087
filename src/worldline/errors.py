"""The two ways in which worldline says no; everything below and above may raise them."""

from __future__ import annotations


class InputError(ValueError):
    """What the user gave cannot be used: one line, what was given and what would be accepted.

    The command line prints it without a traceback and exits with code 2.
    """


class RefusedError(RuntimeError):
    """A check failed on this model, so no number is given: the layer, the term, the size."""


def first_line(error: BaseException, limit: int = 240) -> str:
    r"""First line of an error's message, or its type where it has none.

    A line that ends with a colon announces the next, which is then added.

    >>> first_line(ValueError("no such thing\nTraceback and so on"))
    'no such thing'
    >>> first_line(ValueError("One of these is needed:\n(1) a file\n(2) a folder"))
    'One of these is needed: (1) a file'
    """
    lines = [line for line in str(error).splitlines() if line.strip()]
    n_lines = next((n + 1 for n, line in enumerate(lines) if not line.rstrip().endswith(":")), 9)
    text = " ".join(" ".join(lines[:n_lines]).split()) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 1] + "…"
