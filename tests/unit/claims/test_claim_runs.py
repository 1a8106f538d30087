"""Runs of coin flips: resumed, killed, shared, failed; and what their verdicts are worth."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import coin_flips
from coin_flips import coin_graph, coin_model, flips
from worldline.claims.claim_runs import (
    RunRequest,
    _error_line,
    bare_name,
    run_claim,
    run_claims,
)
from worldline.claims.judgement import judge
from worldline.claims.picture import claims_picture, model_verdicts
from worldline.claims.run_database import Store
from worldline.claims.verdict import pick
from worldline.errors import InputError, RefusedError
from worldline.experiments import registry
from worldline.experiments.experiment import Finding
from worldline.experiments.statistics import bootstrap
from worldline.steps import StoppedError


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "store")
    yield found
    found.close()


@pytest.fixture
def use(monkeypatch):
    """Put experiments in the place of the lab's, with code of a given hash."""

    def use(*experiments, code="0"):
        known = {one.claim: one for one in experiments}
        monkeypatch.setattr(registry, "find_experiment", known.__getitem__)
        monkeypatch.setattr(registry, "experiment_ids", lambda: list(known))
        monkeypatch.setattr(registry, "code_hash", lambda claim: code * 64)

    return use


def test_fair_coins_are_inconclusive(tmp_path, store, use):
    """A 95 % interval misses the truth in about 5 of 100 runs; missing in none would be as wrong.

    Of 200 flips Wilson's interval holds 1/2 for 87 to 113 heads: in 94.4 % of all runs.
    """
    use(flips())
    claim, model, words = coin_graph(tmp_path / "records").claim("coin"), coin_model(), []
    for seed in range(200):
        coin = flips()
        measured = [(item, coin.measure(model, item)) for item in coin.items(model, 200, seed)]
        words.append(judge(claim, coin.conclude(measured, seed), coin.least)[0])
    assert 180 <= words.count("inconclusive") <= 199, Counter(words)
    assert words.count("supported") + words.count("refuted") == 200 - words.count("inconclusive")
    for seed in (0, *[k for k, word in enumerate(words) if word != "inconclusive"][:2]):
        assert run_claim(claim, store, model, RunRequest(seed=seed)).verdict.word == words[seed]


@pytest.mark.parametrize(("heads", "word"), [(0.8, "supported"), (0.2, "refuted")])
def test_loaded_coins_are_not(tmp_path, store, use, heads, word):
    use(flips(heads=heads))
    claim = coin_graph(tmp_path / "records").claim("coin")
    for seed in range(5):
        assert run_claim(claim, store, coin_model(), RunRequest(seed=seed)).verdict.word == word


def test_progress_and_a_second_time(tmp_path, store, use):
    measured, heard = [], []
    use(flips(n=20, on_item=measured.append))
    claim = coin_graph(tmp_path / "records").claim("coin")
    first = run_claim(claim, store, coin_model(), RunRequest(), lambda *line: heard.append(line))
    assert heard == [("coin", done, 20) for done in range(21)]
    assert first.n_stored == 0
    again = run_claim(claim, store, coin_model(), RunRequest())
    assert len(measured) == 20
    assert again.n_stored == 20
    assert again.verdict == replace(first.verdict, run=again.verdict.run)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, StoppedError])
def test_a_stopped_run_goes_on(tmp_path, store, use, stop):
    measured = []

    def on_item(key):
        measured.append(key)
        if len(measured) == 8:
            raise stop

    use(flips(n=20, on_item=on_item))
    graph = coin_graph(tmp_path / "records")
    with pytest.raises(stop):
        list(run_claims(graph, store, coin_model(), ["coin"], RunRequest()))
    assert store.verdicts() == []
    (outcome,) = run_claims(graph, store, coin_model(), ["coin"], RunRequest())
    assert outcome.n_stored == 7
    assert Counter(measured).most_common(2) == [("flip-7", 2), ("flip-0", 1)]
    use(flips(n=20))
    whole = Store(tmp_path / "other")
    unbroken = run_claim(graph.claim("coin"), whole, coin_model(), RunRequest())
    assert outcome.verdict.finding == unbroken.verdict.finding
    whole.close()


def start(tmp_path, seed=0, seconds=0.02):
    words = Path(coin_flips.__file__), tmp_path, tmp_path / "log", seed, seconds
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def logged(tmp_path):
    log = tmp_path / "log"
    return Counter(log.read_text().splitlines()) if log.exists() else Counter()


def test_a_killed_run_goes_on(tmp_path):
    """SIGKILL in the middle: every item is measured once, but at most the one in flight."""
    first = start(tmp_path, seconds=0.05)
    while sum(logged(tmp_path).values()) < 7:
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    assert first.returncode == -signal.SIGKILL
    before = logged(tmp_path)
    assert 7 <= len(before) < 40
    second = start(tmp_path, seconds=0)
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    counts = logged(tmp_path)
    assert len(counts) == 40
    assert sum(counts.values()) <= 41
    store = Store(tmp_path / "store")
    (verdict,) = store.verdicts()
    assert len(store.items(verdict.run.id)) == 40
    assert out.strip() == verdict.word
    store.close()


