"""ALTI and Information Flow Routes: how much nearer a term brings a node, in the L1 norm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from worldline.attribution.peers.edge_vectors import (
    Measure,
    edge_vectors,
    n_heads,
    of_run,
    refuse_long,
    routed_parts,
    skip_and_rest,
)

if TYPE_CHECKING:
    from jaxtyping import Float

    from worldline.runs.trace import Trace


def proximity(
    term: Float[np.ndarray, "*shape d_model"], node: Float[np.ndarray, "*shape d_model"]
) -> Float[np.ndarray, "*shape"]:
    """max(0, ||node|| - ||node - term||), L1 norms: 0 where a term leads away from the node."""
    return np.maximum(np.abs(node).sum(-1) - np.abs(node - term).sum(-1), 0.0)


def flow_routes_local(trace: Trace) -> Float[np.ndarray, "layer head dst src"]:
    """Proximity of every edge to the stream after attention, over that of all its terms.

    Exactness: closed to the tolerance of the dtype. Units: a part of one.
    """
    return _routes(trace)[0]


def flow_routes(trace: Trace) -> Float[np.ndarray, "layer head dst src"]:
    """The same, routed: multiplied down from the last node, whose importance is 1.

    What the MLP adds stays in its column. Exactness and units as `flow_routes_local`.
    """
    return routed_parts(*_routes(trace))


def alti(trace: Trace) -> Float[np.ndarray, "layer head dst src"]:
    """Proximity of every source, heads together, multiplied down; given to heads in equal parts.

    Exactness and units as `flow_routes_local`.
    """
    refuse_long(trace)
    heads, n = n_heads(trace), trace.n_pos
    local, stay = np.zeros((trace.n_layers, heads, n, n)), np.zeros((trace.n_layers, n))
    for layer in range(trace.n_layers):
        skip, _ = skip_and_rest(trace, layer)
        by_source = np.zeros((n, n, skip.shape[-1]))
        for _, wrote in edge_vectors(trace, layer):
            by_source += wrote
        by_source[np.arange(n), np.arange(n)] += skip
        near = proximity(by_source, by_source.sum(1)[:, None])
        total = near.sum(-1, keepdims=True)
        near = np.divide(near, total, out=np.zeros_like(near), where=total > 0)
        local[layer] = near[None] / heads
        stay[layer] = np.where(total[:, 0] > 0, 0.0, 1.0)
    return routed_parts(local, stay)


def _routes(
    trace: Trace,
) -> tuple[Float[np.ndarray, "layer head dst src"], Float[np.ndarray, "layer pos"]]:
    """(Edges, what stays by the skip connection), local; a node's parts add up to 1."""
    refuse_long(trace)
    heads, n = n_heads(trace), trace.n_pos
    local, stay = np.zeros((trace.n_layers, heads, n, n)), np.ones((trace.n_layers, n))
    for layer in range(trace.n_layers):
        skip, _ = skip_and_rest(trace, layer)
        node = skip.copy()
        for _, wrote in edge_vectors(trace, layer):
            node += wrote.sum(1)
        for head, wrote in edge_vectors(trace, layer):
            local[layer, head] = proximity(wrote, node[:, None])
        by_skip = proximity(skip, node)
        total = local[layer].sum((0, 2)) + by_skip
        local[layer] /= np.where(total > 0, total, 1.0)[None, :, None]
        stay[layer] = np.where(total > 0, by_skip / np.where(total > 0, total, 1.0), 1.0)
    return local, stay


ALTI = Measure(
    "ALTI",
    "Ferrando et al., Measuring the mixing of contextual information, 2022",
    "the forward pass, and one linear map per edge",
    "no heads, no signs, no MLP; what leads away from the node counts nothing",
    of_run(alti),
)
FLOW_ROUTES_LOCAL = Measure(
    "flow routes, local",
    "Ferrando and Voita, Information flow routes, 2024",
    "the forward pass, and two linear maps per edge",
    "no signs; asks about the node, not about what the node is good for",
    of_run(flow_routes_local),
)
FLOW_ROUTES = Measure(
    "flow routes, routed",
    "Ferrando and Voita, Information flow routes, 2024",
    "the forward pass, and two linear maps per edge",
    "no signs; follows size down from the last node, whatever is asked",
    of_run(flow_routes),
)
