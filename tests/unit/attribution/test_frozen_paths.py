"""Whole paths: every one followed on a tiny model, and scalar grids against matrix products."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tiny_runs import FLOAT64, loaded, some_tokens
from worldline.attribution.attribute import attribute, hop_spectrum
from worldline.attribution.frozen_paths import find_paths, path_grid
from worldline.attribution.path_summary import paths_of, summary_of
from worldline.graph.node import Node
from worldline.graph.strongest_paths import effective_paths
from worldline.graph.weighted_grid import sum_paths
from worldline.models.terms import Term
from worldline.runs.recorder import record

N_POS, TARGET = 4, 20
pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def trace(cache):
    return record(loaded("llama", FLOAT64), some_tokens(N_POS))


def every_path(trace, heads=False):
    """All paths from row 0 to the last node."""
    found = find_paths(trace, target=TARGET, k=10**6, width=10**6, heads=heads)
    assert found.bound == 0
    return found.paths


@pytest.mark.parametrize("heads", [False, True])
def test_all_paths_add_up_to_the_logit_and_to_each_degree(trace, heads):
    """llama has no biases: its only sources are the rows at the bottom."""
    paths = every_path(trace, heads)
    spectrum = hop_spectrum(trace, target=TARGET)
    by_hops = np.zeros(trace.n_layers + 1)
    for path in paths:
        by_hops[path.hops] += path.weight
    np.testing.assert_allclose(by_hops[: len(spectrum.by_hops)], spectrum.by_hops, atol=1e-6)
    assert sum(path.weight for path in paths) == pytest.approx(spectrum.target_value, abs=1e-6)


def test_top_paths_have_a_bound_and_found_ones_none(trace):
    true = every_path(trace, heads=True)
    top = find_paths(trace, target=TARGET, k=3, width=10**6)
    assert top.called == "top"
    assert [path.weight for path in top.paths] == [path.weight for path in true[:3]]
    assert top.bound == abs(true[3].weight)
    assert top.gap == pytest.approx(abs(true[2].weight) - top.bound)
    found = find_paths(trace, target=TARGET, k=3)
    assert (found.called, found.bound, found.gap) == ("found", None, None)
    known = {(path.nodes, path.reads): path.weight for path in true}
    for path in found.paths:
        assert path.weight == pytest.approx(known[path.nodes, path.reads], abs=1e-9)
    assert found.paths[0].nodes == true[0].nodes
    for name in ("k", "width"):
        with pytest.raises(ValueError, match=f"{name} = 0: accepted are whole numbers from 1"):
            find_paths(trace, target=TARGET, **{name: 0})


def test_where_layers_share_k_and_v_a_read_begins_in_the_lower_row():
    shared = record(loaded("gemma4_text", FLOAT64), some_tokens(N_POS))
    paths = every_path(shared, heads=True)
    books = attribute(shared, "frozen", target=TARGET).node_flow
    total = sum(path.weight for path in paths)
    assert total == pytest.approx(books.nodes[0].sum(), abs=1e-6)
    below = [a.layer - b.layer for path in paths for b, a in itertools.pairwise(path.nodes)]
    assert min(below) == 1
    assert max(below) > 1


def test_odds_of_a_frozen_flow_add_up_to_one_where_anything_flows(trace):
    grid = path_grid(attribute(trace, "frozen", target=TARGET, top=0))
    into = grid.kv.sum(-1) + grid.carry
    assert np.all((np.abs(into - 1) < 1e-9) | (into == 0))
    assert into[-1, -1] == pytest.approx(1)
    with pytest.raises(ValueError, match='a flow by "contribution": accepted is by="frozen"'):
        path_grid(attribute(trace))


def test_paths_of_shares_are_the_product_of_the_blocks(trace):
    grid = path_grid(trace)
    product = np.eye(N_POS)
    for carry, kv in zip(grid.carry, grid.kv, strict=True):
        product = (np.diag(carry) + kv) @ product
    end = Node(layer=trace.n_layers, pos=N_POS - 1)
    assert sum_paths(grid, None, end).signed == pytest.approx(product[-1].sum())
    assert product[-1].sum() == pytest.approx(1, abs=1e-6)  # no constants: shares add up


@pytest.mark.parametrize("by", ["frozen", "contribution"])
def test_the_summary_is_plain_numbers_that_agree(trace, by):
    target = TARGET if by == "frozen" else None
    seen = summary_of(trace, by=by, target=target, k=4)
    assert sum(seen.by_hops) == pytest.approx(sum(seen.by_source), abs=1e-6)
    assert len(seen.paths) == 4
    assert [one["grouping"] for one in seen.agreement][:2] == ["hop counts", "source tokens"]
    assert seen.json()["schema"] == "worldline.graph/1"
    with pytest.raises(ValueError, match="accepted are frozen, contribution"):
        summary_of(trace, by="gradient")
    with pytest.raises(ValueError, match="k = 0"):
        summary_of(trace, by=by, target=target, k=0)


def test_paths_in_effect_are_those_of_the_named_distribution(trace):
    grid, end = path_grid(trace), Node(layer=trace.n_layers, pos=N_POS - 1)
    seen = summary_of(trace, by="contribution")
    for one in seen.effective:
        found = effective_paths(grid, None, end, normalise=one["normalise"])
        assert one["effective"] == found.effective
    assert [one["normalise"] for one in seen.effective] == ["paths", "rows"]
    odds = path_grid(attribute(trace, "frozen", target=TARGET))
    (walk,) = summary_of(trace, target=TARGET).effective
    assert walk["effective"] == pytest.approx(
        effective_paths(odds, None, end, normalise="rows").effective
    )


def test_paths_of_a_picture_or_why_there_are_none(trace):
    say = [].append
    asked = attribute(trace, "frozen", target=TARGET).meaning.target
    assert paths_of(trace, asked, None, say).by == "frozen"
    assert paths_of(trace, None, True, say).by == "contribution"
    assert paths_of(trace, asked, False, say) == "not asked for"
    long = record(loaded("llama"), some_tokens(33))
    assert paths_of(long, asked, None, say).startswith("33 tokens: paths of over 32")
    assert paths_of(long, asked, True, say).by == "frozen"
    hybrid = record(loaded("jamba"), some_tokens(5))
    assert hybrid.opaque_layers
    assert "move information between columns without K/V" in paths_of(hybrid, asked, None, say)


def test_one_token_has_one_path_that_stays(trace):
    alone = record(loaded("llama", FLOAT64), some_tokens(1))
    found = find_paths(alone, target=TARGET)
    (path,) = found.paths
    assert path.hops == 0
    assert path.weight == pytest.approx(found.target_value, abs=1e-6)
    assert hop_spectrum(alone, target=TARGET).by_hops[0] == pytest.approx(path.weight)


def test_a_grid_pulls_every_read_back_twice_and_no_more(monkeypatch):
    """Once for its sums, once for all its weights: not once for each layer above."""
    pulled = []
    pull_back = Term.pull_back

    def counted(term, *given):
        pulled.append(term)
        return pull_back(term, *given)

    monkeypatch.setattr(Term, "pull_back", counted)
    run = record(loaded("llama"), some_tokens(N_POS, seed=2))
    path_grid(run)
    assert len(pulled) == 2 * run.n_layers
    flow = attribute(run, "contribution", top=0)
    pulled.clear()
    flow.dense(run.n_layers - 1)
    assert len(pulled) == 1
