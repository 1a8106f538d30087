"""Of the astronomically many paths into a prediction, how many carry it, and by how many hops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

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
from worldline.experiments.refusals import of_accepted, or_reason, untestable
from worldline.experiments.statistics import bootstrap
from worldline.experiments.stimuli.passages import cut_to
from worldline.experiments.stimuli.prompts import prediction_prompts, question

N_TOKENS = 12
STRONGEST = 10  # paths listed
SEARCH_WIDTH = 15  # ways from row to row while they are looked for
N_HOP_BARS = 9  # hop counts in the figures
SINKS = ("counted", "free")
ODDS = "a walk from the target down, at every node in proportion to the size of the flow into it"


def items(model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """`n` prompts with a predicted token: beginnings of passages, and known answers."""
    return prediction_prompts(model, n, N_TOKENS, seed)


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """Effective and exact number of paths into one prediction, its spectrum and its hop curves.

    The effective number is exp H of the distribution named in `ODDS`, over all paths from row 0,
    all heads of a read together. Units: paths, logits, nats.
    """
    tokens = cut_to(model, item["text"], item["n_tokens"] + 1)
    trace = wl.record(model, tokens.first(item["n_tokens"]))
    target, versus = question(trace, item)
    flow = wl.attribute(trace, "frozen", target=target, versus=versus, top=0)
    spectrum = wl.hop_spectrum(trace, target=target, versus=versus)
    strong = wl.find_paths(
        trace, target=target, versus=versus, k=STRONGEST, heads=False, width=SEARCH_WIDTH
    )
    likeliest = trace.predictions[0].id
    return {
        "prompt": trace.tokens.text,
        "n_pos": trace.n_pos,
        "right": None if item["answer"] is None else likeliest == item["answer"],
        "target": model.tokenizer.decode([target]),
        "versus": model.tokenizer.decode([versus]),
        "target_value": spectrum.target_value,
        "effective": _effective(wl.path_grid(flow), "rows"),
        "effective_even": _effective(_even(trace.n_layers, trace.n_pos), "rows"),
        "effective_share_paths": _effective(wl.path_grid(trace), "paths"),
        "effective_share_rows": _effective(wl.path_grid(trace), "rows"),
        "even_by_hops": _hops_at_even_odds(trace.n_layers, trace.n_pos),
        **_counts(trace.n_layers, trace.n_pos),
        "by_hops": spectrum.by_hops.tolist(),
        "remainder": spectrum.remainder,
        "strongest": [path.weight for path in strong.paths],
        "cuts": next((_edges(*path[:2]) for path in strong.paths if path.reads), []),
        "curves": {sink: _curve(model, tokens, sink) for sink in SINKS},
    }


@of_accepted
def conclude(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
    """log10 of the effective number of paths over log10 of all, mean over prompts."""
    used = [(item, result) for item, result in measurements if result["effective"] is not None]
    results = [result for _, result in used]
    if not results:
        return untestable("nothing flows into any of the predictions: there is no path to count")
    evenness = [_part(one["effective"], one) for one in results]
    value, low, high = bootstrap(evenness, seed)
    even = bootstrap([_part(one["effective_even"], one) for one in results], seed)
    logs = [math.log10(one["effective"]) for one in results]
    every = [one["all_log10"] for one in results]
    shares = {name: _mean_shares(results, name) for name in HOPS}
    hops = {name: bootstrap([_mean_hops(one[name]) for one in results], seed) for name in HOPS}
    top = bootstrap([sum(map(abs, one["strongest"])) for one in results], seed, _median)
    target = bootstrap([abs(one["target_value"]) for one in results], seed, _median)
    hops_needed = {sink: _median_hops_needed(results, sink) for sink in SINKS}
    numbers = {
        "log10_effective": bootstrap(logs, seed),
        "effective_median": 10 ** float(np.median(logs)),
        "effective_quartiles": (10 ** np.quantile(logs, [0.25, 0.75])).tolist(),
        "log10_all": bootstrap(every, seed),
        "log10_effective_of_all": bootstrap(np.subtract(logs, every).tolist(), seed),
        "distribution": ODDS,
        "even_odds": even,
        "share_grid_by_paths": bootstrap(_parts(results, "effective_share_paths"), seed),
        "share_grid_by_rows": bootstrap(_parts(results, "effective_share_rows"), seed),
        "mean_hops_carried": hops["by_hops"],
        "mean_hops_of_all_paths": hops["all_by_hops"],
        "mean_hops_at_even_odds": hops["even_by_hops"],
        "shares_by_hops": shares,
        "ten_strongest_found_sizes_logits_median": top,
        "target_logits_median": target,
        "hops_needed_median": hops_needed,
        "by_kind": _by_kind(used, evenness),
        "answers_right": [sum(one["right"] is True for one in results), _n_asked(results)],
    }
    says = (
        f"{10 ** float(np.median(every)):.1e} paths lead into a prediction (median over "
        f"{len(results)} prompts; convention block, from all tokens of the bottom row). "
        f"In effect {numbers['effective_median']:,.0f} of them carry it.",
        f"The value is log10 of the one over log10 of the other, {value:.2f} ({low:.2f} to "
        f"{high:.2f}): the entropy of a walk over the largest there can be, 0 for one path, 1 for "
        f"all alike. It is {ODDS}.",
        f"So small a number says little of the model: a walk that takes every way on at even "
        f"odds has {even[0]:.2f} ({even[1]:.2f} to {even[2]:.2f}), because it soon meets column 0.",
        f"What is the model's own are the hops. A path has {hops['all_by_hops'][0]:.1f} on "
        f"average, a walk at even odds {hops['even_by_hops'][0]:.1f}, what is carried "
        f"{hops['by_hops'][0]:.1f} (sizes of the contributions by hop count, patterns held).",
        "Ways that cancel before they reach a node do not count, nor what biases add, and all "
        "heads of a read are one road. Products of shares, another distribution, give "
        f"{numbers['share_grid_by_paths'][0]:.2f} over all paths, where even weights would give 1.",
        f"The sizes of the {STRONGEST} strongest paths found add up to {top[0]:.1f} logits, where "
        f"the target is {target[0]:.1f} (medians; {top[1]:.1f} to {top[2]:.1f}, {target[1]:.1f} to "
        f"{target[2]:.1f}): single paths cancel. Stronger ones may have been missed.",
        "With the patterns held few hops carry the content; making the patterns takes more. Under "
        f"a limit on hops the same token comes first from {hops_needed['counted']} hops on "
        "(reads of "
        f"column 0 counted) or {hops_needed['free']} (free), medians.",
    )
    figures = (_spectrum_figure(shares), _curve_figure(results))
    return Finding(value, low, high, len(results), numbers, says, figures, _picture(results[0]))


HOPS = ("by_hops", "all_by_hops", "even_by_hops")


def _effective(grid: wl.WeightedGrid, normalise: str) -> float | None:
    """Paths in effect from row 0 to the last node; None where every path weighs nothing."""
    end = wl.Node(layer=grid.n_layers, pos=grid.n_pos - 1)
    if not wl.sum_paths(grid, None, end).absolute:
        return None
    return wl.effective_paths(grid, None, end, normalise=normalise).effective


def _even(n_layers: int, n_pos: int) -> wl.WeightedGrid:
    """The grid on which every way on from a node weighs the same."""
    kv = np.tile(np.tri(n_pos, k=-1), (n_layers, 1, 1))
    return wl.WeightedGrid(carry=np.ones((n_layers, n_pos)), kv=kv, pruned=False, name="even odds")


def _hops_at_even_odds(n_layers: int, n_pos: int) -> list[float]:
    """Shares of the walks on that grid, down from the last node, by their hops."""
    down = np.tri(n_pos, k=-1) / np.arange(1, n_pos + 1)[:, None]
    stay = 1 / np.arange(1, n_pos + 1)
    at = np.zeros((n_layers + 1, n_pos))
    at[0, -1] = 1.0
    for _ in range(n_layers):
        after_hop = at @ down
        at = at * stay
        at[1:] += after_hop[:-1]
    return at.sum(1).tolist()


def _counts(n_layers: int, n_pos: int) -> Measurement:
    """All paths from row 0 to the last node, in the convention "block", exactly, and by hops."""
    counts = [wl.count_paths(n_layers=n_layers, distance=distance) for distance in range(n_pos)]
    total = sum(path_count.count for path_count in counts)
    by_hops = np.sum([[k / total for k in path_count.by_hops] for path_count in counts], axis=0)
    return {"all": str(total), "all_log10": math.log10(total), "all_by_hops": by_hops.tolist()}


def _edges(nodes: Sequence[wl.Node], reads: Sequence[tuple[int, int]]) -> list[str]:
    """The reads of a path, as the command line writes edges."""
    moves = [(below.pos, above.pos) for below, above in pairwise(nodes)]
    steps = [(src, dst) for src, dst in moves if src != dst]
    return [f"{layer}.*:{src}>{dst}" for (layer, _), (src, dst) in zip(reads, steps, strict=True)]


def _curve(model: wl.LoadedModel, tokens: wl.Tokens, sink: str) -> Measurement:
    """A hop curve's losses, and the hops that the prediction in the last place needs."""
    curve = wl.hop_curve(model, tokens, sink=sink)
    return {
        "loss": curve.loss_nats.tolist(),
        "loss_full": curve.loss_full_nats,
        "needed": curve.hops_needed[-1],
    }


