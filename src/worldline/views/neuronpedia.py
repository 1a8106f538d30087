"""A Scene as an attribution graph in the JSON format that neuronpedia.org displays.

The format was read from ``apps/webapp/app/api/graph/graph-schema.json`` of the repository
hijohnnylin/neuronpedia (version 1.0.0, Apache-2.0), what its page demands beyond the schema from
``apps/webapp``, and the names of nodes from circuit-tracer's ``graph_models.py``.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from worldline.errors import InputError
from worldline.views.graph_exports import asked_of, skips
from worldline.views.labels import percent, visible_text
from worldline.views.schema.scene import Scene, SceneEdge, ScenePrediction

LARGEST_BYTES = 100 * 1024 * 1024
"""What neuronpedia.org accepts as an upload."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_IN_A_SLUG = re.compile("[^A-Za-z0-9_-]+")
_SLUG_LENGTH = 60


def to_neuronpedia(scene: Scene, *, scan: str | None = None, slug: str | None = None) -> str:
    """Give the attribution-graph JSON of a Scene, as text.

    Nodes are states of the residual stream, not features: ``feature`` is null but for the logits
    and embeddings, as the format has them. Row 0 are the embeddings, row ``l`` is layer ``l``, the
    predictions are the logits above row L. There are all embeddings, all listed predictions, the
    last column's top state, and every state that a link touches. ``activation`` and
    ``influence`` are null: a Scene has neither. ``norm`` is ours: the Euclidean norm of the state.

    A link is all that the Scene's edges read from one state into another in one block: the weights
    of the heads are summed, and ``heads`` lists each. **What a weight means** is not what the
    format's own graphs mean by it: by gradient and frozen it is what the *target* owes to the
    read, by contribution the share of the state it is written into; ``metadata.info.description``
    and ``metadata.generation_settings`` say which. What stays in its column is linked (``kind``
    "skip") only by contribution, and nothing is linked to the logits: for those a Scene has no
    number.

    ``scan`` is the model's id on Neuronpedia (default: the model's name), ``slug`` the graph's.
    Both hold letters, digits, _ and - only. In labels and tokens, controls are shown by name, and
    < > as ‹ ›, because the page sets labels as HTML; ``prompt`` is exact.

    Raises:
        InputError: the file would be over 100 MB, or ``scan`` or ``slug`` holds something else.
    """
    settings = asked_of(scene)
    links = _links(scene)
    content = json.dumps(
        {
            "metadata": {
                "slug": _check_slug("slug", slug) or _slug(scene),
                "scan": _check_slug("scan", scan) or _scan(scene.model.name),
                "prompt_tokens": [_label_text(token.text) for token in scene.tokens],
                "prompt": scene.text,
                "info": _info(scene),
                "generation_settings": settings,
                "pruning_settings": scene.coverage.model_dump(),
            },
            "qParams": {
                "pinnedIds": [],
                "supernodes": [],
                "linkType": "both",
                "clickedId": "",
                "sg_pos": "",
            },
            "nodes": _nodes(scene, links),
            "links": links,
        },
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
    )
    size = len(content.encode("utf-8"))
    if size > LARGEST_BYTES:
        raise InputError(
            f"the Neuronpedia graph would have {size:,} bytes with {len(links):,} links; "
            f"neuronpedia.org accepts at most {LARGEST_BYTES:,}: keep fewer edges"
        )
    return content


def _check_slug(name: str, value: str | None) -> str | None:
    if value is not None and (not value or _NOT_IN_A_SLUG.search(value)):
        raise InputError(f"{name} {value!r}: accepted are letters, digits, _ and -")
    return value


def _scan(name: str) -> str:
    """A model's name as an id: an owner and a name joined, of a path only its last part."""
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".", "..", "~")]
    is_owner_and_name = len(parts) == 2 and name == "/".join(parts)
    return _as_slug("-".join(parts) if is_owner_and_name else parts[-1] if parts else "") or "model"


def _slug(scene: Scene) -> str:
    """A name for the graph: the beginning of the text, and when the picture was made."""
    text_slug, time_slug = (
        _as_slug(scene.text)[:_SLUG_LENGTH].strip("-"),
        _as_slug(scene.created or ""),
    )
    return "-".join(part for part in (text_slug, time_slug) if part) or "graph"


def _as_slug(text: str) -> str:
    return _NOT_IN_A_SLUG.sub("-", text).strip("-")


