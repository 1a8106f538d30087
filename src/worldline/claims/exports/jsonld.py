"""The graph as JSON-LD, in the words of schema.org, PROV-O, CiTO and Discourse Graphs.

Claims are schema.org Claims and verdicts their ClaimReviews; runs are PROV activities that
generated the verdicts; edges are CiTO's where it has a word, and Discourse Graphs' beside them.
What none of them has a word for is said in this project's own, ``urn:worldline:terms:``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from worldline.views.claims_parts import ClaimsEdge, ClaimsNode, ClaimsPicture, ClaimsVerdict

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


def _add_edge(said: dict[str, dict[str, Any]], edge: ClaimsEdge) -> None:
    if edge.type == "generated":
        _generated(said, edge)
    elif edge.type in BACKWARDS:
        _refer(said[edge.target], BACKWARDS[edge.type], edge.source)
    else:
        _refer(said[edge.source], FORWARDS[edge.type], edge.target)


def _generated(said: dict[str, dict[str, Any]], edge: ClaimsEdge) -> None:
    """A run generated a verdict; of an experiment, a run is the activity that used it."""
    if "prov:Activity" in said[edge.source]["@type"]:
        _refer(said[edge.source], ("prov:generated",), edge.target)
        _refer(said[edge.target], ("prov:wasGeneratedBy",), edge.source)
    else:
        _refer(said[edge.target], ("prov:used",), edge.source)


def _refer(node: dict[str, Any], terms: Iterable[str], other: str) -> None:
    for term in terms:
        node.setdefault(term, []).append({"@id": identifier(other)})


def _activity(one: ClaimsVerdict) -> dict[str, Any]:
    return {
        "prov:endedAtTime": one.date,
        "prov:wasAssociatedWith": {"@id": SOFTWARE},
        "terms:model": one.model,
        "terms:weightsHash": one.weights_hash,
        "terms:seed": one.seed,
        "terms:quick": one.quick,
        "terms:command": one.command,
    }


def _review(one: ClaimsVerdict) -> dict[str, Any]:
    measured_value = {
        "@type": "schema:PropertyValue",
        "schema:name": one.metric,
        "schema:value": one.value,
        "schema:minValue": one.low,
        "schema:maxValue": one.high,
        "schema:unitText": one.unit,
    }
    properties: dict[str, Any] = {
        "schema:itemReviewed": {"@id": identifier(one.claim)},
        "schema:author": {"@id": SOFTWARE},
        "schema:datePublished": one.date,
        "schema:reviewRating": {"@type": "schema:Rating", "schema:alternateName": one.verdict},
        "schema:reviewBody": " ".join((f"{one.reason}.", *one.says)),
        "terms:measured": {
            key: value for key, value in measured_value.items() if value is not None
        },
        "terms:n": one.n,
        "terms:counts": one.counts,
    }
    for name in ("support", "refute", "stale"):
        if (value := getattr(one, name)) is not None:
            properties[f"terms:{name}"] = value
    return properties
