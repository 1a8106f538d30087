"""Vectors, gate, choice of the cell and conclusions, on numbers made by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

import worldline as wl
from tiny_runs import loaded
from worldline.experiments.introspection import cell_choice as choosing
from worldline.experiments.introspection import conclusions as concluding
from worldline.experiments.introspection.answer_gate import judge_gate, questions
from worldline.experiments.introspection.cell_choice import (
    Cell,
    at_least,
    best_of,
    chosen_cell,
    table_of,
)
from worldline.experiments.introspection.conclusions import confident, detection, share
from worldline.experiments.introspection.kv_split import WAYS
from worldline.experiments.introspection.localization import right
from worldline.experiments.introspection.scope import Scope
from worldline.experiments.introspection.steering_vectors import KINDS, Bank, difference
from worldline.experiments.introspection_reported import EXPERIMENT
from worldline.experiments.registry import code_hash
from worldline.experiments.stimuli.introspection.texts import concepts, records_of


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """What is told here are signs and wiring, not the width of intervals."""
    monkeypatch.setattr(concluding, "DRAWS", 100)


def bank(n_concepts=6, d_model=8, rows=(2,)):
    draw = np.random.default_rng(0)
    means = {row: draw.standard_normal((n_concepts, 3, d_model)) for row in rows}
    return Bank(concepts()[:n_concepts], means, dict.fromkeys(rows, 4.0), 5, seed=0)


def test_a_vector_is_the_difference_of_means_and_its_controls_are_as_long():
    made = bank()
    raw = difference(made.means[2], 1)
    others = np.concatenate([made.means[2][:1], made.means[2][2:]]).reshape(-1, 8)
    assert raw == pytest.approx(made.means[2][1].mean(0) - others.mean(0))
    found = {kind: np.array(made.vector(kind, "bread", 2, 0.5)) for kind in KINDS}
    assert found["concept"] == pytest.approx(raw * 2.0 / np.linalg.norm(raw))
    assert [np.linalg.norm(one) for one in found.values()] == pytest.approx([2.0] * 3)
    cosines = [found["concept"] @ found[kind] / 4 for kind in ("random", "shuffled")]
    assert max(map(abs, cosines)) < 0.95


def test_ties_are_shared():
    scores = np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    assert right(scores, [0, 2, 0]) == [0.5, pytest.approx(1 / 3), 0.0]
    assert share([[0.1] * 10] * 5, 0.1, 0)["share"] == pytest.approx(0.1)


def answers(yes, no):
    groups = [one["group"] for one in questions()]
    sides = {"yes": iter(yes), "no": iter(no)}
    return [{"group": group, "yes_no": next(sides[group])} for group in groups]


def test_the_gate_opens_for_answers_and_stays_shut_for_one_answer():
    assert [sum(one["group"] == group for one in questions()) for group in ("yes", "no")] == [8, 16]
    perfect = judge_gate(answers([1.0] * 8, [-1.0] * 16), 0)
    assert perfect["open"]
    assert perfect["as_answered"]["balanced_accuracy"] == 1.0
    assert perfect["as_answered"]["low"] < 1.0  # so few are no certainty
    always = judge_gate(answers([2.0] * 8, np.linspace(0.1, 1.0, 16)), 0)
    assert not always["open"]
    assert always["as_answered"]["balanced_accuracy"] == 0.5
    assert always["bias_taken_off"]["balanced_accuracy"] > 0.7  # reported, and opens nothing
    draw = np.random.default_rng(0)
    coins = [draw.standard_normal(24) for _ in range(100)]
    opened = sum(judge_gate(answers(one[:8], one[8:]), 0)["open"] for one in coins)
    assert opened <= 5  # 2.5 are what an interval of 95 % lets through


def test_the_best_cell_leaves_the_text_whole():
    table = [
        {"row": 1, "strength": 9.0, "share": 0.9, "nats": 2.0},
        {"row": 2, "strength": 1.0, "share": 0.3, "nats": 0.1},
        {"row": 3, "strength": 1.0, "share": 0.3, "nats": 0.2},
    ]
    assert best_of(table) == Cell(2, 1.0)
    assert best_of(table[:1]) == Cell(1, 9.0)
    assert at_least(0.0, 5, 0.1) == pytest.approx(1.0)
    assert at_least(1.5, 2, 0.5) == pytest.approx(0.75)


def test_only_the_choosing_half_is_asked_for_the_cell(monkeypatch):
    scope, seen = Scope(8, 3), []
    assert not set(scope.choosing) & set(scope.reported_concepts)
    assert len(scope.choosing) == len(scope.reported_concepts) == 4
    assert set(concepts()[:9]) <= set(scope.vector_concepts)
    assert len(scope.vector_concepts) >= 40

    def measured(_model, _scope, concept):
        seen.append(concept)
        return {"cells": [{"row": 1, "strength": 1.0, "right": 1.0, "trials": 5, "nats": 0.0}]}

    monkeypatch.setattr(choosing, "measure_grid", measured)
    assert chosen_cell(loaded("llama"), scope) == Cell(1, 1.0)
    assert seen == scope.choosing


def made_run(n=8, seed=0, good=True, reported_right=0.0, unrelated_right=0.0, yes=1.0):
    """All items of a run, measured by hand: the second of two cells is the better one."""
    cells = [
        {"row": 4, "strength": 1.0, "right": 0.0, "trials": 5, "nats": 0.0},
        {"row": 6, "strength": 2.0, "right": 2.0, "trials": 5, "nats": 0.1},
    ]
    at = {"row": 6, "strength": 2.0}
    names = ("concept", "plain", "centred", "random", "shuffled", "unrelated")
    marks = {name: [0.0] * 9 + [1.0] for name in names}
    marks["concept"] = [reported_right] * 10
    marks["unrelated"] = [unrelated_right] * 10
    shift = {"concept": 2.0, "random": 1.0}
    said = {
        "grid": {"cells": cells},
        "localise": at | {"right": marks, "margin": [0.0], "own_word": 3.0, "nats": 0.1},
        "split": at | {"margins": dict.fromkeys(WAYS, 0.0)},
        "compare": at
        | {
            "concept": [1.0, 0.0],
            "concept_logits": [0.1, -0.1],
            "random": [1.0, 0.0],
            "random_logits": [0.1, -0.1],
        },
        "detect": at | {"conversation": "inject_info-none", "asked": shift, "controls": [shift]},
        "own": at | {"shifts": {"own": 1.0, "other": 1.0, "random": 0.5}},
        "choice": at | {"answered": [0.0] * 9 + [1.0], "corrected": [0.0] * 9},
        "confidence": {
            "facts": [
                {"logprob": -float(k), "said": -float(k), "cut": float(k), "other": -float(k)}
                for k in range(8)
            ]
        },
        "picture": {"text": "t", "cuts": ["6-9.*:1-2>5-9"]} | at,
    }
    found = []
    for item in EXPERIMENT.items(loaded("llama"), n, seed):
        if item["kind"] == "gate":
            some = questions()[int(item["name"]) :][:8]
            one = {
                "answers": [
                    {
                        "group": one["group"],
                        "question": one["question"],
                        "yes_no": yes if one["group"] == "yes" or not good else -1.0,
                    }
                    for one in some
                ]
            }
        else:
            one = said[item["kind"]]
        found.append((item, one))
    return found


def test_a_closed_gate_leaves_all_numbers_and_no_decision():
    finding = EXPERIMENT.conclude(made_run(good=False, reported_right=1.0), 0)
    assert finding.untestable is not None
    assert "balanced accuracy 0.50" in finding.untestable
    assert finding.numbers["interpretable"] is False
    assert finding.value == pytest.approx(0.9)
    assert finding.numbers["localisation"]["concept"]["trials"] == 40
    json.dumps(finding.json(), allow_nan=False)


def test_the_reported_half_decides_the_value_and_not_the_choice():
    low, high = (EXPERIMENT.conclude(made_run(reported_right=one), 0) for one in (0.0, 1.0))
    assert low.untestable is None
    assert low.numbers["chosen"] == high.numbers["chosen"]
    assert (low.numbers["chosen"]["row"], low.numbers["chosen"]["strength"]) == (6, 2.0)
    assert (low.value, high.value) == (pytest.approx(-0.1), pytest.approx(0.9))
    assert low.high < 0.1 < high.low
    assert high.bounds is None


def test_a_perturbation_that_attracts_any_number_is_bounded():
    finding = EXPERIMENT.conclude(made_run(reported_right=1.0, unrelated_right=1.0), 0)
    assert finding.bounds is not None
    assert "at random" in finding.bounds


def test_items_of_another_cell_are_refused():
    run = made_run()
    run = [(item, one | {"row": 4} if item["kind"] == "localise" else one) for item, one in run]
    with pytest.raises(wl.InputError, match="choosing half"):
        EXPERIMENT.conclude(run, 0)


def test_yes_to_everything_is_no_detection():
    def of(asked, controls):
        kinds = ("concept", "random")
        return {
            "conversation": "inject_info-none",
            "asked": dict.fromkeys(kinds, asked),
            "controls": [dict.fromkeys(kinds, one) for one in controls],
        }

    same = detection([of(k + 3.0, [k + 3.0, k + 3.0]) for k in range(6)], 0)["concept"]
    assert same["asked"]["low"] > 0
    assert same["asked_less_controls"]["mean"] == pytest.approx(0.0)
    more = detection([of(k + 3.0, [k + 1.0]) for k in range(6)], 0)["concept"]
    assert more["asked_less_controls"]["low"] == pytest.approx(2.0)


def test_confidence_is_a_rank_correlation_with_and_without_the_reads():
    rows = [{"logprob": -k, "said": -k, "cut": k % 3, "other": -k} for k in map(float, range(12))]
    found = confident([{"facts": rows}], 0)
    assert found["said"]["rho"] == pytest.approx(1.0)
    assert found["other_less_cut"]["low"] > 0


def test_items_are_the_same_at_every_call_and_named_once():
    model = loaded("llama")
    first, second = (EXPERIMENT.items(model, 8, 1) for _ in range(2))
    assert first == second
    assert len({one["key"] for one in first}) == len(first)
    assert first != EXPERIMENT.items(model, 8, 2)
    with pytest.raises(wl.InputError, match="4 to 100"):
        EXPERIMENT.items(model, 3, 1)


def test_a_model_that_cannot_be_asked_is_untestable_with_the_reason():
    model = loaded("llama")  # its words are numbers
    run = [(item, EXPERIMENT.measure(model, item)) for item in EXPERIMENT.items(model, 4, 0)[:4]]
    finding = EXPERIMENT.conclude(run, 0)
    assert finding.value is None
    assert "this model knows t0 to" in (finding.untestable or "")


def test_a_protocol_that_is_refused_is_named_and_the_others_stand():
    run = [
        (item, {"refused": "too long"} if item["kind"] in ("choice", "split", "picture") else one)
        for item, one in made_run(reported_right=1.0)
    ]
    finding = EXPERIMENT.conclude(run, 0)
    assert finding.value == pytest.approx(0.9)
    assert finding.picture is None
    assert len(finding.numbers["refused"]) == 7
    assert any("choice inject_info-none_shuf_00: too long" in one for one in finding.says)


def test_the_grid_is_summed_over_concepts():
    one = {"row": 1, "strength": 1.0, "right": 5.0, "trials": 5, "nats": 0.2}
    table = table_of([{"cells": [one]}, {"cells": [one | {"right": 0.0, "nats": 0.4}]}])
    assert table[0]["share"] == 0.5
    assert table[0]["nats"] == pytest.approx(0.3)
    assert table[0]["p"] < 0.01


def test_stimuli_are_whole():
    assert len(records_of("control_questions.jsonl")) == 34
    assert len(records_of("yes_shift.jsonl")) == 40
    assert len(records_of("concept_choice.jsonl")) == 100
    assert len(set(concepts())) == 100
    assert len(code_hash("introspection-reported")) == 64
