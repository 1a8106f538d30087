"""How far what reaches a prediction by different routes adds up, and how far it cancels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

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
from worldline.experiments.statistics import bootstrap, wilson
from worldline.experiments.stimuli.passages import cut_to
from worldline.experiments.stimuli.prompts import prediction_prompts, question

N_TOKENS = 12
N_DRAWN = 30  # single paths drawn for an estimate
N_FLIPS = 400  # random signs of all edges at once
GROUPINGS = {
    "edge": "single heads' reads into the last column, and what stays in it",
    "source": "source tokens",
    "hops": "hop counts",
    "layer": "layers in which the last column is entered, and what stays in it",
}
PLACES = ("above", "inside", "below")


def items(model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """`n` prompts with a predicted token: beginnings of passages, and known answers."""
    return prediction_prompts(model, n, N_TOKENS, seed)


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """Coherence of one prediction's parts, in four groupings of the same sum over all paths.

    The frozen flow into the difference of two logits. A path that is not in the last column from
    the start enters it by exactly one read, so the reads into it, with what stays, add up to the
    target; so do the parts by source token and by hop count. Units: logits; coherence has none.
    """
    tokens = cut_to(model, item["text"], item["n_tokens"])
    trace = wl.record(model, tokens)
    target, versus = question(trace, item)
    spectrum = wl.hop_spectrum(trace, target=target, versus=versus)
    alone = wl.hop_spectrum(trace, target=target)
    flow = wl.attribute(trace, "frozen", target=target, versus=versus, top=0)
    edges = _edges(flow)
    stays = float(spectrum.by_hops[0])
    into = edges[:, :, -1, :-1]  # [layer, head, src] of the last column
    by_source = spectrum.by_source.sum(0)
    parts = {
        "edge": np.append(into.ravel(), stays),
        "source": by_source,
        "hops": spectrum.by_hops,
        "layer": np.append(into.sum((1, 2)), stays),
    }
    sample = wl.sample_flow(trace, target=target, versus=versus, n=N_DRAWN)
    return {
        "prompt": tokens.text,
        "target": model.tokenizer.decode([target]),
        "versus": model.tokenizer.decode([versus]),
        "target_value": spectrum.target_value,
        "unaccounted": max(map(_gap(spectrum.target_value), parts.values())),
        "groupings": {name: _agreement(name, parts[name]) for name in GROUPINGS},
        "one_logit": _agreement("source", alone.by_source.sum(0)),
        "nodes": _nodes(edges),
        "paths": {
            "coherence": sample.coherence,
            "range": None if sample.coherence_range is None else list(sample.coherence_range),
        },
        "pieces": list(tokens.pieces),
        "by_source": by_source.tolist(),
    }


@of_accepted
def conclude(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
    """1 - coherence by source token, mean over prompts; and where each grouping lies."""
    results = [
        coherence
        for _, coherence in measurements
        if coherence["groupings"]["source"]["coherence"] is not None
    ]
    if not results:
        return untestable("nothing flows into any of the predictions: nothing can cancel")
    value, low, high = bootstrap(_cancelled_shares(results, "source"), seed)
    table = {name: _row(results, name, seed) for name in GROUPINGS}
    one_logit = bootstrap([1 - result["one_logit"]["coherence"] for result in results], seed)
    nodes = {name: bootstrap([result["nodes"][name] for result in results], seed) for name in NODES}
    node_places = {
        place: _count([one["nodes"]["place"] for one in results], place) for place in PLACES
    }
    paths = [one["paths"]["coherence"] for one in results]
    single = bootstrap([1 - one for one in paths if one is not None], seed)
    gaps = [one["unaccounted"] for one in results]
    numbers = {
        "groupings": table,
        "cancelled_by_kind": _by_kind(measurements),
        "largest_part_unaccounted": max(gaps),
        "cancelled_one_logit": one_logit,
        "edges_into_each_node": nodes | {"places": node_places},
        "cancelled_single_paths": single,
        "single_paths_drawn": N_DRAWN,
    }
    source = table["source"]
    says = (
        f"By source token {value:.0%} of the flow into a prediction cancels ({low:.0%} to "
        f"{high:.0%}, mean over {len(results)} prompts): some tokens speak for it, others against.",
        f"Random signs would do the like: {source['above']} of {len(results)} prompts agree more "
        f"than 95 % of random signs, {source['inside']} lie inside, {source['below']} cancel more; "
        f"chance alone would leave about {0.05 * len(results):.1f} outside.",
        *(
            f"Grouped by {GROUPINGS[name]}: {row['cancelled'][0]:.0%} cancels; above, inside, "
            f"below chance: {row['above']}, {row['inside']}, {row['below']}."
            for name, row in table.items()
            if name != "source"
        ),
        "A finer grouping cancels more by construction, so each is compared with random signs of "
        "its own parts, never with another grouping.",
        f"The target is the difference of two logits. Of the one logit alone {one_logit[0]:.0%} "
        "cancels: what lifts all tokens alike does not cancel, and is most of it.",
        f"Reads into each node of the run: {nodes['cancelled'][0]:.0%} cancels, where random signs "
        f"leave {nodes['cancelled_by_chance'][0]:.0%}.",
        f"Single paths, {N_DRAWN} drawn a prompt: about {single[0]:.0%}, a rough number and rather "
        "too low. Patterns are held: what makes them is not in any of this.",
        f"The parts of each grouping add up to the target to {max(gaps):.1e} of their sizes.",
    )
    no_more = source["inside"] + source["above"]
    return Finding(
        value, low, high, len(results), numbers, says, _figures(table), _picture(results),
        bounds=_as_chance(no_more, len(results)) if 2 * no_more > len(results) else None,
    )  # fmt: skip


def _as_chance(no_more: int, n: int) -> str:
    return f"it cancels, but no more than random signs would in {no_more} of {n} prompts"


NODES = ("cancelled", "cancelled_by_chance")


def _edges(flow: wl.Flow) -> np.ndarray:
    """Every weight [layer, head, dst, src], self-attention left out; heads that are not there 0."""
    planes = [flow.dense(layer) for layer in range(flow.n_layers)]
    weights = np.zeros((flow.n_layers, max(map(len, planes)), flow.n_pos, flow.n_pos))
    for layer, plane in enumerate(planes):
        weights[layer, : len(plane)] = plane
    diagonal = np.arange(flow.n_pos)
    weights[:, :, diagonal, diagonal] = 0.0
    return weights


def _agreement(name: str, values: np.ndarray) -> Measurement:
    """Coherence, the interval of random signs, and where it lies to that."""
    interference = wl.interference(values, grouping=GROUPINGS[name])
    place = None
    if interference.coherence is not None and interference.shuffled is not None:
        low, high = interference.shuffled
        place = _place(interference.coherence, low, high)
    return {
        "coherence": interference.coherence,
        "absolute": interference.absolute,
        "n_values": interference.n_values,
        "shuffled": None if interference.shuffled is None else list(interference.shuffled),
        "place": place,
        "sum": interference.signed,
    }


def _gap(target: float) -> Callable[[np.ndarray], float]:
    """By how much parts fail to add up to the target, of the sum of their sizes."""

    def gap(values: np.ndarray) -> float:
        sizes = float(np.abs(values).sum())
        return abs(float(values.sum()) - target) / sizes if sizes else 0.0

    return gap


def _place(coherence: float, low: float, high: float) -> str:
    return "above" if coherence > high else "below" if coherence < low else "inside"


def _nodes(edges: np.ndarray) -> Measurement:
    """Reads into every node: sum of |net| over the sum of sizes, and the same of random signs."""
    values = np.moveaxis(edges, 2, 1).reshape(-1, edges.shape[1] * edges.shape[3])
    values = values[np.abs(values).any(1)]
    total = np.abs(values).sum()
    if not total:
        return dict.fromkeys((*NODES, "place"))
    coherence = float(np.abs(values.sum(1)).sum() / total)
    draw = np.random.default_rng(0)
    chance_coherences = np.array([
        np.abs((values * draw.choice((-1.0, 1.0), values.shape)).sum(1)).sum() / total
        for _ in range(N_FLIPS)
    ])  # fmt: skip
    low, high = np.quantile(chance_coherences, [0.025, 0.975])
    return {
        "cancelled": 1 - coherence,
        "cancelled_by_chance": 1 - float(chance_coherences.mean()),
        "place": _place(coherence, low, high),
    }


def _cancelled_shares(results: Sequence[Measurement], name: str) -> list[float]:
    coherences = [coherence["groupings"][name]["coherence"] for coherence in results]
    return [1 - result for result in coherences if result is not None]


def _count(places: Sequence[str | None], place: str) -> int:
    return sum(prompt_place == place for prompt_place in places)


def _by_kind(measurements: Sequence[tuple[Item, Measurement]]) -> dict[str, float]:
    kinds: dict[str, list[Measurement]] = {}
    for item, result in measurements:
        kinds.setdefault(item["kind"], []).append(result)
    means = {
        kind: _cancelled_shares(kind_results, "source") for kind, kind_results in kinds.items()
    }
    return {kind: float(np.mean(shares)) for kind, shares in means.items() if shares}


def _row(results: Sequence[Measurement], name: str, seed: int) -> Measurement:
    """One grouping over all prompts: what cancels, by chance too, and where the prompts lie."""
    agreements = [agreement["groupings"][name] for agreement in results]
    ranges = [result["shuffled"] for result in agreements if result["shuffled"] is not None]
    ranges = ranges or [[math.nan, math.nan]]  # all parts are 0: nothing to compare with
    places = [result["place"] for result in agreements]
    counts = {place: _count(places, place) for place in PLACES}
    return {
        "parts": GROUPINGS[name],
        "cancelled": bootstrap(_cancelled_shares(results, name), seed),
        "chance_mean_range": [1 - float(np.mean([r[side] for r in ranges])) for side in (1, 0)],
        "above_share": [
            counts["above"] / len(agreements),
            *wilson(counts["above"], len(agreements)),
        ],
        "below_share": [
            counts["below"] / len(agreements),
            *wilson(counts["below"], len(agreements)),
        ],
        **counts,
    }


def _figures(table: dict[str, Measurement]) -> tuple[Figure, ...]:
    names = tuple(table)
    values, lows, highs = zip(*(table[name]["cancelled"] for name in names), strict=True)
    chance = [table[name]["chance_mean_range"] for name in names]
    middle = tuple((low + high) / 2 for low, high in chance)
    share_figure = Figure(
        title="Share of the flow that cancels, by what is grouped",
        mark="point",
        x="grouping",
        y="share that cancels",
        series=(
            Series("found", names, values, lows, highs),
            Series("random signs, 95 %", names, middle, *map(tuple, zip(*chance, strict=True))),
        ),
    )
    places = Figure(
        title="Prompts against random signs of their own parts",
        mark="bar",
        x="grouping",
        y="prompts",
        series=tuple(
            Series(place, names, tuple(float(table[name][place]) for name in names))
            for place in PLACES
        ),
    )
    return share_figure, places


def _picture(results: Sequence[Measurement]) -> Picture:
    """The prompt where most cancels, without its token that speaks most against the answer."""
    result = max(results, key=lambda result: 1 - result["groupings"]["source"]["coherence"])
    against = np.array(result["by_source"][:-1]) * np.sign(result["target_value"])
    at = int(against.argmin())
    says = (
        f'Cuts every read of "{result["pieces"][at].strip()}", the token whose paths speak most '
        "against the prediction."
    )
    return Picture(result["prompt"], says, result["target"], result["versus"], (f"*.*:{at}>*",))


EXPERIMENT = Experiment(
    claim="interference",
    counts="prompts",
    n=40,
    quick=8,
    least=8,
    items=items,
    measure=measure,
    conclude=conclude,
)
