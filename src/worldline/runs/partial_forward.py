"""Blocks of a recorded run on some of its columns alone, and gradients there."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from worldline.models.attention import private_keys, tap_attention
from worldline.models.constant_weights import held_weights
from worldline.models.gradients import ROW, Rerun, fill_unused, rerun_of
from worldline.models.row_comparison import other_at
from worldline.models.tracer import stream_output, watched_forward
from worldline.models.unembed import tail_of
from worldline.models.validation import anatomy_of, checked_report
from worldline.runs.edit_hooks import weighted_values
from worldline.runs.forward_passes import inputs_of
from worldline.runs.plan import Plan
from worldline.steps import step

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.models.attention import AttentionCall
    from worldline.models.gradients import Gradients, Measure
    from worldline.models.loader import LoadedModel
    from worldline.models.tracer import BlockEvent

Axes = dict[Any, int]
N_OTHER = 3  # tokens of a text to compare with: of one or two, a mask may be left out
#: What a block that does not run on some columns raises.
UNFIT = (RuntimeError, TypeError, ValueError, IndexError)


def axes_of(model: LoadedModel, ids: Sequence[int], reruns: Sequence[Rerun]) -> list[Axes]:
    """Per block, which axis of what it was given belongs to positions, by the place of the tensor.

    `reruns` are the blocks of the run of `ids`; a text of another length shows what changes.
    """
    n_other = N_OTHER if len(ids) != N_OTHER else N_OTHER + 1
    other_plan = Plan((tuple(ids) * n_other)[:n_other])
    layer_axes: list[Axes] = []

    def compare(event: BlockEvent) -> None:
        rerun, mine = rerun_of(event), reruns[event.layer]
        assert rerun is not None
        axes: Axes = {}
        theirs = dict(_tensors((rerun.args, rerun.kwargs)))
        for key, tensor in _tensors((mine.args, mine.kwargs)):
            if key not in theirs or theirs[key].ndim != tensor.ndim:
                continue
            pairs = enumerate(zip(tensor.shape, theirs[key].shape, strict=True))
            changed_axes = [axis for axis, (a, b) in pairs if a != b]
            if changed_axes:
                axes[key] = changed_axes[0]  # of a mask, that of the queries
        layer_axes.append(axes)

    inputs, anatomy = inputs_of(model, other_plan), anatomy_of(model.module)
    watched_forward(model.module, inputs, anatomy, terms=False, on_block=compare)
    return layer_axes


def on_columns(rerun: Rerun, axes: Axes, where: Tensor, x: Float[Tensor, "1 rows d_model"]):
    """What the block returns for the columns `where`, whose rows are `x`."""
    args, kwargs = _slice_columns((rerun.args, rerun.kwargs), axes, where, x)
    return stream_output(rerun.module(*args, **kwargs))


def column_gradients(
    model: LoadedModel,
    ids: Sequence[int],
    measure: Measure,
    reruns: Sequence[Rerun | None],
    calls: Sequence[Sequence[AttentionCall]],
    rows: Sequence[Float[Tensor, "pos d_model"]],
    columns: range,
) -> Gradients | None:
    """(Value, per block the gradients at what its reads returned in `columns`, elsewhere 0).

    For a target that depends on the last row in `columns` alone: `measure` takes their logits,
    [column, d_vocab]. What earlier columns wrote as K and V stays as it was recorded, which changes
    no gradient in `columns`; so only these run again. `reruns`, `calls` and `rows` are those of the
    recorded run of `ids`.

    Exactness: as that of the whole pass, to within the rounding of two equivalent runs; every
    block's rows are compared with the recorded ones, position by position, to within that rounding
    (that the model is still the one of that run must be known). None where they differ, or where
    the model's blocks cannot run on some columns: the whole pass must be asked.
    """
    report, tail = checked_report(model), tail_of(model.module)
    blocks = [rerun for rerun in reruns if rerun is not None]
    if tail is None or not report.separable or report.opaque_layers or len(blocks) < len(reruns):
        return None
    if any(c.source != "key" or c.kv_layer != layer for layer, cs in enumerate(calls) for c in cs):
        return None
    places = axes_of(model, ids, blocks)
    where = torch.arange(columns.start, columns.stop, device=rows[0].device)
    layer_gradients: list[list[Tensor]] = []
    with held_weights(model.module), private_keys(model.module), torch.enable_grad():
        end = rows[-1][None, where].detach().requires_grad_()
        value = measure(tail(end)[0])
        (gradient,) = torch.autograd.grad(value, end)
        for layer in reversed(range(len(blocks))):
            step()
            x = rows[layer][None, where].detach().requires_grad_()
            reads = _Reads(calls[layer], where)
            try:
                with tap_attention(reads.tap):
                    out = on_columns(blocks[layer], places[layer], where, x)
            except UNFIT:
                return None
            if out is None or not reads.is_complete:
                return None
            if other_at(layer + 1, out[0], rows[layer + 1][where], allow_rounding=True):
                return None
            leaves = [x, *reads.zs]
            raw = torch.autograd.grad(out, leaves, gradient, allow_unused=True)
            gradient, *at_reads = fill_unused(raw, leaves)
            layer_gradients.append(reads.full_gradients(at_reads))
    return float(value.detach()), layer_gradients[::-1]


class _Reads:
    """The reads of one block at columns in a row, over K and V recorded before them."""

    def __init__(self, calls: Iterable[AttentionCall], where: Tensor):
        self.calls, self.where = list(calls), where
        self.first, self.stop = int(where[0]), int(where[-1]) + 1
        self.zs: list[Tensor] = []

    @property
    def is_complete(self) -> bool:
        """Whether every read came."""
        return len(self.zs) == len(self.calls)

    def tap(self, _delegate, _module, query, key, value, *_args, **_kwargs):
        """One read, in place of the model's own."""
        call = self.calls[len(self.zs)]
        k = torch.cat([call.k[:, :, : self.first], key], 2)
        v = torch.cat([call.v[:, :, : self.first], value], 2)
        q = torch.cat([torch.zeros_like(call.q[:, :, : self.first]), query], 2)
        extended_call = dataclasses.replace(call, k=k, v=v)
        pattern = extended_call.softmaxed(extended_call.scores_at(self.where, q=q[0]))
        z = weighted_values(pattern, v[0])[None].to(v.dtype)
        self.zs.append(z)
        return call.from_heads(z), None

    def full_gradients(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Gradients of all columns, in the layout that the block sees."""
        in_layout = []
        for call, gradient in zip(self.calls, gradients, strict=True):
            full_gradient = torch.zeros_like(call.z)
            full_gradient[:, :, self.first : self.stop] = gradient
            in_layout.append(call.from_heads(full_gradient))
        return in_layout


def _tensors(value: Any, key: tuple[Any, ...] = ()):
    """(place, tensor) of every tensor in nested tuples, lists and dictionaries."""
    if isinstance(value, torch.Tensor):
        yield key, value
    elif isinstance(value, (tuple, list)):
        for n, element in enumerate(value):
            yield from _tensors(element, (*key, n))
    elif isinstance(value, dict):
        for n, element in value.items():
            yield from _tensors(element, (*key, n))


def _slice_columns(value: Any, axes: Axes, where: Tensor, row: Tensor, key=()) -> Any:
    """The same, with only the columns `where` of what belongs to positions, and `row` in place."""
    if value is ROW:
        return row
    if isinstance(value, torch.Tensor):
        return value if key not in axes else value.index_select(axes[key], where)
    if isinstance(value, (tuple, list)):
        parts = [
            _slice_columns(element, axes, where, row, (*key, n)) for n, element in enumerate(value)
        ]
        return tuple(parts) if isinstance(value, tuple) else parts
    if isinstance(value, dict):
        return {
            n: _slice_columns(element, axes, where, row, (*key, n)) for n, element in value.items()
        }
    return value
