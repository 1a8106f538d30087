"""Whether the rows of a run are the recorded ones: to the last bit, else position by position.

A row's positions differ in size by thousands (the first often takes all attention and is huge), so
that no size of a whole row, [pos, d_model], says anything of one position in it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

# In steps of the dtype (its eps; of float64 that of float32, in which many types compute norms and
# scores whatever the weights are), of the norm of a position's own row.
ROUNDING = {torch.bfloat16: 4.0, torch.float16: 4.0}
FINE = 64.0  # of float32 and float64, where more sums follow each other than roundings


def step_of(dtype: torch.dtype) -> float:
    """One step of a dtype at 1, in which differences of equivalent runs are counted."""
    return torch.finfo(torch.float32 if dtype is torch.float64 else dtype).eps


def rounding_allowed(dtype: torch.dtype) -> float:
    """What equivalent runs may differ by at a position, of the norm of its row."""
    return ROUNDING.get(dtype, FINE) * step_of(dtype)


def worse(error: float, other: float) -> float:
    """The larger of two errors: NaN is larger than any number, wherever it stands.

    >>> worse(1.0, math.nan), worse(math.nan, 1.0), worse(1.0, 2.0)
    (nan, nan, 2.0)
    """
    return error if error != error or other <= error else other


def worst_position(
    current_row: Float[Tensor, "pos d_model"], recorded_row: Float[Tensor, "pos d_model"]
) -> tuple[float, int]:
    """(By how much of its own norm a row differs at its worst position, that position).

    0 where all is equal to the last bit; infinite where shapes differ or a number is none.
    """
    current_row, recorded_row = current_row.detach(), recorded_row.detach().to(current_row.device)
    if torch.equal(current_row, recorded_row):
        return 0.0, 0
    if current_row.shape != recorded_row.shape or current_row.dtype != recorded_row.dtype:
        return math.inf, 0
    size = recorded_row.double().norm(dim=-1)
    error = (current_row.double() - recorded_row.double()).norm(dim=-1) / torch.where(
        size > 0, size, 1.0
    )
    error = error.nan_to_num(math.inf, math.inf).flatten()
    worst = int(error.argmax())
    # what differs in a bit and in no number (-0 and 0) differs all the same
    return max(float(error[worst]), math.ulp(0.0)), worst


def other_row(
    current_rows: Sequence[Tensor], recorded_rows: Sequence[Tensor], *, allow_rounding: bool = False
) -> str | None:
    """Which of some rows is not the recorded one, and by how much, in words; None where none is.

    `allow_rounding`: rows may differ by the rounding of equivalent runs, else by no bit.
    """
    if len(current_rows) != len(recorded_rows):
        return f"{len(current_rows)} rows are there, not {len(recorded_rows)}"
    for row, (mine, theirs) in enumerate(zip(current_rows, recorded_rows, strict=True)):
        if words := other_at(row, mine, theirs, allow_rounding=allow_rounding):
            return words
    return None


def other_at(
    row: int, current_row: Tensor, recorded_row: Tensor, *, allow_rounding: bool
) -> str | None:
    """The same of one row, whose number is `row`."""
    error, pos = worst_position(current_row, recorded_row)
    tolerance = rounding_allowed(recorded_row.dtype) if allow_rounding else 0.0
    if error <= tolerance:
        return None
    return f"row {row} at position {pos} is {error:.1e} away, allowed are {tolerance:.0e}"
