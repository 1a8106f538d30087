"""A Scene as a graph: a networkx MultiDiGraph, and GraphML for every tool that reads it."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from worldline.views.frames import node_rows
from worldline.views.optional_packages import import_package
from worldline.views.schema.scene import Scene

if TYPE_CHECKING:
    import networkx as nx

# XML 1.0 holds none of these; a carriage return it holds, but reads back as a newline.
_NOT_IN_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_networkx(scene: Scene) -> nx.MultiDiGraph:
    """Give every node of the run, ``(layer, pos)``, and the edges that the Scene lists.

    Nodes hold the columns of the table "nodes" (``worldline.views.frames.COLUMNS``), as far as
    the Scene knows them. An edge goes from ``(layer, src)`` to ``(layer + 1, dst)``; its key is
    its head, its attributes ``weight``, ``layer``, ``head``, ``saturated`` and ``kind="kv"``. By
    contribution, where the shares are known, ``kind="skip"`` edges (key ``"skip"``) join
    ``(layer, pos)`` to ``(layer + 1, pos)``: their weights are shares too. By other methods a
    Scene has no number for what stays in a column, and no such edge is made up. Graph attributes
    say what a weight means (``attribution_formula``, ``attribution_unit``, ...) and how much of the
    flow the edges hold.

    Raises:
        InputError: networkx is not installed.
    """
    graph = import_package("networkx").MultiDiGraph(**_about(scene))
    graph.add_nodes_from(((row["layer"], row["pos"]), row) for row in node_rows(scene))
    for edge in scene.edges:
        graph.add_edge(
            (edge.layer, edge.src),
            (edge.layer + 1, edge.dst),
            key=edge.head,
            weight=edge.weight,
            layer=edge.layer,
            head=edge.head,
            kind="kv",
            saturated=edge.saturated,
        )
    for layer, pos, weight in skips(scene):
        ends = ((layer, pos), (layer + 1, pos))
        graph.add_edge(*ends, key="skip", weight=weight, layer=layer, kind="skip")
    return graph


def to_graphml(scene: Scene) -> str:
    """Give the same graph as GraphML: nodes are called ``L3.P5``, edges ``L3.H0.P4-P5``.

    What is unknown is left out. Characters that XML cannot hold are shown by their code in angle
    quotes, as the picture does.

    Raises:
        InputError: networkx is not installed.
    """
    nx, graph = import_package("networkx"), to_networkx(scene)
    xml_graph = nx.MultiDiGraph(**_in_xml(graph.graph))
    for node, attributes in graph.nodes(data=True):
        xml_graph.add_node(_name(node), **_in_xml(attributes))
    for source, target, key, attributes in graph.edges(keys=True, data=True):
        road = f"H{key}" if attributes["kind"] == "kv" else key
        name = f"L{attributes['layer']}.{road}.P{source[1]}-P{target[1]}"
        xml_graph.add_edge(_name(source), _name(target), key=name, **_in_xml(attributes))
    content = io.BytesIO()
    nx.write_graphml_xml(xml_graph, content)
    return content.getvalue().decode("utf-8")


def skips(scene: Scene) -> list[tuple[int, int, float]]:
    """Skip connections, as (layer, pos, share of node (layer + 1, pos)).

    Only where it is of the same kind as the edges' weights: attributed by contribution, with the
    plain inner product in which every Scene's shares are given. Otherwise empty.
    """
    shares = scene.nodes.shares if scene.nodes is not None else None
    method = scene.attribution.by, scene.attribution.metric
    if shares is None or method != ("contribution", "identity"):
        return []
    return [
        (layer, pos, weight)
        for layer, row in enumerate(shares.skip)
        for pos, weight in enumerate(row)
    ]


def asked_of(scene: Scene) -> dict[str, str]:
    """What a weight of this Scene means, in words and without what does not apply."""
    attribution = scene.attribution
    attribution_fields = {
        "by": attribution.by,
        "target": attribution.target and attribution.target.token,
        "versus": attribution.versus and attribution.versus.token,
        "how": attribution.how,
        "metric": attribution.metric,
        "formula": attribution.formula,
        "unit": attribution.unit,
        "exactness": attribution.exactness,
    }
    return {name: value for name, value in attribution_fields.items() if value is not None}


def _about(scene: Scene) -> dict[str, Any]:
    """The attributes of the whole graph."""
    return {
        "title": scene.title,
        "text": scene.text,
        "model": scene.model.name,
        "weights_hash": scene.model.weights_hash,
        "worldline": scene.versions.get("worldline", ""),
        **{f"attribution_{name}": value for name, value in asked_of(scene).items()},
        "coverage_edges": scene.coverage.edges,
        "coverage_of": scene.coverage.of,
        "coverage_share": scene.coverage.share,
    }


def _name(node: tuple[int, int]) -> str:
    return f"L{node[0]}.P{node[1]}"


def _in_xml(attributes: dict[str, Any]) -> dict[str, Any]:
    """The same attributes, with texts that XML can hold and give back."""
    return {
        name: _NOT_IN_XML.sub(lambda found: f"‹{ord(found[0]):02X}›", value)
        if isinstance(value, str)
        else value
        for name, value in attributes.items()
    }
