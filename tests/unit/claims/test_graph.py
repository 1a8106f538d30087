"""Neighbourhoods: by type, ranked by the neighbours' edges in the whole graph."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coin_flips import coin_graph
from worldline.claims.graph import BACKWARDS, NODE_TYPES, Graph, neighbourhood
from worldline.claims.records import load_graph
from worldline.errors import InputError
from worldline.views.schema.claims import ClaimsEdge, ClaimsNode

KINDS = ("concept", "method", "paper", "claim")


def node(name, kind="concept"):
    return ClaimsNode(id=name, type=kind, title=name, text=name, source="here", url=None)


NAMES = [f"n{k}" for k in range(7)]
EDGES = st.tuples(
    st.sampled_from(NAMES), st.sampled_from(sorted(BACKWARDS)), st.sampled_from(NAMES)
).filter(lambda one: one[0] != one[2])


@given(
    st.lists(st.sampled_from(KINDS), min_size=7, max_size=7),
    st.lists(EDGES, max_size=20, unique=True),
    st.sampled_from(NAMES),
)
def test_a_neighbourhood_is_all_that_an_edge_joins_ranked(kinds, drawn, name):
    nodes = {one: node(one, kind) for one, kind in zip(NAMES, kinds, strict=True)}
    edges = tuple(ClaimsEdge(source=s, type=t, target=g) for s, t, g in drawn)
    graph = Graph(nodes=nodes, edges=edges, claims={})
    around = neighbourhood(graph, name)
    found = [one for group in around.values() for one in group]
    joined = {e.target for e in graph.edges if e.source == name}
    joined |= {e.source for e in graph.edges if e.target == name}
    assert {one.node.id for one in found} == joined
    assert len(found) == len(joined)
    assert list(around) == [kind for kind in NODE_TYPES if kind in around]
    for kind, group in around.items():
        assert all(one.node.type == kind for one in group)
        ranks = [(-one.edge_count, one.node.id) for one in group]
        assert ranks == sorted(ranks)
    for one in found:
        ends = [end for edge in graph.edges for end in (edge.source, edge.target)]
        assert one.edge_count == ends.count(one.node.id)
    relations = sum(len(one.relations) for one in found)
    assert relations == graph.edge_counts[name]


def test_the_verdict_stands_beside_claims_only():
    words = {"two-highways": "supported", "kv-stream": "refuted"}
    around = neighbourhood(load_graph(), "janus-thread", words)
    assert {one.verdict for one in around["claim"]} == {"supported", None}
    assert {one.verdict for one in around["concept"]} == {None}


def test_edges_are_named_from_both_ends(tmp_path):
    graph = coin_graph(tmp_path)
    (one,) = neighbourhood(graph, "coin")["experiment"]
    assert (one.node.id, one.relations, one.edge_count) == ("test-of-coin", ("tested by",), 1)
    (one,) = neighbourhood(graph, "test-of-coin")["claim"]
    assert one.relations == ("tests",)


def test_every_edge_has_a_name_from_its_end():
    assert {edge.type for edge in load_graph().edges} <= BACKWARDS.keys()


def test_joined_graphs(tmp_path):
    graph = coin_graph(tmp_path)
    edge = ClaimsEdge(source="new", type="cites", target="coin")
    more = graph.with_additions([node("new")], [edge])
    assert more.edge_counts["coin"] == 2
    assert "new" not in graph.nodes
    with pytest.raises(ValueError, match="is there already"):
        graph.with_additions([node("coin")], [])
    with pytest.raises(ValueError, match='no node "new"'):
        graph.with_additions([], [edge])
    with pytest.raises(InputError, match='there is no "new"'):
        neighbourhood(graph, "new")
