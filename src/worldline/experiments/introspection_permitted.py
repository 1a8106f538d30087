"""Whether later tokens read past inner states: those changed, with the past tokens as they are.

A text is prefix, middle and end. What the end reads of the middle, K and V, is taken from a run
in which the middle has the same tokens but other states: because another prefix came before it, a
direction was perturbed into it, or each of its states was made from its own token and column 0
alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import worldline as wl
from worldline.experiments.experiment import Experiment, Figure, Finding, Item, Measurement, Picture
from worldline.experiments.law_checks import (
    EPS,
    as_array,
    draw_texts,
    finite,
    kl_nats,
    same_places,
    series,
    tokens_of,
)
from worldline.experiments.refusals import REFUSAL_KEY, of_all, or_reason
from worldline.experiments.statistics import bootstrap

N_PREFIX, N_MIDDLE, N_END = 10, 12, 10
PARTS = ("kv", "k", "v")
PART_NAMES = {"kv": "K and V", "k": "K only", "v": "V only"}
KINDS = ("another prefix", "perturbed", "tokens alone")  # the least of these decides
BESIDE = ("perturbed at random", "tokens alone, no column 0")
IDENTITY = "identity"
ARITHMETIC = 1e-15  # what float64 leaves of a KL that is 0


def items(model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """Passages in three spans, each with the beginning of another one."""
    texts = draw_texts(model, 2 * n, seed, N_PREFIX + N_MIDDLE + N_END)
    if len(texts) < 2:
        return [text_item for text_item in texts if REFUSAL_KEY in text_item]
    return [
        text_item
        | {"prefix": next_item["ids"][:N_PREFIX], "n_middle": N_MIDDLE, "seed": seed + number}
        for number, (text_item, next_item) in enumerate(zip(texts[::2], texts[1::2], strict=False))
    ]


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """KL in nats at the end's positions, for each kind of change and each part of K/V."""
    ids, prefix = tuple(item["ids"]), tuple(item["prefix"])
    middle = tuple(range(len(prefix), len(prefix) + item["n_middle"]))
    end = tuple(range(middle[-1] + 1, len(ids)))
    patch_sources, perturbation = _patch_sources(model, ids, prefix, middle, item["seed"])
    run_keys = [
        (name, part) for name in patch_sources for part in (("kv",) if name in BESIDE else PARTS)
    ]
    plans = [wl.Plan(ids)]
    for name, parts in run_keys:
        kv_patch = wl.EdgeCut(
            "patch", src=middle, dst=end, parts=parts, patch_source=patch_sources[name]
        )
        plans.append(wl.Plan(ids, frozenset({kv_patch})))
    runs = wl.execute_many(model, plans, batch=8, reuse=False)
    plain, *altered_logits = (logits.detach()[end[0] :] for logits in runs)
    kl_by_kind: dict[str, dict[str, float]] = {name: {} for name in patch_sources}
    for (name, parts), logits in zip(run_keys, altered_logits, strict=True):
        kl_by_kind[name][parts] = float(kl_nats(plain, logits).mean())
    logits = as_array(plain)
    largest = float(np.abs(logits[np.isfinite(logits)]).max())
    rounding = max((EPS[model.dtype] * largest) ** 2 / 2, ARITHMETIC)
    return {"kl": kl_by_kind, "rounding": rounding, "perturbation": perturbation}


def _patch_sources(
    model: wl.LoadedModel,
    ids: tuple[int, ...],
    prefix: tuple[int, ...],
    middle: tuple[int, ...],
    seed: int,
) -> tuple[dict[str, wl.PatchSource], dict[str, float | int]]:
    """The runs whose K and V are read instead, and how the perturbations were made."""
    at, other_ids = same_places(len(ids)), prefix + ids[len(prefix) :]
    own_trace = wl.record(model, tokens_of(ids), keep=())
    other_trace = wl.record(model, tokens_of(other_ids), keep=())
    row = own_trace.n_layers // 2
    states = as_array(own_trace.resid[row])[list(middle)]
    apart = as_array(other_trace.resid[row])[list(middle)] - states
    length = float(np.linalg.norm(apart, axis=-1).mean())
    way = apart.mean(0)
    random = np.random.default_rng(seed).standard_normal(way.shape)
    edits = {
        IDENTITY: (ids, frozenset()),
        "another prefix": (other_ids, frozenset()),
        "perturbed": (ids, _perturbation(row, middle, way, length)),
        "tokens alone": (ids, frozenset({wl.EdgeCut("mask", src=at[1:])})),
        "perturbed at random": (ids, _perturbation(row, middle, random, length)),
        "tokens alone, no column 0": (ids, frozenset({wl.EdgeCut("mask")})),
    }
    perturbation = {"row": row, "norm": length, "of": float(np.linalg.norm(states, axis=-1).mean())}
    return {
        name: wl.PatchSource(source_ids, at, under) for name, (source_ids, under) in edits.items()
    }, perturbation


def _perturbation(
    row: int, middle: tuple[int, ...], way: np.ndarray, length: float
) -> frozenset[wl.NodeCut]:
    """A vector of one length along one direction; none in row 0, where states are the tokens."""
    size = float(np.linalg.norm(way))
    if row == 0 or size == 0:
        return frozenset()
    vector = tuple((way * (length / size)).tolist())
    return frozenset({wl.NodeCut("perturb", rows=(row,), positions=middle, vector=vector)})


