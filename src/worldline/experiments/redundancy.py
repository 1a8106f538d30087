"""How much the loss rises when shares of the K/V edges are cut, at random and by weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import worldline as wl
from worldline.experiments.experiment import (
    Experiment,
    Figure,
    Finding,
    Item,
    Measurement,
    Picture,
    Series,
)
from worldline.experiments.faithfulness.edge_choice import edges_of_heads, heads_by_layer
from worldline.experiments.losses import token_losses
from worldline.experiments.refusals import of_accepted, or_reason, untestable
from worldline.experiments.statistics import bootstrap
from worldline.experiments.stimuli.passages import cut_to
from worldline.experiments.stimuli.prompts import long_passages

if TYPE_CHECKING:
    from jaxtyping import Float, Int

N_TOKENS = 48
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)
BY_WEIGHT = (0.1, 0.5, 0.9)
N_DRAWS = 2
N_PAIRS = 4
STRONG = 40  # edges that pairs are drawn from
AT_ONCE = 4
LEAST_NATS = 1e-3  # worth of all K/V edges below which there is no share to speak of
LEAST_PART = 0.01  # an interaction below this part of the larger loss is none
RANDOM, KEEP_COLUMN_0 = "random", "random, column 0 kept"
WEAK, STRONGEST = "weakest first", "strongest first"
WEAK_LAST, STRONGEST_LAST = "weakest for the last token first", "strongest for it first"
EACH_HEAD = "random, each head by itself"
AT = {
    RANDOM: (*SHARES, 1.0),
    KEEP_COLUMN_0: (*BY_WEIGHT, 1.0),
    EACH_HEAD: (0.5,),
    **dict.fromkeys((WEAK, STRONGEST, WEAK_LAST, STRONGEST_LAST), BY_WEIGHT),
}
"""The orders in which edges are cut, and the shares at which each is run."""
WORDS = ("redundant", "in series", "neither")


def items(model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """`n` passages of 48 tokens or more, cut to 48, each with a seed for its draws."""
    passages = long_passages(model, n, N_TOKENS, seed)
    return [item | {"seed": seed * 1000 + at} for at, item in enumerate(passages)]


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """Losses with shares of the edges masked, in several orders; and pairs of strong edges.

    An edge is (layer, dst, src), all heads together, except in "each head by itself", where it is
    (layer, dst, src, head). `mean` is the loss per token, `last` that of
    the last token alone; "random" orders have one entry a draw. The orders by weight are by the
    size of an edge's share of its node, which asks about no target, and by the size of its
    gradient (mask) for the logit of the last token less that of the likeliest other. Units: nats.
    """
    tokens = cut_to(model, item["text"], item["n_tokens"])
    before = tokens.first(item["n_tokens"] - 1)
    trace = wl.record(model, before)
    answer = tokens.ids[-1]
    versus = next(first_edge.id for first_edge in trace.predictions if first_edge.id != answer)
    flow = wl.attribute(trace, "gradient", how="mask", target=answer, versus=versus, top=0)
    for_last = by_weight(flow)
    every = by_weight(wl.attribute(wl.record(model, tokens), "contribution", top=0))
    draws = [np.random.default_rng([item["seed"], draw]) for draw in range(N_DRAWS)]
    orders = {RANDOM: [draw.permutation(every) for draw in draws]}
    orders[KEEP_COLUMN_0] = [draw.permutation(every[every[:, 2] > 0]) for draw in draws]
    orders[EACH_HEAD] = [draws[0].permutation(edges_of_heads(every, heads_by_layer(trace), 3))]
    orders |= {WEAK: [every], STRONGEST: [every[::-1]]}
    orders |= {WEAK_LAST: [for_last], STRONGEST_LAST: [for_last[::-1]]}
    pair = np.random.default_rng([item["seed"], N_DRAWS])
    return {
        "prompt": before.text,
        "answer": model.tokenizer.decode([answer]),
        "versus": model.tokenizer.decode([versus]),
        "n_edges": len(every),
        **cut_losses(model, tokens, orders),
        "pairs": [
            pair_of(model, before, prediction, second_edge, answer, versus)
            for prediction, second_edge in strong_pairs(for_last[::-1][:STRONG], pair)
        ],
    }


@of_accepted
def conclude(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
    """(loss(half) - loss(0)) / (loss(all) - loss(0)), edges at random, mean over texts."""
    results = [pair for _, pair in measurements if worth(pair, RANDOM) > LEAST_NATS]
    if not results:
        return untestable("cutting every K/V edge costs no text anything: there is no worth")
    value, low, high = bootstrap([part(result, RANDOM, 0.5) for result in results], seed)
    parts = {
        name: {
            f"{share:g}": bootstrap([part(result, name, share) for result in results], seed)
            for share in AT[name]
        }
        for name in (RANDOM, KEEP_COLUMN_0, EACH_HEAD, WEAK, STRONGEST)
    }
    all_nats = {
        name: bootstrap([worth(one, name) for one in results], seed)
        for name in (RANDOM, KEEP_COLUMN_0)
    }
    last = {
        name: bootstrap([_rise(one, name, 0.5, "last") for one in results], seed)
        for name in (RANDOM, WEAK_LAST, STRONGEST_LAST)
    }
    words = {
        word: bootstrap(
            [[float(one["word"] == word) for one in text["pairs"]] for text in results], seed
        )
        for word in WORDS
    }
    n_pairs = sum(len(text["pairs"]) for text in results)
    spread = [np.ptp(_rises(one, RANDOM, 0.5)) / worth(one, RANDOM) for one in results]
    numbers = {
        "parts_of_worth": parts,
        "worth_nats": all_nats,
        "last_token_rise_at_half_nats": last,
        "pairs": words | {"n": n_pairs},
        "difference_of_two_draws_at_half": float(np.mean(spread)),
        "edges": results[0]["n_edges"],
        "texts_without_worth": len(measurements) - len(results),
    }
    says = _says((value, low, high), numbers, len(results))
    return Finding(
        value, low, high, len(results), numbers, says, _figures(results, seed), _picture(results)
    )


def _says(
    half: tuple[float, float, float], numbers: dict[str, Any], n_texts: int
) -> tuple[str, ...]:
    """The numbers in sentences; `half` is what a random half costs, with its interval."""
    value, low, high = half
    parts, all_nats = numbers["parts_of_worth"], numbers["worth_nats"]
    last, words = numbers["last_token_rise_at_half_nats"], numbers["pairs"]
    with_column_0, each_head, weak, strong = (
        parts[name]["0.5"] for name in (KEEP_COLUMN_0, EACH_HEAD, WEAK, STRONGEST)
    )
    return (
        f"Cutting a random half of the {numbers['edges']:,} K/V edges of a text (layer, "
        f"destination, source; all heads; by mask) costs {value:.0%} of what cutting all costs "
        f"({low:.0%} to {high:.0%}, mean over {n_texts} texts); all of them are worth "
        f"{all_nats[RANDOM][0]:.2f} nats per token.",
        f"A tenth costs {parts[RANDOM]['0.1'][0]:.0%}, a quarter {parts[RANDOM]['0.25'][0]:.0%}, "
        f"three quarters {parts[RANDOM]['0.75'][0]:.0%}.",
        f"With the reads of column 0 kept, on which many heads park what they do not need, a "
        f"random half of the others costs {with_column_0[0]:.0%} ({with_column_0[1]:.0%} to "
        f"{with_column_0[2]:.0%}) of what "
        f"all of them cost, {all_nats[KEEP_COLUMN_0][0]:.2f} nats per token.",
        f"Where each head's edges are drawn by themselves, a random half costs {each_head[0]:.0%} "
        f"({each_head[1]:.0%} to {each_head[2]:.0%}).",
        f"By weight (share of the node, no target): the weaker half costs {weak[0]:.0%}, the "
        f"stronger half {strong[0]:.0%} of the worth of all.",
        f"The last token alone, edges by their gradient for it: the weaker half costs "
        f"{last[WEAK_LAST][0]:.2f} nats ({last[WEAK_LAST][1]:.2f} to {last[WEAK_LAST][2]:.2f}), "
        f"the stronger half {last[STRONGEST_LAST][0]:.2f}, a random half {last[RANDOM][0]:.2f}.",
        f"Of {words['n']} random pairs of strong edges {words['redundant'][0]:.0%} are redundant "
        f"(each stands in for the other: both together cost more than the sum), "
        f"{words['in series'][0]:.0%} in series, {words['neither'][0]:.0%} neither (below "
        f"{LEAST_PART:.0%} of the larger loss).",
        "A mask leaves the rest of the row to renormalise, and every cut takes the run off what "
        "the model has learnt from: the cost of that is in the numbers.",
    )


def by_weight(flow: wl.Flow) -> Int[np.ndarray, "edge 3"]:
    """Every (layer, dst, src), all heads together, from the smallest |weight| to the largest."""
    dst, src = np.tril_indices(flow.n_pos, -1)
    sizes = np.stack([np.abs(flow.dense(layer).sum(0)[dst, src]) for layer in range(flow.n_layers)])
    layer = np.repeat(np.arange(flow.n_layers), len(dst))
    edges = np.stack([layer, np.tile(dst, flow.n_layers), np.tile(src, flow.n_layers)], 1)
    return edges[np.argsort(sizes.ravel(), kind="stable")]


def mask_cuts(edges: Int[np.ndarray, "edge part"]) -> frozenset[wl.EdgeCut]:
    """The cuts, by mask, of edges (layer, dst, src) or (layer, dst, src, head): one a row."""
    sources: dict[tuple[int, ...], list[int]] = {}
    for layer, dst, src, *head in edges.tolist():
        sources.setdefault((layer, dst, *head), []).append(src)
    return frozenset(
        wl.EdgeCut("mask", tuple(srcs), (dst,), (layer,), tuple(head) or None)
        for (layer, dst, *head), srcs in sources.items()
    )


def cut_losses(
    model: wl.LoadedModel,
    tokens: wl.Tokens,
    orders: dict[str, list[Int[np.ndarray, "edge 3"]]],
) -> Measurement:
    """Loss of the whole text and of its last token, plain and with first parts of orders masked.

    Per order and share (see `AT`) one number a draw.
    """
    run_keys: list[tuple[str, float]] = []
    plans = [wl.Plan(tokens.ids)]
    for name, draws in orders.items():
        for share in AT[name]:
            for order in draws if share < 1 else draws[:1]:
                run_keys.append((name, share))
                edges = order[: round(share * len(order))]
                plans.append(wl.Plan(tokens.ids, mask_cuts(edges)))
    runs = wl.execute_many(model, plans, batch=AT_ONCE)
    plain, *cuts = (token_losses(logits.cpu().double().numpy(), tokens.ids) for logits in runs)
    result: Measurement = {"plain": {"mean": float(plain.mean()), "last": float(plain[-1])}}
    curves: dict[str, dict[str, dict[str, list[float]]]] = {}
    for (name, share), losses in zip(run_keys, cuts, strict=True):
        at = curves.setdefault(name, {}).setdefault(f"{share:g}", {"mean": [], "last": []})
        at["mean"].append(float(losses.mean()))
        at["last"].append(float(losses[-1]))
    return result | {"curves": curves}


def strong_pairs(
    edges: Int[np.ndarray, "edge 3"], draw: np.random.Generator
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Random pairs of these edges, each edge once, no two of a pair into one row of a pattern."""
    waiting = [tuple(edge) for edge in draw.permutation(edges).tolist()]
    pairs = []
    while waiting and len(pairs) < N_PAIRS:
        first_edge = waiting.pop()
        second_edge = next((edge for edge in waiting if edge[:2] != first_edge[:2]), None)
        if second_edge is None:
            break
        waiting.remove(second_edge)
        pairs.append((first_edge, second_edge))
    return pairs


