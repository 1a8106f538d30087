"""The mix encodes differences between past states: a later state, read for s1, s2 and s1 - s2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import worldline as wl
from worldline.experiments.experiment import Experiment, Figure, Finding, Item, Measurement, Series
from worldline.experiments.linear_probes import (
    allowed_inputs,
    components,
    fitting_rows,
    read_out,
    share_of,
)
from worldline.experiments.passage_rows import (
    collect,
    part_items,
    read_passages,
    spread_over,
    state_rows,
)
from worldline.experiments.refusals import of_all, or_reason
from worldline.experiments.statistics import bootstrap, interval_text

TEXTS_PER_PAIR, AT_ONCE = 90, 3
RISE = 6
"""A later node is a sixth of the layers above the past states that it is read for."""

NAMES: tuple[str, ...] = ("difference", "one", "two", "tokens")


def items(_model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """Pairs of rows are tested by the handful, one handful an item, a pair for each 90 passages."""
    return part_items(n, seed, max(2, n // TEXTS_PER_PAIR), AT_ONCE)


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """Fit readers of past states in later ones, for some pairs of rows."""
    texts = read_passages(model, item["texts"], item["seed"])
    texts = [text for text in texts if len(text) > 3]
    pairs = row_pairs(wl.record(model, texts[0], keep=()).n_layers, item["wanted"])
    part_pairs = pairs[item["part"] :: item["of"]]
    rows = {0, *(row for pair in part_pairs for row in pair)}
    states = collect(
        model, texts, (), lambda trace: {f"x{row}": state_rows(trace, row) for row in sorted(rows)}
    )
    return {
        "pairs": [
            {"past": past, "later": later}
            | compare(states[f"x{past}"], states[f"x{later}"], states["x0"], states.text_of)
            for past, later in part_pairs
        ]
    }


def row_pairs(n_layers: int, n_pairs: int) -> list[tuple[int, int]]:
    """(Row of the past states, row of the later node), evenly spread; row 0 is tokens, no state.

    >>> row_pairs(30, 3)
    [(1, 6), (13, 18), (25, 30)]
    """
    rise = max(1, n_layers // RISE)
    first = min(1, n_layers - rise)
    rows = spread_over(n_layers - rise - first + 1, n_pairs)
    return [(first + row, first + row + rise) for row in rows]


def compare(
    past: np.ndarray, later: np.ndarray, embeddings: np.ndarray, text_of: np.ndarray
) -> dict[str, Any]:
    """Readings of s1 = past[j-1], s2 = past[j-2] and s1 - s2 in later[j]; of s1 - s2 in tokens.

    Rows are states of whole texts, in order; a text's first two rows have no s2.
    """
    at = np.flatnonzero(text_of[2:] == text_of[:-2]) + 2
    text_of_row, fitting = text_of[at], fitting_rows(text_of[at])
    s1, two = past[at - 1].astype(np.float32), past[at - 2].astype(np.float32)
    n_components = max(1, allowed_inputs(text_of_row) // 3)
    tokens = np.concatenate(
        [components(embeddings[at - back], fitting, n_components) for back in range(3)], axis=1
    )
    difference = s1 - two
    state = later[at]
    readings = {
        "difference": read_out(state, difference, text_of_row),
        "one": read_out(state, s1, text_of_row),
        "two": read_out(state, two, text_of_row),
        "tokens": read_out(tokens, difference, text_of_row),
    }
    chance = read_out(state, difference, text_of_row, shuffle=0).share
    z1, z2 = (values - values.mean(0) for values in (s1, two))
    alike = float((z1 * z2).sum() / np.sqrt((z1**2).sum() * (z2**2).sum()))
    return {name: reading.json() for name, reading in readings.items()} | {
        "chance": chance, "correlation": alike,
    }  # fmt: skip


def margins(shares: dict[str, float]) -> dict[str, float]:
    """The share of the difference, above the states', above the tokens', above both."""
    states = shares["difference"] - max(shares["one"], shares["two"])
    tokens = shares["difference"] - shares["tokens"]
    return {"states": states, "tokens": tokens, "both": min(states, tokens)}


@of_all
def conclude(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
    """The margin of the difference's R2, mean over pairs of rows; interval over held-out texts."""
    pairs = sorted(
        (interval for _, m in measurements for interval in m["pairs"]),
        key=lambda pair: pair["past"],
    )
    margin_intervals = {name: _interval(pairs, name, seed) for name in ("both", "states", "tokens")}
    value, low, high = margin_intervals["both"]
    n_texts = len(pairs[0]["difference"]["total"])
    return Finding(
        value,
        low,
        high,
        n_texts,
        numbers={
            "margins": {name: list(pair) for name, pair in margin_intervals.items()},
            "pairs": [_row(one) for one in pairs],
        },
        says=_says(pairs, margin_intervals, n_texts),
        figures=(_figure(pairs),),
    )


