"""The stream's width limits both highways: its effective dimension beside the capacity of K/V."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import worldline as wl
from worldline.experiments.capacity import (
    NO_READS,
    PARTS,
    collect_layers,
    items_by_third,
    kv_dimensions,
    state_dimension,
)
from worldline.experiments.experiment import Experiment, Figure, Finding, Item, Measurement, Series
from worldline.experiments.passage_rows import read_passages
from worldline.experiments.refusals import REFUSAL_KEY, of_all, or_reason
from worldline.experiments.spectra import dimension_interval


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """Dimension of the states and of what is written, for some layers."""
    texts = read_passages(model, item["texts"], item["seed"])
    sample = collect_layers(model, texts, item["part"], PARTS)
    if sample is None:
        return {REFUSAL_KEY: NO_READS} if item["part"] == 0 else {"layers": []}
    return {
        "texts": len(texts),
        "layers": [
            kv_dimensions(sample, layer) | state_dimension(sample, layer) for layer in sample.layers
        ],
    }


@of_all
def conclude(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
    """The mean over layers of effective dimension / d_model; interval over blocks of texts."""
    layers = sorted(
        (layer for _, m in measurements for layer in m["layers"]), key=lambda layer: layer["layer"]
    )
    value, low, high = dimension_interval(layers, seed)
    return Finding(
        value,
        low,
        high,
        measurements[0][1]["texts"],
        numbers={"layers": [_row(one) for one in layers], "samples": layers[0]["samples"]},
        says=_says(layers, value),
        figures=(_figure(layers),),
    )


def _row(layer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in layer.items() if name not in ("traces", "cross")}


def _says(layers: list[dict[str, Any]], value: float) -> tuple[str, ...]:
    first_layer = layers[0]
    raw = [layer["raw"] / layer["d_model"] for layer in layers]
    entropy = [layer["entropy"] / layer["d_model"] for layer in layers]
    lines = [
        f"The stream has {first_layer['d_model']} numbers a token. Were they spread evenly over "
        f"orthogonal directions, {value * first_layer['d_model']:.0f} directions would do, "
        f"{value:.3f} of the width: the participation ratio of its correlations, mean of "
        f"{len(layers)} layers, {first_layer['samples']:,} states, column 0 left out.",
        f"Counted by entropy it is {np.mean(entropy):.3f} of the width; without standardising "
        f"the dimensions, where few large ones lead, the participation ratio is "
        f"{np.mean(raw):.3f}.",
        f"V writes {first_layer['width_v']} numbers of rank {first_layer['rank_v']}, in effect "
        f"{np.mean([layer['participation_v'] for layer in layers]):.0f} directions by the same "
        f"ratio.",
    ]
    layers_with_kv = [layer for layer in layers if layer["width_kv"] is not None]
    if layers_with_kv:
        lines.append(
            f"K and V together cache {layers_with_kv[0]['width_kv']} numbers a token and layer, "
            f"{layers_with_kv[0]['cached']:.2f} of the stream's width, of rank "
            f"{layers_with_kv[0]['rank_kv']} "
            f"(K before positions); in effect "
            f"{np.mean([layer['participation_kv'] for layer in layers_with_kv]):.0f} "
            "directions. Keys and "
            "values are counted as attention reads them, also where a cache stores less."
        )
    lines.append(
        "This says how much is in use, on natural text, by variance. It does not say that more "
        "width would be used, nor that a direction of little variance is of little use."
    )
    return tuple(lines)


def _figure(layers: list[dict[str, Any]]) -> Figure:
    x = tuple(float(layer["layer"]) for layer in layers)
    lines = [
        Series("state, participation", x, tuple(layer["participation"] for layer in layers)),
        Series("state, entropy", x, tuple(one["entropy"] for one in layers)),
        Series("V, rank", x, tuple(float(one["rank_v"]) for one in layers)),
        Series("V, participation", x, tuple(one["participation_v"] for one in layers)),
    ]
    if all(one["rank_kv"] is not None for one in layers):
        lines += [
            Series("K and V, rank", x, tuple(float(one["rank_kv"]) for one in layers)),
            Series("K and V, participation", x, tuple(one["participation_kv"] for one in layers)),
        ]
    return Figure(
        "Effective dimension of the stream and capacity of K/V", "line", "layer", "dimensions",
        tuple(lines), rule=float(layers[0]["d_model"]), rule_name="d_model",
    )  # fmt: skip


EXPERIMENT = Experiment(
    claim="width-bottleneck",
    counts="passages; from 200 on every layer, else every third",
    n=240,
    quick=60,
    least=40,
    items=items_by_third,
    measure=measure,
    conclude=conclude,
)
