"""A key says which later positions will look at it: attention received, predicted from the key."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import norm

import worldline as wl
from worldline.experiments.experiment import Experiment, Figure, Finding, Item, Measurement, Series
from worldline.experiments.passage_rows import plain, read_passages
from worldline.experiments.refusals import REFUSAL_KEY, of_all, or_reason
from worldline.experiments.statistics import bootstrap, discoveries, spearman
from worldline.experiments.stimuli.passages import draw_passages

LENGTH = 40
FEWEST_READERS = 4
"""Later positions that a column needs for its received attention to be a mean and not a draw."""

FOLDS = 2


def items(_model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """Two: each half of the passages is predicted by what the other half gives."""
    draw_passages(n, seed)  # more than there are is refused here
    return [{"key": f"half {fold}", "fold": fold, "texts": n, "seed": seed} for fold in range(2)]


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """Mean queries and mean received attention of one half; rank correlations on the other."""
    texts = read_passages(model, item["texts"], item["seed"], LENGTH)
    texts = [text for text in texts if len(text) == LENGTH]
    if len(texts) < 2 * FOLDS:
        return {REFUSAL_KEY: f"{len(texts)} texts of {LENGTH} tokens"}
    fitting_texts = [text for n, text in enumerate(texts) if n % FOLDS != item["fold"]]
    held_out_texts = [one for n, one in enumerate(texts) if n % FOLDS == item["fold"]]
    layers, queries, positions = _averages(model, fitting_texts)
    if not layers:
        return {REFUSAL_KEY: "no layer of this model reads K and V by softmax attention"}
    correlations = np.stack(
        [_correlations(model, one, layers, queries, positions) for one in held_out_texts]
    )
    return {"layers": layers, "found": np.round(correlations, 5).tolist()}


def _averages(
    model: wl.LoadedModel, texts: Sequence[wl.Tokens]
) -> tuple[list[int], dict[int, np.ndarray], dict[int, np.ndarray]]:
    """Per layer, over texts, the mean query and the mean received attention of each position."""
    queries: dict[int, np.ndarray] = {}
    positions: dict[int, np.ndarray] = {}
    for text in texts:
        trace = wl.record(model, text, keep=("kv", "q"))
        for layer, q in enumerate(trace.array("q")):
            if q is not None:
                queries[layer] = queries.get(layer, 0) + plain(q).astype(np.float64) / len(texts)
                attention = attention_received(trace.pattern(layer))
                positions[layer] = positions.get(layer, 0) + attention / len(texts)
    return sorted(queries), queries, positions


def attention_received(pattern: np.ndarray) -> np.ndarray:
    """[head, pos]: the attention that each column gets from later rows, as a mean over them.

    A row j spreads one unit over j + 1 columns, so that early rows give more to each: what row j
    gives counts times j, which makes an even spread over columns 1 to j count 1. A column's own
    look at itself is left out.

    >>> attention_received(np.full((1, 3, 3), 0.5))[0].tolist()
    [0.75, 1.0, 0.0]
    """
    n_pos = pattern.shape[-1]
    weighted_pattern = pattern.astype(np.float64) * np.arange(n_pos)[None, :, None]
    later = np.tril(np.ones((n_pos, n_pos)), -1)
    return (weighted_pattern * later).sum(1) / np.maximum(later.sum(0), 1)


def facing(q_mean: np.ndarray, k: np.ndarray) -> np.ndarray:
    """[head, pos]: each key times the mean of the mean queries of all later positions."""
    n_heads, n_pos, _ = q_mean.shape
    keys = np.repeat(k, n_heads // k.shape[0], axis=0)
    after = q_mean[:, ::-1].cumsum(1)[:, ::-1] - q_mean
    count = np.maximum(n_pos - 1 - np.arange(n_pos), 1)[None, :, None]
    return (after / count * keys).sum(-1)


def _correlations(
    model: wl.LoadedModel,
    text: wl.Tokens,
    layers: list[int],
    queries: dict[int, np.ndarray],
    positions: dict[int, np.ndarray],
) -> np.ndarray:
    """[layer, head, (keys, positions)]: Spearman within one text, columns 1 on."""
    trace = wl.record(model, text, keep=("kv", "q"))
    inner = slice(1, LENGTH - FEWEST_READERS)
    rows = []
    for layer in layers:
        attention = attention_received(trace.pattern(layer))
        by_key = facing(queries[layer], plain(trace.k[layer]).astype(np.float64))
        rows.append(
            [
                (_rho(k[inner], true[inner]), _rho(p[inner], true[inner]))
                for true, k, p in zip(attention, by_key, positions[layer], strict=True)
            ]
        )
    return np.array(rows)


def _rho(first: np.ndarray, two: np.ndarray) -> float:
    """Spearman's correlation; 0 where one of them does not vary, and so predicts nothing."""
    rho = spearman(first, two)
    return 0.0 if math.isnan(rho) else rho


