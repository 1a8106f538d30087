"""Edits at work inside a forward pass: one rewriting of attention reads, one of rows.

Whatever a plan changes in attention comes down to rows of a pattern: whose K and V each source is
read from (another run's, another copy's of the batch), what is masked before the softmax and what
is dropped after it. Rows that nothing changes keep what the model's own attention returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch

from worldline.errors import InputError
from worldline.graph.edits import EdgeCut, Intervention, NodeCut, PatchSource
from worldline.models.tracer import batch_first
from worldline.steps import step

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

    from worldline.models.attention import AttentionCall


class QkvOverride(NamedTuple):
    """What is read instead of the own K and V, and with what instead of the own Q; None: the own.

    Heads before positions, all positions.
    """

    k: Tensor | None
    v: Tensor | None
    q: Tensor | None = None


@dataclass(eq=False)
class SourceActivations:
    """What was kept of another run: Q, K and V by (layer, read), rows by row."""

    qkv: dict[tuple[int, int], tuple[Tensor, Tensor, Tensor]] = field(default_factory=dict)
    rows: dict[int, Tensor] = field(default_factory=dict)

    def keep_read(self, call: AttentionCall) -> None:
        """Keep one read's Q, K and V, of the first of the batch."""
        read_tensors = (call.q[0].detach(), call.k[0].detach(), call.v[0].detach())
        self.qkv[call.layer, call.index] = read_tensors


@dataclass(eq=False)
class RowEdit:
    """What changes in some rows of one read of one item of a batch; masks [head|1, rows, pos]."""

    rows: Tensor
    masked_edges: Bool[Tensor, "head rows pos"] | None = None
    zeroed_edges: Bool[Tensor, "head rows pos"] | None = None
    reads: list[tuple[Bool[Tensor, "head rows pos"], QkvOverride]] = field(default_factory=list)

    def merged_with(self, other_edit: RowEdit) -> RowEdit:
        """Two edits of the same rows as one."""
        return RowEdit(
            self.rows,
            _union(self.masked_edges, other_edit.masked_edges),
            _union(self.zeroed_edges, other_edit.zeroed_edges),
            self.reads + other_edit.reads,
        )

    def z(self, call: AttentionCall, item: int) -> Float[Tensor, "head rows d_value"]:
        """What the read returns for these rows: patch, mask, softmax, zero, in this order."""
        scores = call.scores_at(self.rows, item)
        for where, (k, _, q) in self.reads:
            if q is not None or k is not None:
                scores = torch.where(where, call.scores_at(self.rows, item, k, q), scores)
        if self.masked_edges is not None:
            scores = scores.masked_fill(self.masked_edges, float("-inf"))
        pattern = call.softmaxed(scores).nan_to_num(0.0)
        if self.zeroed_edges is not None:
            pattern = pattern.masked_fill(self.zeroed_edges, 0.0)
        own_pattern, z = pattern, None
        for where, (_, v, _) in self.reads:
            if v is not None:
                part = weighted_values(pattern.masked_fill(~where, 0.0), v)
                own_pattern, z = (
                    own_pattern.masked_fill(where, 0.0),
                    part if z is None else z + part,
                )
        of_own = weighted_values(own_pattern, call.v[item])
        return of_own if z is None else z + of_own


