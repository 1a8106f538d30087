"""What the MLP computes inside is partly lost: its hidden numbers, read in its write and above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import worldline as wl
from worldline.experiments.experiment import Experiment, Figure, Finding, Item, Measurement, Series
from worldline.experiments.linear_probes import (
    allowed_inputs,
    best_of_width,
    components,
    fitting_rows,
    read_out,
    shares_interval,
    standardise,
)
from worldline.experiments.passage_rows import (
    collect,
    head_rows,
    part_items,
    plain,
    read_passages,
    spread_over,
)
from worldline.experiments.refusals import REFUSAL_KEY, of_all, or_reason

KEEP = ("terms", "kv", "k_unplaced", "mlp_hidden")
TEXTS_PER_LAYER, AT_ONCE = 80, 3
NAMES = ("write", "later", "both")


def items(_model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """Layers are tested by the handful, one handful an item, one layer for each 80 passages."""
    return part_items(n, seed, max(2, n // TEXTS_PER_LAYER), AT_ONCE)


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """Readers of the MLP's hidden numbers in some layers."""
    texts = read_passages(model, item["texts"], item["seed"])
    chosen_layers = _item_layers(model, texts[0], item)
    if isinstance(chosen_layers, str):
        return {REFUSAL_KEY: chosen_layers}

    def take(trace: wl.Trace) -> dict[str, np.ndarray]:
        arrays: dict[str, np.ndarray | None] = {}
        for layer in range(trace.n_layers):
            if layer > min(chosen_layers, default=trace.n_layers):
                arrays[f"v{layer}"] = head_rows(trace.v[layer])
                arrays[f"k{layer}"] = head_rows(trace.array("k_unplaced")[layer])
            if layer in chosen_layers:
                mlp_hidden, write = (trace.array(name)[layer] for name in ("mlp_hidden", "mlp_out"))
                assert mlp_hidden is not None
                arrays[f"h{layer}"], arrays[f"w{layer}"] = plain(mlp_hidden)[1:], plain(write)[1:]
        return {name: rows for name, rows in arrays.items() if rows is not None}

    rows = collect(model, texts, KEEP, take)
    return {"layers": [_readings(rows.arrays, rows.text_of, layer) for layer in chosen_layers]}


def _item_layers(model: wl.LoadedModel, text: wl.Tokens, item: Item) -> list[int] | str:
    """The layers of an item, from those that have hidden numbers and K/V above; or why none."""
    trace = wl.record(model, text, keep=KEEP)
    usable_layers = [
        layer
        for layer in range(trace.n_layers - 1)
        if trace.array("mlp_hidden")[layer] is not None and trace.mlp_out[layer] is not None
        and any(v is not None for v in trace.v[layer + 1 :])
    ]  # fmt: skip
    if not usable_layers:
        return "no layer below the last has an MLP whose hidden numbers can be told apart"
    chosen_layers = [usable_layers[k] for k in spread_over(len(usable_layers), item["wanted"])]
    return chosen_layers[item["part"] :: item["of"]]


