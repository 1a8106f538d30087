"""Values pass the past state on without strong reduction of dimension: what a reader finds in V."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import worldline as wl
from worldline.experiments.capacity import (
    NO_READS,
    PARTS,
    collect_layers,
    every_value,
    items_by_third,
    kv_dimensions,
    readers,
)
from worldline.experiments.experiment import Experiment, Figure, Finding, Item, Measurement, Series
from worldline.experiments.linear_probes import shares_interval
from worldline.experiments.passage_rows import read_passages
from worldline.experiments.refusals import REFUSAL_KEY, of_all, or_reason


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """Fit the readers of some layers on half of the texts and judge them on the other half."""
    texts = read_passages(model, item["texts"], item["seed"])
    sample = collect_layers(model, texts, item["part"], PARTS, every_v=True)
    if sample is None:
        return {REFUSAL_KEY: NO_READS} if item["part"] == 0 else {"layers": []}
    every = every_value(sample)
    return {
        "layers": [
            kv_dimensions(sample, layer) | readers(sample, layer, item["seed"], every)
            for layer in sample.layers
        ]
    }


@of_all
def conclude(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
    """The mean share over layers that is read in V of the layer; interval over held-out texts."""
    layers = sorted(
        (layer for _, m in measurements for layer in m["layers"]), key=lambda layer: layer["layer"]
    )
    value, low, high = shares_interval([one["v"] for one in layers], seed)
    layers_with_kv = [one for one in layers if one["kv"] is not None]
    mean = {
        "v": value,
        "kv": _mean([one["kv"]["share"] for one in layers_with_kv]),
        "all_v": _mean([one["all_v"]["share"] for one in layers]),
        "chance": _mean([one["chance"] for one in layers]),
        "random": _mean([one["random"] for one in layers]),
        "best": _mean([one["best"] for one in layers]),
        "rank_of_d_model": _mean([one["rank_v"] / one["d_model"] for one in layers]),
    }
    n_texts = len(layers[0]["v"]["total"])
    return Finding(
        value,
        low,
        high,
        n_texts,
        numbers={"mean": mean, "layers": [_row(one) for one in layers]},
        says=_says(layers, mean, n_texts),
        figures=(_figure(layers),),
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _row(layer: dict[str, Any]) -> dict[str, Any]:
    shares = {
        name: None if layer[name] is None else layer[name]["share"] for name in ("v", "kv", "all_v")
    }
    inputs = {
        f"{name}_inputs": layer[name] and layer[name]["inputs"] for name in ("v", "kv", "all_v")
    }
    copied_keys = (
        "layer",
        "d_model",
        "width_v",
        "rank_v",
        "effective_v",
        "chance",
        "random",
        "best",
    )
    return {name: layer[name] for name in copied_keys} | shares | inputs


def _says(layers: list[dict[str, Any]], mean: dict[str, Any], n_texts: int) -> tuple[str, ...]:
    first, worst = layers[0], min(layers, key=lambda one: one["v"]["share"])
    v, every = first["v"], first["all_v"]
    lines = [
        f"{len(layers)} layers, readers fitted on {v['samples']:,} states and judged on "
        f"{n_texts} other texts; column 0 left out.",
        f"V has {first['width_v']} numbers a token (rank {first['rank_v']}), the state "
        f"{first['d_model']}: a reader of V sees at most {first['rank_v']} directions of it.",
        f"From V of its layer {mean['v']:.3f} of the state's variance is read, least "
        f"{worst['v']['share']:.3f} (layer {worst['layer']}); by chance {mean['chance']:.3f}.",
        f"As many random combinations of the state give {mean['random']:.3f}, its own principal "
        f"components, the most that any linear map of that width keeps, {mean['best']:.3f}.",
    ]
    if mean["kv"] is not None:
        lines.append(f"From K (before positions) and V {mean['kv']:.3f} is read.")
    lines.append(
        f"From V of all layers {mean['all_v']:.3f}: all numbers of the own V and the first "
        f"principal components of the others, {every['inputs']} inputs of the "
        f"{every['samples'] // 10} that ten samples an input allow."
    )
    if v["inputs"] < v["given"]:
        lines.append(
            f"Of V's {v['given']} numbers only {v['inputs']} components were read: more texts "
            "would allow more."
        )
    lines.append("A linear reader: what a non-linear one would find is not bounded by this.")
    return tuple(lines)


def _figure(layers: list[dict[str, Any]]) -> Figure:
    x = tuple(float(layer["layer"]) for layer in layers)
    lines = [
        Series("V of the layer", x, tuple(layer["v"]["share"] for layer in layers)),
        Series("V of all layers", x, tuple(one["all_v"]["share"] for one in layers)),
        Series("best of V's width", x, tuple(one["best"] for one in layers)),
        Series("random of V's width", x, tuple(one["random"] for one in layers)),
        Series("chance", x, tuple(one["chance"] for one in layers)),
    ]
    if all(one["kv"] is not None for one in layers):
        lines.insert(1, Series("K and V", x, tuple(one["kv"]["share"] for one in layers)))
    return Figure(
        "What a linear reader recovers of the state", "line", "layer", "share of variance",
        tuple(lines), rule=0.9, rule_name="without strong reduction",
    )  # fmt: skip


EXPERIMENT = Experiment(
    claim="values-wide",
    counts="passages, half of them to fit the readers; from 200 on every layer, else every third",
    n=240,
    quick=110,
    least=40,
    items=items_by_third,
    measure=measure,
    conclude=conclude,
)
