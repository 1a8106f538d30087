"""Where queries are fixed only keys can move a pattern, and the other way round."""

from __future__ import annotations

import json

import numpy as np
import pytest

from passage_runs import tiny_passages, with_fixed
from tiny_runs import loaded
from worldline.experiments import queries_choose
from worldline.experiments.queries_choose import EXPERIMENT, distances


def found_on(model, monkeypatch, n=4):
    monkeypatch.setattr(queries_choose, "read_passages", tiny_passages)
    items = EXPERIMENT.items(model, n, 0)
    measured = [(item, json.loads(json.dumps(EXPERIMENT.measure(model, item)))) for item in items]
    return EXPERIMENT.conclude(measured, 0)


def test_fixed_queries_leave_the_choice_to_keys(monkeypatch):
    finding = found_on(with_fixed("q"), monkeypatch)
    assert finding.numbers["means"]["q"]["whole"] < 1e-6
    assert finding.high < -0.05
    effects = finding.numbers["kl_nats"]
    assert effects["q"]["mean"] < 1e-9 < 1e-6 < effects["k"]["mean"]


def test_fixed_keys_leave_it_to_queries_which_have_nothing_to_choose(monkeypatch):
    """With keys all alike neither swap moves anything: a null, reported as one."""
    finding = found_on(with_fixed("k"), monkeypatch)
    assert abs(finding.value) < 1e-6
    assert finding.numbers["means"]["k"]["whole"] < 1e-6


def test_a_plain_model_has_all_parts(monkeypatch):
    finding = found_on(loaded("llama"), monkeypatch)
    numbers = finding.numbers
    assert finding.n == 4
    assert numbers["cut_layers"] == [0, 1, 2]
    assert all(len(numbers["kl_nats"][part]["layers"]) == 3 for part in "qkv")
    for part in "qk":
        one = numbers["means"][part]
        assert one["whole"] == pytest.approx(one["tv"] + one["sink"])
        assert one["tv"] > 0
    assert len(finding.figures) == 2


def test_distances_by_hand():
    own, other = np.zeros((1, 4, 4)), np.zeros((1, 4, 4))
    own[0, 2:] = [0.5, 0.5, 0, 0]
    other[0, 2:] = [0.3, 0.2, 0.5, 0]
    found = distances(own, other)
    assert found["tv"] == pytest.approx((0.3 + 0.5) / 2)
    assert found["sink"] == pytest.approx(0.1)
    assert found["whole"] == pytest.approx(0.5)
    assert found["rest"] == pytest.approx(0.5 * (abs(1 - 2 / 7) + 5 / 7))


def test_a_tokenizer_without_the_words_is_untestable():
    model = loaded("llama")
    item = EXPERIMENT.items(model, 3, 0)[0]
    assert EXPERIMENT.conclude([(item, EXPERIMENT.measure(model, item))], 0).untestable