def _part(effective: float, result: Measurement) -> float:
    return math.log10(effective) / result["all_log10"]


def _parts(results: Sequence[Measurement], name: str) -> list[float]:
    return [_part(result[name], result) for result in results if result[name] is not None]


def _median(values: np.ndarray) -> float:
    return float(np.median(values))


def _shares(by_hops: Sequence[float]) -> np.ndarray:
    sizes = np.abs(np.asarray(by_hops))
    return sizes / sizes.sum()


def _mean_hops(by_hops: Sequence[float]) -> float:
    shares = _shares(by_hops)
    return float(shares @ np.arange(len(shares)))


def _mean_shares(results: Sequence[Measurement], name: str) -> list[float]:
    """Mean over prompts of the share of each hop count, by size."""
    most = max(len(result[name]) for result in results)
    rows = [_shares(result[name]) for result in results]
    return np.mean([np.pad(row, (0, most - len(row))) for row in rows], axis=0).tolist()


def _median_hops_needed(results: Sequence[Measurement], sink: str) -> float | None:
    """Median of the hops needed, over predictions that some budget settles; None where none is."""
    hops_needed = [result["curves"][sink]["needed"] for result in results]
    hops_needed = [hops for hops in hops_needed if hops is not None]
    return float(np.median(hops_needed)) if hops_needed else None


