"""Drawn paths against every path of a tiny model, and on heads that cancel by construction."""

from __future__ import annotations

import numpy as np
import pytest

import worldline as wl
from tiny_runs import FLOAT64, loaded, some_tokens, tokens_of
from worldline.attribution.frozen_paths import find_paths
from worldline.attribution.path_samples import sample_flow
from worldline.models.known_circuits import cancelling
from worldline.runs.recorder import record

N_POS, TARGET = 4, 20
pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module", params=["llama", "gemma4_text", "gemma2"])
def trace(cache, request):
    return record(loaded(request.param, FLOAT64), some_tokens(N_POS))


@pytest.mark.parametrize("heads", [False, True])
def test_sums_are_estimated_without_bias_and_weights_are_exact(trace, heads):
    every = find_paths(trace, target=TARGET, k=10**6, width=10**6, heads=heads)
    true = {(path.nodes, path.reads): path.weight for path in every.paths}
    absolute = sum(abs(weight) for weight in true.values())
    drawn = [sample_flow(trace, target=TARGET, n=400, seed=s, heads=heads) for s in range(12)]
    for sample in drawn:
        for path in sample.paths:
            assert path.weight == pytest.approx(true[path.nodes, path.reads], abs=1e-9)
        assert sample.signed == pytest.approx(sum(true.values()), abs=1e-6)
        low, high = sample.absolute_range
        assert low < sample.absolute < high
    for values, truth in (
        ([sample.absolute for sample in drawn], absolute),
        ([sample.signed_estimate for sample in drawn], drawn[0].signed),
    ):
        error = np.std(values, ddof=1) / len(values) ** 0.5
        assert abs(np.mean(values) - truth) < 5 * error
    inside = sum(s.absolute_range[0] <= absolute <= s.absolute_range[1] for s in drawn)
    assert inside >= 8


def test_what_cancels_shows_in_single_heads_only():
    circuit = cancelling()
    model = wl.load_model((circuit.module, circuit.tokenizer))
    trace = wl.record(model, tokens_of(circuit.ids))
    asked = {"target": circuit.target, "versus": circuit.versus}
    sizes = [abs(wl.attribute(trace, "frozen", **asked).dense(0)[e.head, e.dst, e.src])
             for e in circuit.edges]  # fmt: skip
    together, apart = (sample_flow(trace, **asked, n=300, heads=h) for h in (False, True))
    assert min(sizes) > 10
    assert apart.absolute == pytest.approx(abs(apart.signed) + sum(sizes), rel=0.3)
    assert together.absolute == pytest.approx(abs(together.signed), rel=0.3)
    assert apart.coherence < 0.2 < 0.75 < together.coherence
    assert all(path.weight for path in apart.paths)


def test_one_seed_draws_once_and_no_draw_is_refused(trace):
    one, two = (sample_flow(trace, target=TARGET, n=50, seed=3) for _ in range(2))
    assert (one.absolute, one.paths) == (two.absolute, two.paths)
    other = sample_flow(trace, target=TARGET, n=50, seed=4)
    assert other.absolute != one.absolute
    low, high = one.coherence_range
    assert low <= one.coherence <= high
    with pytest.raises(ValueError, match="n = 0: accepted are whole numbers from 1"):
        sample_flow(trace, target=TARGET, n=0)