def _readings(arrays: dict[str, np.ndarray], text_of: np.ndarray, layer: int) -> dict[str, Any]:
    fitting, n_allowed = fitting_rows(text_of), allowed_inputs(text_of)
    mlp_hidden, write = arrays[f"h{layer}"], standardise(arrays[f"w{layer}"], fitting)
    above = [name for name in arrays if name[0] in "kv" and int(name[1:]) > layer]
    room = max(n_allowed - write.shape[1], n_allowed // 2)
    n_components = max(1, room // len(above))
    later = np.concatenate(
        [components(arrays[array_name], fitting, n_components) for array_name in above], axis=1
    )
    n_of_write = n_allowed - min(later.shape[1], n_allowed // 2)
    write_and_later = np.concatenate([components(write, fitting, n_of_write), later], axis=1)
    return {
        "layer": layer,
        "d_mlp": mlp_hidden.shape[1],
        "d_model": arrays[f"w{layer}"].shape[1],
        "later_numbers": sum(arrays[array_name].shape[1] for array_name in above),
        "write": read_out(write, mlp_hidden, text_of).json(),
        "later": read_out(later, mlp_hidden, text_of).json(),
        "both": read_out(write_and_later, mlp_hidden, text_of).json(),
        "chance": read_out(write, mlp_hidden, text_of, shuffle=layer).share,
        "best": best_of_width(mlp_hidden, text_of, write.shape[1]),
    }


@of_all
def conclude(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
    """The share read in the write and in later K/V together, mean over layers, or the larger one.

    Together they have more inputs than the write, and on few samples a reader of both can fall
    behind; then the reader that found most decides, the mean over layers being compared.
    """
    layers = sorted(
        (interval for _, m in measurements for interval in m["layers"]),
        key=lambda layer: layer["layer"],
    )
    share_intervals = {
        name: shares_interval([layer[name] for layer in layers], seed) for name in NAMES
    }
    best_reader = max(NAMES, key=lambda name: share_intervals[name][0])
    value, low, high = share_intervals[best_reader]
    n_texts = len(layers[0]["write"]["total"])
    return Finding(
        value,
        low,
        high,
        n_texts,
        numbers={
            "readers": {name: list(one) for name, one in share_intervals.items()},
            "decides": best_reader,
            "layers": [_row(one) for one in layers],
        },
        says=_says(layers, share_intervals, best_reader, n_texts),
        figures=(_figure(layers),),
    )


def _row(layer: dict[str, Any]) -> dict[str, Any]:
    copied_keys = ("layer", "d_mlp", "d_model", "later_numbers", "chance", "best")
    return {name: layer[name] for name in copied_keys} | {
        name: {key: layer[name][key] for key in ("share", "inputs", "samples", "penalty")}
        for name in NAMES
    }


def _says(layers, share_intervals, best_reader, n_texts) -> tuple[str, ...]:
    layer = layers[0]
    width_ratio = layer["d_model"] / layer["d_mlp"]
    words = {"write": "its write", "later": "later K/V", "both": "both together"}
    return (
        f"The MLP of a layer computes {layer['d_mlp']} numbers and writes {layer['d_model']} "
        "to the "
        f"stream: a linear reader of the write sees at most {width_ratio:.3f} of the directions.",
        f"{len(layers)} layers, {layer['write']['samples']:,} samples to fit, {n_texts} other "
        "texts "
        f"to judge. Of the variance of the {layer['d_mlp']} numbers, each standardised, "
        f"{share_intervals['write'][0]:.3f} is read in the write, "
        f"{share_intervals['later'][0]:.3f} in K and V that "
        f"layers above write at the same position, {share_intervals['both'][0]:.3f} in both.",
        f"The best reader decides: {words[best_reader]}.",
        f"Of {layer['later_numbers']} numbers of later K/V above layer {layer['layer']}, principal "
        f"components of every layer are read, {layer['later']['inputs']} in all: ten samples an "
        "input allow no more.",
        f"By chance {np.mean([first_layer['chance'] for first_layer in layers]):.3f}. The most "
        "that as many linear "
        f"numbers as the write has could keep is {np.mean([one['best'] for one in layers]):.3f}.",
        "Linear readers only: a non-linear one may recover more of what the write leaves out.",
    )


def _figure(layers: list[dict[str, Any]]) -> Figure:
    x = tuple(float(layer["layer"]) for layer in layers)
    names = {"write": "the MLP's write", "later": "K/V of layers above", "both": "both"}
    lines = [
        Series(words, x, tuple(layer[name]["share"] for layer in layers))
        for name, words in names.items()
    ]
    lines.append(Series("best of the write's width", x, tuple(one["best"] for one in layers)))
    lines.append(Series("chance", x, tuple(one["chance"] for one in layers)))
    return Figure(
        "What a linear reader recovers of the MLP's hidden numbers", "line", "layer",
        "share of variance", tuple(lines), rule=0.9, rule_name="not lossy",
    )  # fmt: skip


EXPERIMENT = Experiment(
    claim="mlp-lossy",
    counts="passages, half of them to fit the readers; one layer is tested for each 80",
    n=320,
    quick=176,
    least=40,
    items=items,
    measure=measure,
    conclude=conclude,
)
