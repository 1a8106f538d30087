"""What flows where: how wide, of what rank, and how much of the state a reader finds in it.

Per layer, over natural passages, column 0 left out: the numbers that K and V cache for a token,
the rank and the effective rank of what is written, and the share of the state (divided by its RMS,
dimensions standardised) that a held-out linear reader recovers from V of the layer, from K (before
positions) and V, and from V of all layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import worldline as wl
from worldline.experiments.experiment import Item
from worldline.experiments.linear_probes import (
    allowed_inputs,
    best_of_width,
    components,
    fitting_rows,
    product,
    read_out,
    standardise,
)
from worldline.experiments.passage_rows import Rows, collect, head_rows, read_passages, state_rows
from worldline.experiments.spectra import Moments, cross_products, participation, spectrum_of
from worldline.experiments.stimuli.passages import draw_passages

if TYPE_CHECKING:
    from jaxtyping import Float, Int

KEEP = ("kv", "k_unplaced")
TOLERANCE = {"float64": 1e-7, "float32": 1e-5, "float16": 1e-2, "bfloat16": 5e-2}
"""Singular values of what is written, of the largest, up to which they are rounding."""

NO_READS = "no layer of this model reads K and V by softmax attention"

PARTS = 3
"""Layers are measured a third at a time, every third one; a quick run measures one third."""

ALL_FROM = 200
"""Passages from which on all thirds are measured."""


@dataclass
class LayerSample:
    """Rows of some layers of a model, with exact moments of what these layers write."""

    rows: Rows
    layers: list[int]
    n_layers: int
    keys: dict[int, int]
    moments: dict[int, Moments]
    tolerance: float

    @property
    def text_of(self) -> Int[np.ndarray, " row"]:
        """The text that each row belongs to."""
        return self.rows.text_of


def items_by_third(_model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """One item for each third of the layers, all of them over the same `n` passages."""
    draw_passages(n, seed)  # more than there are is refused here
    parts = range(PARTS) if n >= ALL_FROM else range(1)
    return [
        {"key": f"layers {part} mod {PARTS}", "part": part, "texts": n, "seed": seed}
        for part in parts
    ]


def collect_layers(
    model: wl.LoadedModel,
    texts: Sequence[wl.Tokens],
    part: int = 0,
    of: int = 1,
    every_v: bool = False,
    on_done: Callable[[int], None] | None = None,
) -> LayerSample | None:
    """States, K and V of the layers part, part + of, ...; `every_v`: V of all other layers too.

    None where no layer reads K and V.
    """
    moments: dict[int, Moments] = {}
    keys: dict[int, int] = {}
    n_layers = 0

    def take(trace: wl.Trace) -> dict[str, np.ndarray]:
        nonlocal n_layers
        n_layers, arrays = trace.n_layers, {}
        for layer, array in enumerate(trace.v):
            v, in_part = head_rows(array), layer % of == part % of
            if v is None or not (in_part or every_v):
                continue
            arrays[f"v{layer}"] = v
            if in_part:
                k = head_rows(trace.array("k_unplaced")[layer])
                keys[layer] = 0 if k is None else k.shape[1]
                arrays[f"x{layer}"] = state_rows(trace, layer)
                if k is not None:
                    arrays[f"k{layer}"] = k
                kv = v if k is None else np.concatenate([k, v], axis=1)
                moments.setdefault(layer, Moments()).add(kv)
        return arrays or {"none": np.zeros((1, 1))}

    rows = collect(model, texts, KEEP, take, on_done)
    if not moments:
        return None
    tolerance = TOLERANCE.get(model.dtype, TOLERANCE["bfloat16"])
    return LayerSample(rows, sorted(moments), n_layers, keys, moments, tolerance)


def kv_dimensions(sample: LayerSample, layer: int) -> dict[str, Any]:
    """Widths and ranks of V, and of K with V, of one layer; None where K is not to be told."""
    moments, width_k = sample.moments[layer], sample.keys[layer]
    v = spectrum_of(moments.correlations(width_k), sample.tolerance)
    kv = spectrum_of(moments.correlations(), sample.tolerance) if width_k else None
    d_model = sample.rows[f"x{layer}"].shape[1]
    return {
        "layer": layer,
        "d_model": d_model,
        "width_v": v.width,
        "width_kv": kv.width if kv else None,
        "cached": kv.width / d_model if kv else None,
        "rank_v": v.rank,
        "rank_kv": kv.rank if kv else None,
        "effective_v": v.entropy,
        "effective_kv": kv.entropy if kv else None,
        "participation_v": v.participation,
        "participation_kv": kv.participation if kv else None,
    }


def every_value(sample: LayerSample) -> Float[np.ndarray, "row dim"]:
    """Principal components of V of every layer, as many of each as leave room for one V whole."""
    fitting = fitting_rows(sample.text_of)
    values = [name for name in sample.rows.arrays if name.startswith("v")]
    widest = max(sample.rows[name].shape[1] for name in values)
    n_components = max(1, (allowed_inputs(sample.text_of) - widest) // len(values))
    return np.concatenate(
        [components(sample.rows[name], fitting, n_components) for name in values], axis=1
    )


def readers(
    sample: LayerSample, layer: int, seed: int, every: Float[np.ndarray, "row dim"]
) -> dict[str, Any]:
    """What linear readers recover of the state entering one layer, with what to compare it to.

    `v`, `kv` (None where K is not to be told), `all_v`: readings. `chance`: V against the states of
    other rows. `random`: as many random combinations of the state as V has numbers. `best`: the
    same number of its principal components, which no linear map of that width surpasses.
    """
    rows, text_of = sample.rows, sample.text_of
    x, v = rows[f"x{layer}"], rows[f"v{layer}"]
    key = f"k{layer}"
    kv = np.concatenate([rows[key], v], axis=1) if key in rows else None
    draw = np.random.default_rng([seed, layer])
    states = standardise(x, fitting_rows(text_of))
    random_mix = states @ draw.standard_normal((states.shape[1], v.shape[1]), dtype=np.float32)
    wide = np.concatenate([standardise(v, fitting_rows(text_of)), every], axis=1)
    return {
        "v": read_out(v, x, text_of).json(),
        "kv": None if kv is None else read_out(kv, x, text_of).json(),
        "all_v": read_out(wide, x, text_of).json(),
        "chance": read_out(v, x, text_of, shuffle=seed).share,
        "random": read_out(random_mix, x, text_of).share,
        "best": best_of_width(x, text_of, v.shape[1]),
    }


def state_dimension(sample: LayerSample, layer: int) -> dict[str, Any]:
    """Effective dimension of the state entering one layer, and what its interval is made of.

    `traces` and `cross` are of blocks of texts: tr M and <M, M'> of their products; see
    `participation`. `raw` is the same of states that are only divided by their RMS.
    """
    x, text_of = sample.rows[f"x{layer}"], sample.text_of
    states = standardise(x, np.ones(len(x), dtype=bool))
    traces, cross = cross_products(states, text_of)
    wide = x.astype(np.float64)
    raw = cross_products((wide - wide.mean(0)).astype(np.float32), text_of)
    correlations = product(states, states) / len(states)
    return {
        "traces": [float(f"{number:.7g}") for number in traces],
        "cross": [[float(f"{number:.7g}") for number in line] for line in cross],
        "participation": participation(traces, cross),
        "raw": participation(*raw),
        "entropy": spectrum_of(correlations, sample.tolerance).entropy,
        "samples": len(x),
    }


def passage_capacity(
    model: wl.LoadedModel, n: int, seed: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """`capacity` over `n` natural passages, drawn by the seed."""
    return capacity(model, read_passages(model, n, seed), seed, say)


def capacity(
    model: wl.LoadedModel,
    texts: Sequence[wl.Tokens],
    seed: int = 0,
    say: Callable[[str], None] = lambda _line: None,
    at_once: int = 10_000,
) -> dict[str, Any]:
    """All of this for every layer of a model, as plain words and numbers.

    Passes over the texts are as many as keep the rows of one pass near `at_once` tokens of all
    layers.

    Raises:
        InputError: fewer than ten texts; a model without K and V.
    """
    n_tokens = sum(map(len, texts))
    of = max(1, round(n_tokens / at_once))
    layers: list[dict[str, Any]] = []
    for part in range(of):

        def report_progress(n_done: int, part: int = part) -> None:
            if n_done % 10 == 0 or n_done == len(texts):
                say(f"pass {part + 1} of {of}: text {n_done} of {len(texts)}")

        sample = collect_layers(model, texts, part, of, every_v=True, on_done=report_progress)
        if sample is None:
            raise wl.InputError(f"{model.name}: {NO_READS}")
        every = every_value(sample)
        for layer in sample.layers:
            if layer % 10 == part:
                say(f"reading layer {layer} of {sample.n_layers}")
            layers.append(
                kv_dimensions(sample, layer)
                | {"state": _short_dimension(state_dimension(sample, layer))}
                | {
                    name: _short(layer_numbers)
                    for name, layer_numbers in readers(sample, layer, seed, every).items()
                }
            )
    layers.sort(key=lambda reading: reading["layer"])
    return {
        "schema": "worldline.capacity/1",
        "model": model.name,
        "dtype": model.dtype,
        "texts": len(texts),
        "states": n_tokens - len(texts),
        "seed": seed,
        "layers": layers,
    }


def _short(reading: Any) -> Any:
    if isinstance(reading, dict):
        return {key: value for key, value in reading.items() if key not in ("residual", "total")}
    return reading


def _short_dimension(dimension: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in dimension.items() if key not in ("traces", "cross")}
