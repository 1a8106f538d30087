"""The sentences and charts of the finding: each number with its chance level and interval."""

from __future__ import annotations

from typing import Any

from worldline.experiments.experiment import Figure, Series
from worldline.experiments.introspection.cell_choice import MOST_NATS

Row = dict[str, Any]
_ROWS = (
    ("concept", "the concept's vector"),
    ("random", "random vectors of the same length"),
    ("shuffled", "vectors of shuffled prompts"),
    ("unrelated", "the concept's vector, another question"),
)


def sentences_of(numbers: Row) -> tuple[str, ...]:
    """What to read with the number, protocol by protocol."""
    return (
        *_gate(numbers),
        *_localisation(numbers),
        *_other_protocols(numbers),
        *_carriers(numbers),
        *(f"Not asked of this model, {key}: {why}." for key, why in numbers["refused"].items()),
        "The vector is added only at tokens of a past turn, in one row: what is later read of it "
        "is K and V. Answers are read from logits of their first token, not from generated text.",
        'A model without a chat template is asked as "User: ... Assistant: ...".',
    )


def _gate(numbers: Row) -> tuple[str, ...]:
    gate = numbers["gate"]
    plain, without_bias = gate["as_answered"], gate["bias_taken_off"]
    sentence = (
        f"Gate: of {gate['n']} plain questions {_range(plain, 'balanced_accuracy')} are answered "
        f"rightly (mean of both kinds, chance 0.5); with its bias of {gate['bias_logits']:+.2f} "
        f"logits towards yes taken off, {_range(without_bias, 'balanced_accuracy')}."
    )
    if gate["open"]:
        return (sentence,)
    return sentence, "The gate is closed: no number below may be read as a report of anything."


def _localisation(numbers: Row) -> tuple[str, ...]:
    localisation, chosen_cell = numbers["localisation"], numbers["chosen"]
    concept = localisation["concept"]
    costs = [cell["nats"] for cell in numbers["grid"]]
    stands = sum(cell["stands"] for cell in numbers["grid"])
    return (
        f"Layer and strength (row {chosen_cell['row']}, {chosen_cell['strength']:g} times the "
        "stream's norm) "
        f"were chosen on {chosen_cell['concepts']} concepts; of {len(numbers['grid'])} cells there "
        f"{stands} are above chance at a false-discovery rate of 5 %. A perturbation of one "
        "sentence there "
        f"costs the question {min(costs):.2f} to {max(costs):.2f} nats a token; cells over "
        f"{MOST_NATS} could not be chosen.",
        f"Which of ten sentences was perturbed: right in {_range(concept, 'share')} of "
        f"{concept['trials']} trials on other concepts, chance 0.1: "
        f"{_verdict(concept['low'], concept['high'], 0.1)}.",
        *(
            f"With {name}: {_range(localisation[key], 'share')}."
            for key, name in _ROWS
            if key != "concept"
        ),
        f"As the model answers, no correction: {_range(localisation['plain'], 'share')}; with each "
        "number's mean change over the ten places taken off: "
        f"{_range(localisation['centred'], 'share')}.",
        f"At the place itself the vector raises its concept's word by "
        f"{_range(localisation['own_word_logits'], 'mean')} logits above other concepts' "
        "words; a perturbation of "
        "one sentence costs the question "
        f"{_range(localisation['question_costs_nats'], 'mean')} nats a "
        "token.",
    )


