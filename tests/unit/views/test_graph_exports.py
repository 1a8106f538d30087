"""The graph of a Scene: every node and edge, and the same again out of GraphML."""

import io
import xml.etree.ElementTree as ElementTree

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiny_scenes import tiny_scene
from worldline.views.graph_exports import to_graphml, to_networkx
from worldline.views.schema.scene import Scene


def shown(text):
    """What XML cannot hold, by its code, written out character by character."""

    def allowed(char):
        return char in "\t\n" or " " <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd"

    return "".join(
        char if allowed(char) or ord(char) > 0xFFFF else f"‹{ord(char):02X}›" for char in text
    )


def read_back(scene):
    written = to_graphml(scene)
    return nx.read_graphml(io.BytesIO(written.encode("utf-8")), force_multigraph=True)


def in_xml(known):
    return {name: shown(v) if isinstance(v, str) else v for name, v in known.items()}


def assert_round_trip(scene):
    """Nothing is lost or changed but the characters that XML cannot hold."""
    graph, back = to_networkx(scene), read_back(scene)
    about = {k: v for k, v in back.graph.items() if k not in ("node_default", "edge_default")}
    assert about == in_xml(graph.graph)
    nodes = {(known["layer"], known["pos"]): known for _, known in back.nodes(data=True)}
    assert nodes == {node: in_xml(known) for node, known in graph.nodes(data=True)}
    assert back.number_of_nodes() == graph.number_of_nodes()

    def edges(one, node):
        return sorted(
            (node(one, u), node(one, v), known["kind"], known.get("head", -1), known["weight"])
            for u, v, known in one.edges(data=True)
        )

    assert edges(back, lambda g, n: (g.nodes[n]["layer"], g.nodes[n]["pos"])) == edges(
        graph, lambda _, n: n
    )
    ids = [key for *_, key in back.edges(keys=True)]
    assert len(set(ids)) == len(ids)
    assert all(isinstance(key, str) for key in ids)
    return back


@pytest.mark.parametrize("by", ["gradient", "contribution"])
def test_every_edge_of_a_real_run(by):
    scene = tiny_scene(by)
    graph = to_networkx(scene)
    assert isinstance(graph, nx.MultiDiGraph)
    n_layers, n_tokens = scene.model.n_layers, len(scene.tokens)
    assert set(graph) == {(at, pos) for at in range(n_layers + 1) for pos in range(n_tokens)}
    found = {
        (u, v, key): known for u, v, key, known in graph.edges(keys=True, data=True)
        if known["kind"] == "kv"
    }  # fmt: skip
    assert found == {
        ((e.layer, e.src), (e.layer + 1, e.dst), e.head): {
            "weight": e.weight, "layer": e.layer, "head": e.head, "kind": "kv",
            "saturated": e.saturated,
        }
        for e in scene.edges
    }  # fmt: skip
    assert nx.is_directed_acyclic_graph(graph)
    assert_round_trip(scene)


def test_nodes_know_what_the_scene_knows():
    scene = tiny_scene("contribution")
    graph = to_networkx(scene)
    for (layer, pos), known in graph.nodes(data=True):
        assert (known["token"], known["norm"]) == (
            scene.tokens[pos].text,
            scene.nodes.norm[layer][pos],
        )
        assert known["lens_token"] == scene.nodes.lens[layer][pos][0].token
        assert ("share_mlp" in known) is (layer > 0)
        assert None not in known.values()
        if layer:
            assert known["share_mlp"] == scene.nodes.shares.mlp[layer - 1][pos]
            assert known["in_negative"] == scene.flow.in_negative[layer - 1][pos]
        if layer < scene.model.n_layers:
            assert known["out_positive"] == scene.flow.out_positive[layer][pos]


def test_what_flows_in_is_the_sum_of_the_edges():
    """All edges that weigh anything are listed: the totals and the graph agree."""
    scene = tiny_scene("gradient")
    graph = to_networkx(scene)
    assert scene.coverage.share == 1
    for node, known in graph.nodes(data=True):
        if node[0]:
            total = sum(w for _, _, w in graph.in_edges(node, data="weight"))
            assert total == pytest.approx(known["in_positive"] + known["in_negative"], abs=1e-5)


def test_skips_only_by_contribution():
    kinds = {
        by: {kind for *_, kind in to_networkx(tiny_scene(by)).edges(data="kind")}
        for by in ("contribution", "gradient")
    }
    assert kinds == {"contribution": {"kv", "skip"}, "gradient": {"kv"}}
    scene = tiny_scene("contribution")
    for u, v, key, known in to_networkx(scene).edges(keys=True, data=True):
        if known["kind"] == "skip":
            assert (key, u[1], v[0]) == ("skip", v[1], u[0] + 1)
            assert known["weight"] == scene.nodes.shares.skip[u[0]][u[1]]


def test_the_graph_says_what_a_weight_means():
    scene = tiny_scene("gradient")
    about = to_networkx(scene).graph
    assert about["attribution_formula"] == scene.attribution.formula
    assert about["attribution_unit"] == scene.attribution.unit
    assert about["attribution_target"] == scene.attribution.target.token
    assert about["text"] == scene.text
    assert about["model"] == scene.model.name
    assert about["coverage_share"] == scene.coverage.share
    assert not {"attribution_versus", "attribution_metric"} & about.keys()


def test_awkward_tokens(scenes):
    scene = scenes.make_scene(scenes.AWKWARD, n_edges=600)
    back = assert_round_trip(scene)
    assert back.nodes["L0.P20"]["token"] == "‹1B›[31m"
    assert back.nodes["L0.P5"]["token"] == "\n"
    assert back.nodes["L0.P27"]["token"] == "\u2028"
    assert back.nodes["L0.P7"]["token"] == "</script>"


def test_it_is_xml_that_says_utf_8(scenes):
    written = to_graphml(scenes.make_scene(scenes.AWKWARD))
    assert written.startswith("<?xml version='1.0' encoding='utf-8'?>")
    ElementTree.fromstring(written)
    assert "None" not in written


def test_edges_have_names_of_their_own():
    """Other tools than networkx take an edge's id as its name in the whole file."""
    scene = tiny_scene("gradient")
    edge = scene.edges[0]
    back = read_back(scene)
    name = f"L{edge.layer}.H{edge.head}.P{edge.src}-P{edge.dst}"
    ends = (f"L{edge.layer}.P{edge.src}", f"L{edge.layer + 1}.P{edge.dst}")
    assert back.edges[(*ends, name)]["weight"] == edge.weight


def test_without_matrices(scenes):
    scene = scenes.make_scene(n_layers=2, with_nodes=False, with_flow=False)
    assert_round_trip(scene)
    assert set(to_networkx(scene).nodes[1, 0]) == {"layer", "pos", "token"}


@given(texts=st.lists(st.text(max_size=5), min_size=1, max_size=4), n_layers=st.integers(1, 2))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text(scenes, texts, n_layers):
    wire = scenes.make_wire(texts, n_layers=n_layers, n_heads=2, n_edges=12)
    wire["attribution"]["target"]["token"] = texts[0]
    assert_round_trip(Scene.model_validate(wire))


@given(char=st.characters(exclude_categories=["Cs"]))
@settings(max_examples=200, deadline=None)
def test_any_character(scenes, char):
    assert_round_trip(scenes.make_scene([char, f"a{char}b"], n_layers=1, n_heads=1, n_edges=1))