def _info(scene: Scene) -> dict[str, Any]:
    attribution, coverage = scene.attribution, scene.coverage
    weight_words = {
        "contribution": "the share of the state it is written into",
        "gradient": "what the target owes to that read (not what the upper state does)",
        "frozen": "what all paths through that read give to the target",
    }[attribution.by]
    target = f" Target: {visible_text(attribution.target.token)}." if attribution.target else ""
    if attribution.target and attribution.versus:
        target = f"{target[:-1]} minus {visible_text(attribution.versus.token)}."
    description = (
        "K/V reads of one run between states of the residual stream (no features). The weight of "
        f"a link is {weight_words}, summed over the heads it lists. {attribution.formula}; unit: "
        f"{attribution.unit}; {attribution.exactness}.{target} The {coverage.edges:,} strongest of "
        f"{coverage.of:,} reads are here, {percent(coverage.share)} of the sum of their sizes. "
        + (
            "Skip links are shares too."
            if skips(scene)
            else "What stays in its column has no number here and no link."
        )
        + " Nothing is linked to the logits."
    )
    info: dict[str, Any] = {
        "description": description.replace("<", "‹").replace(">", "›"),
        "generator": {"name": "worldline", "version": scene.versions.get("worldline", "")},
    }
    with suppress(TypeError, ValueError):
        creation_time = datetime.fromisoformat(scene.created or "")
        info["create_time_ms"] = round((creation_time - EPOCH) / timedelta(milliseconds=1))
    return info


def _links(scene: Scene) -> list[dict[str, Any]]:
    together: dict[tuple[int, int, int], list[SceneEdge]] = defaultdict(list)
    for edge in scene.edges:
        together[edge.layer, edge.src, edge.dst].append(edge)
    reads = [
        {
            "source": _id(scene, layer, src),
            "target": _id(scene, layer + 1, dst),
            "weight": math.fsum(edge.weight for edge in edges),
            "kind": "kv",
            "layer": layer,
            "heads": [
                {"head": edge.head, "weight": edge.weight, "saturated": edge.saturated}
                for edge in edges
            ],
        }
        for (layer, src, dst), edges in together.items()
    ]
    stays = [
        {
            "source": _id(scene, layer, pos),
            "target": _id(scene, layer + 1, pos),
            "weight": weight,
            "kind": "skip",
            "layer": layer,
        }
        for layer, pos, weight in skips(scene)
    ]
    return reads + stays


def _id(scene: Scene, layer: int, pos: int) -> str:
    return f"E_{scene.tokens[pos].id}_{pos}" if layer == 0 else f"{layer}_resid_{pos}"


def _nodes(scene: Scene, links: list[dict[str, Any]]) -> list[dict[str, Any]]:
    linked_ids = {link[end] for link in links for end in ("source", "target")}
    top = (scene.model.n_layers, len(scene.tokens) - 1)
    states = [
        _state(scene, layer, token.pos)
        for layer in range(scene.model.n_layers + 1)
        for token in scene.tokens
        if layer == 0 or (layer, token.pos) == top or _id(scene, layer, token.pos) in linked_ids
    ]
    return states + (
        [_logit(scene, prediction) for prediction in scene.predictions] if scene.tokens else []
    )


def _state(scene: Scene, layer: int, pos: int) -> dict[str, Any]:
    """One state of the residual stream; those of row 0 are the format's embeddings."""
    token, lens_words = scene.tokens[pos], ""
    lens = scene.nodes.lens[layer][pos] if scene.nodes and scene.nodes.lens else ()
    if lens:
        lens_words = f", lens: {visible_text(lens[0].token)}"
    node_id = _id(scene, layer, pos)
    return _node(
        node_id,
        feature=pos if layer == 0 else None,
        layer=str(layer) if layer else "E",
        ctx_idx=pos,
        feature_type="residual stream" if layer else "embedding",
        jsNodeId="-".join(node_id.rsplit("_", 1)),
        clerp=_label_text(f"{visible_text(token.text)} at row {layer}{lens_words}"),
        norm=scene.nodes.norm[layer][pos] if scene.nodes else None,
    )


def _logit(scene: Scene, prediction: ScenePrediction) -> dict[str, Any]:
    """One listed prediction. The page reads its probability from the label's "(p="."""
    row, pos, chance = scene.model.n_layers + 1, len(scene.tokens) - 1, math.exp(prediction.logprob)
    target = scene.attribution.target
    token_words = _label_text(prediction.token).replace("(p=", "(p =")
    return _node(
        f"{row}_{prediction.id}_{pos}",
        feature=prediction.id,
        layer=str(row),
        ctx_idx=pos,
        feature_type="logit",
        jsNodeId=f"L_{prediction.id}-{pos}",
        clerp=f'Output "{token_words}" (p={chance:.3f})',
        token_prob=chance,
        is_target_logit=target is not None and target.id == prediction.id,
    )


def _node(node_id: str, **fields: Any) -> dict[str, Any]:
    """A node with every field that circuit-tracer's graphs have."""
    common = {
        "token_prob": 0.0,
        "is_target_logit": False,
        "run_idx": 0,
        "reverse_ctx_idx": 0,
        "influence": None,
        "activation": None,
    }
    return {"node_id": node_id} | common | fields


def _label_text(text: str) -> str:
    """A token as a label: spaces stay, controls are shown, and nothing can be an HTML tag."""
    label = " ".join(visible_text(part) if part else "" for part in text.split(" "))
    return label.replace("<", "‹").replace(">", "›")
