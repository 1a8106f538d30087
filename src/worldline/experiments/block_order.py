"""Whether a block's MLP reads what the attention of the same block brought, or stands beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import worldline as wl
from worldline.experiments.experiment import Experiment, Figure, Finding, Item, Measurement, Picture
from worldline.experiments.law_checks import draw_texts, exact, series
from worldline.experiments.model_grid import PARALLEL_TOLERANCE, mlp_changes
from worldline.experiments.refusals import or_reason, untestable, untestable_of

N_TOKENS = 48
TINY_TOKENS = 12
OTHER_TYPES = (
    "llama",
    "gpt2",
    "qwen3",
    "gemma2",
    "opt",
    "olmo2",
    "gpt_neox",
    "gptj",
    "phi",
    "cohere",
    "falcon",
    "codegen",
)
PLOT_FLOOR = 1e-12  # a change of 0 is drawn here


def items(model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """`n` passages for this model, and one item for a tiny random model of each other type."""
    texts = draw_texts(model, n, seed, N_TOKENS)
    mine = [
        text_item | {"type": None, "seed": seed + number} for number, text_item in enumerate(texts)
    ]
    tiny_items = [{"key": f"tiny {name}", "type": name, "seed": seed} for name in OTHER_TYPES]
    return mine + tiny_items


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """How far MLP terms moved where attention's result was taken away, node by node."""
    draw = np.random.default_rng(item["seed"])
    if item["type"] is None:
        ids = tuple(item["ids"])
    else:
        model = wl.load_model(f"tiny:{item['type']}")
        words = " ".join(f"t{word}" for word in draw.choice(range(3, 112), TINY_TOKENS))
        ids = wl.tokenize(model.tokenizer, words).ids
    node_changes = mlp_changes(model, ids, draw)
    return {
        "nodes": [list(node_change[:2]) for node_change in node_changes],
        "changes": [node_change[2] for node_change in node_changes],
    }


def _share(changes: Sequence[float]) -> float:
    return float(np.mean([change > PARALLEL_TOLERANCE for change in changes]))


def conclude(measurements: Sequence[tuple[Item, Measurement]], _seed: int) -> Finding:
    """The share of this model's tested nodes whose MLP term depends on the block's attention."""
    mine = [(item, result) for item, result in measurements if not item.get("type")]
    if (untestable_finding := untestable_of(mine)) is not None:
        return untestable_finding
    changes = [change for _, result in mine for change in result["changes"]]
    if not changes:
        return untestable("no block of this model has an MLP term")
    share_by_type = {
        item["type"]: _share(one["changes"])
        for item, one in measurements
        if item.get("type") and one.get("changes")
    }
    share, fails = _share(changes), [name for name, of in share_by_type.items() if of < 1]
    numbers = {
        "nodes": len(changes),
        "median_change": float(np.median(changes)),
        "least_change": min(changes),
        "counted_above": PARALLEL_TOLERANCE,
        "other_types": share_by_type,
        "refused_types": {
            item["type"]: one.get("refused", "no MLP term")
            for item, one in measurements
            if item.get("type") and not one.get("changes")
        },
    }
    bounds = f"holds here; not for {', '.join(fails)}, whose MLP stands beside attention"
    return Finding(
        *exact(share),
        n=len(mine),
        numbers=numbers,
        says=_says(share, numbers, fails),
        figures=(_by_type(share, share_by_type), _by_layer(mine)),
        picture=_picture(mine[0]),
        bounds=bounds if share == 1 and fails else None,
    )


def _says(share: float, numbers: dict[str, Any], fails: list[str]) -> tuple[str, ...]:
    of = len(numbers["other_types"])
    failing_types = f": {', '.join(fails)}" if fails else ""
    return (
        f"With attention's result taken away at one node of a block, the block's MLP term changes "
        f"at {share:.0%} of {numbers['nodes']} nodes tested, in the median by "
        f"{numbers['median_change']:.2g} of its size, at least by {numbers['least_change']:.1g}.",
        f"Of {of} tiny random models of other types, {len(fails)} do not pass attention to the MLP "
        f"at every node{failing_types}. In those, MLP and attention read the same state side "
        "by side.",
        f"A change counts above {numbers['counted_above']:.0e} of the term's size. Column 0 is "
        "left out: it reads only itself. What was tested is dependence, not how much the MLP "
        "makes of it.",
    )


def _by_type(share: float, share_by_type: dict[str, float]) -> Figure:
    share_by_model = {"this model": share, **share_by_type}
    return Figure(
        title="Does the MLP depend on the attention of its own block?",
        mark="bar",
        x="model; all others are tiny and random",
        y="share of nodes where it does",
        series=(series("share", share_by_model, share_by_model.values()),),
        rule=1.0,
        rule_name="every node",
    )


def _by_layer(mine: Sequence[tuple[Item, Measurement]]) -> Figure:
    by: dict[int, list[float]] = {}
    for _, result in mine:
        for (layer, _), change in zip(result["nodes"], result["changes"], strict=True):
            by.setdefault(layer, []).append(change)
    layers = sorted(by)
    medians = np.maximum([np.median(by[layer]) for layer in layers], PLOT_FLOOR)
    return Figure(
        title="How far the MLP term moves without the attention before it",
        mark="line",
        x="block",
        y="log10 of the change, of the term's size (nothing: -12)",
        series=(series("median over texts", layers, np.log10(medians)),),
        rule=float(np.log10(PARALLEL_TOLERANCE)),
        rule_name="counted above",
    )


def _picture(pair: tuple[Item, Measurement]) -> Picture:
    item, result = pair
    layer, pos = result["nodes"][len(result["nodes"]) // 2]
    return Picture(
        text=item["text"],
        says=f"Without these reads the MLP of block {layer} adds something else at column {pos}.",
        cuts=(f"{layer}.*:*>{pos}",),
        how="zero",
    )


EXPERIMENT = Experiment(
    claim="block-order",
    counts="passages, one node a block; 12 tiny models of other types beside them",
    n=40,
    quick=4,
    least=2,
    items=items,
    measure=measure,
    conclude=conclude,
)
