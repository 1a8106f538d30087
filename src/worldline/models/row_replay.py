"""A plain run that can start again from any of its rows, many times side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from worldline.models.attention import private_keys, tap_attention
from worldline.models.gradients import ROW, Rerun, rerun_of
from worldline.models.tracer import (
    BlockEvent,
    Rewrite,
    Watch,
    stream_output,
    watched_forward,
    watching_blocks,
)
from worldline.models.unembed import tail_of

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.models.architecture import Anatomy

Cut = Callable[["Tensor"], "Tensor"]


class Replay:
    """The rows of one text's plain run, and its blocks with what they were given.

    What happens above row `first` needs nothing below it, where blocks stand for themselves.
    """

    def __init__(self, model: torch.nn.Module, anatomy: Anatomy, inputs: dict[str, Any]):
        self.model, self.anatomy = model, anatomy
        self.reruns: list[Rerun | None] = []
        self.rows: list[Tensor] = []
        self.tail = tail_of(model)

        def keep(event: BlockEvent) -> None:
            self.reruns.append(rerun_of(event))
            self.rows += [event.resid_pre, event.resid_post][event.layer > 0 :]

        self.logits = watched_forward(model, inputs, anatomy, terms=False, on_block=keep).logits

    def agrees(self, tolerance: float) -> bool:
        """Whether starting again in the middle, two side by side, gives the same last row."""
        if None in self.reruns or self.tail is None or self.anatomy.end is not None:
            return False
        try:
            last_row = self.from_row(len(self.reruns) // 2, 2)
        except (RuntimeError, TypeError, ValueError, IndexError):
            return False  # a block holds to a batch of one
        true = self.rows[-1]
        return float((last_row - true).norm(dim=-1).max()) <= tolerance * float(
            true.norm(dim=-1).min()
        )

    def from_row(
        self, first: int, batch: int, rewrite: Rewrite | None = None, cut: Cut | None = None
    ) -> Float[Tensor, "batch pos d_model"]:
        """The last row of `batch` copies that start at row `first`; see `watched_forward`."""
        n_pos = self.rows[0].shape[1]
        watch = Watch(self.anatomy, n_pos, terms=False, rewrite=rewrite, cut=cut)
        watch.batch, watch.block = batch, first - 1
        x = self.rows[first].expand(batch, -1, -1).contiguous()
        watch.x = x
        with (
            torch.no_grad(),
            private_keys(self.model),
            tap_attention(watch.tap),
            watching_blocks(watch, self.anatomy),
        ):
            for rerun in self.reruns[first:]:
                assert rerun is not None
                args = tuple(x if arg is ROW else arg for arg in rerun.args)
                kwargs = {n: x if arg is ROW else arg for n, arg in rerun.kwargs.items()}
                out = stream_output(rerun.module(*args, **kwargs))
                assert out is not None
                x = out
        return x
