"""Later states that hold a difference alone, and ones that hold both states."""

from __future__ import annotations

import json

import numpy as np
import pytest

from passage_runs import tiny_passages
from tiny_runs import loaded
from worldline.experiments import deltas
from worldline.experiments.deltas import EXPERIMENT, compare, margins, row_pairs

DRAW = np.random.default_rng(2)
TEXT_OF = np.repeat(np.arange(40), 30)
PAST = DRAW.standard_normal((len(TEXT_OF), 8)).astype(np.float32)
TOKENS = DRAW.standard_normal(PAST.shape).astype(np.float32)


def shares(later):
    found = compare(PAST, later.astype(np.float32), TOKENS, TEXT_OF)
    return {name: found[name]["share"] for name in deltas.NAMES}


def one_back(values, back):
    return np.concatenate([np.zeros_like(values[:back]), values[:-back]])


def test_a_state_that_holds_the_difference_alone():
    """Half of each state's variance is in their difference, all of the difference is."""
    later = (one_back(PAST, 1) - one_back(PAST, 2)) @ DRAW.standard_normal((8, 8))
    found = shares(later)
    assert found["difference"] > 0.99
    assert found["one"] == pytest.approx(0.5, abs=0.06)
    assert found["two"] == pytest.approx(0.5, abs=0.06)
    assert abs(found["tokens"]) < 0.1
    assert margins(found)["both"] == pytest.approx(0.5, abs=0.06)


def test_a_state_that_holds_one_of_the_two():
    found = shares(one_back(PAST, 1) @ DRAW.standard_normal((8, 8)))
    assert found["one"] > 0.99
    assert abs(found["two"]) < 0.1
    assert margins(found)["states"] == pytest.approx(-0.5, abs=0.06)


def test_what_the_tokens_say_already_is_no_margin():
    later = one_back(TOKENS, 1) - one_back(TOKENS, 2)
    found = compare(TOKENS, later, TOKENS, TEXT_OF)
    assert found["tokens"]["share"] > 0.99
    assert margins({name: found[name]["share"] for name in deltas.NAMES})["both"] < 0.01


def test_rows():
    assert row_pairs(2, 5) == [(1, 2)]
    assert row_pairs(1, 5) == [(0, 1)]
    assert row_pairs(12, 3) == [(1, 3), (5, 7), (10, 12)]


def test_a_whole_run(monkeypatch):
    monkeypatch.setattr(deltas, "read_passages", tiny_passages)
    model = loaded("llama")
    items = EXPERIMENT.items(model, 30, 0)
    measured = [(item, json.loads(json.dumps(EXPERIMENT.measure(model, item)))) for item in items]
    finding = EXPERIMENT.conclude(measured, 0)
    assert finding.n == 15
    assert finding.low < finding.value < finding.high
    means = finding.numbers["margins"]
    assert finding.value <= min(means["states"][0], means["tokens"][0]) + 1e-9
    assert abs(finding.numbers["pairs"][0]["chance"]) < 0.2


def test_a_tokenizer_without_the_words_is_untestable():
    model = loaded("llama")
    item = EXPERIMENT.items(model, 20, 0)[0]
    assert EXPERIMENT.conclude([(item, EXPERIMENT.measure(model, item))], 0).untestable
