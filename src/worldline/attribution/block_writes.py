"""How far what is written into a node agrees: vector coherence of heads, MLP and constants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from worldline.models.terms import SKIP, attn_name
from worldline.runs.trace_calls import on_trace
from worldline.runs.trace_changes import refuse_changed
from worldline.steps import step

if TYPE_CHECKING:
    from jaxtyping import Float

    from worldline.runs.trace import LiveBlock, Trace


@on_trace
@torch.no_grad()
def write_coherence(trace: Trace) -> Float[np.ndarray, "layer pos"]:
    """||sum of c|| / sum of ||c|| over what block l adds to node (l + 1, pos); NaN at 0/0.

    The c are vectors: one for each head (all its sources together), and the other terms of the
    block but the skip connection. 1: all point one way, near 0: they cancel.

    Exactness: closed to the tolerance of the dtype. Units: none.
    """
    assert trace.live is not None
    refuse_changed(trace)
    coherence = np.full((trace.n_layers, trace.n_pos), np.nan)
    for layer, block in enumerate(trace.live):
        step()
        total, sizes = torch.zeros(()), torch.zeros(())
        for write in _writes(block):
            total = total + write
            sizes = sizes + torch.linalg.vector_norm(write, dim=-1)
        if sizes.ndim:
            ratio = torch.linalg.vector_norm(total, dim=-1) / sizes
            coherence[layer] = ratio.clamp_max(1.0).cpu().numpy()
    return coherence


def _writes(block: LiveBlock):
    """Every write of a block in turn, [pos, d_model]; one head's z at a time."""
    reads = {attn_name(call.index): call for call in block.calls}
    for name, term in block.terms.items():
        if name == SKIP:
            continue
        if name not in reads:
            yield _wide(term.value()[0])
            continue
        call = reads[name]
        for head in range(call.n_heads):
            alone = torch.zeros_like(call.z)
            alone[:, head] = call.z[:, head]
            yield _wide(term.replay(call.leaf, call.from_heads(alone))[0])


def _wide(value: torch.Tensor) -> torch.Tensor:
    return value if value.dtype == torch.float64 else value.float()
