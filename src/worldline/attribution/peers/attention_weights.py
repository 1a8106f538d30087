"""Attention weight, value-weighted norm and rollout: what is read off the pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from worldline.attribution.peers.edge_vectors import (
    Measure,
    edge_vectors,
    n_heads,
    of_run,
    patterns,
    refuse_long,
    routed_parts,
)

if TYPE_CHECKING:
    from jaxtyping import Float

    from worldline.runs.trace import Trace


def value_norms(trace: Trace) -> Float[np.ndarray, "layer head dst src"]:
    """||a v W_O||: the size of what an edge writes into the stream.

    Exactness: closed to the tolerance of the dtype. Units: those of the stream.
    """
    refuse_long(trace)
    norms = np.zeros((trace.n_layers, n_heads(trace), trace.n_pos, trace.n_pos))
    for layer in range(trace.n_layers):
        for head, wrote in edge_vectors(trace, layer):
            norms[layer, head] = np.linalg.norm(wrote, axis=-1)
    return norms


def rollout(trace: Trace) -> Float[np.ndarray, "layer head dst src"]:
    """Half the mean pattern of a layer, half staying, multiplied down from the last node.

    Exactness: as the patterns, to rounding. Units: a part of one.
    """
    local = patterns(trace)
    heads = (local.sum(-1) > 0).any(-1).sum(-1)  # that a layer has
    local = local / (2 * np.maximum(heads, 1))[:, None, None, None]
    return routed_parts(local, 1.0 - local.sum((1, 3)))


ATTENTION_WEIGHT = Measure(
    "attention weight",
    "Bahdanau et al. 2015; as explanation: Jain and Wallace 2019",
    "the forward pass",
    "ignores what is read: a large weight on a value near zero counts",
    of_run(patterns),
)
VALUE_NORM = Measure(
    "value norm",
    "Kobayashi et al., Attention is not only a weight, 2020",
    "the forward pass, and one linear map per edge",
    "ignores direction: what cancels, or does not matter above, counts",
    of_run(value_norms),
    unit="of the stream",
)
ROLLOUT = Measure(
    "rollout",
    "Abnar and Zuidema, Quantifying attention flow, 2020",
    "the forward pass, and a product of matrices per layer",
    "averages heads, gives the residual half of everything, has no signs",
    of_run(rollout),
)
