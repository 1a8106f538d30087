"""Which edges are cut one at a time, and which together: plans, and what runs of them say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

import worldline as wl

if TYPE_CHECKING:
    from jaxtyping import Float, Int

    from worldline.experiments.faithfulness.families import Prompt

ALL_UP_TO = 14  # tokens: every edge of a longer text is a sample
SAMPLE = 1000
HOWS = ("zero", "mask", "patch")


@dataclass(frozen=True, eq=False)
class Edges:
    """Edges of all heads [edge, (layer, dst, src)] and of one [edge, (layer, head, dst, src)]."""

    layer: Int[np.ndarray, "edge 3"]
    head: Int[np.ndarray, "edge 4"]


def every_edge(n_layers: int, n_pos: int) -> Int[np.ndarray, "edge 3"]:
    """All (layer, dst, src), src < dst, whose cut can change what follows the last token.

    Into the top row only the last column is read.
    """
    dst, src = np.tril_indices(n_pos, -1)
    edges = [
        (layer, j, i)
        for layer in range(n_layers)
        for j, i in zip(dst.tolist(), src.tolist(), strict=True)
        if layer < n_layers - 1 or j == n_pos - 1
    ]
    return np.array(edges, dtype=np.int64).reshape(-1, 3)


def powerless(n_layers: int, n_pos: int) -> Int[np.ndarray, "edge 3"]:
    """The other (layer, dst, src): into the top row, where nothing reads them."""
    dst, src = np.tril_indices(n_pos - 1, -1)
    return np.stack([np.full_like(dst, n_layers - 1), dst, src], 1)


def edges_to_cut(n_heads: Sequence[int], n_pos: int, seed: int) -> Edges:
    """The edges to cut one at a time: all up to 14 tokens, else a sample; of single heads a sample.

    `n_heads` are those of each layer.
    The strata are the layers, times whether the source is column 0, times whether the destination
    is the last column; each gives as many edges as the others, or all it has.
    """
    draw = np.random.default_rng(seed)
    edges = every_edge(len(n_heads), n_pos)
    heads = edges_of_heads(edges, n_heads, 1)
    layer = edges if n_pos <= ALL_UP_TO else edges[_sample(edges, n_pos, draw)]
    return Edges(layer, heads[_sample(heads, n_pos, draw)])


def heads_by_layer(trace: wl.Trace) -> tuple[int, ...]:
    """How many heads the attention of each layer has, in a run that was recorded just now."""
    return tuple(sum(call.n_heads for call in block.calls) for block in trace.live or ())


def edges_of_heads(
    edges: Int[np.ndarray, "edge 3"], n_heads: Sequence[int], column: int
) -> Int[np.ndarray, "edge 4"]:
    """These edges, their layer first, of every head that the layer has; the head is `column`."""
    layer_heads = np.asarray(n_heads)[edges[:, 0]]
    parts = [
        np.insert(edges[layer_heads > head], column, head, axis=1) for head in range(max(n_heads))
    ]
    return np.concatenate(parts)


def _sample(edges: np.ndarray, n_pos: int, draw: np.random.Generator) -> np.ndarray:
    stratum = edges[:, 0] * 4 + (edges[:, -1] == 0) * 2 + (edges[:, -2] == n_pos - 1)
    waiting = {int(key): draw.permutation(np.flatnonzero(stratum == key)) for key in set(stratum)}
    chunks: list[np.ndarray] = []
    n_left = min(SAMPLE, len(edges))
    while n_left:
        n_each = max(1, n_left // len(waiting))
        for key in sorted(waiting):
            chunk = waiting[key][: min(n_each, n_left)]
            chunks.append(chunk)
            n_left -= len(chunk)
            waiting[key] = waiting[key][len(chunk) :]
        waiting = {key: indices for key, indices in waiting.items() if len(indices)}
    return np.sort(np.concatenate(chunks)) if chunks else np.zeros(0, dtype=np.int64)


def one_cut(prompt: Prompt, how: str, edge: Int[np.ndarray, " part"]) -> wl.Plan:
    """The plan that cuts one edge, of all heads or of one."""
    layer, *head, dst, src = edge.tolist()
    heads = tuple(head) or None
    cut = wl.EdgeCut(how, (src,), (dst,), (layer,), heads, patch_source=_patch_source(prompt, how))
    return wl.Plan(prompt.clean.ids, frozenset([cut]))


def many_cut(prompt: Prompt, how: str, edges: Int[np.ndarray, "edge 3"]) -> wl.Plan:
    """The plan that cuts edges of all heads together."""
    sources: dict[tuple[int, int], list[int]] = {}
    for layer, dst, src in edges.tolist():
        sources.setdefault((layer, dst), []).append(src)
    patch_source = _patch_source(prompt, how)
    cuts = (
        wl.EdgeCut(how, tuple(sorted(srcs)), (dst,), (layer,), patch_source=patch_source)
        for (layer, dst), srcs in sources.items()
    )
    return wl.Plan(prompt.clean.ids, frozenset(cuts))


def _patch_source(prompt: Prompt, how: str) -> wl.PatchSource | None:
    if how != "patch":
        return None
    return wl.PatchSource(prompt.corrupted.ids, tuple(range(len(prompt.clean.ids))))


def values(
    model: wl.LoadedModel,
    prompt: Prompt,
    plans: Sequence[wl.Plan],
    on_done: Callable[[int], None] | None = None,
) -> Float[np.ndarray, " plan"]:
    """Logit of the answer less that of the wrong one, under each plan."""
    runs = wl.execute_many(model, plans, batch=64, last=True, on_done=on_done)
    logit_differences = [
        float(run[-1][prompt.answer]) - float(run[-1][prompt.wrong]) for run in runs
    ]
    return np.array(logit_differences)
