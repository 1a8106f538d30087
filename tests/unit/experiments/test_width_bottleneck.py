"""The dimension of a stream, with its interval and the ranks beside it."""

from __future__ import annotations

import json

from passage_runs import tiny_passages
from tiny_runs import loaded
from worldline.experiments import width_bottleneck
from worldline.experiments.width_bottleneck import EXPERIMENT


def test_a_whole_run(monkeypatch):
    monkeypatch.setattr(width_bottleneck, "read_passages", tiny_passages)
    model = loaded("gpt_bigcode")
    items = [dict(EXPERIMENT.items(model, 30, 0)[0], part=part) for part in range(3)]
    measured = [(item, json.loads(json.dumps(EXPERIMENT.measure(model, item)))) for item in items]
    finding = EXPERIMENT.conclude(measured, 0)
    layers = finding.numbers["layers"]
    assert [one["layer"] for one in layers] == [0, 1, 2]
    assert 0 < finding.low < finding.value < finding.high < 1.3
    for one in layers:
        assert one["participation"] <= 1.3 * one["entropy"]  # of the same spectrum, less biased
        assert one["rank_v"] == 8
    assert finding.n == 30


def test_a_tokenizer_without_the_words_is_untestable():
    model = loaded("llama")
    item = EXPERIMENT.items(model, 20, 0)[0]
    assert EXPERIMENT.conclude([(item, EXPERIMENT.measure(model, item))], 0).untestable