def _other_protocols(numbers: Row) -> tuple[str, ...]:
    stronger, detection = numbers["strength_comparison"], numbers["detection"]["concept"]
    choice, ownership = (
        numbers["concept_choice"]["corrected"],
        numbers["ownership"]["own_less_other"],
    )
    sure = numbers["confidence"]
    beyond = detection["asked_less_controls"]
    return (
        f"Which of two turns was perturbed harder: {_range(stronger['concept'], 'share')}, chance "
        f"0.5; random vectors {_range(stronger['random'], 'share')}.",
        f"Detection: a perturbation moves yes over no by {_range(detection['asked'], 'mean')} "
        "logits where "
        f"it is asked about, by {_range(detection['controls'], 'mean')} in control questions "
        "in the "
        f"same place; difference {_range(beyond, 'mean')}: "
        f"{_verdict(beyond['low'], beyond['high'], 0.0)}.",
        f"Which of nine concepts: {_range(choice, 'share')}, chance 0.1; priming of the word would "
        "give the same, so that this alone is no report.",
        f'A word put into its mouth: its own thought before it moves "I meant it" by '
        f"{_range(ownership, 'mean')} logits more than another thought.",
        f"Confidence said after an answer against the answer's log-probability: rank correlation "
        f"{_range(sure['said'], 'rho')} over {sure['n']} facts; {_range(sure['cut'], 'rho')} with "
        f"the reads of the answer masked, {_range(sure['other'], 'rho')} with as many others.",
    )


def _carriers(numbers: Row) -> tuple[str, ...]:
    split = numbers["split"]
    if not split:
        return ()
    ways = ", ".join(
        f"{name.replace('_', ' ')} {_range(split[name], 'mean')}"
        for name in ("whole", "k_only", "v_only", "k_and_v")
    )
    return (
        f"Margin of the right number, in logits, by what is perturbed: {ways}; with the "
        "perturbation left in "
        f"the residual stream and kept out of K and V at most "
        f"{split['residual_only_largest']:.1e}.",
    )


def _range(row: Row, name: str) -> str:
    """A number with its interval."""
    value, low, high = row[name], row["low"], row["high"]
    if value is None or low is None or high is None:
        return "nothing that can be told from so few"
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _verdict(low: float | None, high: float | None, level: float) -> str:
    if low is None or high is None:
        return "too few to tell"
    if low > level:
        return "above it"
    return "below it" if high < level else "no evidence"


def figures_of(numbers: Row) -> tuple[Figure, ...]:
    """Shares against chance, the grid, and what carries the perturbation."""
    return (_shares(numbers["localisation"]), _grid(numbers["grid"]), *_split(numbers["split"]))


def _shares(localisation: Row) -> Figure:
    rows = [
        (name, localisation[key]) for key, name in _ROWS if localisation[key]["share"] is not None
    ]
    return Figure(
        title="Which of ten sentences was perturbed",
        mark="bar",
        x="what is perturbed",
        y="share right",
        series=(_series("reported half", rows, "share"),),
        rule=0.1,
        rule_name="chance",
    )


def _grid(table: list[Row]) -> Figure:
    rows = sorted({cell["row"] for cell in table})
    return Figure(
        title="The choosing half",
        mark="line",
        x="strength, of the stream's norm",
        y="share right",
        series=tuple(
            Series(
                f"row {row}",
                tuple(cell["strength"] for cell in table if cell["row"] == row),
                tuple(one["share"] for one in table if one["row"] == row),
            )
            for row in rows
        ),
        rule=0.1,
        rule_name="chance",
    )


def _split(split: Row) -> tuple[Figure, ...]:
    rows = [
        (name.replace("_", " "), row)
        for name, row in split.items()
        if isinstance(row, dict) and None not in row.values()
    ]
    if not rows:
        return ()
    return (
        Figure(
            title="What carries a perturbation to the answer",
            mark="bar",
            x="what is perturbed",
            y="margin of the right number, logits",
            series=(_series("reported half", rows, "mean"),),
            rule=0.0,
            rule_name="none",
        ),
    )


def _series(name: str, rows: list[tuple[str, Row]], value: str) -> Series:
    return Series(
        name,
        tuple(label for label, _ in rows),
        tuple(row[value] for _, row in rows),
        tuple(row["low"] for _, row in rows),
        tuple(row["high"] for _, row in rows),
    )
