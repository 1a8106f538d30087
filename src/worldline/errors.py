"""The two ways in which worldline says no; everything below and above may raise them."""

from __future__ import annotations


class InputError(ValueError):
    """What the user gave cannot be used: one line, what was given and what would be accepted.

    The command line prints it without a traceback and exits with code 2.
    """


class RefusedError(RuntimeError):
    """A check failed on this model, so no number is given: the layer, the term, the size."""
