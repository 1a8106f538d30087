"""What the model would say if information could make at most h hops, for h = 0, 1, ...

Copies run side by side: copy b takes queries and its own K and V from itself, and K and V of every
earlier position from copy b - 1; copy 0 reads only itself. So nothing in copy b has hopped more
than b times, in any kind of attention.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from worldline.errors import InputError, RefusedError
from worldline.models.validation import checked_report
from worldline.runs.edit_hooks import Edits, QkvOverride, RowEdit
from worldline.runs.forward_passes import refuse_places
from worldline.runs.run_logits import Said, said_by

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.graph.edits import HopBudget
    from worldline.models.attention import AttentionCall
    from worldline.models.loader import LoadedModel
    from worldline.models.tracer import BlockEvent
    from worldline.runs.plan import Plan

AT_ONCE = 4


@dataclass(frozen=True, eq=False)
class Copy:
    """The run under one hop budget: what it says, and how its insides compare.

    `equals_previous`: whether every node is bitwise that of the copy before, as are all later ones.
    `rows` [row, pos] are the norms of its nodes, `sink_cos` [layer, pos] the mean cosine over heads
    of V with that of column 0: near 1 the token has turned into a sink itself.
    """

    hops: int
    said: Said
    equals_previous: bool
    norms: Float[Tensor, "row pos"]
    sink_cos: Float[Tensor, "layer pos"]

    @property
    def logits(self) -> Float[Tensor, "pos d_vocab"]:
        """What it says at every position, in one table."""
        return self.said.at(slice(None))[0]


def most_hops(model: LoadedModel, n_pos: int) -> int:
    """A budget at which nothing is limited any more: min(blocks, positions - 1)."""
    return min(checked_report(model).n_layers, n_pos - 1)


def copies_of(
    model: LoadedModel,
    plan: Plan,
    *,
    at_once: int = AT_ONCE,
    on_copy: Callable[[int], None] | None = None,
) -> Iterator[Copy]:
    """The runs under budgets 0 to `plan.budget.hops`, `at_once` of them side by side.

    Other edits of the plan hold in every copy. Memory grows with `at_once`, which changes nothing
    else. Exactness: exact up to the rounding of two equivalent runs.

    Raises:
        InputError: a layer of the budget, or a layer or head of an edit, is not there.
        RefusedError: a layer moves information between columns without K/V.
    """
    budget = plan.budget
    assert budget is not None
    if at_once < 1:
        raise InputError(f"at_once = {at_once}: accepted are whole numbers from 1")
    report = checked_report(model)
    if words := report.mixing_words(range(report.n_layers)):
        raise RefusedError(
            f"at most {budget.hops} hops: {words}, which no budget of hops can count"
        )
    if budget.layers and max(budget.layers) >= report.n_layers:
        raise InputError(
            f"layer {max(budget.layers)}: accepted are layers 0 to {report.n_layers - 1}"
        )
    refuse_places(list(plan.edits), report)
    last_copy: _LastCopy | None = None
    for first in range(0, budget.hops + 1, at_once):
        n = min(at_once, budget.hops + 1 - first)
        batch = _Batch(budget, first, n, len(plan.ids), report.n_layers, last_copy)
        edits = Edits(len(plan.ids), [tuple(plan.edits)] * n, extra=batch.edits)
        run_logits = said_by(model, [plan] * n, edits, on_row=batch.on_block)
        for item in range(n):
            yield batch.copy(item, run_logits.of_run(item))
            if on_copy is not None:
                on_copy(first + item)
        last_copy = batch.last_copy


@dataclass(eq=False)
class _LastCopy:
    """What the next batch needs of the last copy: its K and V, and its rows to compare with."""

    kv: dict[tuple[int, int], QkvOverride]
    rows: dict[int, Tensor]


class _Batch:
    """Some copies side by side, from number `first` on."""

    def __init__(
        self,
        budget: HopBudget,
        first: int,
        n: int,
        n_pos: int,
        n_layers: int,
        before: _LastCopy | None,
    ):
        self.budget, self.first, self.n, self.before = budget, first, n, before
        self.last_copy = _LastCopy({}, {})
        self.equal_to_previous = [first + item > 0 for item in range(n)]
        self.norms = torch.zeros(n, n_layers + 1, n_pos)
        self.sink_cos = torch.full((n, n_layers, n_pos), float("nan"))

    def edits(self, call: AttentionCall, item: int) -> list[RowEdit]:
        """What copy `first + item` reads: of every earlier position, what the one before it is."""
        if item == self.n - 1:
            self.last_copy.kv[call.layer, call.index] = QkvOverride(call.k[item], call.v[item])
        if call.index == 0:
            self._note_sink(call, item)
        if self.budget.layers is not None and call.layer not in self.budget.layers:
            return []
        n_pos, step = call.q.shape[2], call.block_rows()
        previous_qkv = None
        if self.first + item:
            earlier = self.before.kv if self.before is not None else {}
            before = QkvOverride(call.k[item - 1], call.v[item - 1])
            previous_qkv = before if item else earlier[call.layer, call.index]
        out = []
        for start in range(0, n_pos, step):
            rows = torch.arange(start, min(n_pos, start + step), device=call.q.device)
            past = (torch.arange(n_pos, device=rows.device)[None] < rows[:, None])[None]
            if previous_qkv is not None:
                out.append(RowEdit(rows, reads=[(past, previous_qkv)]))
                continue
            if self.budget.sink == "free":
                past[..., 0] = False
            out.append(RowEdit(rows, masked_edges=past))
        return out

    def _note_sink(self, call: AttentionCall, item: int) -> None:
        v = call.v[item].float()
        cos = torch.nn.functional.cosine_similarity(v, v[:, :1], dim=-1)
        self.sink_cos[item, call.layer] = cos.mean(0).cpu()

    def on_block(self, event: BlockEvent) -> None:
        """Compare each copy's node with the copy before."""
        row = event.layer + 1
        if event.layer == 0:
            self.norms[:, 0] = event.resid_pre.float().norm(dim=-1).cpu()
        self.norms[:, row] = event.resid_post.float().norm(dim=-1).cpu()
        for item in range(self.n):
            if not self.equal_to_previous[item]:
                continue
            post = event.resid_post
            before = post[item - 1] if item else self.before.rows[row] if self.before else None
            self.equal_to_previous[item] = before is not None and torch.equal(post[item], before)
        self.last_copy.rows[row] = event.resid_post[-1]

    def copy(self, item: int, run_logits: Said) -> Copy:
        """One of them."""
        return Copy(
            self.first + item,
            run_logits,
            self.equal_to_previous[item],
            self.norms[item],
            self.sink_cos[item],
        )
