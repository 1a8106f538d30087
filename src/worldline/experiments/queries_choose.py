"""The query decides where to look: swapped queries move the pattern, more or less than keys do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import worldline as wl
from worldline.experiments.experiment import Experiment, Figure, Finding, Item, Measurement, Series
from worldline.experiments.passage_rows import read_passages, spread_over
from worldline.experiments.refusals import REFUSAL_KEY, of_all, or_reason
from worldline.experiments.statistics import bootstrap, interval_text
from worldline.experiments.stimuli.passages import draw_passages

LENGTH = 40
LAYERS_CUT = 5
PARTS = ("q", "k", "v")
CUT_EVERY = 3
"""Runs with swapped parts cost far more than patterns: every third pair has them."""


def items(_model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """One item for each pair of passages, no passage in two of them."""
    draw_passages(2 * n, seed)  # more than there are is refused here
    return [
        {"key": f"pair {pair}", "pair": pair, "seed": seed, "cut": pair % CUT_EVERY == 0}
        for pair in range(n)
    ]


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """Swap queries, keys and values of one text for those of another of the same length."""
    texts = read_passages(model, 2 * item["pair"] + 2, item["seed"], LENGTH)[-2:]
    length = min(map(len, texts))
    first_trace, second_trace = (
        wl.record(model, text.first(length), keep=("kv", "q")) for text in texts
    )
    layers = [layer for layer, k in enumerate(first_trace.k) if k is not None]
    if not layers:
        return {REFUSAL_KEY: "no layer of this model reads K and V by softmax attention"}
    if length < 3:
        return {REFUSAL_KEY: "texts of fewer than three tokens"}
    pattern_shifts = [_pattern_shifts(first_trace, second_trace, layer) for layer in layers]
    cut = _effects(model, first_trace, second_trace, layers) if item["cut"] else {"cut": []}
    return {"length": length, "layers": layers, "moved": pattern_shifts} | cut


def _pattern_shifts(trace: wl.Trace, two: wl.Trace, layer: int) -> dict[str, dict[str, float]]:
    own_pattern = trace.pattern(layer)
    return {
        "q": distances(own_pattern, trace.pattern(layer, q_of=two)),
        "k": distances(own_pattern, trace.pattern(layer, k_of=two)),
    }


def distances(own_pattern: np.ndarray, other_pattern: np.ndarray) -> dict[str, float]:
    """How far two patterns [head, q_pos, k_pos] are apart, mean over heads and rows from 2 on.

    `tv`: half the sum of |a - a'| over columns from 1 on, as they are; `sink`: half of |a - a'| in
    column 0; `whole`: their sum; `rest`: rows divided by what they give to columns from 1 on. Row
    1 is left out with row 0: it can look at one column only, column 0 apart.

    >>> distances(np.eye(3)[None], np.eye(3)[None])["tv"]
    0.0
    """
    a, b = own_pattern[:, 2:].astype(np.float64), other_pattern[:, 2:].astype(np.float64)
    tv = 0.5 * np.abs(a - b)
    rest_a, rest_b = (pattern[..., 1:] / np.maximum(pattern[..., 1:].sum(-1), 1e-30)[..., None]
                      for pattern in (a, b))  # fmt: skip
    return {
        "tv": float(tv[..., 1:].sum(-1).mean()),
        "sink": float(tv[..., 0].mean()),
        "whole": float(tv.sum(-1).mean()),
        "rest": float(0.5 * np.abs(rest_a - rest_b).sum(-1).mean()),
    }


def _effects(
    model: wl.LoadedModel, trace: wl.Trace, two: wl.Trace, layers: list[int]
) -> dict[str, Any]:
    """KL of the predictions, nats, mean over positions from 1, each part swapped in one layer."""
    cut_layers = [layers[k] for k in spread_over(len(layers), LAYERS_CUT)]
    ids = tuple(trace.tokens.ids)
    patch_source = wl.PatchSource(tuple(two.tokens.ids), tuple(range(len(ids))))
    plans = [wl.Plan(ids)] + [
        wl.Plan(
            ids,
            frozenset(
                {
                    wl.EdgeCut(
                        "patch", layers=(layer,), parts=part, own=True, patch_source=patch_source
                    )
                }
            ),
        )
        for layer in cut_layers
        for part in PARTS
    ]
    try:
        plain, *swapped_logits = wl.execute_many(model, plans, batch=16)
    except wl.RefusedError as error:
        return {"cut": [], "refused": str(error)}
    logp = plain[1:].double().log_softmax(-1)
    kl = [
        float((logp.exp() * (logp - logits[1:].double().log_softmax(-1))).sum(-1).mean())
        for logits in swapped_logits
    ]
    return {"cut": cut_layers, "kl": {part: kl[at::3] for at, part in enumerate(PARTS)}}


@of_all
def conclude(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
    """Total variation under swapped queries less that under swapped keys; interval over pairs."""
    results = [interval for _, interval in measurements]
    per_pair = {
        (part, metric): np.array(
            [[layer_shifts[part][metric] for layer_shifts in m["moved"]] for m in results]
        )
        for part in ("q", "k")
        for metric in ("tv", "sink", "whole", "rest")
    }
    margins = {
        metric: bootstrap((per_pair["q", metric] - per_pair["k", metric]).mean(1).tolist(), seed)
        for metric in ("tv", "sink", "whole", "rest")
    }
    means = {part: {w: float(per_pair[part, w].mean()) for w in margins} for part in ("q", "k")}
    cut, effects = _mean_effects(results, seed)
    value, low, high = margins["tv"]
    layers = tuple(float(layer) for layer in results[0]["layers"])
    return Finding(
        value,
        low,
        high,
        len(results),
        numbers={
            "margins": {what: list(result) for what, result in margins.items()},
            "means": means,
            "layers": [
                {"layer": int(layer)}
                | {f"{p}_{w}": float(per_pair[p, w][:, k].mean()) for p in "qk" for w in margins}
                for k, layer in enumerate(layers)
            ],
            "kl_nats": effects,
            "cut_layers": cut,
        },
        says=_says(margins, means, effects, cut, per_pair),
        figures=_figures(layers, per_pair, cut, effects),
    )


def _mean_effects(
    results: list[dict[str, Any]], seed: int
) -> tuple[list[int], dict[str, dict[str, Any]]]:
    ran = [result for result in results if result["cut"]]
    if not ran:
        return [], {}
    effects = {}
    for part in PARTS:
        table = np.array([result["kl"][part] for result in ran])
        mean, low, high = bootstrap(table.mean(1).tolist(), seed)
        effects[part] = {
            "mean": mean, "low": low, "high": high, "layers": table.mean(0).tolist(),
        }  # fmt: skip
    return ran[0]["cut"], effects


def _says(margins, means, effects, cut, per_pair) -> tuple[str, ...]:
    ahead = int(np.sum(per_pair["q", "tv"].mean(0) > per_pair["k", "tv"].mean(0)))
    n_layers = per_pair["q", "tv"].shape[1]
    lines = [
        "Each row of a pattern says how a position spreads its attention. Total variation is the "
        "share of it that moves to other columns, 0 to 1.",
        f"With another text's queries {means['q']['tv']:.3f} of a row moves, with its keys "
        f"{means['k']['tv']:.3f}, columns from 1 on; queries move more in {ahead} of {n_layers} "
        "layers.",
        f"Column 0 alone: {means['q']['sink']:.3f} and {means['k']['sink']:.3f}. With rows divided "
        f"by what they give to the other columns: {means['q']['rest']:.3f} and "
        f"{means['k']['rest']:.3f}, difference {interval_text(margins['rest'])}.",
        "With another text's values the pattern of the same layer does not move at all, by "
        "construction: it is made of queries and keys only.",
    ]
    if effects:
        q, k, v = (effects[part]["mean"] for part in PARTS)
        lines.append(
            f"Swapped in one layer (of {', '.join(map(str, cut))}), the prediction moves by "
            f"{q:.3f} nats (queries), {k:.3f} (keys) and {v:.3f} (values), mean of KL over "
            "positions: what is read weighs in the end beside where."
        )
    else:
        lines.append("The effect on the output was not measured: this model's reads take no edits.")
    lines.append(
        "A pattern is made of queries and keys together, so only the comparison can decide; both "
        "texts have the same positions, so what the position alone decides stays."
    )
    return tuple(lines)


def _figures(layers, per_pair, cut, effects) -> tuple[Figure, ...]:
    lines = tuple(
        Series(f"{name}{where}", layers, tuple(per_pair[part, metric].mean(0).tolist()))
        for part, name in (("q", "queries"), ("k", "keys"))
        for metric, where in (("tv", ""), ("sink", ", column 0"))
    )
    shift_figure = Figure(
        "How far a pattern moves when one part is another text's",
        "line",
        "layer",
        "total variation",
        lines,
    )
    if not effects:
        return (shift_figure,)
    bars = tuple(
        Series(name, tuple(float(layer) for layer in cut), tuple(effects[part]["layers"]))
        for part, name in (("q", "queries"), ("k", "keys"), ("v", "values"))
    )
    return shift_figure, Figure(
        "What swapping one part in one layer does", "bar", "layer", "KL, nats", bars
    )


EXPERIMENT = Experiment(
    claim="queries-choose",
    counts="pairs of passages of 40 tokens",
    n=120,
    quick=24,
    least=20,
    items=items,
    measure=measure,
    conclude=conclude,
)
