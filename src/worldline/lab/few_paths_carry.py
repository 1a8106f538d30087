"""Of the astronomically many paths into a prediction, how many carry it, and by how many hops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

import worldline as wl
from worldline.lab.experiment import Experiment, Figure, Finding, Item, Measured, Picture, Series
from worldline.lab.refusals import of_accepted, or_reason, untestable
from worldline.lab.statistics import bootstrap
from worldline.lab.stimuli.passages import cut_to
from worldline.lab.stimuli.prompts import predicted, question

N_TOKENS = 12
STRONGEST = 10  # paths listed
FOLLOWED = 15  # ways from row to row while they are looked for
SHOWN = 9  # hop counts in the figures
SINKS = ("counted", "free")
ODDS = "a walk from the target down, at every node in proportion to the size of the flow into it"


def items(model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """`n` prompts with a predicted token: beginnings of passages, and known answers."""
    return predicted(model, n, N_TOKENS, seed)


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measured:
    """Effective and exact number of paths into one prediction, its spectrum and its hop curves.

    The effective number is exp H of the distribution named in `ODDS`, over all paths from row 0,
    all heads of a read together. Units: paths, logits, nats.
    """
    whole = cut_to(model, item["text"], item["n_tokens"] + 1)
    trace = wl.record(model, whole.first(item["n_tokens"]))
    target, versus = question(trace, item)
    flow = wl.weigh(trace, "frozen", target=target, versus=versus, top=0)
    spectrum = wl.hop_spectrum(trace, target=target, versus=versus)
    strong = wl.find_paths(
        trace, target=target, versus=versus, k=STRONGEST, heads=False, width=FOLLOWED
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
        "curves": {sink: _curve(model, whole, sink) for sink in SINKS},
    }


@of_accepted
def conclude(measured: Sequence[tuple[Item, Measured]], seed: int) -> Finding:
    """log10 of the effective number of paths over log10 of all, mean over prompts."""
    used = [(item, one) for item, one in measured if one["effective"] is not None]
    found = [one for _, one in used]
    if not found:
        return untestable("nothing flows into any of the predictions: there is no path to count")
    evenness = [_part(one["effective"], one) for one in found]
    value, low, high = bootstrap(evenness, seed)
    even = bootstrap([_part(one["effective_even"], one) for one in found], seed)
    logs = [math.log10(one["effective"]) for one in found]
    every = [one["all_log10"] for one in found]
    shares = {name: _mean_shares(found, name) for name in HOPS}
    hops = {name: bootstrap([_mean_hops(one[name]) for one in found], seed) for name in HOPS}
    top = bootstrap([sum(map(abs, one["strongest"])) for one in found], seed, _median)
    target = bootstrap([abs(one["target_value"]) for one in found], seed, _median)
    needed = {sink: _needed(found, sink) for sink in SINKS}
    numbers = {
        "log10_effective": bootstrap(logs, seed),
        "effective_median": 10 ** float(np.median(logs)),
        "effective_quartiles": (10 ** np.quantile(logs, [0.25, 0.75])).tolist(),
        "log10_all": bootstrap(every, seed),
        "log10_effective_of_all": bootstrap(np.subtract(logs, every).tolist(), seed),
        "distribution": ODDS,
        "even_odds": even,
        "share_grid_by_paths": bootstrap(_parts(found, "effective_share_paths"), seed),
        "share_grid_by_rows": bootstrap(_parts(found, "effective_share_rows"), seed),
        "mean_hops_carried": hops["by_hops"],
        "mean_hops_of_all_paths": hops["all_by_hops"],
        "mean_hops_at_even_odds": hops["even_by_hops"],
        "shares_by_hops": shares,
        "ten_strongest_found_sizes_logits_median": top,
        "target_logits_median": target,
        "hops_needed_median": needed,
        "by_kind": _by_kind(used, evenness),
        "answers_right": [sum(one["right"] is True for one in found), _n_asked(found)],
    }
    says = (
        f"{10 ** float(np.median(every)):.1e} paths lead into a prediction (median over "
        f"{len(found)} prompts; convention block, from all tokens of the bottom row). "
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
        f"a limit on hops the same token comes first from {needed['counted']} hops on (reads of "
        f"column 0 counted) or {needed['free']} (free), medians.",
    )
    figures = (_spectrum_figure(shares), _curve_figure(found))
    return Finding(value, low, high, len(found), numbers, says, figures, _picture(found[0]))


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
        hopped = at @ down
        at = at * stay
        at[1:] += hopped[:-1]
    return at.sum(1).tolist()


def _counts(n_layers: int, n_pos: int) -> Measured:
    """All paths from row 0 to the last node, in the convention "block", exactly, and by hops."""
    counts = [wl.count_paths(n_layers=n_layers, distance=distance) for distance in range(n_pos)]
    total = sum(one.count for one in counts)
    by_hops = np.sum([[k / total for k in one.by_hops] for one in counts], axis=0)
    return {"all": str(total), "all_log10": math.log10(total), "all_by_hops": by_hops.tolist()}


def _edges(nodes: Sequence[wl.Node], reads: Sequence[tuple[int, int]]) -> list[str]:
    """The reads of a path, as the command line writes edges."""
    moved = [(below.pos, above.pos) for below, above in pairwise(nodes)]
    steps = [(src, dst) for src, dst in moved if src != dst]
    return [f"{layer}.*:{src}>{dst}" for (layer, _), (src, dst) in zip(reads, steps, strict=True)]


def _curve(model: wl.LoadedModel, tokens: wl.Tokens, sink: str) -> Measured:
    """A hop curve's losses, and the hops that the prediction in the last place needs."""
    curve = wl.hop_curve(model, tokens, sink=sink)
    return {
        "loss": curve.loss_nats.tolist(),
        "loss_full": curve.loss_full_nats,
        "needed": curve.hops_needed[-1],
    }


