"""How much this model uses reading past inner states, not only past tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

import worldline as wl
from worldline.lab.experiment import Experiment, Figure, Finding, Item, Measured, Picture, Series
from worldline.lab.losses import token_losses
from worldline.lab.refusals import of_accepted, or_reason
from worldline.lab.statistics import bootstrap
from worldline.lab.stimuli.passages import cut_to
from worldline.lab.stimuli.prompts import long_passages

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
def measure(model: wl.LoadedModel, item: Item) -> Measured:
    """Losses by hop budget, hops needed, and what later tokens lose without deep K/V.

    Units: nats per token; of a sum over depths, nats per token of the second half.
    """
    tokens = cut_to(model, item["text"], item["n_tokens"])
    n_layers = wl.record(model, tokens.first(2)).n_layers
    curves = {sink: _curve(model, tokens, sink) for sink in SINKS}
    return {"prompt": tokens.text, "curves": curves, **_later(model, tokens, n_layers)}


@of_accepted
def conclude(measured: Sequence[tuple[Item, Measured]], seed: int) -> Finding:
    """loss(1) - loss(L), nats per token, column 0 free: mean over texts."""
    found = [one for _, one in measured]
    gain = {sink: bootstrap([_gain(one, sink) for one in found], seed) for sink in SINKS}
    token = {sink: bootstrap([_token_gain(one, sink) for one in found], seed) for sink in SINKS}
    value, low, high = gain["free"]
    needed = {sink: {name: _needed(found, sink, name) for name in NEEDS} for sink in SINKS}
    off = {
        sink: {
            name: float(np.mean([one["curves"][sink][name] for one in found])) for name in OFF
        }
        for sink in SINKS
    }  # fmt: skip
    later = _later_table(found, seed)
    half = later["depths"][len(later["depths"]) // 2]
    numbers = {
        "state_gain_nats": gain,
        "token_gain_nats": token,
        "hops_needed": needed,
        "off_distribution_at_budget_1": off,
        "without_first_half_kv": later,
        "first_half_moved": max(one["first_half_moved"] for one in found),
    }
    at_half, below_half, with_0 = (_at(later, side, half) for side in SIDES)
    says = (
        f"With at most one hop, every K and V that is read was made from its token alone (and "
        f"column 0). The text then costs {value:.2f} nats per token more ({low:.2f} to {high:.2f}, "
        f"mean over {len(found)} texts of {N_TOKENS} tokens; column 0 free). With reads of column "
        f"0 counted as hops it costs {gain['counted'][0]:.2f} more.",
        f"For comparison: reading tokens at all is worth {token['free'][0]:.2f} nats (loss(0) - "
        f"loss(1), free; counted {token['counted'][0]:.2f}).",
        "This bounds from above what past inner states are worth: it includes the cost of being "
        "off the model's distribution. At one hop the states' norm is "
        f"{off['free']['norm_ratio']:.2f} of the plain run's (free; counted "
        f"{off['counted']['norm_ratio']:.2f}), and the cosine of V with column 0's "
        f"{off['free']['sink_cos']:.2f} (counted {off['counted']['sink_cos']:.2f}; 1 would be "
        "tokens turned into sinks).",
        *(_needed_words(needed[sink]["token"], sink) for sink in SINKS),
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
        value, low, high, len(found), numbers, says, _figures(found, later, seed),
        _picture(found[0]),
    )  # fmt: skip


NEEDS = ("token", "loss")
OFF = ("norm_ratio", "sink_cos")


def _curve(model: wl.LoadedModel, tokens: wl.Tokens, sink: str) -> Measured:
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


def _later(model: wl.LoadedModel, tokens: wl.Tokens, n_layers: int) -> Measured:
    """What tokens of the second half lose without K/V of the first half, by depth.

    For a depth l all reads of a column of the first half by one of the second are masked in the
    blocks from l on ("from"), or in those below l ("below"); reads of column 0 are kept, except in
    "from, column 0 too". Columns of the first half read only each other, so that their states and
    predictions stay what they were; `first_half_moved` is the largest difference there, in nats.
    """
    n = len(tokens.ids)
    half = n // 2
    depths = sorted({round(at * n_layers / N_DEPTHS) for at in range(N_DEPTHS + 1)})
    asked = [(side, depth) for side in SIDES for depth in depths]
    plans = [wl.Plan(tokens.ids)]
    for side, depth in asked:
        cut = tuple(range(depth) if side == BELOW else range(depth, n_layers))
        src = tuple(range(0 if side == FROM_WITH_0 else 1, half))
        edits = [wl.EdgeCut("mask", src, tuple(range(half, n)), cut)] if cut else []
        plans.append(wl.Plan(tokens.ids, frozenset(edits)))
    runs = wl.execute_many(model, plans, batch=4)
    # entry k is the loss of token k + 1, which column k predicts
    plain, *cuts = (token_losses(logits.cpu().double().numpy(), tokens.ids) for logits in runs)
    rise: dict[str, list[float]] = {side: [] for side in SIDES}
    for (side, _), losses in zip(asked, cuts, strict=True):
        rise[side].append(float((losses - plain)[half:].mean()))
    moved = max(float(np.abs(losses - plain)[:half].max()) for losses in cuts)
    return {"depths": depths, "later": rise, "first_half_moved": moved, "half": half, "n_pos": n}


def _gain(one: Measured, sink: str) -> float:
    """loss(1) - loss(L); where one hop is all there can be, 0."""
    curve = one["curves"][sink]
    return curve["loss"][min(1, len(curve["loss"]) - 1)] - curve["loss_full"]


def _token_gain(one: Measured, sink: str) -> float:
    loss = one["curves"][sink]["loss"]
    return loss[0] - loss[min(1, len(loss) - 1)]


def _needed(found: Sequence[Measured], sink: str, name: str) -> Measured:
    """Shares of tokens by the hops they need; `more`: not settled within the budgets run."""
    field = "token" if name == "token" else "loss_close"
    every = [hops for one in found for hops in one["curves"][sink][field]]
    counts = Counter(every)
    known = sorted(hops for hops in every if hops is not None)
    shares = [counts[hops] / len(every) for hops in range(MOST_HOPS + 1)]
    middle = known[len(every) // 2] if len(every) // 2 < len(known) else None
    return {"shares": shares, "more": counts[None] / len(every), "median": middle}


def _needed_words(needed: Measured, sink: str) -> str:
    """In words how many hops predictions need."""
    within = sum(needed["shares"][:2])
    return (
        f"Column 0 {sink}: {within:.0%} of the predictions need one hop or none to be the full "
        f"model's, {1 - within:.0%} need more (median "
        f"{'not settled' if needed['median'] is None else needed['median']}; "
        f"{needed['more']:.0%} not settled at {MOST_HOPS})."
    )


def _later_table(found: Sequence[Measured], seed: int) -> Measured:
    """Per depth the mean rise over texts with its interval."""
    table = {
        side: [
            bootstrap([one["later"][side][at] for one in found], seed, draws=BANDS)
            for at in range(len(found[0]["depths"]))
        ]
        for side in SIDES
    }
    return {"depths": found[0]["depths"], **table}


def _at(later: Measured, side: str, depth: int) -> tuple[float, float, float]:
    return later[side][later["depths"].index(depth)]


def _figures(found: Sequence[Measured], later: Measured, seed: int) -> tuple[Figure, ...]:
    full = float(np.mean([one["curves"]["free"]["loss_full"] for one in found]))
    curves = []
    for sink in SINKS:
        rows = [one["curves"][sink]["loss"] for one in found]
        n = min(map(len, rows))
        bands = [bootstrap([row[at] for row in rows], seed, draws=BANDS) for at in range(n)]
        curves.append(_band(f"column 0 {sink}", range(n), bands))
    names = (*map(str, range(MOST_HOPS + 1)), "more")
    bars = []
    for sink in SINKS:
        needed = _needed(found, sink, "token")
        bars.append(Series(f"column 0 {sink}", names, (*needed["shares"], needed["more"])))
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


def _picture(one: Measured) -> Picture:
    half, depths = one["half"], one["depths"]
    first, last = depths[len(depths) // 2], depths[-1] - 1
    says = (
        f"The second half may not read what the first half wrote from block {first} up; the first "
        "half runs untouched."
    )
    return Picture(
        one["prompt"], says, cuts=(f"{first}-{last}.*:1-{half - 1}>{half}-{one['n_pos'] - 1}",)
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
