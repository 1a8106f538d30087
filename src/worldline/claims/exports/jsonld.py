"""The graph as JSON-LD, in the words of schema.org, PROV-O, CiTO and Discourse Graphs.

Claims are schema.org Claims and verdicts their ClaimReviews; runs are PROV activities that
generated the verdicts; edges are CiTO's where it has a word, and Discourse Graphs' beside them.
What none of them has a word for is said in this project's own, ``urn:worldline:terms:``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from worldline.views.schema.claims import ClaimsEdge, ClaimsNode, ClaimsPicture, ClaimsVerdict

CONTEXT: dict[str, Any] = {
    "schema": "https://schema.org/",
    "prov": "http://www.w3.org/ns/prov#",
    "cito": "http://purl.org/spar/cito/",
    "dgc": "https://discoursegraphs.com/schema/dg_core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "claims": "urn:worldline:claims:",
    "terms": "urn:worldline:terms:",
    "schema:url": {"@type": "xsd:anyURI"},
    "schema:datePublished": {"@type": "xsd:dateTime"},
    "prov:endedAtTime": {"@type": "xsd:dateTime"},
}
SOFTWARE = "claims:worldline"

TYPES: dict[str, tuple[str, ...]] = {
    "paper": ("schema:ScholarlyArticle",),
    "thinker": ("schema:Person", "prov:Agent"),
    "framework": ("schema:DefinedTerm",),
    "method": ("schema:DefinedTerm",),
    "concept": ("schema:DefinedTerm",),
    "claim": ("schema:Claim", "dgc:Claim"),
    "question": ("schema:Question", "dgc:Question"),
    "artifact": ("schema:CreativeWork",),
    "experiment": ("prov:Plan", "prov:Entity"),
    "run": ("prov:Activity",),
    "verdict": ("schema:ClaimReview", "prov:Entity", "dgc:Evidence"),
}
"""Besides ``terms:`` and the type's own name."""

FORWARDS: dict[str, tuple[str, ...]] = {
    "cites": ("cito:cites",),
    "introduces": ("terms:introduces",),
    "tests": ("terms:tests",),
    "supports": ("cito:supports", "dgc:supports"),
    "opposes": ("cito:disputes", "dgc:opposes"),
    "qualifies": ("cito:qualifies",),
    "answers": ("dgc:addresses",),
    "uses": ("terms:uses",),
}
BACKWARDS: dict[str, tuple[str, ...]] = {
    "authored": ("schema:author",),
    "states": ("schema:appearance",),
}
"""Edges that these vocabularies say from their end."""


def claims_jsonld(picture: ClaimsPicture) -> str:
    """Write the whole picture as one JSON-LD document; whatever it refers to stands in it."""
    verdicts = {f"verdict-{verdict.run}": verdict for verdict in picture.verdicts}
    nodes_by_id = {node.id: _node(node) for node in picture.nodes}
    for edge in picture.edges:
        _add_edge(nodes_by_id, edge)
    for node in picture.nodes:
        if node.id in verdicts:
            nodes_by_id[node.id] |= _review(verdicts[node.id])
    for verdict in picture.verdicts:
        if verdict.run:
            nodes_by_id[verdict.claim]["terms:metric"] = verdict.metric
            nodes_by_id[f"run-{verdict.run}"] |= _activity(verdict)
        else:
            nodes_by_id[verdict.claim]["terms:untestable"] = verdict.reason
    software = {
        "@id": SOFTWARE,
        "@type": ["schema:SoftwareApplication", "prov:SoftwareAgent"],
        "schema:name": "worldline",
    }
    document = {"@context": CONTEXT, "@graph": [software, *nodes_by_id.values()]}
    return json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def identifier(node: str) -> str:
    """The name of a node in the document."""
    return f"claims:{node}"


def _node(node: ClaimsNode) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "@id": identifier(node.id),
        "@type": [*TYPES[node.type], f"terms:{node.type}"],
        "schema:name": node.title,
        "schema:text": node.text,
        "terms:source": node.source,
    }
    return properties if node.url is None else {**properties, "schema:url": node.url}


def _add_edge(nodes_by_id: dict[str, dict[str, Any]], edge: ClaimsEdge) -> None:
    if edge.type == "generated":
        _add_generation(nodes_by_id, edge)
    elif edge.type in BACKWARDS:
        _refer(nodes_by_id[edge.target], BACKWARDS[edge.type], edge.source)
    else:
        _refer(nodes_by_id[edge.source], FORWARDS[edge.type], edge.target)


def _add_generation(nodes_by_id: dict[str, dict[str, Any]], edge: ClaimsEdge) -> None:
    """A run generated a verdict; of an experiment, a run is the activity that used it."""
    if "prov:Activity" in nodes_by_id[edge.source]["@type"]:
        _refer(nodes_by_id[edge.source], ("prov:generated",), edge.target)
        _refer(nodes_by_id[edge.target], ("prov:wasGeneratedBy",), edge.source)
    else:
        _refer(nodes_by_id[edge.target], ("prov:used",), edge.source)


def _refer(node: dict[str, Any], terms: Iterable[str], other_id: str) -> None:
    for term in terms:
        node.setdefault(term, []).append({"@id": identifier(other_id)})


def _activity(verdict: ClaimsVerdict) -> dict[str, Any]:
    return {
        "prov:endedAtTime": verdict.date,
        "prov:wasAssociatedWith": {"@id": SOFTWARE},
        "terms:model": verdict.model,
        "terms:weightsHash": verdict.weights_hash,
        "terms:seed": verdict.seed,
        "terms:quick": verdict.quick,
        "terms:command": verdict.command,
    }


def _review(verdict: ClaimsVerdict) -> dict[str, Any]:
    measured_value = {
        "@type": "schema:PropertyValue",
        "schema:name": verdict.metric,
        "schema:value": verdict.value,
        "schema:minValue": verdict.low,
        "schema:maxValue": verdict.high,
        "schema:unitText": verdict.unit,
    }
    properties: dict[str, Any] = {
        "schema:itemReviewed": {"@id": identifier(verdict.claim)},
        "schema:author": {"@id": SOFTWARE},
        "schema:datePublished": verdict.date,
        "schema:reviewRating": {"@type": "schema:Rating", "schema:alternateName": verdict.verdict},
        "schema:reviewBody": " ".join((f"{verdict.reason}.", *verdict.says)),
        "terms:measured": {
            key: value for key, value in measured_value.items() if value is not None
        },
        "terms:n": verdict.n,
        "terms:counts": verdict.counts,
    }
    for name in ("support", "refute", "stale"):
        if (value := getattr(verdict, name)) is not None:
            properties[f"terms:{name}"] = value
    return properties