def pair_of(
    model: wl.LoadedModel,
    tokens: wl.Tokens,
    first_edge: tuple[int, ...],
    two: tuple[int, ...],
    target: int,
    versus: int,
) -> Measurement:
    """Two edges (layer, dst, src) cut alone and together: what the target loses, in logits."""
    edits = [mask_cuts(np.array([edge])) for edge in (first_edge, two)]
    interaction = wl.interaction(model, tokens, *edits, target=target, versus=versus)
    larger = max(abs(interaction.first), abs(interaction.second), abs(interaction.together))
    small = abs(interaction.interaction) < LEAST_PART * larger or interaction.word is None
    return {
        "edges": [list(first_edge), list(two)],
        "losses": [interaction.first, interaction.second, interaction.together],
        "interaction": interaction.interaction,
        "word": "neither" if small else interaction.word,
    }


def _rises(
    result: Measurement, name: str, share: float, of: str = "mean"
) -> Float[np.ndarray, " draw"]:
    """Rise of the loss over the plain run's, one a draw."""
    return np.array(result["curves"][name][f"{share:g}"][of]) - result["plain"][of]


def _rise(result: Measurement, name: str, share: float, of: str = "mean") -> float:
    return float(_rises(result, name, share, of).mean())


def worth(result: Measurement, name: str) -> float:
    """What cutting all edges of a random order costs, in nats per token."""
    return _rise(result, name, 1.0)


