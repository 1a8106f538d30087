"""What each protocol says over all its items: numbers with chance levels and intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from worldline.lab.introspection.scope import LISTED
from worldline.lab.statistics import bootstrap, discoveries, spearman, wilson

Row = dict[str, Any]
DRAWS = 1000


def share(trials: Sequence[Sequence[float]], chance: float, seed: int) -> Row:
    """Share right over clusters of trials; parts of a hit count at ties.

    The interval is the wider of Wilson's and of the bootstrap over whole clusters, as trials of one
    concept are not independent.
    """
    flat = [one for some in trials for one in some]
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


def localised(found: Sequence[Row], seed: int) -> Row:
    """Protocol 2 on the reported half, with its controls."""
    names = ("concept", "plain", "centred", "random", "shuffled", "unrelated")
    shares = {
        name: share([one["right"][name] for one in found], 1 / LISTED, seed) for name in names
    }
    above = {
        f"concept_less_{name}": mean(
            [
                float(np.mean(one["right"]["concept"]) - np.mean(one["right"][name]))
                for one in found
            ],
            seed,
        )
        for name in ("random", "shuffled", "unrelated")
    }
    return {
        **shares,
        **above,
        "margin_logits": mean([one["margin"] for one in found], seed),
        "own_word_logits": mean([one["own_word"] for one in found], seed),
        "question_costs_nats": mean([one["nats"] for one in found], seed),
    }


def grid(table: Sequence[Row]) -> list[Row]:
    """The grid of the choosing half, with what stands at a false-discovery rate of 5 %."""
    stands = discoveries([one["p"] for one in table])
    return [one | {"stands": bool(is_one)} for one, is_one in zip(table, stands, strict=True)]


def compared(found: Sequence[Row], seed: int) -> Row:
    """Protocol 3: the stronger of two."""
    return {
        kind: share([one[kind] for one in found], 0.5, seed)
        | {"towards_it_logits": mean([one[f"{kind}_logits"] for one in found], seed)}
        for kind in ("concept", "random")
    }


def detected(found: Sequence[Row], seed: int) -> Row:
    """Protocol 4: difference in differences, and what it is made of, in logits of yes less no."""
    parts: Row = {}
    for kind in ("concept", "random"):
        asked = [one["asked"][kind] for one in found]
        control = [float(np.mean([c[kind] for c in one["controls"]])) for one in found]
        beyond = [a - c for a, c in zip(asked, control, strict=True)]
        parts[kind] = {
            "asked": mean(asked, seed),
            "controls": mean(control, seed),
            "asked_less_controls": mean(beyond, seed),
        }
    texts = sorted({one["conversation"].partition("info-")[2] for one in found})
    parts["by_information"] = {
        text: mean(
            [one["asked"]["concept"] for one in found if one["conversation"].endswith(text)], seed
        )
        for text in texts
    }
    return parts


def named(found: Sequence[Row], seed: int) -> Row:
    """Protocol 5: which of nine concepts, or none."""
    return {
        name: share([one[name] for one in found], 0.1, seed) for name in ("answered", "corrected")
    }


def owned(found: Sequence[Row], seed: int) -> Row:
    """Protocol 6: shift towards "I meant it" by the word's own vector, less by another's."""
    kinds = ("own", "other", "random")
    return {kind: mean([one["shifts"][kind] for one in found], seed) for kind in kinds} | {
        "own_less_other": mean(
            [one["shifts"]["own"] - one["shifts"]["other"] for one in found], seed
        ),
        "own_less_random": mean(
            [one["shifts"]["own"] - one["shifts"]["random"] for one in found], seed
        ),
    }


def confident(found: Sequence[Row], seed: int) -> Row:
    """Protocol 7: rank correlations with the log-probability that the answer had."""
    facts = [one for some in found for one in some["facts"]]
    numbers: Row = {"n": len(facts)}
    for name in ("said", "cut", "other"):
        pairs = [[one["logprob"], one[name]] for one in facts]
        numbers[name] = _correlation(pairs, seed, lambda x: spearman(x[:, 0], x[:, 1]))
    three = [[one["logprob"], one["other"], one["cut"]] for one in facts]
    numbers["other_less_cut"] = _correlation(
        three, seed, lambda x: spearman(x[:, 0], x[:, 1]) - spearman(x[:, 0], x[:, 2])
    )
    return numbers


def split(found: Sequence[Row], seed: int) -> Row:
    """Protocol 8: the margin of the right number, in logits, by what was pushed."""
    ways = list(found[0]["margins"]) if found else []
    numbers: Row = {way: mean([one["margins"][way] for one in found], seed) for way in ways}
    if found:
        none = max(abs(one["margins"]["residual_only"]) for one in found)
        numbers["residual_only_largest"] = none
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
