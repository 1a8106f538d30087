"""What the MLP computes inside is partly lost: its hidden numbers, read in its write and above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import worldline as wl
from worldline.lab.collecting import (
    collect,
    first_reason,
    head_rows,
    plain,
    read_passages,
    spread_over,
    untestable,
)
from worldline.lab.experiment import Experiment, Figure, Finding, Item, Measured, Series
from worldline.lab.reading import (
    allowed_inputs,
    best_of_width,
    components,
    fitting_rows,
    read_out,
    shares_interval,
    standardised,
)
from worldline.lab.stimuli.passages import draw_passages

KEEP = ("terms", "kv", "k_unplaced", "mlp_hidden")
TEXTS_PER_LAYER, AT_ONCE = 80, 3
NAMES = ("write", "later", "both")


def items(_model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """Layers are tested by the handful, one handful an item, one layer for each 80 passages."""
    draw_passages(n, seed)  # more than there are is refused here
    wanted = max(2, n // TEXTS_PER_LAYER)
    parts = -(-wanted // AT_ONCE)
    return [
        {"key": f"part {part}", "part": part, "of": parts, "wanted": wanted,
         "texts": n, "seed": seed}
        for part in range(parts)
    ]  # fmt: skip


def measure(model: wl.LoadedModel, item: Item) -> Measured:
    """Readers of the MLP's hidden numbers in some layers."""
    try:
        texts = read_passages(model, item["texts"], item["seed"])
    except wl.InputError as error:
        return {"untestable": str(error)}
    chosen = _chosen(model, texts[0], item)
    if isinstance(chosen, str):
        return {"untestable": chosen}

    def take(trace: wl.Trace) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray | None] = {}
        for layer in range(trace.n_layers):
            if layer > min(chosen, default=trace.n_layers):
                found[f"v{layer}"] = head_rows(trace.v[layer])
                found[f"k{layer}"] = head_rows(trace.array("k_unplaced")[layer])
            if layer in chosen:
                hidden, write = (trace.array(name)[layer] for name in ("mlp_hidden", "mlp_out"))
                assert hidden is not None
                found[f"h{layer}"], found[f"w{layer}"] = plain(hidden)[1:], plain(write)[1:]
        return {name: rows for name, rows in found.items() if rows is not None}

    rows = collect(model, texts, KEEP, take)
    return {"layers": [_readings(rows.arrays, rows.text_of, layer) for layer in chosen]}


def _chosen(model: wl.LoadedModel, text: wl.Tokens, item: Item) -> list[int] | str:
    """The layers of an item, from those that have hidden numbers and K/V above; or why none."""
    trace = wl.record(model, text, keep=KEEP)
    told = [
        layer
        for layer in range(trace.n_layers - 1)
        if trace.array("mlp_hidden")[layer] is not None and trace.mlp_out[layer] is not None
        and any(v is not None for v in trace.v[layer + 1 :])
    ]  # fmt: skip
    if not told:
        return "no layer below the last has an MLP whose hidden numbers can be told apart"
    wanted = [told[k] for k in spread_over(len(told), item["wanted"])]
    return wanted[item["part"] :: item["of"]]


def _readings(arrays: dict[str, np.ndarray], text_of: np.ndarray, layer: int) -> dict[str, Any]:
    fitting, allowed = fitting_rows(text_of), allowed_inputs(text_of)
    hidden, write = arrays[f"h{layer}"], standardised(arrays[f"w{layer}"], fitting)
    above = [name for name in arrays if name[0] in "kv" and int(name[1:]) > layer]
    room = max(allowed - write.shape[1], allowed // 2)
    each = max(1, room // len(above))
    later = np.concatenate([components(arrays[one], fitting, each) for one in above], axis=1)
    both = np.concatenate([components(write, fitting, allowed - min(later.shape[1], allowed // 2)),
                           later], axis=1)  # fmt: skip
    return {
        "layer": layer,
        "d_mlp": hidden.shape[1],
        "d_model": arrays[f"w{layer}"].shape[1],
        "later_numbers": sum(arrays[one].shape[1] for one in above),
        "write": read_out(write, hidden, text_of).json(),
        "later": read_out(later, hidden, text_of).json(),
        "both": read_out(both, hidden, text_of).json(),
        "chance": read_out(write, hidden, text_of, shuffle=layer).share,
        "best": best_of_width(hidden, text_of, write.shape[1]),
    }


def conclude(measured: Sequence[tuple[Item, Measured]], seed: int) -> Finding:
    """The share read in the write and in later K/V together, mean over layers, or the larger one.

    Together they have more inputs than the write, and on few samples a reader of both can fall
    behind; then the reader that found most decides, the mean over layers being compared.
    """
    why = first_reason(measured)
    if why is not None or not measured:
        return untestable(why or "nothing was measured")
    layers = sorted((one for _, m in measured for one in m["layers"]), key=lambda one: one["layer"])
    found = {name: shares_interval([one[name] for one in layers], seed) for name in NAMES}
    which = max(NAMES, key=lambda name: found[name][0])
    value, low, high = found[which]
    n_texts = len(layers[0]["write"]["total"])
    return Finding(
        value,
        low,
        high,
        n_texts,
        numbers={
            "readers": {name: list(one) for name, one in found.items()},
            "decides": which,
            "layers": [_row(one) for one in layers],
        },
        says=_says(layers, found, which, n_texts),
        figures=(_figure(layers),),
    )


def _row(one: dict[str, Any]) -> dict[str, Any]:
    kept = ("layer", "d_mlp", "d_model", "later_numbers", "chance", "best")
    return {name: one[name] for name in kept} | {
        name: {key: one[name][key] for key in ("share", "inputs", "samples", "penalty")}
        for name in NAMES
    }


def _says(layers, found, which, n_texts) -> tuple[str, ...]:
    one = layers[0]
    bound = one["d_model"] / one["d_mlp"]
    words = {"write": "its write", "later": "later K/V", "both": "both together"}
    return (
        f"The MLP of a layer computes {one['d_mlp']} numbers and writes {one['d_model']} to the "
        f"stream: a linear reader of the write sees at most {bound:.3f} of the directions.",
        f"{len(layers)} layers, {one['write']['samples']:,} samples to fit, {n_texts} other texts "
        f"to judge. Of the variance of the {one['d_mlp']} numbers, each standardised, "
        f"{found['write'][0]:.3f} is read in the write, {found['later'][0]:.3f} in K and V that "
        f"layers above write at the same position, {found['both'][0]:.3f} in both.",
        f"The best reader decides: {words[which]}.",
        f"Of {one['later_numbers']} numbers of later K/V above layer {one['layer']}, principal "
        f"components of every layer are read, {one['later']['inputs']} in all: ten samples an "
        "input allow no more.",
        f"By chance {np.mean([one['chance'] for one in layers]):.3f}. The most that as many linear "
        f"numbers as the write has could keep is {np.mean([one['best'] for one in layers]):.3f}.",
        "Linear readers only: a non-linear one may recover more of what the write leaves out.",
    )


def _figure(layers: list[dict[str, Any]]) -> Figure:
    x = tuple(float(one["layer"]) for one in layers)
    names = {"write": "the MLP's write", "later": "K/V of layers above", "both": "both"}
    lines = [
        Series(words, x, tuple(one[name]["share"] for one in layers))
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
