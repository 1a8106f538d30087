"""Executes the blocks of a run in any legal order, each on the columns of its slice alone.

One plain run says what every block is given; which of that belongs to positions shows when the same
is asked of a text of another length. Then each block runs by itself on some columns, and its
attention reads K and V that earlier slices wrote.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from worldline.errors import RefusedError
from worldline.models.attention import private_keys, tap_attention
from worldline.models.gradients import Rerun, rerun_of
from worldline.models.tracer import watched_forward
from worldline.models.validation import anatomy_of, checked_report
from worldline.runs.edit_hooks import weighted_values
from worldline.runs.forward_passes import inputs_of
from worldline.runs.partial_forward import UNFIT, axes_of, on_columns
from worldline.runs.plan import Plan
from worldline.steps import step

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.graph.order import Slice
    from worldline.models.attention import AttentionCall
    from worldline.models.loader import LoadedModel
    from worldline.models.tracer import BlockEvent


class _KvWritten(Exception):  # noqa: N818
    """K and V are written, and no more was asked for."""


@dataclass(eq=False)
class FoliatedRun:
    """What a run in slices left: rows [row][pos, d_model] (NaN where no block ran) and logits."""

    rows: list[Float[Tensor, "pos d_model"]]
    logits: Float[Tensor, "pos d_vocab"]
    ran: set[tuple[int, int]]


class Blocks:
    """A text's blocks, ready to run on any of its columns.

    `rows` and `logits` are those of the plain run; `reads(layer, pos)` the columns that a block may
    read there, its own among them.

    Raises:
        RefusedError: the blocks of this model do not stand for themselves, or its attention is not
            reached through its key: no other order than its own can be run.
    """

    def __init__(self, model: LoadedModel, plan: Plan):
        self.model, self.n_pos = model, len(plan.ids)
        report, anatomy = checked_report(model), anatomy_of(model.module)
        self.tolerance = report.tolerance
        if words := report.mixing_words(range(report.n_layers)):
            raise RefusedError(
                f"{model.name}: {words}, so that only the model's own order can be run"
            )
        self.inputs, self.anatomy = inputs_of(model, plan), anatomy
        self.calls: list[list[AttentionCall]] = []
        self.rows: list[Tensor] = []
        self.reruns: list[Rerun] = []

        def keep(event: BlockEvent) -> None:
            rerun = rerun_of(event)
            if rerun is None:
                raise RefusedError(
                    f"layer {event.layer}: its block is not given its row as [batch, pos, d_model],"
                    " so that it cannot be run on some columns"
                )
            self.reruns.append(rerun)
            self.calls.append(event.calls)
            self.rows += [event.resid_pre[0], event.resid_post[0]][event.layer > 0 :]

        watched_run = watched_forward(
            model.module, self.inputs, anatomy, terms=False, on_block=keep
        )
        self.logits = watched_run.logits[0]
        for layer, calls in enumerate(self.calls):
            if any(call.source != "key" or call.kv_layer != layer for call in calls):
                raise RefusedError(
                    f"layer {layer} reads K and V that another layer wrote, or not through its key:"
                    " no other order can be run"
                )
        self.axes = axes_of(model, plan.ids, self.reruns)
        self._reads: dict[tuple[int, int], list[int]] = {}

    @property
    def n_layers(self) -> int:
        """Rows of blocks."""
        return len(self.reruns)

    def reads(self, layer: int, pos: int) -> Sequence[int]:
        """The columns whose K and V block `layer` may read at `pos`."""
        columns = self._reads.get((layer, pos))
        if columns is None:
            at = torch.tensor([pos], device=self.rows[0].device)
            allowed_masks = [call.allowed_at(at)[:, 0].any(0) for call in self.calls[layer]]
            columns = torch.stack(allowed_masks).any(0).nonzero().flatten().tolist()
            self._reads[layer, pos] = columns
        return columns

    @torch.no_grad()
    def run(self, slices: Sequence[Slice], on_slice: Callable[[int], None] | None = None):
        """Run slices that are legal. Exactness: to within the rounding of two equivalent runs."""
        nan = float("nan")
        rows = [self.rows[0], *(torch.full_like(row, nan) for row in self.rows[1:])]
        stores = [[_Store(call) for call in calls] for calls in self.calls]
        ran: set[tuple[int, int]] = set()
        with private_keys(self.model.module):
            for number, order_slice in enumerate(slices):
                step()
                # blocks of one layer run together, and write all K and V before they read any
                for only_kv, cells in ((True, order_slice.only_kv), (False, order_slice.cells)):
                    for layer in sorted({layer for layer, _ in cells}):
                        at = sorted(pos for of, pos in cells if of == layer)
                        out = self._block(layer, at, rows[layer], stores[layer], only_kv)
                        if out is not None:
                            rows[layer + 1][at] = out
                ran |= set(order_slice.cells)
                if on_slice is not None:
                    on_slice(number)
        return FoliatedRun(rows, self._logits(rows[-1]), ran)

    def _logits(self, last: Tensor) -> Tensor:
        """What the model itself makes of a last row."""
        row = 0

        def replace_last(x: Tensor) -> Tensor:
            nonlocal row
            row += 1
            return last[None].to(x.dtype) if row == self.n_layers + 1 else x

        module, anatomy = self.model.module, self.anatomy
        return watched_forward(module, self.inputs, anatomy, terms=False, cut=replace_last).logits[
            0
        ]

    def _block(
        self, layer: int, at: list[int], row: Tensor, stores: list[_Store], only_kv: bool
    ) -> Tensor | None:
        """One block on some columns; with `only_kv` it stops once K and V are written."""
        where, store_iterator = torch.tensor(at, device=row.device), iter(stores)
        waiting = len(stores)

        def tap(_delegate, _module, query, key, value, *_args, **_kwargs):
            nonlocal waiting
            store = next(store_iterator)
            store.write(where, key, value)
            waiting -= 1
            if only_kv:
                if not waiting:
                    raise _KvWritten
                return store.empty_read(query), None
            return store.z(where, query), None

        rerun = self.reruns[layer]
        x = row[where][None]
        with tap_attention(tap):
            try:
                out = on_columns(rerun, self.axes[layer], where, x)
            except _KvWritten:
                return None
            except UNFIT as error:
                if isinstance(error, RefusedError):
                    raise
                raise RefusedError(
                    f"layer {layer} does not run on columns {at} alone: {str(error)[:200]}"
                ) from error
        assert out is not None
        return out[0]


class _Store:
    """K and V of one read, as far as they are written."""

    def __init__(self, call: AttentionCall):
        self.call = call
        self.k, self.v = torch.zeros_like(call.k), torch.zeros_like(call.v)
        self.wrote = torch.zeros(call.k.shape[2], dtype=torch.bool, device=call.k.device)

    def write(self, where: Tensor, key: Tensor, value: Tensor) -> None:
        self.k[:, :, where], self.v[:, :, where] = key, value
        self.wrote[where] = True

    def z(self, where: Tensor, query: Tensor) -> Tensor:
        """What the read returns at these columns, in the layout that the block expects."""
        allowed_columns = self.call.allowed_at(where).any(0).any(0)
        if bool((allowed_columns & ~self.wrote).any()):
            missing = int((allowed_columns & ~self.wrote).nonzero()[0])
            raise RefusedError(f"K and V of column {missing} were read before they were written")
        q = torch.zeros_like(self.call.q)
        q[:, :, where] = query
        call = dataclasses.replace(self.call, q=q, k=self.k, v=self.v)
        pattern = call.softmaxed(call.scores_at(where)).nan_to_num(0.0)
        return self._out(weighted_values(pattern, self.v[0]))

    def empty_read(self, query: Tensor) -> Tensor:
        """A read of nothing, where only K and V are wanted."""
        return self._out(query.new_zeros(*query.shape[1:3], self.v.shape[-1]))

    def _out(self, z: Float[Tensor, "head rows d_value"]) -> Tensor:
        z = z.to(self.v.dtype)[None]
        return z.transpose(1, 2).contiguous() if self.call.layout == "pos_first" else z
