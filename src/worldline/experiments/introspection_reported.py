"""Can the model report what was done to its past states? Ten protocols, most with a null in view.

A vector is added to the residual stream at the tokens of a past turn only, so that it is there
while that turn's K and V are written and gone while the question is read. What decides: the share
of ten-way localisations that are right, less 1/10, on concepts on which nothing was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import worldline as wl
from worldline.experiments.experiment import Experiment, Finding, Item, Measurement, Picture
from worldline.experiments.introspection.answer_gate import judge_gate, measure_gate, questions
from worldline.experiments.introspection.cell_choice import Cell, best_of, measure_grid, table_of
from worldline.experiments.introspection.concept_naming import choices, measure_choice
from worldline.experiments.introspection.conclusions import (
    concept_choice,
    confident,
    detection,
    grid,
    localisation,
    ownership,
    split,
    strength_comparison,
)
from worldline.experiments.introspection.confidence import PER_ITEM, measure_confidence
from worldline.experiments.introspection.detection import measure_detect
from worldline.experiments.introspection.finding_text import figures_of, sentences_of
from worldline.experiments.introspection.kv_split import measure_split
from worldline.experiments.introspection.ownership import measure_own
from worldline.experiments.introspection.report_protocol import measure_picture, measure_report
from worldline.experiments.introspection.scope import N_SENTENCES, Scope
from worldline.experiments.introspection.strength_comparison import measure_compare
from worldline.experiments.refusals import REFUSAL_KEY, or_reason

GATE_AT_ONCE = 8
REQUIRED_KINDS = ("gate", "grid", "localise")
FACTS = {False: 16, True: 60}
OF_A_CONCEPT: dict[str, Callable[[wl.LoadedModel, Scope, str], Measurement]] = {
    "grid": measure_grid,
    "localise": measure_report,
    "split": measure_split,
    "compare": measure_compare,
    "detect": measure_detect,
    "own": measure_own,
}


def items(_model: wl.LoadedModel, n: int, seed: int) -> list[Item]:
    """The gate, the choosing half's grid, then every protocol on the reported half.

    Raises:
        InputError: fewer than four concepts, so that a half has fewer than two, or over a hundred.
    """
    if not 4 <= n <= 100:
        raise wl.InputError(f"{n} concepts: accepted are 4 to 100")
    scope = Scope(n, seed)
    kind_name_pairs = [("gate", str(first)) for first in range(0, len(questions()), GATE_AT_ONCE)]
    kind_name_pairs += [
        ("confidence", str(first)) for first in range(0, FACTS[scope.wide], PER_ITEM)
    ]
    kind_name_pairs += [("grid", concept) for concept in scope.choosing]
    for kind in list(OF_A_CONCEPT)[1:]:
        kind_name_pairs += [(kind, concept) for concept in scope.reported_concepts]
    kind_name_pairs += [("choice", label) for label in choices(scope.wide)]
    kind_name_pairs.append(("picture", ""))
    return [
        {"key": f"{kind} {name}".strip(), "kind": kind, "name": name, "n": n, "seed": seed}
        for kind, name in kind_name_pairs
    ]


@or_reason
def measure(model: wl.LoadedModel, item: Item) -> Measurement:
    """One item; where the model cannot be asked, the reason."""
    scope, kind, name = Scope(item["n"], item["seed"]), item["kind"], item["name"]
    if kind in OF_A_CONCEPT:
        return OF_A_CONCEPT[kind](model, scope, name)
    if kind == "gate":
        return measure_gate(model, int(name), GATE_AT_ONCE)
    if kind == "confidence":
        return measure_confidence(model, scope.seed, int(name))
    if kind == "choice":
        return measure_choice(model, scope, name)
    return measure_picture(model, scope)


def conclude(measurements: Sequence[tuple[Item, Measurement]], seed: int) -> Finding:
    """All protocols together; the gate decides whether the number may be read.

    What the model refused is left out and listed; without gate, choice or reported half there is
    no finding.
    """
    refusals = [
        (item["key"], concept_share[REFUSAL_KEY])
        for item, concept_share in measurements
        if REFUSAL_KEY in concept_share
    ]
    of = _by_kind([pair for pair in measurements if REFUSAL_KEY not in pair[1]])
    missing = [kind for kind in REQUIRED_KINDS if not of[kind]]
    if missing:
        reasons = [f"{key}: {reason}" for key, reason in refusals if key.split()[0] in missing]
        why = reasons[0] if reasons else f"nothing was measured of {', '.join(missing)}"
        return Finding(None, None, None, 0, {REFUSAL_KEY: dict(refusals)}, untestable=why)
    gate = judge_gate(
        [answer for gate_result in of["gate"] for answer in gate_result["answers"]], seed
    )
    numbers = _numbers(of, gate, _cell(of), seed) | {REFUSAL_KEY: dict(refusals)}
    result = numbers["localisation"]["concept"]
    return Finding(
        value=result["share"] - 1 / N_SENTENCES,
        low=result["low"] - 1 / N_SENTENCES,
        high=result["high"] - 1 / N_SENTENCES,
        n=len(of["localise"]),
        numbers=numbers,
        says=sentences_of(numbers),
        figures=figures_of(numbers),
        picture=_picture(of["picture"]),
        untestable=None if gate["open"] else _closed_gate_reason(gate),
        bounds=_bounds(numbers["localisation"]) if gate["open"] else None,
    )


def _by_kind(measurements: Sequence[tuple[Item, Measurement]]) -> dict[str, list[Measurement]]:
    results_by_kind: dict[str, list[Measurement]] = {
        kind: [] for kind in (*OF_A_CONCEPT, "gate", "confidence", "choice", "picture")
    }
    for item, result in measurements:
        results_by_kind[item["kind"]].append(result)
    return results_by_kind


def _cell(of: dict[str, list[Measurement]]) -> Cell:
    """The chosen cell, told from the choosing half alone; all of the others must have used it."""
    cell = best_of(table_of(of["grid"]))
    for kind in ("localise", "split", "compare", "detect", "own", "choice"):
        for result in of[kind]:
            if (result["row"], result["strength"]) != (cell.row, cell.strength):
                raise wl.InputError(
                    f"{kind} at row {result['row']}, strength {result['strength']}: the "
                    "choosing half "
                    f"gives row {cell.row}, strength {cell.strength}; accepted are items of one run"
                )
    return cell


def _numbers(
    of: dict[str, list[Measurement]], gate: dict[str, Any], cell: Cell, seed: int
) -> dict[str, Any]:
    return {
        "interpretable": gate["open"],
        "gate": gate,
        "chosen": {"row": cell.row, "strength": cell.strength, "concepts": len(of["grid"])},
        "grid": grid(table_of(of["grid"])),
        "localisation": localisation(of["localise"], seed),
        "strength_comparison": strength_comparison(of["compare"], seed),
        "detection": detection(of["detect"], seed),
        "concept_choice": concept_choice(of["choice"], seed),
        "ownership": ownership(of["own"], seed),
        "confidence": confident(of["confidence"], seed),
        "split": split(of["split"], seed),
    }


def _closed_gate_reason(gate: dict[str, Any]) -> str:
    accuracy = gate["as_answered"]
    return (
        f"the model does not answer plain yes/no questions: balanced accuracy "
        f"{accuracy['balanced_accuracy']:.2f} ({accuracy['low']:.2f} to {accuracy['high']:.2f}) on "
        f"{gate['n']} control questions, chance 0.5; what it says of itself cannot be read"
    )


def _bounds(shares: dict[str, Any]) -> str | None:
    """Where a question that has nothing to do with it finds the perturbed sentence as well."""
    above, unrelated_share = shares["concept_less_unrelated"], shares["unrelated"]
    if unrelated_share["low"] > unrelated_share["chance"] and not (above["low"] or 0) > 0:
        return (
            "the number of the perturbed sentence is given as often "
            f"({unrelated_share['share']:.2f}) where the "
            "question asks for any sentence at random: a perturbation attracts the answer, no "
            "report"
        )
    return None


def _picture(measurements: Sequence[Measurement]) -> Picture | None:
    if not measurements:
        return None
    result = measurements[0]
    return Picture(
        text=result["text"],
        says=(
            f"A perturbation at row {result['row']} of the first sentence can reach the answer "
            "only by "
            "reads of its K and V. Cut are those by question and answer, in the layers from there "
            "up; what still gets through went by other sentences first."
        ),
        cuts=tuple(result["cuts"]),
    )


EXPERIMENT = Experiment(
    claim="introspection-reported",
    counts="injected concepts, one half to choose layer and strength by, one half reported",
    n=60,
    quick=8,
    least=4,
    items=items,
    measure=measure,
    conclude=conclude,
)