def _union(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first | second


def weighted_values(
    pattern: Float[Tensor, "head rows pos"], v: Float[Tensor, "kv_head pos d_value"]
) -> Float[Tensor, "head rows d_value"]:
    """Values summed by a pattern, grouped heads not copied; zero weights read nothing."""
    heads, rows, n_pos = pattern.shape
    grouped_pattern = pattern.reshape(v.shape[0], -1, n_pos).to(v.dtype)
    return (grouped_pattern @ v).view(heads, rows, -1)


class Edits:
    """The edits of the items of one batch; `rewrite_read` rewrites attention, `row` the rows.

    `extra` may name further edits of a read: those of a hop budget, or of a light cone. `layers`
    counts how often each block's attention was edited, so that nothing asked for goes unnoticed.
    """

    def __init__(
        self,
        n_pos: int,
        items: Sequence[Sequence[Intervention]],
        source_activations: dict[PatchSource, SourceActivations] | None = None,
        extra: Callable[[AttentionCall, int], list[RowEdit]] | None = None,
    ):
        self.n_pos, self.items, self.donated = n_pos, items, source_activations or {}
        self.extra = extra
        self.edges = [[e for e in edits if isinstance(e, EdgeCut)] for edits in items]
        self.nodes = [[e for e in edits if isinstance(e, NodeCut)] for edits in items]
        self.heads_before: dict[int, int] = {}
        self.edited_layers: set[int] = set()
        self.at_row = 0

    def rewrite_read(self, call: AttentionCall) -> Tensor | None:
        """What an attention read returns under the edits; None where nothing changes."""
        first = 0 if call.index == 0 else self.heads_before[call.layer]
        self.heads_before[call.layer] = first + call.n_heads
        item_edits: list[tuple[int, RowEdit]] = []
        for item, edges in enumerate(self.edges):
            layer_edges = [e for e in edges if e.layers is None or call.layer in e.layers]
            more = self.extra(call, item) if self.extra is not None else []
            if layer_edges:
                self.edited_layers.add(call.layer)
                more = self._rows_of(layer_edges, call, first, more)
            item_edits += [(item, row_edit) for row_edit in more]
        if not item_edits:
            return None
        parts = list(call.z)  # put together anew, so that a derivative passes through
        for item, edit in item_edits:
            step()
            new = edit.z(call, item).to(call.z.dtype)
            parts[item] = parts[item].index_copy(1, edit.rows, new)
        return torch.stack(parts)

    def _rows_of(
        self, edges: list[EdgeCut], call: AttentionCall, first: int, more: list[RowEdit]
    ) -> list[RowEdit]:
        """The edits of a read, a block of rows at a time, together with `more` of them."""
        by_row: dict[int, list[EdgeCut]] = {}
        heads = {}
        for edge in edges:
            heads[id(edge)] = mine = self._heads(edge, first, call)
            if mine == []:
                continue
            for dst in range(self.n_pos) if edge.dst is None else edge.dst:
                by_row.setdefault(dst, []).append(edge)
        joint_edits = [
            row_edit.merged_with(self._edit(row_edit.rows.tolist(), by_row, heads, call))
            for row_edit in more
        ]
        covered_rows = {row for row_edit in more for row in row_edit.rows.tolist()}
        rows, height = sorted(set(by_row) - covered_rows), call.block_rows()
        return joint_edits + [
            self._edit(rows[at : at + height], by_row, heads, call)
            for at in range(0, len(rows), height)
        ]

    def _heads(self, edge: EdgeCut, first: int, call: AttentionCall) -> list[int] | None:
        """The heads of this read that an edge cut means; None: all."""
        if edge.heads is None:
            return None
        return [head - first for head in edge.heads if 0 <= head - first < call.n_heads]

    def _edit(self, rows: list[int], by_row, heads, call: AttentionCall) -> RowEdit:
        device = call.q.device
        places = torch.tensor(rows, device=device)
        edit, shape = RowEdit(places), (call.n_heads, len(rows), self.n_pos)
        kinds: dict[object, Tensor] = {}
        for at, dst in enumerate(rows):
            for edge in by_row.get(dst, ()):
                key = edge.how if edge.how != "patch" else (edge.patch_source, edge.parts)
                mask = kinds.get(key)
                if mask is None:
                    mask = kinds[key] = torch.zeros(shape, dtype=torch.bool, device=device)
                last = dst + 1 if edge.own else dst
                src: slice | list[int] = slice(0, last)
                if edge.src is not None:
                    src = [src_pos for src_pos in edge.src if src_pos < last]
                mine = heads[id(edge)]
                part = mask[:, at]
                if mine is None:
                    part[:, src] = True
                else:
                    for head in mine:
                        part[head, src] = True
        for key, mask in kinds.items():
            if key == "mask":
                edit.masked_edges = mask
            elif key == "zero":
                edit.zeroed_edges = mask
            else:
                patch_source, parts = key  # pyright: ignore[reportGeneralTypeIssues]
                edit.reads.append((mask, self._source_qkv(patch_source, parts, call)))
        return edit

    def _source_qkv(
        self, patch_source: PatchSource, parts: str, call: AttentionCall
    ) -> QkvOverride:
        """Another run's Q, K and V, moved to this text's positions."""
        source_qkv = self.donated[patch_source].qkv[call.layer, call.index]
        at = torch.tensor(
            [0 if pos is None else pos for pos in patch_source.at], device=call.q.device
        )
        q, k, v = (
            qkv_part[:, at].to(call.k.dtype) if name in parts else None
            for name, qkv_part in zip("qkv", source_qkv, strict=True)
        )
        return QkvOverride(k, v, q)

    # --- rows ---

    def row(self, x: Tensor) -> Tensor:
        """The next row, as the model holds it, with its nodes overwritten."""
        row, self.at_row = self.at_row, self.at_row + 1
        todo = [
            (item, node)
            for item, nodes in enumerate(self.nodes)
            for node in nodes
            if row in node.rows
        ]
        if not todo:
            return x
        old = batch_first(x, len(self.items), self.n_pos)
        new = old.clone()
        for item, node in todo:
            at = range(self.n_pos) if node.positions is None else node.positions
            where = torch.tensor(list(at), device=x.device)
            new[item, where] = self._overwritten(node, row, old[item], where)
        return new if old is x else new.permute(row_back(x, old))

    def _overwritten(self, node: NodeCut, row: int, x: Tensor, where: Tensor) -> Tensor:
        if node.how == "zero":
            return torch.zeros_like(x[where])
        if node.vector is not None:
            if len(node.vector) != x.shape[-1]:
                raise InputError(
                    f"vector of {len(node.vector)} numbers: accepted are {x.shape[-1]}, as many "
                    "as a node has"
                )
            return x[where] + torch.tensor(node.vector, dtype=x.dtype, device=x.device)
        if node.how == "mean" and node.patch_source is None:
            count = torch.arange(1, len(x) + 1, device=x.device, dtype=torch.float64)
            sums = x.double().cumsum(0) / count.view(-1, *(1,) * (x.ndim - 1))
            return sums[where].to(x.dtype)
        assert node.patch_source is not None
        source_row = self.donated[node.patch_source].rows[row].to(x.dtype)
        if node.how == "mean":
            return source_row.double().mean(0).to(x.dtype).expand(len(where), *x.shape[1:])
        at = torch.tensor(
            [0 if pos is None else pos for pos in node.patch_source.at], device=x.device
        )
        return source_row[at[where]]


def row_back(x: Tensor, x_batch_first: Tensor) -> list[int]:
    """The permutation that undoes `batch_first`."""
    for order in ([1, 0, 2], [2, 0, 1, 3]):
        if len(order) == x.ndim and x_batch_first.permute(order).shape == x.shape:
            return order
    raise InputError(f"a row of shape {tuple(x.shape)}: its positions cannot be told apart")