@of_all
def conclude(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
    """The rank correlation by keys less that by positions, mean over heads; interval over texts."""
    table = np.concatenate([np.array(result["found"]) for _, result in measurements])
    ahead = table[..., 0] - table[..., 1]
    value, low, high = bootstrap(ahead.mean((1, 2)).tolist(), seed)
    above, below = (_significant_heads(sign * ahead) for sign in (1, -1))
    layers = measurements[0][1]["layers"]
    numbers: dict[str, Any] = {
        "keys": bootstrap(table[..., 0].mean((1, 2)).tolist(), seed),
        "positions": bootstrap(table[..., 1].mean((1, 2)).tolist(), seed),
        "heads": ahead.shape[1] * ahead.shape[2],
        "heads_above": int(above.sum()),
        "heads_below": int(below.sum()),
        "layers": [
            {
                "layer": layer,
                "keys": float(table[:, k, :, 0].mean()),
                "positions": float(table[:, k, :, 1].mean()),
                "heads_above": float(above[k].mean()),
            }
            for k, layer in enumerate(layers)
        ],
        "margins": np.round(ahead.mean(0), 4).tolist(),
    }
    return Finding(
        value, low, high, len(table), numbers=numbers, says=_says(numbers, len(table)),
        figures=(_figure(numbers["layers"]),),
    )  # fmt: skip


def _significant_heads(ahead: np.ndarray) -> np.ndarray:
    """[layer, head]: mean over texts above 0, by a one-sided z test, false discoveries at 5 %."""
    n_texts = len(ahead)
    if n_texts < 2:
        return np.zeros(ahead.shape[1:], dtype=bool)
    error = np.maximum(ahead.std(0, ddof=1) / math.sqrt(n_texts), 1e-12)
    p = norm.sf(ahead.mean(0) / error).ravel().tolist()
    return np.array(discoveries(p)).reshape(ahead.shape[1:])


def _says(numbers: dict[str, Any], n_texts: int) -> tuple[str, ...]:
    keys, positions = numbers["keys"][0], numbers["positions"][0]
    return (
        f"{n_texts} texts of {LENGTH} tokens, {numbers['heads']} heads. What a key receives from "
        "later positions is predicted by its product with the mean query of other texts; rank "
        "correlation within a text.",
        f"By keys it is {keys:.3f}, by positions alone (what this position receives in other "
        f"texts) {positions:.3f}.",
        f"Keys are ahead in {numbers['heads_above']} heads of {numbers['heads']} and behind in "
        f"{numbers['heads_below']}, false discoveries held at 5 %.",
        "Each row counts times its number of columns, so that late rows, which spread over more, "
        f"weigh as much as early ones; column 0, and the last {FEWEST_READERS} columns, which few "
        "rows can read, are left out.",
        "Mean queries are those of the same positions, after positions are mixed in: the keys' "
        "prediction knows positions too. It does not know the queries of its own text, and no "
        "softmax: how strong the other keys are.",
    )


def _figure(layers: list[dict[str, Any]]) -> Figure:
    x = tuple(float(layer["layer"]) for layer in layers)
    return Figure(
        "Attention received later: predicted by keys, by positions",
        "line",
        "layer",
        "rank correlation",
        (
            Series("keys", x, tuple(layer["keys"] for layer in layers)),
            Series("positions", x, tuple(one["positions"] for one in layers)),
            Series("share of heads where keys are ahead", x,
                   tuple(one["heads_above"] for one in layers)),
        ),
        rule=0.0,
        rule_name="nothing predicted",
    )  # fmt: skip


EXPERIMENT = Experiment(
    claim="keys-face-future",
    counts="passages, of which those of 40 tokens and more count",
    n=240,
    quick=56,
    least=40,
    items=items,
    measure=measure,
    conclude=conclude,
)