def _by_kind(used: Sequence[tuple[Item, Measurement]], values: Sequence[float]) -> dict[str, float]:
    kinds = [item["kind"] for item, _ in used]
    return {
        kind: float(np.mean([v for v, k in zip(values, kinds, strict=True) if k == kind]))
        for kind in dict.fromkeys(kinds)
    }


def _n_asked(results: Sequence[Measurement]) -> int:
    return sum(result["right"] is not None for result in results)


def _spectrum_figure(shares: Mapping[str, Sequence[float]]) -> Figure:
    def bars(name: str, shares: Sequence[float]) -> Series:
        heights = [*shares[:N_HOP_BARS], sum(shares[N_HOP_BARS:])]
        heights += [0.0] * (N_HOP_BARS + 1 - len(heights))
        names = (*map(str, range(N_HOP_BARS)), f"{N_HOP_BARS} or more")
        return Series(name, names, tuple(map(float, heights)))

    return Figure(
        title="Hops of what is carried, and of all paths",
        mark="bar",
        x="hops",
        y="share",
        series=(
            bars("carried, by size", shares["by_hops"]),
            bars("a walk at even odds", shares["even_by_hops"]),
            bars("all paths, each alike", shares["all_by_hops"]),
        ),
    )


def _curve_figure(results: Sequence[Measurement]) -> Figure:
    """Mean loss by budget; beyond a text's last budget nothing is limited, so that it stays."""
    series = []
    for sink in SINKS:
        curves = [result["curves"][sink]["loss"] for result in results]
        most = max(map(len, curves))
        table = [curve + [curve[-1]] * (most - len(curve)) for curve in curves]
        mean = np.mean(table, axis=0)
        series.append(
            Series(f"column 0 {sink}", tuple(map(float, range(most))), tuple(mean.tolist()))
        )
    full = float(np.mean([result["curves"]["free"]["loss_full"] for result in results]))
    return Figure(
        "Loss when information makes at most so many hops", "line", "hops allowed",
        "loss, nats per token", tuple(series), full, "the model as it is",
    )  # fmt: skip


def _picture(result: Measurement) -> Picture:
    says = "Cuts the reads of the strongest path with hops that was found; there are many others."
    return Picture(
        result["prompt"], says, result["target"], result["versus"], tuple(result["cuts"])
    )


EXPERIMENT = Experiment(
    claim="few-paths-carry",
    counts="prompts",
    n=36,
    quick=6,
    least=6,
    items=items,
    measure=measure,
    conclude=conclude,
)
