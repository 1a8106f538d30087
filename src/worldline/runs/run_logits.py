"""What runs say at each of their positions, without a table of all logits at once.

Such a table, [run, pos, d_vocab], is the largest thing that a run leaves: at 1,024 tokens and a
vocabulary of 49,152 it is 200 MB a copy, eighty times the last rows that it is made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch

from worldline.models.gradients import spares_logits_alone
from worldline.models.laws import probe_of
from worldline.models.row_comparison import rounding_allowed
from worldline.models.tracer import watched_forward
from worldline.models.unembed import Ends, tail_of
from worldline.models.validation import anatomy_of
from worldline.runs.forward_passes import run_edited
from worldline.steps import step

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.models.loader import LoadedModel
    from worldline.models.tracer import BlockEvent
    from worldline.runs.edit_hooks import Edits
    from worldline.runs.plan import Plan

ROWS_AT_ONCE = 64
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_proven: WeakKeyDictionary[torch.nn.Module, tuple[Ends, bool]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Said:
    """The logits of runs side by side; with `tail`, as the last rows that it makes them from."""

    rows: Float[Tensor, "run pos width"]
    tail: Callable[[Tensor], Tensor] | None = None

    def at(self, part: slice) -> Float[Tensor, "run pos d_vocab"]:
        """The logits at some positions."""
        part_rows = self.rows[:, part]
        if self.tail is None or not part_rows.shape[1]:
            return part_rows
        with torch.no_grad():
            return self.tail(part_rows)

    def parts(self, stop: int) -> Iterator[tuple[slice, Float[Tensor, "run pos d_vocab"]]]:
        """The logits at the positions before `stop`, some at a time, and which these are."""
        for start in range(0, stop, ROWS_AT_ONCE):
            step()
            part = slice(start, min(stop, start + ROWS_AT_ONCE))
            yield part, self.at(part)

    def of_run(self, item: int) -> Said:
        """What one of the runs says."""
        return Said(self.rows[item : item + 1], self.tail)


def said_by(
    model: LoadedModel,
    plans: Sequence[Plan],
    edits: Edits,
    *,
    last: int | None = None,
    on_row: Callable[[BlockEvent], None] | None = None,
) -> Said:
    """What plans of one length say, run side by side under edits that are ready to run.

    At the `last` positions, or at all. The whole table of logits is made only where the model's
    end was not found to be a norm and an unembedding that stand for themselves, or where nodes are
    overwritten.

    Exactness: as the run's own logits, to within the rounding of two equivalent runs.
    """
    n_pos = len(plans[0].ids)
    n_last = n_pos if last is None else last
    spares = n_pos > 1 and not any(edits.nodes) and _spares(model)
    tail = _tail_alone(model) if spares and n_last > 1 else None
    ends: list[Tensor] = []

    def keep(event: BlockEvent) -> None:
        ends[:] = [event.resid_post]
        if on_row is not None:
            on_row(event)

    keep_logits = None if not spares else 1 if tail is not None else n_last
    watched_run = run_edited(
        model, plans, edits, on_row=on_row if tail is None else keep, keep_logits=keep_logits
    )
    if tail is not None:
        return Said(ends[0][:, n_pos - n_last :], tail)
    return Said(watched_run.logits[:, -n_last:])


def _spares(model: LoadedModel) -> bool:
    """Whether the model leaves out logits, and nothing else, when asked for the last alone."""
    return spares_logits_alone(model.module, anatomy_of(model.module), probe_of(model.module))


def _tail_alone(model: LoadedModel) -> Ends | None:
    """The model's end, where it makes the logits from the last rows, one position alone."""
    tail = tail_of(model.module)
    if not isinstance(tail, Ends) or not _bare(model.module, tail):
        return None
    cached_proof = _proven.get(model.module)
    if cached_proof is None or cached_proof[0] is not tail:
        cached_proof = _proven[model.module] = tail, _gives_the_logits(model, tail)
    return tail if cached_proof[1] else None


def _gives_the_logits(model: LoadedModel, tail: Ends) -> bool:
    ends: list[Tensor] = []

    def keep(event: BlockEvent) -> None:
        ends[:] = [event.resid_post] if event.streams == 1 else []

    inputs, anatomy = probe_of(model.module), anatomy_of(model.module)
    logits = watched_forward(model.module, inputs, anatomy, terms=False, on_block=keep).logits
    if not ends:
        return False
    tolerance = rounding_allowed(logits.dtype) * float(logits.abs().max())
    with torch.no_grad():
        alone = torch.cat([tail(row) for row in ends[0].split(1, dim=1)], dim=1)
    return alone.shape == logits.shape and float((alone - logits).abs().max()) <= tolerance


def _bare(module: torch.nn.Module, tail: Ends) -> bool:
    """Whether nobody has a hook, or a forward, where it could tell one position from another."""
    everywhere = torch.nn.modules.module
    if any(getattr(everywhere, f"_global{slot}") for slot in _HOOKS):
        return False
    around = [
        part
        for part in module.modules()
        if part is tail.norm or any(inside is tail.head for inside in part.modules())
    ]
    return not any(vars(part).get(name) for part in around for name in (*_HOOKS, "forward"))
