"""Token ids that were made elsewhere, in any of the forms in which tools hand them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import index
from typing import Any

from worldline.errors import InputError

ACCEPTED = "accepted are a text, Tokens, or the ids of one text: a list, a tensor, an encoding"


def ids_of(value: Any) -> list[int]:
    """The ids of one text.

    >>> ids_of([5, 6]), ids_of({"input_ids": [[5, 6]], "attention_mask": [[1, 1]]})
    ([5, 6], [5, 6])

    Raises: InputError where they are not that.
    """
    if isinstance(value, Mapping) and "input_ids" in value:
        mask = value.get("attention_mask")
        if mask is not None and not all(_row(mask)):
            raise InputError("text: an encoding with padding; accepted are the ids of one text")
        value = value["input_ids"]
    row = _row(value)
    try:
        if any(isinstance(token, bool) for token in row):
            raise TypeError
        return [index(token) for token in row]
    except TypeError:
        kind = type(row[0]).__name__
        raise InputError(f"text: a {type(value).__name__} of {kind}; {ACCEPTED}") from None


def _row(value: Any) -> Sequence[Any]:
    """A list, array or tensor of one text's numbers, as a sequence."""
    values = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(values, (list, tuple, range)):
        raise InputError(f"text of type {type(value).__name__}; {ACCEPTED}")
    if values and isinstance(values[0], (list, tuple)):
        if len(values) != 1:
            raise InputError(f"text: ids of {len(values)} texts; accepted are those of one")
        return values[0]
    return values
