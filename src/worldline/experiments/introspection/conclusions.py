"""What each protocol says over all its items: numbers with chance levels and intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from worldline.experiments.introspection.scope import N_SENTENCES
from worldline.experiments.statistics import bootstrap, discoveries, spearman, wilson

Row = dict[str, Any]
DRAWS = 1000


def share(trials: Sequence[Sequence[float]], chance: float, seed: int) -> Row:
    """Share right over clusters of trials; parts of a hit count at ties.

    The interval is the wider of Wilson's and of the bootstrap over whole clusters, as trials of one
    concept are not independent.
    """
    flat = [trial for cluster in trials for trial in cluster]
    if not flat:
        return {"share": None, "low": None, "high": None, "chance": chance, "trials": 0}
    _, low, high = bootstrap(trials, seed, draws=DRAWS)
    ends = wilson(math.floor(sum(flat) + 1e-9), len(flat)), wilson(_up(sum(flat)), len(flat))
    return {
        "share": sum(flat) / len(flat),
        "low": min(max(low, 0.0), ends[0][0]),
        "high": max(min(high, 1.0), ends[1][1]),
        "chance": chance,
        "trials": len(flat),
    }


def mean(values: Sequence[float] | Sequence[Sequence[float]], seed: int) -> Row:
    """A mean with its interval over items; None where there are too few for one."""
    value, low, high = bootstrap(values, seed, draws=DRAWS)
    return {"mean": _finite(value), "low": _finite(low), "high": _finite(high), "n": len(values)}


def localisation(results: Sequence[Row], seed: int) -> Row:
    """Protocol 2 on the reported half, with its controls."""
    names = ("concept", "plain", "centred", "random", "shuffled", "unrelated")
    shares = {
        name: share([result["right"][name] for result in results], 1 / N_SENTENCES, seed)
        for name in names
    }
    above = {
        f"concept_less_{name}": mean(
            [
                float(np.mean(result["right"]["concept"]) - np.mean(result["right"][name]))
                for result in results
            ],
            seed,
        )
        for name in ("random", "shuffled", "unrelated")
    }
    return {
        **shares,
        **above,
        "margin_logits": mean([one["margin"] for one in results], seed),
        "own_word_logits": mean([one["own_word"] for one in results], seed),
        "question_costs_nats": mean([one["nats"] for one in results], seed),
    }


def grid(table: Sequence[Row]) -> list[Row]:
    """The grid of the choosing half, with what stands at a false-discovery rate of 5 %."""
    stands = discoveries([row["p"] for row in table])
    return [row | {"stands": bool(is_one)} for row, is_one in zip(table, stands, strict=True)]


def strength_comparison(results: Sequence[Row], seed: int) -> Row:
    """Protocol 3: the stronger of two."""
    return {
        kind: share([result[kind] for result in results], 0.5, seed)
        | {"towards_it_logits": mean([result[f"{kind}_logits"] for result in results], seed)}
        for kind in ("concept", "random")
    }


def detection(results: Sequence[Row], seed: int) -> Row:
    """Protocol 4: difference in differences, and what it is made of, in logits of yes less no."""
    parts: Row = {}
    for kind in ("concept", "random"):
        asked_shifts = [result["asked"][kind] for result in results]
        control = [float(np.mean([c[kind] for c in result["controls"]])) for result in results]
        beyond = [a - c for a, c in zip(asked_shifts, control, strict=True)]
        parts[kind] = {
            "asked": mean(asked_shifts, seed),
            "controls": mean(control, seed),
            "asked_less_controls": mean(beyond, seed),
        }
    texts = sorted({one["conversation"].partition("info-")[2] for one in results})
    parts["by_information"] = {
        text: mean(
            [one["asked"]["concept"] for one in results if one["conversation"].endswith(text)], seed
        )
        for text in texts
    }
    return parts


def concept_choice(results: Sequence[Row], seed: int) -> Row:
    """Protocol 5: which of nine concepts, or none."""
    return {
        name: share([result[name] for result in results], 0.1, seed)
        for name in ("answered", "corrected")
    }


def ownership(results: Sequence[Row], seed: int) -> Row:
    """Protocol 6: shift towards "I meant it" by the word's own vector, less by another's."""
    kinds = ("own", "other", "random")
    return {kind: mean([result["shifts"][kind] for result in results], seed) for kind in kinds} | {
        "own_less_other": mean(
            [result["shifts"]["own"] - result["shifts"]["other"] for result in results], seed
        ),
        "own_less_random": mean(
            [one["shifts"]["own"] - one["shifts"]["random"] for one in results], seed
        ),
    }


def confident(results: Sequence[Row], seed: int) -> Row:
    """Protocol 7: rank correlations with the log-probability that the answer had."""
    facts = [fact for result in results for fact in result["facts"]]
    numbers: Row = {"n": len(facts)}
    for name in ("said", "cut", "other"):
        pairs = [[fact["logprob"], fact[name]] for fact in facts]
        numbers[name] = _correlation(pairs, seed, lambda x: spearman(x[:, 0], x[:, 1]))
    three = [[one["logprob"], one["other"], one["cut"]] for one in facts]
    numbers["other_less_cut"] = _correlation(
        three, seed, lambda x: spearman(x[:, 0], x[:, 1]) - spearman(x[:, 0], x[:, 2])
    )
    return numbers


def split(results: Sequence[Row], seed: int) -> Row:
    """Protocol 8: the margin of the right number, in logits, by what was perturbed."""
    ways = list(results[0]["margins"]) if results else []
    numbers: Row = {way: mean([result["margins"][way] for result in results], seed) for way in ways}
    if results:
        largest_margin = max(abs(result["margins"]["residual_only"]) for result in results)
        numbers["residual_only_largest"] = largest_margin
    return numbers


def _correlation(
    rows: Sequence[Sequence[float]], seed: int, statistic: Callable[[np.ndarray], float]
) -> Row:
    width = len(rows[0]) if rows else 1
    value, low, high = bootstrap(
        rows, seed, lambda flat: statistic(flat.reshape(-1, width)), DRAWS // 2
    )
    return {"rho": _finite(value), "low": _finite(low), "high": _finite(high)}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _up(hits: float) -> int:
    return math.ceil(hits - 1e-9)