def test_two_processes_make_one_run(tmp_path):
    """They share the store and the run, and measure nothing twice."""
    both = [start(tmp_path) for _ in range(2)]
    outs = [one.communicate(timeout=60) for one in both]
    assert [one.returncode for one in both] == [0, 0], outs
    assert outs[0][0] == outs[1][0]
    assert set(logged(tmp_path).values()) == {1}
    assert len(logged(tmp_path)) == 40


def test_many_processes_make_many_runs(tmp_path):
    several = [start(tmp_path, seed, 0) for seed in range(4)]
    outs = [one.communicate(timeout=60) for one in several]
    assert [one.returncode for one in several] == [0] * 4, outs
    store = Store(tmp_path / "store")
    assert sorted(one.run.key.seed for one in store.verdicts()) == [0, 1, 2, 3]
    store.close()


def test_quick_stands_beside_full(tmp_path, store, use):
    use(flips(n=200, heads=0.8))
    graph = coin_graph(tmp_path / "records")

    def shown():
        found = model_verdicts(graph, store, "coin").get("coin", [])
        return [(one.verdict.run.quick, one.verdict.finding.n, one.stale) for one in pick(found)]

    assert shown() == []
    claim = graph.claim("coin")
    run_claim(claim, store, coin_model(), RunRequest(quick=True))
    assert shown() == [(True, 20, None)]
    run_claim(claim, store, coin_model(), RunRequest())
    assert shown() == [(False, 200, None), (True, 20, None)]
    run_claim(claim, store, coin_model(), RunRequest(n=30))
    assert shown() == [(False, 200, None), (True, 30, None)]
    use(flips(n=200, heads=0.8), code="1")
    stale = "stale: the experiment's code changed since"
    assert shown() == [(False, 200, stale), (True, 30, stale)]
    run_claim(claim, store, coin_model(), RunRequest(quick=True))
    assert shown() == [(True, 20, None), (False, 200, stale)]
    run_claim(claim, store, coin_model(), RunRequest())
    assert shown() == [(False, 200, None), (True, 20, None)]


def test_another_seed_does_not_take_a_verdicts_place(tmp_path, store, use):
    use(flips(n=50))
    graph = coin_graph(tmp_path / "records")
    for seed in (3, 1, 2):
        run_claim(graph.claim("coin"), store, coin_model(), RunRequest(seed=seed))
    (one,) = pick(model_verdicts(graph, store, "coin")["coin"])
    assert one.verdict.run.key.seed == 1
    assert len(model_verdicts(graph, store, "coin")["coin"]) == 3


def test_stale_says_which_of_the_two_changed(tmp_path, store, use):
    use(flips(n=20))
    graph = coin_graph(tmp_path / "records")
    run_claim(graph.claim("coin"), store, coin_model(), RunRequest())

    def stale(graph):
        (one,) = claims_picture(graph, store, "coin").verdicts
        return one.stale

    other = graph.claim("coin").model_copy(update={"refute": "<= 0.4"})
    changed = replace(graph, claims={"coin": other})
    assert stale(graph) is None
    assert stale(changed) == "stale: what the record says of the decision changed since"
    use(flips(n=20), code="1")
    assert stale(graph) == "stale: the experiment's code changed since"
    assert stale(changed) == (
        "stale: the experiment's code and what the record says of the decision changed since"
    )
    measured = []
    use(flips(n=20, on_item=measured.append), code="1")
    assert run_claim(graph.claim("coin"), store, coin_model(), RunRequest()).n_stored == 0
    assert len(measured) == 20
    assert stale(graph) is None


def test_a_title_or_a_source_makes_nothing_stale(tmp_path, store, use):
    use(flips(n=20))
    graph = coin_graph(tmp_path / "records")
    run_claim(graph.claim("coin"), store, coin_model(), RunRequest())
    other = graph.claim("coin").model_copy(update={"title": "Tails", "source": "elsewhere"})
    (one,) = claims_picture(replace(graph, claims={"coin": other}), store, "coin").verdicts
    assert one.stale is None


def test_an_error_is_one_claims_outcome(tmp_path, store, use):
    def broken(key):
        raise ZeroDivisionError("by\nnothing")

    def refused(key):
        raise RefusedError("layer 3: closure error 0.5")

    def wrong(key):
        raise InputError("text: too short")

    use(flips("a", 20), flips("b", 20, on_item=broken), flips("c", 20, on_item=refused),
        flips("d", 20, on_item=wrong), flips("e", 20))  # fmt: skip
    graph = coin_graph(tmp_path / "records", *"abcde")
    found = list(run_claims(graph, store, coin_model(), "abcde", RunRequest()))
    words = [one.verdict and one.verdict.word for one in found]
    assert words == [words[0], None, "not testable here", None, words[4]]
    assert found[1].error == "ZeroDivisionError: by nothing"
    assert found[2].verdict.reason == "layer 3: closure error 0.5"
    assert found[3].error == "text: too short"
    assert {one.run.claim for one in store.verdicts()} == {"a", "c", "e"}
    use(flips("c", 20))  # what refused it was mended: it is tried again
    (again,) = run_claims(graph, store, coin_model(), ["c"], RunRequest())
    assert again.verdict.word != "not testable here"


