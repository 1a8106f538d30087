"""The table: every measure, family and cut, from the raw parts alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import worldline as wl
from worldline.lab.faithfulness.curves import SHUFFLED
from worldline.lab.faithfulness.edges import HOWS
from worldline.lab.faithfulness.families import FILTER
from worldline.lab.faithfulness.running import CORRECTED, EXACT, matched
from worldline.lab.faithfulness.scores import (
    Drawn,
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
from worldline.lab.faithfulness.store import Store

SCHEMA = "worldline.faithfulness/1"
BUDGETS = (0, 10, 25, 50)
CURVES = (
    ("insertion signed", "cpr"),
    ("insertion by size", "cmd"),
    ("deletion by size", "deletion"),
)
AXES = ("linear", "log")
HIGHER = ("rank_signed", "rank_size", "recall", "cpr_linear", "cpr_log")  # better when higher
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
class Seen:
    """One prompt's parts: what the measures said, what one kind of cut did."""

    said: dict[str, Any]
    cut: dict[str, Any]
    arrays: dict[str, np.ndarray]
    at: dict[str, int] = field(init=False)
    curves: dict[tuple[str, str], np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        for name in ("layer_effects", "head_effects"):
            effects = self.arrays[name].astype(float)
            self.arrays[name] = np.where(np.abs(effects) > self.least, effects, 0.0)
        self.at = {name: n for n, name in enumerate(self.said["measures"])}
        self.curves = {
            (name, kind): self.arrays["curves"][n].astype(float)
            for n, (name, kind) in enumerate(self.cut["curves"])
        }

    @property
    def least(self) -> float:
        """What an effect has to exceed to be more than rounding; 0 where a run did not say."""
        known = self.cut.get("precision")
        return max(known["floor"], known["resolution"]) if known else 0.0

    def able(self, edges: str) -> np.ndarray:
        """Which of the edges that were cut can have an effect.

        Under splice, those from the first token on that the two prompts do not share: before it
        their K and V are the same.
        """
        src, first = self.arrays[edges][:, -1], 0
        if self.cut["how"] == "splice":
            pairs = zip(self.said["clean_ids"], self.said["corrupted_ids"], strict=True)
            first = next(n for n, (one, two) in enumerate(pairs) if one != two)
        return src >= first

    def weights(self, name: str) -> np.ndarray:
        """A measure's numbers at the edges that were cut one at a time, all heads together."""
        return self.arrays["layer_weights"][self.at[name]].astype(float)

    def left(self, cuts: int) -> np.ndarray:
        """Which of the edges are not among the `cuts` strongest, whose effect is then known."""
        known = set(map(tuple, self.arrays["corrected_edges"][:cuts].tolist()))
        return np.array([tuple(edge) not in known for edge in self.arrays["layer_edges"].tolist()])


def prompts_in(store: Store, how: str) -> dict[str, list[Seen]]:
    """Family -> its prompts for which both parts are there, by number."""
    names, found = store.names(), {}
    for name in sorted(names):
        stem, _, part = name.rpartition(".")
        if part == how and f"{stem}.measures" in names:
            said, weights = store.read(f"{stem}.measures")
            cut, effects = store.read(name)
            found.setdefault(said["family"], []).append(Seen(said, cut, weights | effects))
    return found


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
        return _made(store, hows, measures, families, split, prompts)
    except wl.InputError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise wl.InputError(f"--raw {store.path}: its parts do not fit together ({said})") from None


def _made(
    store: Store,
    hows: Iterable[str],
    measures: Sequence[str] | None,
    families: Sequence[str] | None,
    split: str,
    prompts: Iterable[tuple[str, int]] | None,
) -> dict[str, Any]:
    order = list(wl.edge_measures())
    wanted = None if prompts is None else set(prompts)
    rows: list[dict[str, Any]] = []
    leads: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    for how in hows:
        for family, seen in prompts_in(store, how).items():
            if families is not None and family not in families:
                continue
            mine = [one for one in seen if one.said["split"] == split]
            if wanted is not None:
                mine = [one for one in mine if (family, one.said["number"]) in wanted]
            if not mine:
                continue
            shared = [name for name in order if all(name in one.at for one in mine)]
            names = [name for name in shared if measures is None or name in measures]
            extra = [CORRECTED] if matched(how) in names else []
            facts.setdefault(family, {})[how] = _facts(mine)
            drawn = {name: _row(mine, name) for name in (*names, *extra, SHUFFLED)}
            for name, (row, _) in drawn.items():
                row["not_behind"] = _not_behind(name, drawn)
                rows.append({"how": how, "family": family, "measure": name, **row})
            leads.append({"how": how, "family": family, "leads": _leads(how, drawn)})
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


def _facts(seen: list[Seen]) -> dict[str, Any]:
    lengths = [len(one.said["clean"]) for one in seen]
    changes = [one.cut["clean"] - one.cut["none"] for one in seen]
    return {
        "model": seen[0].said["model"],
        "weights_hash": seen[0].said["weights_hash"],
        "prompts": len(seen),
        "tokens": [min(lengths), max(lengths)],
        "least_effect": max(one.least for one in seen) or None,
        "edges_cut": sum(len(one.arrays["layer_effects"]) for one in seen),
        "head_edges_cut": sum(len(one.arrays["head_effects"]) for one in seen),
        "clean": mean([one.cut["clean"] for one in seen]),
        "all_cut_change": mean(changes),
        "all_cut_change_size": mean([abs(change) for change in changes]),
        "cut_seconds": sum(one.cut["seconds"] for one in seen),
    }


Row = tuple[dict[str, Any], dict[str, np.ndarray]]


def _row(seen: list[Seen], name: str) -> Row:
    """A measure's scores, and each score for every draw of the prompts."""
    row: dict[str, Any] = {}
    scores: dict[str, Drawn] = {}
    if name != SHUFFLED:
        scored = [_scores(one, name) for one in seen]
        scores |= {key: mean_of([one[key] for one in scored]) for key in PER_PROMPT}
        row["seconds"], row["peak_mb"] = _cost(seen, name)
    circuit = bool(seen[0].said["truth"])  # of a few edges: a curve over shares says nothing
    for kind, key in () if circuit else CURVES:
        if name == CORRECTED and key == "deletion":
            continue  # to delete a few edges is nearly what it was given the effect of
        scores |= {f"{key}_{axis}": _area_of(seen, name, kind, axis) for axis in AXES}
    draws = {key: drawn_anew(of, len(seen)) for key, of in scores.items()}
    for key, of in scores.items():
        row[key] = [value_of(of, len(seen)), *interval_of(draws[key])]
    for kind in () if circuit else ("insertion by size", "deletion by size"):
        if name == CORRECTED and kind.startswith("deletion"):
            continue
        row[kind.replace(" ", "_")] = _mean_curve(seen, name, kind)
    truth = [_truth(one, name) for one in seen if one.said["truth"] and name in one.at]
    if truth:
        row |= truth[0]
    return row, draws


def _ahead(key: str, one: np.ndarray, two: np.ndarray) -> bool:
    """Whether the first is better than the second, beyond what drawing the prompts leaves open."""
    lower_is_better = key.startswith(("cmd", "deletion", "completeness"))
    return told_apart(two - one if lower_is_better else one - two)


def _not_behind(name: str, rows: Mapping[str, Row]) -> list[str]:
    """The scores in which no other measure is ahead of this one."""
    mine, draws = rows[name]
    others = [row[1] for other, row in rows.items() if other != name]
    return [
        key
        for key, of in draws.items()
        if mine[key][0] is not None
        and not any(key in each and _ahead(key, each[key], of) for each in others)
    ]


def _leads(how: str, rows: Mapping[str, Row]) -> dict[str, bool]:
    """Whether the matched gradient is ahead of each peer that looks at the target, by score."""
    peers = [rows[peer] for peer in PEERS_WITH_TARGET if peer in rows]
    if matched(how) not in rows or not peers:
        return {}
    mine, draws = rows[matched(how)]
    return {
        key: all(_ahead(key, draws[key], peer[1][key]) for peer in peers)
        for key in ("rank_signed", "rank_size", "cmd_linear", "cmd_log")
        if key in draws and None not in [mine[key][0], *(peer[0][key][0] for peer in peers)]
    }


def _scores(one: Seen, name: str) -> dict[str, float | None]:
    """What a measure says beside what single cuts did.

    The corrected gradient is not held against single cuts: of some it was given the effect, and
    elsewhere it is the gradient.
    """
    if name == CORRECTED:
        return dict.fromkeys(PER_PROMPT) | {"completeness": _completeness(one, name)}
    weights, effects = one.weights(name), one.arrays["layer_effects"].astype(float)
    able = one.able("layer_edges")
    inner = able & (one.arrays["layer_edges"][:, -1] > 0)
    found: dict[str, float | None] = {"linear": correlation(weights[able], effects[able])}
    for key, kept in (("", able), ("_without_column_0", inner)):
        found |= _by_rank(weights[kept], effects[kept], key)
        found[f"recall{key}"] = recall(weights[kept], effects[kept])
    every = _with_powerless(one, name, weights, effects)
    found["rank_signed_every_edge"] = rank_correlation(*every)
    kept = one.able("head_edges")
    by_head = one.arrays["head_weights"][one.at[name]].astype(float)
    found |= _by_rank(by_head[kept], one.arrays["head_effects"][kept].astype(float), "_heads")
    found["completeness"] = _completeness(one, name)
    return found


def _by_rank(weights: np.ndarray, effects: np.ndarray, key: str) -> dict[str, float | None]:
    return {
        f"rank_signed{key}": rank_correlation(weights, effects),
        f"rank_size{key}": rank_correlation(np.abs(weights), np.abs(effects)),
    }


def _with_powerless(
    one: Seen, name: str, weights: np.ndarray, effects: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """With the edges into the top row's other columns, which can have no effect."""
    more = one.arrays["powerless_weights"][one.at[name]].astype(float)
    return np.concatenate([weights, more]), np.concatenate([effects, np.zeros(len(more))])


def _completeness(one: Seen, name: str) -> float | None:
    """|sum of all weights - effect of cutting all edges| / |that effect|."""
    if name == CORRECTED:
        total = one.cut["corrected_sum"]
    elif wl.edge_measures()[name].unit == "logits":
        total = one.said["sums"][name]
    else:
        return None
    effect = one.cut["clean"] - one.cut["none"]
    return abs(total - effect) / abs(effect) if effect else None


def _whole_curve(one: Seen, name: str, kind: str) -> np.ndarray:
    """The target for shares 0, SHARES, 1 of kept (insertion) or cut (deletion) edges."""
    ends = (one.cut["none"], one.cut["clean"])
    first, last = ends if kind.startswith("insertion") else ends[::-1]
    return np.array([first, *one.curves[name, kind], last])


def _area_of(seen: list[Seen], name: str, kind: str, axis: str) -> Drawn:
    """CPR: the mean part of the target that the strongest edges bring back, a mean over prompts.

    CMD and deletion: the mean distance of the target from the whole run's, in parts of that with
    all edges cut.
    """
    curves = np.array([_whole_curve(one, name, kind) for one in seen])
    if kind == "insertion signed":
        moved = curves - np.array([[one.cut["none"]] for one in seen])
    else:
        moved = np.abs(curves - np.array([[one.cut["clean"]] for one in seen]))
    end = 0 if kind == "insertion by size" else -1

    def of(at: np.ndarray) -> np.ndarray:
        means = moved[at].mean(1)
        whole = np.where(means[:, end] != 0, means[:, end], np.nan)
        return area(means / whole[:, None], axis)

    return of


def _mean_curve(seen: list[Seen], name: str, kind: str) -> list[float]:
    """Mean distance from the whole run's target, in parts of that with all edges cut."""
    off = np.mean([np.abs(_whole_curve(o, name, kind) - o.cut["clean"]) for o in seen], 0)
    whole = off[0] if kind.startswith("insertion") else off[-1]
    return (off / whole).tolist() if whole else [0.0] * len(off)


def _cost(seen: list[Seen], name: str) -> tuple[float, float | None]:
    """Median seconds, highest memory in MB; the corrected gradient pays for its cuts."""
    how = seen[0].cut["how"]
    base = matched(how) if name == CORRECTED else name
    seconds = float(np.median([one.said["seconds"][base] for one in seen]))
    if name == CORRECTED:
        seconds += EXACT * float(np.median([one.cut["seconds_per_cut"] for one in seen]))
    memory = [one.said["peak_mb"][base] for one in seen]
    return seconds, max((m for m in memory if m is not None), default=None)


def _truth(one: Seen, name: str) -> dict[str, Any]:
    """Against the edges that are known: how many are found, how much lies on edges of no effect."""
    weights = np.abs(one.arrays["head_weights"][one.at[name]].astype(float))
    edges = list(map(tuple, one.arrays["head_edges"].tolist()))
    known = np.array([list(edge) in one.said["truth"] for edge in edges])
    idle = np.abs(one.arrays["head_effects"]) <= NO_EFFECT
    top, total = int(known.sum()), float(weights.sum())
    least = np.sort(weights)[-top]
    surely, perhaps = weights > least, (weights == least) & (least > 0)
    chance = (top - surely.sum()) / max(perhaps.sum(), 1)
    return {
        "known_edges": top,
        "known_found": float((surely[known] + chance * perhaps[known]).sum() / top),
        "on_idle_edges": float(weights[idle].sum() / total) if total else None,
    }


NO_EFFECT = 1e-4  # logits: what the circuits' norms let through is below it


def corrections(store: Store, how: str, split: str = "report") -> dict[str, dict[str, Any]]:
    """What correcting the matched gradient costs and leaves, by family.

    `linear`: Pearson's r of the gradient with the true effects of the edges that are left when so
    many of the strongest are cut one by one, the seconds that takes being `seconds`; `error`: the
    mean size of its error there, in parts of the mean size of an effect there. `warning`: how well
    |gradient - frozen| ranks the gradient's errors; `size`: how well |gradient| alone does.
    """
    found = {}
    for family, every in prompts_in(store, how).items():
        seen = [one for one in every if one.said["split"] == split and not one.said["truth"]]
        if not seen or any({matched(how), "frozen"} - set(one.at) for one in seen):
            continue
        per_cut = float(np.median([one.cut["seconds_per_cut"] for one in seen]))
        linear, seconds, error = {}, {}, {}
        for cuts in BUDGETS:
            pairs = [_left_over(one, cuts) for one in seen]
            linear[cuts] = mean([correlation(weights, effects) for weights, effects in pairs])
            error[cuts] = mean([_mean_error(weights, effects) for weights, effects in pairs])
            seconds[cuts] = cuts * per_cut
        found[family] = {
            "linear": linear,
            "error": error,
            "seconds": seconds,
            "warning": mean([_error_by(one, one.weights("frozen")) for one in seen]),
            "size": mean([_error_by(one, np.zeros(1)) for one in seen]),
        }
    return found


def _left_over(one: Seen, cuts: int) -> tuple[np.ndarray, np.ndarray]:
    """(The gradient's weights, the true effects) of edges that can have one and were not cut."""
    left = one.left(cuts) & one.able("layer_edges")
    effects = one.arrays["layer_effects"].astype(float)
    return one.weights(matched(one.cut["how"]))[left], effects[left]


def _mean_error(weights: np.ndarray, effects: np.ndarray) -> float | None:
    size = np.abs(effects).sum()
    return float(np.abs(weights - effects).sum() / size) if size else None


def _error_by(one: Seen, other: np.ndarray) -> float | None:
    """Rank correlation of |gradient - other| with the gradient's errors."""
    gradient = one.weights(matched(one.cut["how"]))
    errors = np.abs(gradient - one.arrays["layer_effects"])
    return rank_correlation(np.abs(gradient - other), errors)
