"""Whether a longer text makes a longer chain of blocks, or only more chains side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import worldline as wl
from worldline.experiments.experiment import Experiment, Figure, Finding, Item, Measurement, Picture
from worldline.experiments.law_checks import (
    context_of,
    draw_texts,
    exact,
    series,
    tokens_of,
)
from worldline.experiments.refusals import of_all, or_reason

LONGEST = 64
SAMPLED_COUNTS = range(5)


def items(model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """Beginnings of one passage: `n` lengths from 1 to 64, spread evenly in their logarithm."""
    longest = min(LONGEST, context_of(model) or LONGEST)
    texts = draw_texts(model, 1, seed, longest)
    if not texts:
        return texts
    ids, text = texts[0]["ids"], texts[0]["text"]
    if n >= longest:
        lengths = list(range(1, longest + 1))
    else:
        lengths = sorted(set(np.geomspace(1, longest, n).round().astype(int).tolist()))
    return [{"key": f"T={size}", "ids": ids[:size], "text": text} for size in lengths]


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """The longest chain of blocks at one length, and the run in as many steps as there are rows."""
    n_pos = len(item["ids"])
    runs = wl.run_orders(model, tokens_of(item["ids"]), ["prefill"])
    order = runs.orders[0]
    n_layers = order.of_blocks // n_pos
    paths = wl.count_paths(n_layers=n_layers, distance=n_pos - 1)
    return {
        "n_pos": n_pos,
        "n_layers": n_layers,
        "chain": order.longest_chain,
        "steps": order.n_slices,
        "reads": max(hops for hops, count in enumerate(paths.by_hops) if count),
        "paths_log10": paths.log10,
        "nats": order.nats,
        "floor_nats": runs.floor_nats,
    }


def chain_with_sampling(n_layers: int, n_prompt: int, n_sampled: int) -> int:
    """Blocks in the longest chain that ends in the last of `n_sampled` tokens fed back.

    A sampled token's column begins where the column before it ended: one loop through the bottom.
    Exactness: integer-exact, by going through the grid.

    >>> chain_with_sampling(3, 5, 0), chain_with_sampling(3, 5, 2)
    (3, 9)
    """
    n_pos = n_prompt + n_sampled
    rows = [[0] * n_pos for _ in range(n_layers + 1)]
    for pos in range(n_pos):
        rows[0][pos] = rows[n_layers][pos - 1] if pos >= n_prompt else 0
        for layer in range(n_layers):
            rows[layer + 1][pos] = 1 + max(rows[layer][: pos + 1])
    return rows[n_layers][n_pos - 1]


@of_all
def conclude(measurements: Sequence[tuple[Item, Measurement]], _seed: int) -> Finding:
    """The longest chain, or the steps of the run if more, less the number of blocks."""
    results = [result for _, result in measurements]
    n_layers = results[0]["n_layers"]
    over = [max(result["chain"], result["steps"]) - result["n_layers"] for result in results]
    chain_by_sampled = {n: chain_with_sampling(n_layers, 8, n) for n in SAMPLED_COUNTS}
    numbers = {
        "n_layers": n_layers,
        "by_length": [
            {name: one[name] for name in ("n_pos", "chain", "steps", "reads", "paths_log10")}
            for one in results
        ],
        "chain_by_sampled_tokens": {str(n): chain for n, chain in chain_by_sampled.items()},
        "worst_nats": max(one["nats"] or 0.0 for one in results),
        "floor_nats": max(one["floor_nats"] for one in results),
    }
    return Finding(
        *exact(max(over)),
        n=len(results),
        numbers=numbers,
        says=_says(results, numbers),
        figures=_figures(results, chain_by_sampled),
        picture=Picture(
            text=measurements[-1][0]["text"],
            says=f"However long the text, a path crosses {n_layers} blocks on its way up.",
        ),
    )


def _says(results: list[Measurement], numbers: dict[str, Any]) -> tuple[str, ...]:
    first, last, n_layers = results[0], results[-1], numbers["n_layers"]
    chain_by_sampled = numbers["chain_by_sampled_tokens"]
    return (
        f"From {first['n_pos']} to {last['n_pos']} tokens the longest chain of blocks that wait "
        f"for each other stays {max(result['chain'] for result in results)}, the number of blocks "
        f"({n_layers}).",
        f"Run in {last['steps']} steps, all positions of a row at once, the model's logits come "
        f"out within {numbers['worst_nats']:.1e} nats (two equivalent plain runs: "
        f"{numbers['floor_nats']:.1e}): no longer chain was needed.",
        f"What grows is the number of routes side by side: 10^{first['paths_log10']:.1f} at "
        f"{first['n_pos']} tokens, 10^{last['paths_log10']:.1f} at {last['n_pos']}; none makes "
        f"more than {max(result['reads'] for result in results)} reads of the past, one after "
        "the other.",
        f"Only a token that is sampled and fed back adds to the chain, {n_layers} blocks each: "
        f"{chain_by_sampled['0']} without, {chain_by_sampled['1']} with one, "
        f"{chain_by_sampled['4']} with four; that is "
        "counted on the grid, and what passes there is one token, not a state.",
    )


def _figures(results: list[Measurement], chain_by_sampled: dict[int, int]) -> tuple[Figure, ...]:
    lengths, n_layers = [result["n_pos"] for result in results], float(results[0]["n_layers"])
    deep = series("longest chain of blocks", lengths, [result["chain"] for result in results])
    reads = series("longest chain of reads", lengths, [one["reads"] for one in results])
    many = series("paths", lengths, [one["paths_log10"] for one in results])
    loops = series("longest chain of blocks", chain_by_sampled, chain_by_sampled.values())
    return (
        Figure(
            title="The longest chain, by length of text",
            mark="line",
            x="tokens",
            y="one after the other",
            series=(deep, reads),
            rule=n_layers,
            rule_name="blocks of the model",
        ),
        Figure(
            title="The number of paths, by length of text",
            mark="line",
            x="tokens",
            y="log10 of the paths from the first token to the last",
            series=(many,),
        ),
        Figure(
            title="The longest chain, by tokens sampled and fed back",
            mark="line",
            x="sampled tokens",
            y="blocks one after the other",
            series=(loops,),
        ),
    )


EXPERIMENT = Experiment(
    claim="depth-bound",
    counts="lengths of text",
    n=LONGEST,
    quick=7,
    least=5,
    items=items,
    measure=measure,
    conclude=conclude,
)
