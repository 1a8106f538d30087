"""Localisation where the truth is known: a model that reports by construction, ones that cannot."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import worldline as wl
from tiny_runs import loaded, some_tokens
from worldline.experiments.introspection.kv_split import ways_of
from worldline.experiments.introspection.localization import Listing, changes, margin, right
from worldline.experiments.introspection.steering import Perturbation, answer_logits, still
from worldline.experiments.statistics import wilson


def _planted():
    spec = importlib.util.spec_from_file_location("planted", Path(__file__).parent / "planted.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


planted = _planted()
N_PLACES = len(planted.PLACES)


@pytest.fixture(scope="module")
def model():
    return planted.planted()


def test_a_planted_report_is_found_at_every_place(model):
    scores = changes(model, planted.listing(), [planted.flag(one) for one in planted.PLACES])
    assert right(scores, range(N_PLACES)) == [1.0] * N_PLACES
    assert scores.argmax(1).tolist() == list(range(N_PLACES))


def test_without_reads_of_the_past_the_share_is_chance_exactly(model):
    asking = tuple(range(11, planted.N_POS))
    blind = planted.listing(frozenset({wl.EdgeCut("mask", src=planted.PLACES, dst=asking)}))
    scores = changes(model, blind, [planted.flag(one) for one in planted.PLACES])
    assert np.abs(scores).max() < 1e-6
    assert right(scores, range(N_PLACES)) == pytest.approx([1 / N_PLACES] * N_PLACES)


def test_a_wrong_name_is_wrong(model):
    scores = changes(model, planted.listing(), [planted.flag(one) for one in planted.PLACES])
    assert sum(right(scores, [(n + 1) % N_PLACES for n in range(N_PLACES)])) == 0


def test_random_perturbations_of_a_random_model_are_at_chance():
    tiny = loaded("llama")
    ids = tuple(some_tokens(45).ids)
    listing = Listing(
        ids, tuple((2 + 3 * n, 3 + 3 * n) for n in range(10)), tuple(range(20, 30)), since=35
    )
    size = wl.record(tiny, some_tokens(45)).resid[1].shape[-1]
    hits = []
    for seed in range(12):
        vector = tuple(np.random.default_rng(seed).standard_normal(size).tolist())
        perturbations = [Perturbation(1, one, vector) for one in listing.candidates]
        hits += right(changes(tiny, listing, perturbations), range(10), tie=0.0)
    low, high = wilson(round(sum(hits)), len(hits))
    assert low < 0.1 < high


def test_a_perturbation_is_off_where_the_question_is_read(model):
    """Nothing before it changes, and a perturbation of zeros changes nothing at all."""
    listing = planted.listing()
    perturbation = planted.flag(5)
    plain = wl.record(model, _tokens(model, listing.ids))
    under = wl.record(model, _tokens(model, listing.ids), edits=[perturbation.edit])
    moved = (under.resid[0] - plain.resid[0]).abs().sum(-1).numpy()
    assert np.flatnonzero(moved).tolist() == [5]
    runs = [frozenset(), frozenset({still(perturbation)})]
    first, second = answer_logits(model, listing.ids, listing.answers, runs)
    assert first == pytest.approx(second, abs=1e-9)


def _tokens(model, ids):
    return wl.tokenize(model.tokenizer, " ".join(f"t{one}" for one in ids))


@pytest.mark.parametrize(
    ("perturbation", "carrier", "idle"),
    [("flag", "k_only", "v_only"), ("louder", "v_only", "k_only")],
)
def test_the_part_that_carries_is_told_from_the_one_that_does_not(
    model, perturbation, carrier, idle
):
    listing, place = planted.listing(), 4
    made = getattr(planted, perturbation)(planted.PLACES[place])
    ways = ways_of(listing, made, n_layers=1)
    runs = [frozenset(), *ways.values()]
    logits = answer_logits(model, listing.ids, listing.answers, runs)
    found = {way: margin(row, place) for way, row in zip(ways, logits[1:] - logits[0], strict=True)}
    assert found["whole"] > 1
    assert found[carrier] == pytest.approx(found["whole"], rel=1e-2)
    assert found["k_and_v"] == pytest.approx(found["whole"], rel=1e-2)
    assert abs(found[idle]) < 1e-2
    assert abs(found["residual_only"]) < 1e-9


def test_noise_without_the_flag_is_not_localised_by_the_planted_model(model):
    found = []
    for seed in range(10):
        perturbations = [planted.noise(one, seed) for one in planted.PLACES]
        scores = changes(model, planted.listing(), perturbations)
        found.append(np.abs(scores).max())
    flagged = changes(model, planted.listing(), [planted.flag(1)])
    assert max(found) < 0.2 * flagged.max()
