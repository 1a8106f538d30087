"""How much this model uses reading past inner states, not only past tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

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
from worldline.experiments.losses import token_losses
from worldline.experiments.refusals import of_accepted, or_reason
from worldline.experiments.statistics import bootstrap
from worldline.experiments.stimuli.passages import cut_to
from worldline.experiments.stimuli.prompts import long_passages

N_TOKENS = 64
MOST_HOPS = 12  # in the curves; what a token needs beyond is told apart
N_DEPTHS = 6  # steps from the bottom row to the top one
BANDS = 500  # draws for the interval of each point of a curve
SINKS = ("counted", "free")
FROM, BELOW, FROM_WITH_0 = SIDES = ("from", "below", "from, column 0 too")


def items(model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """`n` passages of 64 tokens or more, cut to 64."""
    return long_passages(model, n, N_TOKENS, seed)


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """Losses by hop budget, hops needed, and what later tokens lose without deep K/V.

    Units: nats per token; of a sum over depths, nats per token of the second half.
    """
    tokens = cut_to(model, item["text"], item["n_tokens"])
    n_layers = wl.record(model, tokens.first(2)).n_layers
    curves = {sink: _curve(model, tokens, sink) for sink in SINKS}
    return {"prompt": tokens.text, "curves": curves, **_later(model, tokens, n_layers)}


@of_accepted
def conclude(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
    """loss(1) - loss(L), nats per token, column 0 free: mean over texts."""
    results = [result for _, result in measurements]
    gain = {sink: bootstrap([_gain(result, sink) for result in results], seed) for sink in SINKS}
    token = {sink: bootstrap([_token_gain(one, sink) for one in results], seed) for sink in SINKS}
    value, low, high = gain["free"]
    hops_needed = {
        sink: {name: _hops_needed(results, sink, name) for name in NEEDS} for sink in SINKS
    }
    off = {
        sink: {
            name: float(np.mean([one["curves"][sink][name] for one in results])) for name in OFF
        }
        for sink in SINKS
    }  # fmt: skip
    later = _later_table(results, seed)
    half = later["depths"][len(later["depths"]) // 2]
    numbers = {
        "state_gain_nats": gain,
        "token_gain_nats": token,
        "hops_needed": hops_needed,
        "off_distribution_at_budget_1": off,
        "without_first_half_kv": later,
        "first_half_moved": max(one["first_half_moved"] for one in results),
    }
    at_half, below_half, with_0 = (_at(later, side, half) for side in SIDES)
    says = (
        f"With at most one hop, every K and V that is read was made from its token alone (and "
        f"column 0). The text then costs {value:.2f} nats per token more ({low:.2f} to {high:.2f}, "
        f"mean over {len(results)} texts of {N_TOKENS} tokens; column 0 free). With reads of "
        "column "
        f"0 counted as hops it costs {gain['counted'][0]:.2f} more.",
        f"For comparison: reading tokens at all is worth {token['free'][0]:.2f} nats (loss(0) - "
        f"loss(1), free; counted {token['counted'][0]:.2f}).",
        "This bounds from above what past inner states are worth: it includes the cost of being "
        "off the model's distribution. At one hop the states' norm is "
        f"{off['free']['norm_ratio']:.2f} of the plain run's (free; counted "
        f"{off['counted']['norm_ratio']:.2f}), and the cosine of V with column 0's "
        f"{off['free']['sink_cos']:.2f} (counted {off['counted']['sink_cos']:.2f}; 1 would be "
        "tokens turned into sinks).",
        *(_needed_words(hops_needed[sink]["token"], sink) for sink in SINKS),
        f"If the second half of a text may not read K and V of the first half from block {half} "
        f"up (column 0 kept), it costs {at_half[0]:.3f} nats per token more ({at_half[1]:.3f} to "
        f"{at_half[2]:.3f}); without those below block {half} {below_half[0]:.3f}, without all "
        f"{later[FROM][0][0]:.3f}. The first half runs untouched: only later tokens read what was "
        "cut. So deep states are used by later tokens; whether a column made them for those, or "
        "for its own next token, this does not tell.",
        f"Without column 0 too it costs {with_0[0]:.3f} from block {half} up and "
        f"{later[FROM_WITH_0][0][0]:.3f} from the bottom: there the loss of the sink decides, not "
        "that of the text.",
    )
    return Finding(
        value, low, high, len(results), numbers, says, _figures(results, later, seed),
        _picture(results[0]),
    )  # fmt: skip


NEEDS = ("token", "loss")
OFF = ("norm_ratio", "sink_cos")


def _curve(model: wl.LoadedModel, tokens: wl.Tokens, sink: str) -> Measurement:
    """Losses by budget, hops needed by each token, and how far budget 1 is off the plain run."""
    curve = wl.hop_curve(model, tokens, sink=sink, max_hops=MOST_HOPS)
    cosines = curve.sink_cos[1]
    cosines = cosines[np.isfinite(cosines)]
    return {
        "loss": curve.loss_nats.tolist(),
        "loss_full": curve.loss_full_nats,
        "token": list(curve.hops_needed[1:]),
        "loss_close": list(curve.hops_needed_close[1:]),
        "norm_ratio": float(np.mean(curve.norm_ratio[1])),
        "sink_cos": float(np.mean(cosines)) if len(cosines) else 0.0,
    }


def _later(model: wl.LoadedModel, tokens: wl.Tokens, n_layers: int) -> Measurement:
    """What tokens of the second half lose without K/V of the first half, by depth.

    For a depth l all reads of a column of the first half by one of the second are masked in the
    blocks from l on ("from"), or in those below l ("below"); reads of column 0 are kept, except in
    "from, column 0 too". Columns of the first half read only each other, so that their states and
    predictions stay what they were; `first_half_moved` is the largest difference there, in nats.
    """
    n = len(tokens.ids)
    half = n // 2
    depths = sorted({round(at * n_layers / N_DEPTHS) for at in range(N_DEPTHS + 1)})
    side_depths = [(side, depth) for side in SIDES for depth in depths]
    plans = [wl.Plan(tokens.ids)]
    for side, depth in side_depths:
        cut = tuple(range(depth) if side == BELOW else range(depth, n_layers))
        src = tuple(range(0 if side == FROM_WITH_0 else 1, half))
        edits = [wl.EdgeCut("mask", src, tuple(range(half, n)), cut)] if cut else []
        plans.append(wl.Plan(tokens.ids, frozenset(edits)))
    runs = wl.execute_many(model, plans, batch=4)
    # entry k is the loss of token k + 1, which column k predicts
    plain, *cuts = (token_losses(logits.cpu().double().numpy(), tokens.ids) for logits in runs)
    rise: dict[str, list[float]] = {side: [] for side in SIDES}
    for (side, _), losses in zip(side_depths, cuts, strict=True):
        rise[side].append(float((losses - plain)[half:].mean()))
    first_half_moved = max(float(np.abs(losses - plain)[:half].max()) for losses in cuts)
    return {
        "depths": depths,
        "later": rise,
        "first_half_moved": first_half_moved,
        "half": half,
        "n_pos": n,
    }


def _gain(result: Measurement, sink: str) -> float:
    """loss(1) - loss(L); where one hop is all there can be, 0."""
    curve = result["curves"][sink]
    return curve["loss"][min(1, len(curve["loss"]) - 1)] - curve["loss_full"]


def _token_gain(result: Measurement, sink: str) -> float:
    loss = result["curves"][sink]["loss"]
    return loss[0] - loss[min(1, len(loss) - 1)]


def _hops_needed(results: Sequence[Measurement], sink: str, name: str) -> Measurement:
    """Shares of tokens by the hops they need; `more`: not settled within the budgets run."""
    field = "token" if name == "token" else "loss_close"
    every = [hops for result in results for hops in result["curves"][sink][field]]
    counts = Counter(every)
    settled_hops = sorted(hops for hops in every if hops is not None)
    shares = [counts[hops] / len(every) for hops in range(MOST_HOPS + 1)]
    middle = settled_hops[len(every) // 2] if len(every) // 2 < len(settled_hops) else None
    return {"shares": shares, "more": counts[None] / len(every), "median": middle}


def _needed_words(hops_needed: Measurement, sink: str) -> str:
    """In words how many hops predictions need."""
    within = sum(hops_needed["shares"][:2])
    return (
        f"Column 0 {sink}: {within:.0%} of the predictions need one hop or none to be the full "
        f"model's, {1 - within:.0%} need more (median "
        f"{'not settled' if hops_needed['median'] is None else hops_needed['median']}; "
        f"{hops_needed['more']:.0%} not settled at {MOST_HOPS})."
    )


def _later_table(results: Sequence[Measurement], seed: int) -> Measurement:
    """Per depth the mean rise over texts with its interval."""
    table = {
        side: [
            bootstrap([result["later"][side][at] for result in results], seed, draws=BANDS)
            for at in range(len(results[0]["depths"]))
        ]
        for side in SIDES
    }
    return {"depths": results[0]["depths"], **table}


def _at(later: Measurement, side: str, depth: int) -> tuple[float, float, float]:
    return later[side][later["depths"].index(depth)]


def _figures(results: Sequence[Measurement], later: Measurement, seed: int) -> tuple[Figure, ...]:
    full = float(np.mean([result["curves"]["free"]["loss_full"] for result in results]))
    curves = []
    for sink in SINKS:
        rows = [result["curves"][sink]["loss"] for result in results]
        n = min(map(len, rows))
        bands = [bootstrap([row[at] for row in rows], seed, draws=BANDS) for at in range(n)]
        curves.append(_band(f"column 0 {sink}", range(n), bands))
    names = (*map(str, range(MOST_HOPS + 1)), "more")
    bars = []
    for sink in SINKS:
        hops_needed = _hops_needed(results, sink, "token")
        bars.append(
            Series(f"column 0 {sink}", names, (*hops_needed["shares"], hops_needed["more"]))
        )
    words = {
        FROM: "from this block up",
        BELOW: "below this block",
        FROM_WITH_0: "from this block up, column 0 too",
    }
    depths = [_band(f"cut {words[side]}", later["depths"], later[side]) for side in SIDES]
    return (
        Figure(
            "Loss when information makes at most so many hops", "line", "hops allowed",
            "loss, nats per token", tuple(curves), full, "the model as it is",
        ),
        Figure(
            "Hops a prediction needs to be the full model's", "bar", "hops", "share of tokens",
            tuple(bars),
        ),
        Figure(
            "What later tokens lose without K and V of the first half", "line", "block",
            "rise of the second half's loss, nats per token", tuple(depths),
        ),
    )  # fmt: skip


def _band(name: str, x: Sequence[int], values: Sequence[tuple[float, float, float]]) -> Series:
    """A line with its intervals; of a single text, whose interval is unbounded, none."""
    places = tuple(map(float, x))
    y, low, high = (tuple(column) for column in zip(*values, strict=True))
    if not np.isfinite([*low, *high]).all():
        return Series(name, places, y)
    return Series(name, places, y, low, high)


def _picture(result: Measurement) -> Picture:
    half, depths = result["half"], result["depths"]
    first, last = depths[len(depths) // 2], depths[-1] - 1
    says = (
        f"The second half may not read what the first half wrote from block {first} up; the first "
        "half runs untouched."
    )
    return Picture(
        result["prompt"],
        says,
        cuts=(f"{first}-{last}.*:1-{half - 1}>{half}-{result['n_pos'] - 1}",),
    )


EXPERIMENT = Experiment(
    claim="introspection-used",
    counts="texts",
    n=20,
    quick=3,
    least=3,
    items=items,
    measure=measure,
    conclude=conclude,
)