def part(result: Measurement, name: str, share: float) -> float:
    """The rise at a share, of that with all cut: of its own kind where column 0 is kept."""
    full_rise = worth(result, KEEP_COLUMN_0 if name == KEEP_COLUMN_0 else RANDOM)
    return _rise(result, name, share) / full_rise if full_rise > LEAST_NATS else float("nan")


def _figures(results: Sequence[Measurement], seed: int) -> tuple[Figure, ...]:
    def line(name: str, of: str) -> Series:
        points = [
            bootstrap([_rise(result, name, s, of) for result in results], seed) for s in AT[name]
        ]
        # with nothing cut nothing is lost
        y, low, high = ((0.0, *column) for column in zip(*points, strict=True))
        is_bounded = np.isfinite([*low, *high]).all()
        return Series(
            name, (0.0, *AT[name]), y, low if is_bounded else None, high if is_bounded else None
        )

    mean_lines = [line(name, "mean") for name in (RANDOM, KEEP_COLUMN_0, WEAK, STRONGEST)]
    last = [line(name, "last") for name in (RANDOM, WEAK_LAST, STRONGEST_LAST)]
    x, y = "share of K/V edges cut", "rise of the loss, nats per token"
    return (
        Figure("Loss against the share of edges cut", "line", x, y, tuple(mean_lines)),
        Figure("The last token alone", "line", x, "rise of its loss, nats", tuple(last)),
    )


def _picture(results: Sequence[Measurement]) -> Picture:
    """The pair of strong edges that together cost the most beyond the sum of their own."""
    every = [(pair, result) for result in results for pair in result["pairs"]]
    if not every:
        return Picture(results[0]["prompt"], "A text whose edges were cut.", results[0]["answer"])
    pair, result = min(
        every,
        key=lambda joint_change: (
            joint_change[0]["interaction"] * np.sign(joint_change[0]["losses"][2])
        ),
    )
    cuts = tuple(f"{layer}.*:{src}>{dst}" for layer, dst, src in pair["edges"])
    alone, also, both = (-loss for loss in pair["losses"])
    says = (
        f"Two strong edges: the difference of the logits moves by {alone:+.2f} and {also:+.2f} "
        f"where they are cut one by one, by {both:+.2f} without both."
    )
    return Picture(result["prompt"], says, result["answer"], result["versus"], cuts)


EXPERIMENT = Experiment(
    claim="redundancy",
    counts="texts",
    n=20,
    quick=3,
    least=3,
    items=items,
    measure=measure,
    conclude=conclude,
)
