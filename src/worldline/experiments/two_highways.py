"""Whether anything but K/V goes between columns, or anything but the residual stream up a column.

With every K/V edge into a column cut, its logits may depend on its own token alone. A node of that
column overwritten by another text's leaves nothing of its own above. And a changed token changes
nothing before it.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

import worldline as wl
from worldline.experiments.experiment import Experiment, Figure, Finding, Item, Measurement, Picture
from worldline.experiments.law_checks import (
    apart,
    as_array,
    draw_texts,
    exact,
    on_device,
    refuse_coarse,
    same_places,
    series,
    weights_held,
)
from worldline.experiments.model_grid import n_layers_of
from worldline.experiments.refusals import REFUSAL_KEY, of_all, or_reason

N_TOKENS = 48
N_COLUMNS = 2
PARTS = ("other tokens", "alone", "replaced node", "column 0", "before")
CONTROLS = ("control: not cut off", "control: own node")
PLOT_FLOOR = 1e-12  # a change of 0 is drawn here
BEYOND = 1e9  # stands for a logit that is finite in one run only: plain JSON knows no infinity


def items(model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """Passages, each with another one to take tokens and nodes from, and the columns to test."""
    if refusals := refuse_coarse(model):
        return refusals
    texts = draw_texts(model, n + 1, seed, N_TOKENS)
    if len(texts) < 2:
        return [text_item for text_item in texts if REFUSAL_KEY in text_item]
    draw = np.random.default_rng(seed)
    return [
        text_item
        | {
            "others": next_item["ids"],
            "number": number,
            "columns": sorted(draw.choice(range(1, N_TOKENS), N_COLUMNS, replace=False).tolist()),
        }
        for number, (text_item, next_item) in enumerate(pairwise(texts))
    ]


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """How far each law is from holding, of the largest |logit|, and what the controls move."""
    ids, other_ids = tuple(item["ids"]), tuple(item["others"])
    plain, n_layers = _logits(model, ids), n_layers_of(model)
    changes_by_law: dict[str, list[float]] = {"floor": [_floor(model, ids, plain)]}
    bits: list[bool] = []
    row = (0, n_layers // 2, n_layers - 1)[item["number"] % 3]
    for at in item["columns"]:
        cut = wl.EdgeCut("mask", dst=(at,))
        mixed_ids = (*other_ids[:at], ids[at], *other_ids[at + 1 :])
        own_logits, mixed_logits, patch_sources = (
            _logits(model, run_ids, cut)[at] for run_ids in (ids, mixed_ids, other_ids)
        )
        bits.append(np.array_equal(as_array(own_logits), as_array(mixed_logits)))
        _note(changes_by_law, "other tokens", apart(mixed_logits, own_logits))
        _note(
            changes_by_law, "control: not cut off", apart(_logits(model, mixed_ids)[at], plain[at])
        )
        if (alone := _alone(model, ids[at], at)) is not None:
            _note(changes_by_law, "alone", apart(own_logits, alone))
        _note(
            changes_by_law,
            "replaced node",
            apart(_patched_logits(model, ids, other_ids, at, row), patch_sources),
        )
        _note(changes_by_law, "control: own node", apart(own_logits, patch_sources))
    uncut = _logits(model, ids, wl.EdgeCut("mask", dst=(0,)))
    _note(changes_by_law, "column 0", apart(uncut, plain))
    before = _before(model, ids, other_ids, item["columns"][-1], plain)
    return {
        "apart": changes_by_law,
        "bitwise": bits,
        "before": before,
        "experts": _has_experts(model),
    }


def _note(changes_by_law: dict[str, list[float]], name: str, value: float) -> None:
    changes_by_law.setdefault(name, []).append(min(value, BEYOND))


def _logits(model: wl.LoadedModel, ids: tuple[int, ...], *edits: Any) -> Any:
    return wl.execute(model, wl.Plan(ids, frozenset(edits))).logits[0].detach()


def _floor(model: wl.LoadedModel, ids: tuple[int, ...], plain: Any) -> float:
    """What two equivalent plain runs differ by: one alone, one beside a copy of itself."""
    with weights_held(model):
        pair = model.module(input_ids=on_device(model, ids).repeat(2, 1), use_cache=False)
    return apart(pair.logits[0], plain)


def _alone(model: wl.LoadedModel, token: int, at: int) -> Any | None:
    """Logits of a token run alone at its position; None where the model takes no position."""
    if "position_ids" not in inspect.signature(model.module.forward).parameters:
        return None
    with weights_held(model):
        places: dict[str, Any] = {"position_ids": on_device(model, [at]), "use_cache": False}
        return model.module(input_ids=on_device(model, [token]), **places).logits[0, 0]


def _patched_logits(
    model: wl.LoadedModel, ids: tuple[int, ...], other_ids: tuple[int, ...], at: int, row: int
) -> Any:
    """Logits of a column that is cut off and whose node in one row is the other text's."""
    cut = wl.EdgeCut("mask", dst=(at,))
    patch_source = wl.PatchSource(other_ids, same_places(len(ids)), frozenset({cut}))
    node = wl.NodeCut("patch", rows=(row,), positions=(at,), patch_source=patch_source)
    return _logits(model, ids, cut, node)[at]


