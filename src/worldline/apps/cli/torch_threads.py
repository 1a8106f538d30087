"""The threads of the processor that torch may use."""

from __future__ import annotations


def set_threads(threads: int | None) -> None:
    """Use so many; torch is imported only where a number is given."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
