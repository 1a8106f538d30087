"""Gradients at what attention returned, through the model's own code with its weights held.

Block by block from the last, each run again from its recorded input, where that is the same: one
block's graph is held at a time. Through the whole graph otherwise.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

from worldline.errors import RefusedError
from worldline.models.attention import private_keys, tap_attention
from worldline.models.constant_weights import held_weights
from worldline.models.row_comparison import other_at
from worldline.models.tracer import BlockEvent, stream_output, watched_forward
from worldline.models.unembed import tail_of
from worldline.steps import step

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.models.architecture import Anatomy

Measure = Callable[["Tensor"], "Tensor"]
Gradients = tuple[float, list[list["Tensor"]]]
NO_GRADIENT = "no gradient reaches what this model says: its own code stops it"
NUMBERS_AT_ONCE = 1 << 22  # of gradients at a block's end, in one batched pass


@dataclass(eq=False)
class Rerun:
    """A block that has run, ready to run by itself on another row.

    Attributes:
        module: The block.
        args: What it was given, with a mark in the place of its row.
        kwargs: The same by name.
    """

    module: torch.nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self, x: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """(The block's output on row `x`, what its attention reads returned)."""
        reads: list[Tensor] = []

        def tap(delegate, module, *args, **kwargs):
            result = delegate(module, *args, **kwargs)
            reads.append(result[0] if isinstance(result, tuple) else result)
            return result

        args = tuple(x if arg is ROW else arg for arg in self.args)
        kwargs = {name: x if arg is ROW else arg for name, arg in self.kwargs.items()}
        with tap_attention(tap):
            return stream_output(self.module(*args, **kwargs)), reads


class _Place(enum.Enum):
    """What stands where something goes that is given later; the same one in every copy."""

    ROW = enum.auto()


ROW = _Place.ROW  # where a block's row goes


def rerun_of(event: BlockEvent) -> Rerun | None:
    """The block of an event, to run again; None where its row is no [batch, pos, d_model]."""
    x = event.resid_pre
    args = tuple(ROW if arg is x else arg for arg in event.args)
    kwargs = {name: ROW if arg is x else arg for name, arg in event.kwargs.items()}
    n_row_arguments = sum(arg is ROW for arg in (*args, *kwargs.values()))
    return (
        Rerun(event.module, args, kwargs)
        if n_row_arguments == 1 and event.module is not None
        else None
    )


def whole_gradients(
    model: torch.nn.Module,
    anatomy: Anatomy,
    inputs: dict[str, Any],
    measure: Measure,
    cut: Callable[[Tensor], Tensor] | None = None,
    last: int | None = None,
    on_row: Callable[[Tensor], None] | None = None,
) -> Gradients:
    """(Value, gradients per block and read), by one forward and one backward pass of the model.

    `measure` takes the logits at the last position, [d_vocab], or at the `last` positions,
    [last, d_vocab], to a scalar; `cut` may replace rows. `on_row` hears every row of this
    run, [pos, d_model], one more than blocks; what it raises ends the run.

    Raises:
        RefusedError: the model's own code lets no gradient through.
    """
    if spares_logits_alone(model, anatomy, inputs):
        inputs = inputs | {"logits_to_keep": last or 1}
    reads: list[list[Tensor]] = []

    def keep(event: BlockEvent) -> None:
        reads.append([call.leaf.value() for call in event.calls])
        if on_row is not None:
            for row in (event.resid_pre, event.resid_post)[event.layer > 0 :]:
                on_row(row[0])

    with held_weights(model):
        watched_run = watched_forward(
            model, inputs, anatomy, terms=False, grad=True, on_block=keep, cut=cut
        )
        value = measure(
            watched_run.logits[0, -1] if last is None else watched_run.logits[0, -last:]
        )
        if not value.requires_grad:
            raise RefusedError(NO_GRADIENT)
        flat = [z for block in reads for z in block]
        flat_gradients = torch.autograd.grad(value, flat, allow_unused=True)
    gradients = iter(fill_unused(flat_gradients, flat))
    return float(value.detach()), [[next(gradients) for _ in block] for block in reads]


_spares: WeakKeyDictionary[torch.nn.Module, bool] = WeakKeyDictionary()


def spares_logits_alone(model: torch.nn.Module, anatomy: Anatomy, inputs: dict[str, Any]) -> bool:
    """Whether `logits_to_keep` leaves out logits and no more: gemma4 leaves out rows of its blocks.

    Looked at once a model, in a run of its own.
    """
    if "logits_to_keep" not in inspect.signature(model.forward).parameters:
        return False
    if model not in _spares:
        n_pos, full_row_flags = inputs["input_ids"].shape[1], []

        def look(event: BlockEvent) -> None:
            full_row_flags.append(event.resid_post.shape[1] == n_pos)

        if n_pos == 1:
            return False
        trimmed_inputs = inputs | {"logits_to_keep": 1}
        watched_forward(model, trimmed_inputs, anatomy, terms=False, on_block=look)
        _spares[model] = all(full_row_flags)
    return _spares[model]


def block_gradients(
    model: torch.nn.Module,
    reruns: Sequence[Rerun],
    rows: Sequence[Tensor],
    measure: Measure,
    last: int | None = None,
    *,
    allow_rounding: bool = False,
) -> Gradients | None:
    """The same, block by block: `rows` are the recorded rows [pos, d_model], one more than blocks.

    None where the model's end is more than a norm and an unembedding, or where a block that runs
    again does not give the recorded row bitwise; with `allow_rounding`, to within the rounding of
    two equivalent runs at every position.
    """
    tail = tail_of(model)
    if tail is None:
        return None
    read_gradients: list[list[Tensor]] = []
    with held_weights(model), private_keys(model), torch.enable_grad():
        end = rows[-1][None, -(last or 1) :].detach().requires_grad_()
        logits = tail(end)[0]
        value = measure(logits[-1] if last is None else logits)
        (at_end,) = torch.autograd.grad(value, end)
        gradient = torch.zeros_like(rows[-1])[None]
        gradient[:, -(last or 1) :] = at_end
        for rerun, x, y in zip(reversed(reruns), rows[-2::-1], rows[:0:-1], strict=True):
            step()
            row = x[None].detach().requires_grad_()
            out, reads = rerun(row)
            if out is None or other_at(0, out[0], y, allow_rounding=allow_rounding):
                return None
            leaves = [row, *reads]
            raw = torch.autograd.grad(out, leaves, gradient, allow_unused=True)
            gradient, *at_reads = fill_unused(raw, leaves)
            read_gradients.append(at_reads)
    return float(value.detach()), read_gradients[::-1]


def fill_unused(gradients: Sequence[Tensor | None], leaves: Sequence[Tensor]) -> list[Tensor]:
    """Gradients with zeros where a leaf was not used."""
    pairs = zip(gradients, leaves, strict=True)
    return [torch.zeros_like(z) if g is None else g for g, z in pairs]


def batched_backward(
    out: Tensor, leaves: Sequence[Tensor], gradients: Float[Tensor, "way ..."]
) -> list[Tensor]:
    """The gradients at `leaves` for each of several gradients at `out`, first axis the same."""
    at_once = max(1, NUMBERS_AT_ONCE // max(out.numel(), 1))
    parts: list[list[Tensor]] = []
    for chunk in gradients.to(out.dtype).split(at_once):
        step()
        chunk_gradients: Sequence[Tensor | None] = [None] * len(leaves)
        if out.requires_grad:
            chunk_gradients = torch.autograd.grad(
                out, leaves, chunk, retain_graph=True, allow_unused=True, is_grads_batched=True
            )
        pairs = zip(chunk_gradients, leaves, strict=True)
        parts.append(
            [leaf.new_zeros(len(chunk), *leaf.shape) if g is None else g for g, leaf in pairs]
        )
    return [torch.cat(part) for part in zip(*parts, strict=True)]
