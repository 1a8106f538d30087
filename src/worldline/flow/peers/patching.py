"""Edge attribution patching: what an edge would change if it came from another prompt's run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from worldline.errors import InputError
from worldline.flow.gradient import target_gradients
from worldline.flow.peers.vectors import n_heads, refuse_long
from worldline.flow.weighing import target_of

if TYPE_CHECKING:
    from jaxtyping import Float

    from worldline.model.attention import AttentionCall
    from worldline.trace.trace import Trace

PAPER = "Syed et al., Attribution patching outperforms automated circuit discovery, 2023"
COST = "two forward passes and one backward"
FAILURE = "first order at the clean run: wrong where the patched edge moves what it feeds much"


@torch.no_grad()
def edge_attribution(
    clean: Trace,
    corrupted: Trace,
    *,
    target: str | int | None = None,
    versus: str | int | None = None,
) -> Float[np.ndarray, "layer head dst src"]:
    """<a v - a' v', u>: what the target loses, to first order, if an edge carried a' v' instead.

    a v is what the edge adds to z in the clean run, a' v' in the other one, and u = d target / d z
    in the clean run. The prompts must have the same number of tokens.

    Exactness: first-order estimate. Units: the target's, in logits. Source: Syed et al. 2023.

    Raises:
        InputError: prompts of different lengths, or over 64 tokens; another model's trace.
        RefusedError: a layer moves information between columns without attention.
    """
    for trace in (clean, corrupted):
        refuse_long(trace)
    if clean.n_pos != corrupted.n_pos:
        raise InputError(
            f"a counterfactual of {corrupted.n_pos} tokens for a prompt of {clean.n_pos}: accepted "
            "are prompts of one length"
        )
    if clean.identity.weights_hash != corrupted.identity.weights_hash:
        raise InputError("the two traces were made by different weights")
    assert clean.model is not None
    assert clean.live is not None
    assert corrupted.live is not None
    asked = target_of(clean, target, versus)
    with torch.enable_grad():
        _, gradients = target_gradients(clean.model, clean, asked)
    found = np.zeros((clean.n_layers, n_heads(clean), clean.n_pos, clean.n_pos))
    for layer, (one, two) in enumerate(zip(clean.live, corrupted.live, strict=True)):
        head = 0
        for call, other, u in zip(one.calls, two.calls, gradients[layer], strict=True):
            at_z = call.to_heads(u)[0].double()
            change = _carried(call, at_z) - _carried(other, at_z)
            found[layer, head : head + len(change)] = change.cpu().numpy()
            head += len(change)
    return found


def _carried(call: AttentionCall, u: torch.Tensor) -> torch.Tensor:
    """<a v, u> of every edge, [head, dst, src]."""
    n = call.q.shape[2]
    v = call.v[0].double().repeat_interleave(call.n_heads // call.v.shape[1], 0)
    return call.pattern_rows(0, n).double() * (u @ v.transpose(1, 2))
