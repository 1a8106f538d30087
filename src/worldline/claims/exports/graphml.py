"""The graph as GraphML, for every tool that reads it."""

from __future__ import annotations

import io
from typing import Any

from worldline.views.labels import readable_text
from worldline.views.optional_packages import import_package
from worldline.views.schema.claims import ClaimsPicture, ClaimsVerdict


def claims_graphml(picture: ClaimsPicture) -> str:
    """Write nodes with what they say, claims with the verdict shown on them, and typed edges.

    What is unknown is left out. Characters that XML cannot hold are shown by their code in angle
    quotes.

    Raises:
        InputError: networkx is not installed.
    """
    nx = import_package("networkx")
    graph = nx.MultiDiGraph(model=readable_text(picture.model))
    first: dict[str, ClaimsVerdict] = {}
    for verdict in picture.verdicts:
        first.setdefault(verdict.claim, verdict)
    for node in picture.nodes:
        attributes = node.model_dump(exclude={"id"})
        if node.id in first:
            attributes |= _of_verdict(first[node.id])
        graph.add_node(node.id, **_in_xml(attributes))
    for edge in picture.edges:
        graph.add_edge(edge.source, edge.target, key=edge.type, type=edge.type)
    content = io.BytesIO()
    nx.write_graphml_xml(graph, content)
    return content.getvalue().decode("utf-8")


def _of_verdict(verdict: ClaimsVerdict) -> dict[str, Any]:
    attributes = verdict.model_dump(
        include={"verdict", "quick", "stale", "metric", "unit", "value", "low", "high", "support",
                 "refute", "n", "reason", "seed", "run", "date"}
    )  # fmt: skip
    return {**attributes, "says": " ".join(verdict.says)}


def _in_xml(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        name: readable_text(value) if isinstance(value, str) else value
        for name, value in attributes.items()
        if value is not None
    }
