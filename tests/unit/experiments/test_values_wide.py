"""Values as wide as the stream are read whole, narrower ones in part."""

from __future__ import annotations

import json

from passage_runs import tiny_passages
from tiny_runs import loaded
from worldline.experiments import values_wide
from worldline.experiments.values_wide import EXPERIMENT


def found_on(model, monkeypatch, n=60):
    monkeypatch.setattr(values_wide, "read_passages", tiny_passages)
    items = EXPERIMENT.items(model, n, 0)
    measured = [(item, json.loads(json.dumps(EXPERIMENT.measure(model, item)))) for item in items]
    return EXPERIMENT.conclude(measured, 0)


def test_values_as_wide_as_the_state_give_it_whole(monkeypatch):
    """GPT-2's V has d_model numbers, a linear image of what LayerNorm leaves: all but the mean."""
    finding = found_on(loaded("gpt2"), monkeypatch)
    assert finding.low is not None
    assert finding.low > 0.95
    layer = finding.numbers["layers"][0]
    assert layer["width_v"] == layer["rank_v"] + 1 == layer["d_model"]
    assert abs(finding.numbers["mean"]["chance"]) < 0.1
    assert finding.n == 30


def test_narrow_values_give_no_more_than_their_width_allows(monkeypatch):
    finding = found_on(loaded("gpt_bigcode"), monkeypatch)
    mean = finding.numbers["mean"]
    assert mean["rank_of_d_model"] == 0.25
    assert mean["chance"] + 0.1 < finding.value < mean["best"] + 0.02
    assert finding.value < mean["kv"]
    assert finding.low < finding.value < finding.high
    assert finding.figures[0].rule == 0.9


def test_items_are_the_same_each_time_and_grow_with_n():
    model = loaded("llama")
    assert EXPERIMENT.items(model, 120, 3) == EXPERIMENT.items(model, 120, 3)
    assert [len(EXPERIMENT.items(model, n, 0)) for n in (EXPERIMENT.quick, EXPERIMENT.n)] == [1, 3]


def test_a_tokenizer_without_the_words_is_untestable():
    model = loaded("llama")
    item = EXPERIMENT.items(model, 20, 0)[0]
    finding = EXPERIMENT.conclude([(item, EXPERIMENT.measure(model, item))], 0)
    assert finding.untestable is not None
    assert "this model knows t0 to t111 only" in finding.untestable
    assert finding.value is None