def _interval(
    pairs: list[dict[str, Any]], margin_name: str, seed: int
) -> tuple[float, float, float]:
    table = np.array(
        [[pair[name][part] for name in NAMES for part in ("residual", "total")] for pair in pairs]
    )

    def mean_margin(values: np.ndarray) -> float:
        sums = values.reshape(-1, len(pairs), len(NAMES), 2).sum(0)
        shares = 1 - sums[..., 0] / sums[..., 1]
        named_shares = (dict(zip(NAMES, line, strict=True)) for line in shares)
        return float(np.mean([margins(line)[margin_name] for line in named_shares]))

    clusters = [table[:, :, text].ravel().tolist() for text in range(table.shape[2])]
    return bootstrap(clusters, seed, mean_margin)


def _row(pair: dict[str, Any]) -> dict[str, Any]:
    shares = {name: share_of(pair[name]["residual"], pair[name]["total"]) for name in NAMES}
    pair_numbers = {name: pair[name] for name in ("past", "later", "chance", "correlation")}
    return (
        pair_numbers
        | shares
        | {"margins": margins(shares), "token_inputs": pair["tokens"]["inputs"]}
    )


def _says(pairs, margin_intervals, n_texts) -> tuple[str, ...]:
    mean = {name: np.mean([pair[name]["share"] for pair in pairs]) for name in NAMES}
    tokens, state = pairs[0]["tokens"], pairs[0]["difference"]
    where = ", ".join(f"{pair['past']} in {pair['later']}" for pair in pairs)
    lines = [
        f"Rows of past states in rows of later nodes: {where}; {state['samples']:,} samples to "
        f"fit, {n_texts} other texts to judge, column 0 left out.",
        f"R2 of the difference s1 - s2 of the last two states {mean['difference']:.3f}; of s1 "
        f"alone {mean['one']:.3f}, of s2 alone {mean['two']:.3f}; by chance "
        f"{np.mean([one['chance'] for one in pairs]):.3f}.",
        f"The same difference, read in the embeddings of tokens j, j-1 and j-2: "
        f"{mean['tokens']:.3f}, from {tokens['inputs']} principal components of their numbers"
        f"{'' if tokens['inputs'] >= state['given'] * 3 else ': samples allow no more'}.",
        f"Margin over the states {interval_text(margin_intervals['states'])}, over the tokens "
        f"{interval_text(margin_intervals['tokens'])}; "
        "the smaller of the two decides.",
        "A linear reader of a difference is the difference of the readers, so that it can always "
        "be read; only how well, beside the states and the tokens, says whether it is favoured.",
        "The later node is a state, with its own column in it: what it knows of the past came by "
        "K/V alone, what it shares with the past by likeness of text is in the numbers too.",
    ]
    if state["inputs"] < state["given"]:
        lines.append(
            f"Of a state's {state['given']} numbers {state['inputs']} components were read: ten "
            "samples an input allow no more."
        )
    return tuple(lines)


def _figure(pairs: list[dict[str, Any]]) -> Figure:
    x = tuple(float(pair["past"]) for pair in pairs)
    words = {
        "difference": "s1 - s2", "one": "s1 (one back)", "two": "s2 (two back)",
        "tokens": "s1 - s2, from tokens",
    }  # fmt: skip
    return Figure(
        "What a later state tells of past ones",
        "line",
        "row of the past states",
        "R2, held out",
        tuple(
            Series(name, x, tuple(pair[key]["share"] for pair in pairs))
            for key, name in words.items()
        ),
    )


EXPERIMENT = Experiment(
    claim="deltas",
    counts="passages, half of them to fit the readers; one pair of rows is tested for each 90",
    n=320,
    quick=180,
    least=40,
    items=items,
    measure=measure,
    conclude=conclude,
)
