"""A plain run, and what of it can reach its last token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from worldline.graph.reachability import LayerReads, Reach
from worldline.models.validation import checked_report
from worldline.runs.edit_hooks import Edits
from worldline.runs.forward_passes import run_edited
from worldline.runs.plan import Plan

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float
    from torch import Tensor

    from worldline.models.attention import AttentionCall
    from worldline.models.loader import LoadedModel
    from worldline.models.tracer import BlockEvent


def plain_run(model: LoadedModel, ids: Sequence[int]) -> tuple[Float[Tensor, "pos d_vocab"], Reach]:
    """The logits of a text's own run, and its causal graph as the masks of this run have it."""
    mixing_layers = checked_report(model).mixing_layers
    reads: list[list[LayerReads]] = []
    masks: dict[int, tuple[Tensor, np.ndarray]] = {}  # by identity, which lasts while it is held

    def keep(event: BlockEvent) -> None:
        layer_reads = [
            LayerReads(_read_mask(c, masks), min(c.kv_layer, event.layer)) for c in event.calls
        ]
        if event.layer in mixing_layers:
            layer_reads.append(LayerReads(None, event.layer, opaque=True))
        reads.append(layer_reads)

    plan = Plan(tuple(ids))
    watched_run = run_edited(model, [plan], Edits(len(plan.ids), [()]), on_row=keep)
    return watched_run.logits[0], Reach(reads, len(plan.ids))


def _read_mask(
    call: AttentionCall, masks: dict[int, tuple[Tensor, np.ndarray]]
) -> np.ndarray | None:
    """The mask of a read over all its heads; layers mostly share one."""
    mask = call.allowed
    if mask is None:
        return None
    if id(mask) not in masks:
        square = mask[0].any(0).expand(call.q.shape[2], -1)[:, : call.q.shape[2]]
        masks[id(mask)] = (mask, square.cpu().numpy())
    return masks[id(mask)][1]
