"""The table: every measure, family and cut, from the raw parts alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import worldline as wl
from worldline.experiments.faithfulness.curves import RANDOM_ORDER
from worldline.experiments.faithfulness.edge_choice import HOWS
from worldline.experiments.faithfulness.families import FILTER
from worldline.experiments.faithfulness.part_files import Store
from worldline.experiments.faithfulness.prompt_runs import (
    CORRECTED_GRADIENT,
    EXACT,
    matched_gradient,
)
from worldline.experiments.faithfulness.scores import (
    DrawScorer,
    area,
    correlation,
    drawn_anew,
    interval_of,
    mean,
    mean_of,
    rank_correlation,
    recall,
    told_apart,
    value_of,
)

SCHEMA = "worldline.faithfulness/2"
CURVES = (
    ("insertion signed", "cpr"),
    ("insertion by size", "cmd"),
    ("deletion by size", "deletion"),
)
AXES = ("linear", "log")
NO_EFFECT = 1e-4  # logits: what the circuits' norms let through is below it
PEERS_WITH_TARGET = ("EAP", "EAP-IG")
PER_PROMPT = (
    "rank_signed",
    "rank_size",
    "rank_signed_without_column_0",
    "rank_size_without_column_0",
    "rank_signed_heads",
    "rank_size_heads",
    "rank_signed_every_edge",
    "linear",
    "recall",
    "recall_without_column_0",
    "completeness",
)


@dataclass(eq=False)
class PromptResult:
    """One prompt's parts: what the measures said, what one kind of cut did."""

    metadata: dict[str, Any]
    cut: dict[str, Any]
    arrays: dict[str, np.ndarray]
    at: dict[str, int] = field(init=False)
    curves: dict[tuple[str, str], np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        for name in ("layer_effects", "head_effects"):
            effects = self.arrays[name].astype(float)
            self.arrays[name] = np.where(np.abs(effects) > self.least, effects, 0.0)
        self.at = {name: n for n, name in enumerate(self.metadata["measures"])}
        self.curves = {
            (name, kind): self.arrays["curves"][n].astype(float)
            for n, (name, kind) in enumerate(self.cut["curves"])
        }

    @property
    def least(self) -> float:
        """What an effect has to exceed to be more than rounding; 0 where a run did not say."""
        precision = self.cut.get("precision")
        return max(precision["floor"], precision["resolution"]) if precision else 0.0

    def able(self, edges: str) -> np.ndarray:
        """Which of the edges that were cut can have an effect.

        Under patching, those from the first token on that the two prompts do not share: before it
        their K and V are the same.
        """
        src, first = self.arrays[edges][:, -1], 0
        if self.cut["how"] == "patch":
            pairs = zip(self.metadata["clean_ids"], self.metadata["corrupted_ids"], strict=True)
            first = next(n for n, (clean_id, two) in enumerate(pairs) if clean_id != two)
        return src >= first

    def weights(self, name: str) -> np.ndarray:
        """A measure's numbers at the edges that were cut one at a time, all heads together."""
        return self.arrays["layer_weights"][self.at[name]].astype(float)


def prompts_in(store: Store, how: str) -> dict[str, list[PromptResult]]:
    """Family -> its prompts for which both parts are there, by number."""
    names, by_family = store.names(), {}
    for name in sorted(names):
        stem, _, part = name.rpartition(".")
        if part == how and f"{stem}.measures" in names:
            metadata, weights = store.read(f"{stem}.measures")
            cut, effects = store.read(name)
            by_family.setdefault(metadata["family"], []).append(
                PromptResult(metadata, cut, weights | effects)
            )
    return by_family


def make_table(
    store: Store,
    hows: Iterable[str] = HOWS,
    measures: Sequence[str] | None = None,
    families: Sequence[str] | None = None,
    split: str = "report",
    prompts: Iterable[tuple[str, int]] | None = None,
) -> dict[str, Any]:
    """Every score of every measure: its value, and the interval that prompts leave open.

    `prompts`: (family, number) of those to take, of all that the store holds.

    Raises:
        InputError: the store holds nothing that was asked for, or parts that do not fit together.
    """
    try:
        return _build_table(store, hows, measures, families, split, prompts)
    except wl.InputError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise wl.InputError(
            f"--raw {store.path}: its parts do not fit together ({reason})"
        ) from None


def _build_table(
    store: Store,
    hows: Iterable[str],
    measures: Sequence[str] | None,
    families: Sequence[str] | None,
    split: str,
    prompts: Iterable[tuple[str, int]] | None,
) -> dict[str, Any]:
    order = list(wl.edge_measures())
    prompt_keys = None if prompts is None else set(prompts)
    rows: list[dict[str, Any]] = []
    leads: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    for how in hows:
        for family, results in prompts_in(store, how).items():
            if families is not None and family not in families:
                continue
            mine = [lead for lead in results if lead.metadata["split"] == split]
            if prompt_keys is not None:
                mine = [
                    result for result in mine if (family, result.metadata["number"]) in prompt_keys
                ]
            if not mine:
                continue
            shared = [name for name in order if all(name in result.at for result in mine)]
            names = [name for name in shared if measures is None or name in measures]
            extra = [CORRECTED_GRADIENT] if matched_gradient(how) in names else []
            facts.setdefault(family, {})[how] = _facts(mine)
            row_by_measure = {name: _row(mine, name) for name in (*names, *extra, RANDOM_ORDER)}
            for name, (row, _) in row_by_measure.items():
                row["not_behind"] = _not_behind(name, row_by_measure)
                rows.append({"how": how, "family": family, "measure": name, **row})
            leads.append({"how": how, "family": family, "leads": _leads(how, row_by_measure)})
    if not rows:
        raise wl.InputError(f"--raw {store.path}: nothing of what was asked for is in it")
    return {
        "schema": SCHEMA,
        "split": split,
        "filter": FILTER,
        "exact_cuts": EXACT,
        "families": facts,
        "rows": rows,
        "verdict": [one for one in leads if one["leads"]],
    }


def _facts(results: list[PromptResult]) -> dict[str, Any]:
    lengths = [len(result.metadata["clean"]) for result in results]
    changes = [result.cut["clean"] - result.cut["none"] for result in results]
    return {
        "model": results[0].metadata["model"],
        "weights_hash": results[0].metadata["weights_hash"],
        "prompts": len(results),
        "tokens": [min(lengths), max(lengths)],
        "least_effect": max(one.least for one in results) or None,
        "edges_cut": sum(len(one.arrays["layer_effects"]) for one in results),
        "head_edges_cut": sum(len(one.arrays["head_effects"]) for one in results),
        "clean": mean([one.cut["clean"] for one in results]),
        "all_cut_change": mean(changes),
        "all_cut_change_size": mean([abs(change) for change in changes]),
        "cut_seconds": sum(one.cut["seconds"] for one in results),
    }


Row = tuple[dict[str, Any], dict[str, np.ndarray]]


def _row(results: list[PromptResult], name: str) -> Row:
    """A measure's scores, and each score for every draw of the prompts."""
    row: dict[str, Any] = {}
    scores: dict[str, DrawScorer] = {}
    if name != RANDOM_ORDER:
        prompt_scores = [_scores(result, name) for result in results]
        scores |= {
            key: mean_of([scores_of_prompt[key] for scores_of_prompt in prompt_scores])
            for key in PER_PROMPT
        }
        row["seconds"], row["peak_mb"] = _cost(results, name)
    circuit = bool(results[0].metadata["truth"])  # of a few edges: a curve over shares says nothing
    for kind, key in () if circuit else CURVES:
        if name == CORRECTED_GRADIENT and key == "deletion":
            continue  # to delete a few edges is nearly what it was given the effect of
        scores |= {f"{key}_{axis}": _area_of(results, name, kind, axis) for axis in AXES}
    draws = {key: drawn_anew(of, len(results)) for key, of in scores.items()}
    for key, of in scores.items():
        row[key] = [value_of(of, len(results)), *interval_of(draws[key])]
    for kind in () if circuit else ("insertion by size", "deletion by size"):
        if name == CORRECTED_GRADIENT and kind.startswith("deletion"):
            continue
        row[kind.replace(" ", "_")] = _mean_curve(results, name, kind)
    truth = [
        _truth(result, name) for result in results if result.metadata["truth"] and name in result.at
    ]
    if truth:
        row |= truth[0]
    return row, draws


def _ahead(key: str, first: np.ndarray, two: np.ndarray) -> bool:
    """Whether the first is better than the second, beyond what drawing the prompts leaves open."""
    lower_is_better = key.startswith(("cmd", "deletion", "completeness"))
    return told_apart(two - first if lower_is_better else first - two)


def _not_behind(name: str, rows: Mapping[str, Row]) -> list[str]:
    """The scores in which no other measure is ahead of this one."""
    mine, draws = rows[name]
    rivals = [row[1] for rival_name, row in rows.items() if rival_name != name]
    return [
        key
        for key, of in draws.items()
        if mine[key][0] is not None
        and not any(key in rival and _ahead(key, rival[key], of) for rival in rivals)
    ]


def _leads(how: str, rows: Mapping[str, Row]) -> dict[str, bool]:
    """Whether the matched gradient is ahead of each peer that looks at the target, by score."""
    peers = [rows[peer] for peer in PEERS_WITH_TARGET if peer in rows]
    if matched_gradient(how) not in rows or not peers:
        return {}
    mine, draws = rows[matched_gradient(how)]
    return {
        key: all(_ahead(key, draws[key], peer[1][key]) for peer in peers)
        for key in ("rank_signed", "rank_size", "cmd_linear", "cmd_log")
        if key in draws and None not in [mine[key][0], *(peer[0][key][0] for peer in peers)]
    }


def _scores(result: PromptResult, name: str) -> dict[str, float | None]:
    """What a measure says beside what single cuts did.

    The corrected gradient is not held against single cuts: of some it was given the effect, and
    elsewhere it is the gradient.
    """
    if name == CORRECTED_GRADIENT:
        return dict.fromkeys(PER_PROMPT) | {"completeness": _completeness(result, name)}
    weights, effects = result.weights(name), result.arrays["layer_effects"].astype(float)
    able = result.able("layer_edges")
    inner = able & (result.arrays["layer_edges"][:, -1] > 0)
    scores: dict[str, float | None] = {"linear": correlation(weights[able], effects[able])}
    for key, mask in (("", able), ("_without_column_0", inner)):
        scores |= _by_rank(weights[mask], effects[mask], key)
        scores[f"recall{key}"] = recall(weights[mask], effects[mask])
    every = _with_powerless(result, name, weights, effects)
    scores["rank_signed_every_edge"] = rank_correlation(*every)
    mask = result.able("head_edges")
    by_head = result.arrays["head_weights"][result.at[name]].astype(float)
    scores |= _by_rank(by_head[mask], result.arrays["head_effects"][mask].astype(float), "_heads")
    scores["completeness"] = _completeness(result, name)
    return scores


def _by_rank(weights: np.ndarray, effects: np.ndarray, key: str) -> dict[str, float | None]:
    return {
        f"rank_signed{key}": rank_correlation(weights, effects),
        f"rank_size{key}": rank_correlation(np.abs(weights), np.abs(effects)),
    }


def _with_powerless(
    result: PromptResult, name: str, weights: np.ndarray, effects: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """With the edges into the top row's other columns, which can have no effect."""
    more = result.arrays["powerless_weights"][result.at[name]].astype(float)
    return np.concatenate([weights, more]), np.concatenate([effects, np.zeros(len(more))])


def _completeness(result: PromptResult, name: str) -> float | None:
    """|sum of all weights - effect of cutting all edges| / |that effect|."""
    if name == CORRECTED_GRADIENT:
        total = result.cut["corrected_sum"]
    elif wl.edge_measures()[name].unit == "logits":
        total = result.metadata["sums"][name]
    else:
        return None
    effect = result.cut["clean"] - result.cut["none"]
    return abs(total - effect) / abs(effect) if effect else None


def _whole_curve(result: PromptResult, name: str, kind: str) -> np.ndarray:
    """The target for shares 0, SHARES, 1 of kept (insertion) or cut (deletion) edges."""
    ends = (result.cut["none"], result.cut["clean"])
    first, last = ends if kind.startswith("insertion") else ends[::-1]
    return np.array([first, *result.curves[name, kind], last])


def _area_of(results: list[PromptResult], name: str, kind: str, axis: str) -> DrawScorer:
    """CPR: the mean part of the target that the strongest edges bring back, a mean over prompts.

    CMD and deletion: the mean distance of the target from the whole run's, in parts of that with
    all edges cut.
    """
    curves = np.array([_whole_curve(result, name, kind) for result in results])
    if kind == "insertion signed":
        shifts = curves - np.array([[result.cut["none"]] for result in results])
    else:
        shifts = np.abs(curves - np.array([[one.cut["clean"]] for one in results]))
    end = 0 if kind == "insertion by size" else -1

    def of(at: np.ndarray) -> np.ndarray:
        means = shifts[at].mean(1)
        scale = np.where(means[:, end] != 0, means[:, end], np.nan)
        return area(means / scale[:, None], axis)

    return of


def _mean_curve(results: list[PromptResult], name: str, kind: str) -> list[float]:
    """Mean distance from the whole run's target, in parts of that with all edges cut."""
    off = np.mean([np.abs(_whole_curve(o, name, kind) - o.cut["clean"]) for o in results], 0)
    scale = off[0] if kind.startswith("insertion") else off[-1]
    return (off / scale).tolist() if scale else [0.0] * len(off)


def _cost(results: list[PromptResult], name: str) -> tuple[float, float | None]:
    """Median seconds, highest memory in MB; the corrected gradient pays for its cuts."""
    how = results[0].cut["how"]
    base = matched_gradient(how) if name == CORRECTED_GRADIENT else name
    seconds = float(np.median([result.metadata["seconds"][base] for result in results]))
    if name == CORRECTED_GRADIENT:
        seconds += EXACT * float(np.median([result.cut["seconds_per_cut"] for result in results]))
    memory = [one.metadata["peak_mb"][base] for one in results]
    return seconds, max((m for m in memory if m is not None), default=None)


def _truth(result: PromptResult, name: str) -> dict[str, Any]:
    """Against the edges that are known: how many are found, how much lies on edges of no effect."""
    weights = np.abs(result.arrays["head_weights"][result.at[name]].astype(float))
    edges = list(map(tuple, result.arrays["head_edges"].tolist()))
    in_truth = np.array([list(edge) in result.metadata["truth"] for edge in edges])
    idle = np.abs(result.arrays["head_effects"]) <= NO_EFFECT
    top, total = int(in_truth.sum()), float(weights.sum())
    least = np.sort(weights)[-top]
    surely, perhaps = weights > least, (weights == least) & (least > 0)
    chance = (top - surely.sum()) / max(perhaps.sum(), 1)
    return {
        "known_edges": top,
        "known_found": float((surely[in_truth] + chance * perhaps[in_truth]).sum() / top),
        "on_idle_edges": float(weights[idle].sum() / total) if total else None,
    }
