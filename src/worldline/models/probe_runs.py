"""A plain run of the probe that stands beside a report: whether the model still computes that.

What a model is made of is described only so far (`identity.py`); what it computes is seen here.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from worldline.models.row_comparison import rounding_allowed

if TYPE_CHECKING:
    from torch import Tensor

N_VALUES = 256  # logits that are kept themselves, for where runs agree only to within rounding


@dataclass(frozen=True)
class Witness:
    """Logits of the probe: a digest of all of them, and some.

    `off` is how far equal runs of the model may differ, `off_threads` those with other numbers of
    threads, which add up in another order.
    """

    digest: str
    values: list[float]
    threads: int
    off: float
    off_threads: float

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    def agrees(self, other: Witness) -> bool:
        """Whether both are of one computation: to the last bit, but for those two roundings."""
        if self.digest == other.digest:
            return True
        allowed = self.off if self.threads == other.threads else max(self.off, self.off_threads)
        if len(self.values) != len(other.values) or not allowed:
            return False
        pairs = zip(self.values, other.values, strict=True)
        return all(abs(mine - theirs) <= allowed for mine, theirs in pairs)


def witness_of(logits: Tensor, off: float = 0.0) -> Witness:
    """What is kept of the logits of the probe; equal runs differ by as much as `off`."""
    flat = logits.detach().reshape(-1)
    raw: Any = flat.cpu().contiguous().view(torch.uint8).numpy()
    return Witness(
        digest=hashlib.blake2b(memoryview(raw), digest_size=16).hexdigest(),
        values=flat[:: max(1, flat.numel() // N_VALUES)].double().tolist(),
        threads=torch.get_num_threads(),
        off=off,
        off_threads=rounding_allowed(flat.dtype) * float(flat.abs().max()),
    )
