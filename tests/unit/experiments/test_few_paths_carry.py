"""Effective paths: one where one is known, all where all weigh alike; hops where they are."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import worldline as wl
from circuit_items import circuit_case, idle_model
from tiny_runs import loaded
from worldline.experiments.few_paths_carry import (
    EXPERIMENT,
    _counts,
    _effective,
    _even,
    conclude,
    measure,
)
from worldline.experiments.few_paths_carry import _hops_at_even_odds as hops_at_even_odds


@pytest.mark.parametrize(("name", "hops"), [("chain of 2", 2), ("chain of 3", 3)])
def test_a_chain_is_one_path_of_as_many_hops(name, hops):
    model, item = circuit_case(name)
    one = measure(model, item)
    assert one["effective"] == pytest.approx(1, abs=1e-4)
    by_hops = np.array(one["by_hops"])
    assert by_hops[hops] == pytest.approx(one["target_value"], rel=1e-4)
    assert np.abs(np.delete(by_hops, hops)).sum() < 1e-4 * abs(by_hops[hops])
    assert [edge.partition(".")[0] for edge in one["cuts"]] == [
        str(edge.layer) for edge in wl.known_circuits()[name].edges
    ]
    needed = {sink: one["curves"][sink]["needed"] for sink in ("counted", "free")}
    assert needed == {"counted": hops, "free": hops}
    found = conclude([(item, one), (item, one)], 0)
    assert found.value == pytest.approx(0, abs=1e-4)
    assert found.numbers["mean_hops_carried"][0] == pytest.approx(hops, abs=1e-3)


def test_all_paths_alike_are_all_there_are():
    """exp of the entropy over equal paths is their number, counted by the integers."""
    every = _counts(4, 5)
    assert int(every["all"]) == math.comb(4 + 4, 4)
    assert _effective(_even(4, 5), "paths") == pytest.approx(int(every["all"]))
    assert sum(every["all_by_hops"]) == pytest.approx(1)
    assert every["all_by_hops"][0] == pytest.approx(1 / int(every["all"]))
    walk = _effective(_even(4, 5), "rows")
    assert walk is not None
    assert 1 < walk < int(every["all"])


def test_walks_at_even_odds_hop_as_drawn_ones():
    draw, hops = np.random.default_rng(0), np.zeros(4)
    for _ in range(20_000):
        at, n = 4, 0
        for _ in range(3):
            to = draw.integers(at + 1)
            n += to != at
            at = to
        hops[n] += 1 / 20_000
    np.testing.assert_allclose(hops_at_even_odds(3, 5), hops, atol=0.02)


def test_nothing_flows_and_nothing_is_readable():
    _, item = circuit_case("chain of 2")
    found = conclude([(item, measure(idle_model(), item))], 0)
    assert found.value is None
    assert "nothing flows" in str(found.untestable)
    tiny = loaded("llama")
    assert EXPERIMENT.items(tiny, 4, 0) == []  # words that it does not know
    assert "reads none of the texts" in str(conclude([], 0).untestable)
    refused = measure(tiny, item | {"text": "nonsense"})
    assert "nonsense" in refused["refused"]
    assert conclude([(item, refused)], 0).untestable == refused["refused"]


def test_a_refused_item_is_left_out_and_said():
    model, item = circuit_case("chain of 3")
    one = measure(model, item)
    found = conclude([(item, one), (item, {"refused": "no"}), (item, one)], 0)
    assert found.n == 2
    assert found.numbers["refused_items"] == 1
    assert found.says[-1] == "1 of 3 items were refused; the first: no."


@pytest.mark.bundled
def test_on_the_bundled_model():
    model = wl.load_model()
    items = EXPERIMENT.items(model, 4, 0)
    assert [item["kind"] for item in items] == [
        "passage",
        "indirect-object",
        "passage",
        "agreement",
    ]
    assert items == EXPERIMENT.items(model, 4, 0)
    one = measure(model, items[-1])
    assert one == json.loads(json.dumps(one, allow_nan=False))
    assert 1 < one["effective"] < int(one["all"])
    assert sum(one["by_hops"]) == pytest.approx(one["target_value"], abs=1e-3)
    last = one["curves"]["counted"]["loss"][-1]
    assert last == pytest.approx(one["curves"]["counted"]["loss_full"], abs=1e-3)
