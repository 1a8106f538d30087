"""Whether the order of execution is a choice: legal orders of the blocks, run and compared."""

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
    exact,
    refuse_coarse,
    series,
    tokens_of,
)
from worldline.experiments.refusals import of_all, or_reason

N_TOKENS = 10
PLOT_FLOOR = 1e-12  # a difference of 0 is drawn here
SMALL_GRIDS = ((2, 2), (3, 3), (3, 4), (4, 4))  # where every order can be counted


def items(model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """Short passages, each with the seed of its random order."""
    if refusals := refuse_coarse(model):
        return refusals
    texts = draw_texts(model, n, seed, N_TOKENS)
    return [text_item | {"random": seed * 1000 + number} for number, text_item in enumerate(texts)]


def orders_of(item: Item) -> list[str]:
    """The orders that a text is run in."""
    return ["prefill", "decode", "wavefront(1)", f"random({item['random']})", "cone"]


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """Each order's largest difference of logits from the model's own run, and what it takes."""
    ids = tuple(item["ids"])
    runs = wl.run_orders(model, tokens_of(ids), orders_of(item))
    plain = as_array(wl.execute(model, wl.Plan(ids)).logits[0])
    result_by_order: dict[str, Any] = {}
    for order in runs.orders:
        at = [pos for pos, ran in enumerate(order.slices[-1]) if ran is not None]
        result_by_order[order.name.split("(")[0]] = {
            "apart": of_largest(order.ulp or 0.0, plain[at], model.dtype),
            "nats": order.nats,
            "ulp": order.ulp,
            "row_error": order.row_error,
            "slices": order.n_slices,
            "widest": order.widest,
            "longest_chain": order.longest_chain,
            "blocks": order.blocks,
            "of_blocks": order.of_blocks,
        }
    return {"orders": result_by_order, "floor_nats": runs.floor_nats, "n_pos": len(ids)}


def of_largest(ulp: float, logits: np.ndarray, dtype: str) -> float:
    """A difference in units in the last place at the largest |logit|, of that |logit|."""
    size = float(np.abs(logits[np.isfinite(logits)]).max())
    return ulp * EPS[dtype] * 2.0 ** math.floor(math.log2(size)) / size if size else ulp


@of_all
def conclude(measurements: Sequence[tuple[Item, Measurement]], _seed: int) -> Finding:
    """The largest difference of any order, and the number of orders there are."""
    names = list(measurements[0][1]["orders"])
    by: dict[str, list[dict[str, Any]]] = {
        name: [order_numbers["orders"][name] for _, order_numbers in measurements] for name in names
    }
    worst = {name: max(result["apart"] for result in by[name]) for name in names}
    first = measurements[0][1]
    n_pos = first["n_pos"]
    n_layers = first["orders"]["prefill"]["of_blocks"] // n_pos
    numbers = {
        "worst": worst,
        "worst_nats": {name: max(result["nats"] or 0.0 for result in by[name]) for name in names},
        "worst_ulp": {name: max(one["ulp"] or 0.0 for one in by[name]) for name in names},
        "floor_nats": max(one["floor_nats"] for _, one in measurements),
        "slices": {name: by[name][0]["slices"] for name in names},
        "longest_chain": {name: by[name][0]["longest_chain"] for name in names},
        "blocks": {name: by[name][0]["blocks"] for name in names},
        "n_layers": n_layers,
        "n_pos": n_pos,
        "orders_log10": math.log10(wl.count_orders(n_layers, n_pos)),
        "orders_of_small_grids": [
            {
                "n_layers": rows,
                "n_pos": columns,
                "coarse": wl.count_orders(rows, columns),
                "true": wl.count_orders(rows, columns, order="true"),
            }
            for rows, columns in SMALL_GRIDS
        ],
    }
    return Finding(
        *exact(max(worst.values())),
        n=len(measurements),
        numbers=numbers,
        says=_says(numbers),
        figures=(_differences(worst), _slices(numbers["slices"])),
        picture=Picture(
            text=measurements[0][0]["text"],
            says="Row by row, column by column, slanted or at random: the same logits.",
        ),
    )


def _says(numbers: dict[str, Any]) -> tuple[str, ...]:
    n_layers, n_pos, slices = numbers["n_layers"], numbers["n_pos"], numbers["slices"]
    ulp, worst = max(numbers["worst_ulp"].values()), max(numbers["worst"].values())
    small = next(grid for grid in numbers["orders_of_small_grids"] if grid["n_layers"] == 3)
    return (
        f"Run row by row ({slices['prefill']} steps), column by column ({slices['decode']}), "
        f"slanted ({slices['wavefront']}), at random ({slices['random']}) or only what the last "
        f"token needs ({slices['cone']}), the blocks give logits within {worst:.1e} of the "
        f"largest, {ulp:.0f} units in its last place.",
        f"In nats the worst is {max(numbers['worst_nats'].values()):.1e}; two equivalent plain "
        f"runs, alone and side by side, differ by up to {numbers['floor_nats']:.1e}.",
        f"{n_layers} blocks x {n_pos} positions have 10^{numbers['orders_log10']:.0f} orders, one "
        "block after the other, where each block writes its own K/V (the coarse order); where "
        f"writing K/V is a step of its own there are more: on 3 x 3 {small['true']} against "
        f"{small['coarse']}.",
        "Five orders a text were run, not all. Each was compared with the model's own run, so that "
        "two of them differ by at most twice this.",
    )


def _differences(worst: dict[str, float]) -> Figure:
    heights = np.log10(np.maximum(list(worst.values()), PLOT_FLOOR))
    return Figure(
        title="Orders of execution against the model's own run",
        mark="bar",
        x="order",
        y="log10 of the largest difference, of the largest logit (nothing: -12)",
        series=(series("worst over texts", worst, heights),),
        rule=-4.0,
        rule_name="1e-4",
    )


def _slices(slices: dict[str, int]) -> Figure:
    return Figure(
        title="Steps that an order takes, one after the other",
        mark="bar",
        x="order",
        y="slices",
        series=(series("slices", slices, slices.values()),),
    )


EXPERIMENT = Experiment(
    claim="foliations",
    counts="texts of 10 tokens, each in five orders",
    n=15,
    quick=4,
    least=3,
    items=items,
    measure=measure,
    conclude=conclude,
)