def _above(result: Measurement, kind: str, parts: str) -> float:
    """log10 of a change's KL over the floor: that of an identity patch, or rounding if larger."""
    floor = max(result["kl"][IDENTITY][parts], result["rounding"])
    return math.log10(max(result["kl"][kind][parts], floor) / floor)


def _least_median(values: np.ndarray) -> float:
    """The smallest of the kinds' medians, of texts one after the other with all kinds each."""
    return float(np.median(values.reshape(-1, len(KINDS)), axis=0).min())


def _median(values: list[float], seed: int) -> tuple[float, float, float]:
    return bootstrap(values, seed, lambda drawn: float(np.median(drawn)))


@of_all
def conclude(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
    """The least of the three kinds' median ratios, K and V both changed."""
    interval = [result for _, result in measurements]
    by_text = [[_above(result, kind, "kv") for kind in KINDS] for result in interval]
    value, low, high = bootstrap(by_text, seed, _least_median)
    measured_of = {kind: list(by) for kind, by in interval[0]["kl"].items()}
    above = {
        kind: {part: _median([_above(one, kind, part) for one in interval], seed) for part in parts}
        for kind, parts in measured_of.items()
        if kind != IDENTITY
    }
    nats = {
        kind: {
            part: float(np.median([one["kl"][kind][part] for one in interval])) for part in parts
        }
        for kind, parts in measured_of.items()
    }
    random = nats["perturbed at random"]["kv"]
    numbers = {
        "above_floor_log10": {
            kind: {parts: finite(results) for parts, results in by.items()}
            for kind, by in above.items()
        },
        "kl_nats_median": nats,
        "rounding_floor_nats": float(np.median([one["rounding"] for one in interval])),
        "floor_is_rounding": sum(one["kl"][IDENTITY]["kv"] < one["rounding"] for one in interval),
        "perturbed_over_random": nats["perturbed"]["kv"] / random if random else None,
        "perturbation": {
            name: float(np.median([one["perturbation"][name] for one in interval]))
            for name in ("row", "norm", "of")
        },
    }
    return Finding(
        value,
        low,
        high,
        n=len(interval),
        numbers=numbers,
        says=_says(numbers, len(interval)),
        figures=(_figure(above),),
        picture=_picture(measurements[0][0]),
    )


def _says(numbers: dict[str, Any], n: int) -> tuple[str, ...]:
    nats, above, perturbation = (
        numbers[k] for k in ("kl_nats_median", "above_floor_log10", "perturbation")
    )
    kinds = "; ".join(
        f"{kind}: {nats[kind]['kv']:.2g} nats, 10^{above[kind]['kv'][0]:.1f} times the floor"
        for kind in KINDS
    )
    parts = "; ".join(
        f"{kind}: K only {nats[kind]['k']:.2g}, V only {nats[kind]['v']:.2g}" for kind in KINDS
    )
    ratio = numbers["perturbed_over_random"]
    specific = (
        "The perturbations in a random direction moved nothing."
        if ratio is None
        else f"A perturbation in a random direction of the same length moves predictions by "
        f"{nats['perturbed at random']['kv']:.2g} nats: the direction of the other prefix does "
        f"{ratio:.2g} times as much. That decides nothing; random can do more."
    )
    return (
        "The past tokens stay as they are and only what later tokens read of their inner states is "
        f"changed. Later predictions move: {kinds}.",
        f"The floor is what reading the text's own states anew changes ({nats[IDENTITY]['kv']:.1g} "
        f"nats), or what one rounding of a logit makes ({numbers['rounding_floor_nats']:.1g}) "
        f"where that is more: so in {numbers['floor_is_rounding']} of {n} texts.",
        f"By parts, in nats: {parts}.",
        f"The perturbation stands in row {perturbation['row']:.0f}, {perturbation['norm']:.3g} "
        "long where states are "
        f"{perturbation['of']:.3g}. {specific}",
        "Tokens alone: every state of the middle made from its token and column 0; without column "
        f"0 too it is {nats['tokens alone, no column 0']['kv']:.2g} nats. Such states lie off what "
        "the model was trained on. That past states can be read does not say that the model "
        "reports on them.",
    )


def _figure(above: dict[str, dict[str, tuple[float, float, float]]]) -> Figure:
    lines = []
    for part in PARTS:
        interval_by_kind = {kind: by[part] for kind, by in above.items() if part in by}
        lines.append(
            series(
                PART_NAMES[part], interval_by_kind, *zip(*interval_by_kind.values(), strict=True)
            )
        )
    return Figure(
        title="Past states changed, past tokens not: what later predictions notice",
        mark="bar",
        x="how the states were changed",
        y="log10 of the KL over that of an identity patch",
        series=tuple(lines),
        rule=2.0,
        rule_name="100 times",
    )


def _picture(item: Item) -> Picture:
    start = len(item["prefix"])
    stop = start + item["n_middle"]
    return Picture(
        text=item["text"],
        says="These reads of the middle by the end got other states under the same tokens.",
        cuts=(f"*.*:{start}-{stop - 1}>{stop}-{len(item['ids']) - 1}",),
        how="mask",
    )


EXPERIMENT = Experiment(
    claim="introspection-permitted",
    counts="passages of prefix, middle and end",
    n=40,
    quick=4,
    least=4,
    items=items,
    measure=measure,
    conclude=conclude,
)