def _part(effective: float, one: Measured) -> float:
    return math.log10(effective) / one["all_log10"]


def _parts(found: Sequence[Measured], name: str) -> list[float]:
    return [_part(one[name], one) for one in found if one[name] is not None]


def _median(values: np.ndarray) -> float:
    return float(np.median(values))


def _shares(by_hops: Sequence[float]) -> np.ndarray:
    sizes = np.abs(np.asarray(by_hops))
    return sizes / sizes.sum()


def _mean_hops(by_hops: Sequence[float]) -> float:
    shares = _shares(by_hops)
    return float(shares @ np.arange(len(shares)))


def _mean_shares(found: Sequence[Measured], name: str) -> list[float]:
    """Mean over prompts of the share of each hop count, by size."""
    most = max(len(one[name]) for one in found)
    rows = [_shares(one[name]) for one in found]
    return np.mean([np.pad(row, (0, most - len(row))) for row in rows], axis=0).tolist()


def _needed(found: Sequence[Measured], sink: str) -> float | None:
    """Median of the hops needed, over predictions that some budget settles; None where none is."""
    known = [one["curves"][sink]["needed"] for one in found]
    known = [hops for hops in known if hops is not None]
    return float(np.median(known)) if known else None


def _by_kind(used: Sequence[tuple[Item, Measured]], values: Sequence[float]) -> dict[str, float]:
    kinds = [item["kind"] for item, _ in used]
    return {
        kind: float(np.mean([v for v, k in zip(values, kinds, strict=True) if k == kind]))
        for kind in dict.fromkeys(kinds)
    }


def _n_asked(found: Sequence[Measured]) -> int:
    return sum(one["right"] is not None for one in found)


def _spectrum_figure(shares: Mapping[str, Sequence[float]]) -> Figure:
    def bars(name: str, shares: Sequence[float]) -> Series:
        shown = [*shares[:SHOWN], sum(shares[SHOWN:])]
        shown += [0.0] * (SHOWN + 1 - len(shown))
        names = (*map(str, range(SHOWN)), f"{SHOWN} or more")
        return Series(name, names, tuple(map(float, shown)))

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


def _curve_figure(found: Sequence[Measured]) -> Figure:
    """Mean loss by budget; beyond a text's last budget nothing is limited, so that it stays."""
    series = []
    for sink in SINKS:
        curves = [one["curves"][sink]["loss"] for one in found]
        most = max(map(len, curves))
        table = [curve + [curve[-1]] * (most - len(curve)) for curve in curves]
        mean = np.mean(table, axis=0)
        series.append(
            Series(f"column 0 {sink}", tuple(map(float, range(most))), tuple(mean.tolist()))
        )
    full = float(np.mean([one["curves"]["free"]["loss_full"] for one in found]))
    return Figure(
        "Loss when information makes at most so many hops", "line", "hops allowed",
        "loss, nats per token", tuple(series), full, "the model as it is",
    )  # fmt: skip


def _picture(one: Measured) -> Picture:
    says = "Cuts the reads of the strongest path with hops that was found; there are many others."
    return Picture(one["prompt"], says, one["target"], one["versus"], tuple(one["cuts"]))


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
