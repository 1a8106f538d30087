"""Whole paths: every one followed on a tiny model, and scalar grids against matrix products."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tiny_runs import FLOAT64, loaded, some_tokens
from worldline.flow.flow import Target
from worldline.flow.frozen import Along, frozen_of
from worldline.flow.routes import find_paths, flow_grid, share_grid
from worldline.flow.summary import summary_of
from worldline.flow.weighing import hop_spectrum, weigh
from worldline.grid.node import Node
from worldline.paths.weighted import sum_paths
from worldline.trace.recording import record

N_POS, TARGET = 4, 20


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORLDLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def trace(cache):
    return record(loaded("llama", FLOAT64), some_tokens(N_POS))


def every_path(trace):
    """All nodes sequences from row 0 to the last node, with their exact weights."""
    along = Along(frozen_of(trace, Target(TARGET, "")))
    columns = itertools.combinations_with_replacement(range(N_POS), trace.n_layers)
    found = {}
    for below in columns:
        positions = (*below, N_POS - 1)
        nodes = [Node(layer=layer, pos=pos) for layer, pos in enumerate(positions)]
        found[positions] = along.weight(nodes)
    return found


def test_all_paths_add_up_to_the_logit_and_to_each_degree(trace):
    """llama has no biases: its only sources are the rows at the bottom."""
    found = every_path(trace)
    spectrum = hop_spectrum(trace, target=TARGET)
    by_hops = np.zeros(trace.n_layers + 1)
    for positions, weight in found.items():
        by_hops[sum(a != b for a, b in itertools.pairwise(positions))] += weight
    np.testing.assert_allclose(by_hops[: len(spectrum.by_hops)], spectrum.by_hops, atol=1e-6)
    assert sum(found.values()) == pytest.approx(spectrum.target_value, abs=1e-6)


def test_found_paths_carry_their_own_weight_and_come_strongest_first(trace):
    true = every_path(trace)
    found = find_paths(trace, target=TARGET, k=3)
    assert len(found.paths) == 3
    assert found.looked_at > 3
    sizes = [abs(path.weight) for path in found.paths]
    assert sizes == sorted(sizes, reverse=True)
    for path in found.paths:
        assert path.weight == pytest.approx(true[tuple(n.pos for n in path.nodes)], abs=1e-9)
        assert path.hops == sum(a.pos != b.pos for a, b in itertools.pairwise(path.nodes))
    whole = find_paths(trace, target=TARGET, k=len(true))
    assert whole.paths[0].weight == pytest.approx(max(true.values(), key=abs), abs=1e-9)
    assert whole.share == pytest.approx(1, abs=1e-5)


def test_odds_of_a_frozen_flow_add_up_to_one_where_anything_flows(trace):
    grid = flow_grid(weigh(trace, "frozen", target=TARGET, top=0))
    into = grid.kv.sum(-1) + grid.carry
    assert np.all((np.abs(into - 1) < 1e-9) | (into == 0))
    assert into[-1, -1] == pytest.approx(1)
    with pytest.raises(ValueError, match='a flow by "share": accepted is by="frozen"'):
        flow_grid(weigh(trace))


def test_paths_of_shares_are_the_product_of_the_blocks(trace):
    grid = share_grid(trace)
    product = np.eye(N_POS)
    for carry, kv in zip(grid.carry, grid.kv, strict=True):
        product = (np.diag(carry) + kv) @ product
    end = Node(layer=trace.n_layers, pos=N_POS - 1)
    assert sum_paths(grid, None, end).signed == pytest.approx(product[-1].sum())
    assert product[-1].sum() == pytest.approx(1, abs=1e-6)  # no constants: shares add up


@pytest.mark.parametrize("by", ["frozen", "share"])
def test_the_summary_is_plain_numbers_that_agree(trace, by):
    target = TARGET if by == "frozen" else None
    seen = summary_of(trace, by=by, target=target, k=4)
    assert sum(seen.by_hops) == pytest.approx(sum(seen.by_source), abs=1e-6)
    assert len(seen.paths) == 4
    assert [one["grouping"] for one in seen.agreement][:2] == ["hop counts", "source tokens"]
    assert seen.json()["schema"] == "worldline.paths/1"
    with pytest.raises(ValueError, match="accepted are frozen, share"):
        summary_of(trace, by="gradient")
    with pytest.raises(ValueError, match="k = 0"):
        summary_of(trace, by=by, target=target, k=0)
