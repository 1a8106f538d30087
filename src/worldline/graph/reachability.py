"""What can reach the last token: the causal graph of one run, gone through backwards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from worldline.graph.edits import EdgeCut, Intervention, NodeCut

NO_SUCH_EDGE = "no token reads what is cut: a token is read by later ones alone"
FORBIDDEN = "the model's attention mask forbids these reads already"
NO_WAY = "no path leads from there to the last token's last state"


@dataclass(frozen=True, eq=False)
class LayerReads:
    """What one block's attention may read.

    `allowed_mask` [dst, src] over all heads, None for every earlier column; `kv_layer` is the row
    whose K and V are read; `opaque` marks a block that moves information between columns by other
    means.
    """

    allowed_mask: np.ndarray | None
    kv_layer: int
    opaque: bool = False

    def may(self, src: int, dst: int) -> bool:
        """Whether the edge is there."""
        return src <= dst and (self.allowed_mask is None or bool(self.allowed_mask[dst, src]))


class Reach:
    """Which nodes have a path to the last column's last node.

    >>> reach = Reach([[LayerReads(None, 0)], [LayerReads(None, 1)]], n_pos=3)
    >>> reach.alive[1].tolist(), reach.alive[2].tolist()
    ([True, True, True], [False, False, True])
    >>> reach.why_powerless([EdgeCut("mask", src=(0,), dst=(1,), layers=(1,))])
    "no path leads from there to the last token's last state"
    """

    def __init__(self, reads: Sequence[Sequence[LayerReads]], n_pos: int):
        self.reads, self.n_pos = reads, n_pos
        n_layers = len(reads)
        self.alive = np.zeros((n_layers + 1, n_pos), dtype=bool)
        self.alive[n_layers, n_pos - 1] = True
        for layer in range(n_layers - 1, -1, -1):
            above = self.alive[layer + 1]
            self.alive[layer] |= above
            for layer_reads in reads[layer]:
                if layer_reads.allowed_mask is None or layer_reads.opaque:
                    is_readable = np.arange(n_pos) <= np.flatnonzero(above).max()
                else:
                    is_readable = layer_reads.allowed_mask[above].any(0)
                self.alive[layer_reads.kv_layer] |= is_readable

    def why_powerless(self, edits: Iterable[Intervention]) -> str | None:
        """Why none of the edits can change what follows the last token; None where one can."""
        reasons = []
        for edit in edits:
            reason = self._why_node(edit) if isinstance(edit, NodeCut) else self._why_edge(edit)
            if reason is None:
                return None
            reasons.append(reason)
        return "; ".join(dict.fromkeys(reasons)) or None

    def _why_node(self, edit: NodeCut) -> str | None:
        at = slice(None) if edit.positions is None else list(edit.positions)
        return None if self.alive[list(edit.rows)][:, at].any() else NO_WAY

    def _why_edge(self, edit: EdgeCut) -> str | None:
        """None where an edge of it is there and can be felt."""
        reason, pairs = NO_SUCH_EDGE, list(edit.pairs(self.n_pos))
        for layer in range(len(self.reads)) if edit.layers is None else edit.layers:
            above = self.alive[layer + 1]
            for src, dst in pairs:
                if reason == NO_SUCH_EDGE:
                    reason = FORBIDDEN
                if not any(
                    layer_reads.opaque or layer_reads.may(src, dst)
                    for layer_reads in self.reads[layer]
                ):
                    continue
                if above[dst]:
                    return None
                reason = NO_WAY
        return reason
