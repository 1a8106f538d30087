"""Paths written out one by one: the table of the conventions, and what a wrong formula does."""

from __future__ import annotations

from math import comb

import pytest

import worldline as wl
from tiny_runs import loaded
from worldline.experiments import path_count
from worldline.experiments.path_count import EXPERIMENT, counted_one_by_one, steps_in_order


def run(n):
    model = loaded("llama")
    pairs = [(one, EXPERIMENT.measure(model, one)) for one in EXPERIMENT.items(model, n, 0)]
    return EXPERIMENT.conclude(pairs, 0)


def test_the_example_is_the_three_paths_that_are_listed():
    assert list(steps_in_order(1, 2)) == [
        ("up", "right", "right"),
        ("right", "up", "right"),
        ("right", "right", "up"),
    ]


@pytest.mark.parametrize(
    ("convention", "m2", "m3"),
    [("block", 3, 20), ("lattice", 3, 20), ("streams", 5, 88), ("blocks", 20, 1408)],
)
def test_published_counts(convention, m2, m3):
    assert counted_one_by_one(convention, 2, 2) == m2
    assert counted_one_by_one(convention, 4, 3) == m3


def test_it_holds_on_every_grid_of_the_lattice_and_not_of_the_others():
    finding = run(16)
    assert (finding.value, finding.low, finding.high, finding.n) == (1, 1, 1, 16)
    holds = finding.numbers["holds_on_grids"]
    assert holds["block"] == holds["lattice"] == 16
    assert holds["streams"] == 5  # across one block to another column, where only a read leads
    assert finding.broken is None
    assert finding.bounds is not None
    assert "block and lattice, not by streams" in finding.bounds
    assert len(finding.numbers["example"]) == comb(3, 1)


def test_a_formula_that_is_not_the_count_breaks_it(monkeypatch):
    true = wl.count_paths

    def wrong(**given):
        return true(**(given | {"distance": given["distance"] + 1}))

    monkeypatch.setattr(path_count.wl, "count_paths", wrong, raising=False)
    finding = run(3)
    assert finding.broken is not None
    assert "one by one" in finding.broken


def test_a_grid_where_the_binomial_fails_is_counted(monkeypatch):
    monkeypatch.setattr(path_count, "comb", lambda n, k: comb(n, k) + (n > 2))
    finding = run(16)
    assert finding.value is not None
    assert 0 < finding.value < 1
