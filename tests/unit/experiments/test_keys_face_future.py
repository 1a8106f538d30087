"""Where all queries are alike, keys alone decide who is looked at."""

from __future__ import annotations

import json

import numpy as np
import pytest

from passage_runs import tiny_passages, with_fixed
from tiny_runs import loaded
from worldline.experiments import keys_face_future
from worldline.experiments.keys_face_future import EXPERIMENT, attention_received, facing


def found_on(model, monkeypatch, n=16):
    monkeypatch.setattr(keys_face_future, "read_passages", tiny_passages)
    monkeypatch.setattr(keys_face_future, "LENGTH", 24)
    items = EXPERIMENT.items(model, n, 0)
    measured = [(item, json.loads(json.dumps(EXPERIMENT.measure(model, item)))) for item in items]
    return EXPERIMENT.conclude(measured, 0)


def test_received_is_even_where_rows_are():
    """A row j that spreads evenly over columns 1 to j gives each of them 1."""
    rows = np.tril(np.ones((6, 6)))
    rows[:, 0] = 0
    pattern = rows / np.maximum(np.arange(6), 1)[:, None]
    np.testing.assert_allclose(attention_received(pattern[None])[0], [0, 1, 1, 1, 1, 0])


def test_facing_is_the_product_with_the_mean_of_later_queries():
    draw = np.random.default_rng(0)
    q, k = draw.standard_normal((4, 5, 3)), draw.standard_normal((2, 5, 3))
    found = facing(q, k)
    for head, pos in ((0, 1), (3, 2)):
        assert found[head, pos] == pytest.approx(k[head // 2, pos] @ q[head, pos + 1 :].mean(0))


def test_alike_queries_make_keys_decide(monkeypatch):
    finding = found_on(with_fixed("q"), monkeypatch)
    numbers = finding.numbers
    assert numbers["layers"][0]["keys"] > 0.8
    assert numbers["keys"][0] > numbers["positions"][0] + 0.3
    assert finding.low > 0.2
    assert numbers["heads_above"] == numbers["heads"] == 12
    assert finding.n == 16


def test_alike_keys_say_nothing(monkeypatch):
    """Scores of a row are then all equal: what a column receives is even, up to rounding."""
    finding = found_on(with_fixed("k"), monkeypatch)
    assert finding.value < 0.1
    assert finding.numbers["heads_above"] <= 1


def test_a_tokenizer_without_the_words_is_untestable():
    model = loaded("llama")
    item = EXPERIMENT.items(model, 20, 0)[0]
    assert EXPERIMENT.conclude([(item, EXPERIMENT.measure(model, item))], 0).untestable