def test_results_that_are_not_plain_and_keys_that_are_not_unique(tmp_path, store, use):
    plain = flips("a", 20)
    use(
        replace(plain, measure=lambda model, item: {"x": {1, 2}}),
        replace(flips("b", 20), items=lambda model, n, seed: [{"key": "x"}] * n),
    )
    graph = coin_graph(tmp_path / "records", "a", "b")
    one, two = run_claims(graph, store, coin_model(), ["a", "b"], RunRequest())
    assert "plain JSON" in one.error
    assert "two items have the same key" in two.error


def test_a_resumed_run_concludes_of_the_same_values(tmp_path, store, use):
    """Tuples and numbers that JSON has no word for are the same measured now or read back."""
    seen = []

    def conclude(measured, seed):
        seen.append(repr([found for _, found in measured]))
        return Finding(1.0, 1.0, 1.0, len(measured))

    odd = {"x": (1, 2.5), "y": float("nan"), "z": [float("-inf")]}
    use(replace(flips(n=12), measure=lambda model, item: odd, conclude=conclude))
    claim = coin_graph(tmp_path / "records").claim("coin")
    outcome = run_claim(claim, store, coin_model(), RunRequest())
    assert seen == [repr(list(store.items(outcome.verdict.run.id).values()))]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"n": 0}, "--n 0: accepted is 1 or more"),
        ({"n": -3}, "--n -3"),
        ({"n": 3, "quick": True}, "--n 3 --quick: give one of them"),
        ({"seed": -1}, "--seed -1"),
    ],
)
def test_what_is_refused(asked, said):
    with pytest.raises(InputError, match=said):
        RunRequest(**asked)


def test_an_unknown_claim_is_refused_before_any_run(tmp_path, store, use):
    measured = []
    use(flips(on_item=measured.append))
    graph = coin_graph(tmp_path / "records")
    with pytest.raises(InputError, match='no claim "cion"; near it: coin'):
        list(run_claims(graph, store, coin_model(), ["coin", "cion"], RunRequest()))
    assert measured == []


def test_a_number_that_one_experiment_does_not_take_is_refused_before_any_run(tmp_path, store, use):
    def at_most_ten(_model, n, _seed):
        if n > 10:
            raise InputError(f"{n} coins: accepted are 1 to 10")
        return [{"key": str(at)} for at in range(n)]

    def torn(*_):
        raise ZeroDivisionError("by nothing")

    measured = []
    plain, few = flips("a", 20, on_item=measured.append), replace(flips("b"), items=at_most_ten)
    use(plain, few, replace(flips("c"), items=torn))
    graph = coin_graph(tmp_path / "records", *"abc")
    with pytest.raises(InputError, match="--n 11: b: 11 coins: accepted are 1 to 10"):
        list(run_claims(graph, store, coin_model(), "abc", RunRequest(n=11)))
    assert measured == []
    found = list(run_claims(graph, store, coin_model(), "ac", RunRequest(n=11)))
    assert [one.error for one in found] == [None, "ZeroDivisionError: by nothing"]
    assert len(measured) == 11
    # a number that nobody gave is the experiment's own matter: it is that claim's outcome
    (own,) = run_claims(graph, store, coin_model(), ["b"], RunRequest())
    assert own.error == "200 coins: accepted are 1 to 10"


def test_nothing_of_the_machine_is_kept(tmp_path, store, use):
    use(flips(n=20))
    (tmp_path / "models" / "mine").mkdir(parents=True)
    claim = coin_graph(tmp_path / "records").claim("coin")
    model = coin_model(str(tmp_path / "models" / "mine"))
    verdict = run_claim(claim, store, model, RunRequest()).verdict
    assert verdict.run.model == "mine"
    assert str(tmp_path).encode() not in store.path.read_bytes()
    assert bare_name("nobody/nothing") == "nobody/nothing"
    assert bare_name("./x/y") == "y"


def test_a_model_in_another_place_is_the_same(tmp_path, store, use):
    use(flips(n=20))
    claim = coin_graph(tmp_path / "records").claim("coin")
    run_claim(claim, store, coin_model("one"), RunRequest())
    assert run_claim(claim, store, coin_model("two"), RunRequest()).n_stored == 20
    other = coin_model()
    other.config = {"sides": 3}
    assert run_claim(claim, store, other, RunRequest()).n_stored == 0


def test_an_error_in_an_experiment_says_where():
    with pytest.raises(ZeroDivisionError) as caught:
        bootstrap([1.0, 2.0], 0, lambda values: 1 / (values - values).sum().item())
    assert "(statistics.py:" in _error_line(caught.value)