def _before(
    model: wl.LoadedModel, ids: tuple[int, ...], other_ids: tuple[int, ...], at: int, plain: Any
) -> Measurement:
    """Of the columns before a changed token: how many, how many not bitwise the same, how far."""
    token = next(token_id for token_id in (*other_ids[at:], *other_ids) if token_id != ids[at])
    changed_logits = _logits(model, (*ids[:at], token, *ids[at + 1 :]))
    pairs = zip(as_array(changed_logits)[:at], as_array(plain)[:at], strict=True)
    bitwise_same = [np.array_equal(a, b) for a, b in pairs]
    far = min(apart(changed_logits[:at], plain[:at]), BEYOND)
    return {"columns": at, "changed": bitwise_same.count(False), "apart": far}


def _has_experts(model: wl.LoadedModel) -> bool:
    """Whether the configuration names experts: their products group by what other tokens chose."""
    config = model.config | (model.config.get("text_config") or {})
    return any("expert" in name and isinstance(n, int) and n > 1 for name, n in config.items())


@of_all
def conclude(measurements: Sequence[tuple[Item, Measurement]], _seed: int) -> Finding:
    """The worst of all changes that no highway explains, and whether the past ever moved."""
    every: dict[str, list[float]] = {}
    for _, result in measurements:
        for name, values in result["apart"].items():
            every.setdefault(name, []).extend(values)
    experts = measurements[0][1]["experts"]
    if experts:  # bitwise is asked of dense models only
        every["before"] = [result["before"]["apart"] for _, result in measurements]
    worst = {name: max(every[name]) for name in PARTS if name in every}
    columns = sum(one["before"]["columns"] for _, one in measurements)
    n_changed = sum(one["before"]["changed"] for _, one in measurements)
    bits = [bit for _, one in measurements for bit in one["bitwise"]]
    numbers = {
        "worst": worst,
        "floor_of_two_plain_runs": max(every["floor"]),
        "bitwise_under_other_tokens": [sum(bits), len(bits)],
        "columns_before_a_change": [columns, n_changed],
        "controls_median": {name: float(np.median(every[name])) for name in CONTROLS},
        "experts": experts,
    }
    violation = None
    if n_changed and not experts:
        violation = (
            f"{n_changed} of {columns} columns before a changed token were not bitwise the same"
        )
    return Finding(
        *exact(max(worst.values())),
        n=len(measurements),
        numbers=numbers,
        says=_says(numbers, "alone" in worst),
        figures=(_figure(worst, numbers["controls_median"]),),
        picture=_picture(measurements[0][0]),
        broken=violation,
    )


def _says(numbers: dict[str, Any], ran_alone: bool) -> tuple[str, ...]:
    worst, controls = numbers["worst"], numbers["controls_median"]
    (n_same, of), (columns, n_changed) = (
        numbers["bitwise_under_other_tokens"],
        numbers["columns_before_a_change"],
    )
    alone = (
        f"Against the token run alone at its position it differs by {worst['alone']:.1e}."
        if ran_alone
        else "This model's forward takes no positions, so that no token could be run alone at its "
        "own: that comparison is left out."
    )
    return (
        "A column whose every K/V edge is cut does not see the other tokens: all of them replaced, "
        f"its logits move by at most {worst['other tokens']:.1e} of the largest ({n_same} of {of} "
        f"times bitwise nothing); not cut off, by {controls['control: not cut off']:.2f}.",
        alone,
        "With one node of a cut column replaced by another text's, its logits are that text's to "
        f"{worst['replaced node']:.1e}; before, the two differed by "
        f"{controls['control: own node']:.2f}: nothing passes beside the residual stream.",
        f"A changed token changed {n_changed} of {columns} columns before it, by a single bit or "
        "more; the cut into the first column, which nobody reads into, moved logits by "
        f"{worst['column 0']:.1e}.",
        f"Two equivalent plain runs differ by {numbers['floor_of_two_plain_runs']:.1e}: what is "
        "below that cannot be told from nothing. Tested: the columns and rows drawn, not all.",
    )


def _figure(worst: dict[str, float], controls: dict[str, float]) -> Figure:
    lines = []
    for name, values in (("worst change", worst), ("control, median", controls)):
        plotted_values = np.maximum(list(values.values()), PLOT_FLOOR)
        lines.append(series(name, values, np.log10(plotted_values)))
    return Figure(
        title="What moves a column's logits when its highways are cut",
        mark="bar",
        x="what was changed",
        y="log10 of the largest change, of the largest logit (nothing: -12)",
        series=tuple(lines),
        rule=-4.0,
        rule_name="1e-4",
    )


def _picture(item: Item) -> Picture:
    at = item["columns"][0]
    says = f"Column {at} reads nobody: whatever the other tokens are, it says the same."
    return Picture(text=item["text"], says=says, cuts=(f"*.*:*>{at}",), how="mask")


EXPERIMENT = Experiment(
    claim="two-highways",
    counts="passages of 48 tokens",
    n=20,
    quick=4,
    least=3,
    items=items,
    measure=measure,
    conclude=conclude,
)
