"""The shape of a model's grid: blocks, heads, and whether MLP and attention stand in parallel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

import worldline as wl
from worldline.experiments.law_checks import tokens_of

PROBE = (4, 7, 5, 9, 6, 8)  # ids that every vocabulary has
PARALLEL_TOLERANCE = 1e-4  # of the MLP term's size; parallel blocks give 0, rounding about 1e-6


class Grid(NamedTuple):
    """`n_layers` blocks of `n_heads` heads; `parallel`: attention beside the MLP, not before it."""

    n_layers: int
    n_heads: int
    parallel: bool


def n_layers_of(model: wl.LoadedModel) -> int:
    """The number of blocks, from a recorded run of a few tokens.

    Raises:
        RefusedError: the model failed a check.
    """
    return wl.record(model, tokens_of(PROBE), keep=()).n_layers


def grid_of(model: wl.LoadedModel) -> Grid:
    """The grid of a model, from recorded runs of a few tokens.

    A model whose blocks have no MLP term counts as serial.

    Raises:
        RefusedError: the model failed a check.
    """
    trace = wl.record(model, tokens_of(PROBE), keep=("kv",))
    identity = trace.identity
    changes = mlp_changes(model, PROBE)
    parallel = bool(changes) and max(change for _, _, change in changes) <= PARALLEL_TOLERANCE
    return Grid(identity.n_layers, identity.n_heads, parallel)


def mlp_changes(
    model: wl.LoadedModel, ids: tuple[int, ...], draw: np.random.Generator | None = None
) -> list[tuple[int, int, float]]:
    """(layer, pos, change) where attention's result was taken from one node each of some layers.

    In a higher layer the node stands further left, so that none lies after another: what differs
    there comes from the one block's own attention; `draw` chooses their columns, else they are
    spread evenly. `change` is how far the block's MLP term moved,
    of its size; nodes whose block has no MLP term are left out.

    Raises:
        RefusedError: the model failed a check.
    """
    plain = wl.record(model, tokens_of(ids), keep=("terms",))
    nodes = _antichain(plain.n_layers, plain.n_pos, draw)
    edits = [wl.EdgeCut("zero", dst=(pos,), layers=(layer,), own=True) for layer, pos in nodes]
    altered_trace = wl.record(model, tokens_of(ids), keep=("terms",), edits=edits)
    changes = []
    for layer, pos in nodes:
        altered_out, plain_out = altered_trace.mlp_out[layer], plain.mlp_out[layer]
        if altered_out is not None and plain_out is not None:
            a, b = (
                rows[pos].detach().double().cpu().numpy().ravel()
                for rows in (altered_out, plain_out)
            )
            size = float(np.linalg.norm(b))
            if size > 0 or np.linalg.norm(a) > 0:
                changes.append((layer, pos, float(np.linalg.norm(a - b)) / (size or 1.0)))
    return changes


def _antichain(
    n_layers: int, n_pos: int, draw: np.random.Generator | None
) -> list[tuple[int, int]]:
    """Nodes (layer, pos) from the lowest layer to the highest, each further left; no column 0."""
    n = min(n_layers, n_pos - 1)
    layers = np.linspace(0, n_layers - 1, n).round().astype(int)
    columns = np.linspace(n_pos - 1, 1, n).round().astype(int)
    if draw is not None:
        columns = np.sort(draw.choice(range(1, n_pos), n, replace=False))[::-1]
    return list(zip(layers.tolist(), columns.tolist(), strict=True))
