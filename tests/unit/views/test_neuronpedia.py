"""The attribution-graph JSON: fits the published structure, and what the page does with it."""

import json
import math
import re
from collections import defaultdict
from datetime import datetime

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiny_scenes import tiny_scene
from worldline.errors import InputError
from worldline.views import neuronpedia
from worldline.views.neuronpedia import to_neuronpedia
from worldline.views.schema.scene import Scene

TEXT, NUMBER, WHOLE = {"type": "string"}, {"type": "number"}, {"type": "integer"}
NUMBER_OR_NOT = {"type": ["number", "null"]}
TEXTS = {"type": "array", "items": TEXT}


def _object(required, optional=None):
    properties = required | (optional or {})
    return {"type": "object", "required": list(required), "properties": properties}


# What Neuronpedia's schema demands and constrains, written anew from reading
# apps/webapp/app/api/graph/graph-schema.json (hijohnnylin/neuronpedia, Apache-2.0, version 1.0.0,
# commit b8efe843): the same required fields and types, none of its words.
PUBLISHED = _object(
    {
        "metadata": _object(
            {"slug": TEXT, "scan": TEXT, "prompt_tokens": TEXTS, "prompt": TEXT},
            {
                "feature_details": _object(
                    {},
                    {
                        "feature_json_base_url": TEXT,
                        "neuronpedia_source_set": TEXT,
                        "neuronpedia_lorsa_source_set": TEXT,
                    },
                ),
                "node_threshold": NUMBER,
                "info": _object(
                    {},
                    {
                        "description": TEXT,
                        "creator_name": TEXT,
                        "creator_url": TEXT,
                        "source_urls": {"type": "array"},
                        "generator": _object(
                            {}, {"name": TEXT, "version": TEXT, "url": TEXT, "email": TEXT}
                        ),
                        "create_time_ms": NUMBER,
                    },
                ),
                "generation_settings": _object(
                    {},
                    {
                        "max_n_logits": WHOLE,
                        "desired_logit_prob": NUMBER,
                        "batch_size": WHOLE,
                        "max_feature_nodes": WHOLE,
                    },
                ),
                "pruning_settings": _object(
                    {}, {"node_threshold": NUMBER, "edge_threshold": NUMBER}
                ),
            },
        ),
        "qParams": _object(
            {},
            {
                "pinnedIds": TEXTS,
                "supernodes": {"type": "array"},
                "linkType": TEXT,
                "clickedId": TEXT,
                "sg_pos": TEXT,
            },
        ),
        "nodes": {
            "type": "array",
            "items": _object(
                {
                    "node_id": TEXT,
                    "feature": {"type": ["integer", "null"]},
                    "layer": {"type": ["string", "integer"]},
                    "ctx_idx": WHOLE,
                    "feature_type": TEXT,
                    "jsNodeId": TEXT,
                    "clerp": TEXT,
                },
                {"influence": NUMBER_OR_NOT, "activation": NUMBER_OR_NOT},
            ),
        },
        "links": {
            "type": "array",
            "items": _object({"source": TEXT, "target": TEXT, "weight": NUMBER}),
        },
    }
)
EVERY_FIELD = {
    "node_id", "feature", "layer", "ctx_idx", "feature_type", "token_prob", "is_target_logit",
    "run_idx", "reverse_ctx_idx", "jsNodeId", "clerp", "influence", "activation",
}  # fmt: skip


def checked(scene: Scene, **options) -> dict:
    """The graph, after everything that the schema, the upload and the page ask of it."""
    graph = json.loads(to_neuronpedia(scene, **options))
    jsonschema.Draft7Validator(PUBLISHED).validate(graph)
    for name in ("scan", "slug"):  # the upload refuses others
        assert re.fullmatch("[A-Za-z0-9_-]+", graph["metadata"][name])
    nodes = {node["node_id"]: node for node in graph["nodes"]}
    assert len(nodes) == len(graph["nodes"])
    assert len({node["jsNodeId"] for node in graph["nodes"]}) == len(nodes)
    for node in graph["nodes"]:
        assert node.keys() >= EVERY_FIELD
        assert "error" not in node["feature_type"]  # the page counts those as error nodes
        assert not re.search("[<>]", node["clerp"])  # it sets them as HTML
    # It tells nodes apart by layer, feature and column.
    apart = {(node["layer"], node["feature"], node["ctx_idx"]) for node in graph["nodes"]}
    assert len(apart) == len(nodes)
    layers = [int(n["layer"]) for n in graph["nodes"] if n["layer"] != "E"]
    below = [int(n["layer"]) for n in graph["nodes"] if n["feature_type"] == "residual stream"]
    assert max(below) == scene.model.n_layers  # it puts the logits one above
    assert max(layers) == scene.model.n_layers + 1
    for node in graph["nodes"]:
        if node["feature_type"] == "logit":  # and reads their probability so
            chance = node["clerp"].split("(p=")[1].split(")")[0]
            assert float(chance) == pytest.approx(node["token_prob"], abs=5.1e-4)
    for link in graph["links"]:
        assert {link["source"], link["target"]} <= nodes.keys()
        ends = [nodes[link[end]] for end in ("source", "target")]
        low, high = (0 if end["layer"] == "E" else int(end["layer"]) for end in ends)
        assert (low, high) == (link["layer"], link["layer"] + 1)
    return graph


def summed(scene):
    """What the Scene's edges carry between two nodes."""
    sums = defaultdict(list)
    for edge in scene.edges:
        sums[edge.layer, edge.src, edge.dst].append(edge.weight)
    return {road: math.fsum(weights) for road, weights in sums.items()}


def reads(graph):
    nodes = {node["node_id"]: node for node in graph["nodes"]}
    return {
        (link["layer"], nodes[link["source"]]["ctx_idx"], nodes[link["target"]]["ctx_idx"]): link
        for link in graph["links"]
        if link["kind"] == "kv"
    }


def test_awkward_tokens(scenes):
    scene = scenes.make_scene(scenes.AWKWARD, n_edges=2000)
    graph = checked(scene)
    assert graph["metadata"]["prompt"] == scene.text
    assert graph["metadata"]["prompt_tokens"][3:8] == [" world", "!", "⏎", "⇥", "‹/script›"]
    assert len(graph["metadata"]["prompt_tokens"]) == len(scene.tokens)
    assert sum(node["feature_type"] == "embedding" for node in graph["nodes"]) == len(scene.tokens)


@pytest.mark.parametrize("by", ["gradient", "contribution"])
def test_a_real_run(by):
    scene = tiny_scene(by)
    graph = checked(scene)
    found = {road: link["weight"] for road, link in reads(graph).items()}
    assert found == summed(scene)
    for link in reads(graph).values():
        assert link["weight"] == math.fsum(head["weight"] for head in link["heads"])
    assert sum(len(link["heads"]) for link in reads(graph).values()) == len(scene.edges)
    assert graph["metadata"]["info"]["generator"]["name"] == "worldline"
    assert graph["metadata"]["info"]["generator"]["version"] == scene.versions["worldline"]
    made = datetime.fromisoformat(scene.created).timestamp() * 1000
    assert graph["metadata"]["info"]["create_time_ms"] == made


def test_by_contribution_every_column_is_joined_by_its_skip():
    scene = tiny_scene("contribution")
    graph = checked(scene)
    stays = {(k["layer"], int(k["target"].split("_")[2])): k["weight"] for k in graph["links"]
             if k["kind"] == "skip"}  # fmt: skip
    skip = scene.nodes.shares.skip
    assert stays == {(at, pos): w for at, row in enumerate(skip) for pos, w in enumerate(row)}
    # A link is what the node above is made of: with the rest of it, one.
    shares = scene.nodes.shares
    assert scene.coverage.edges == scene.coverage.of
    for layer in range(scene.model.n_layers):
        for pos in range(len(scene.tokens)):
            read = [k["weight"] for (at, _, dst), k in reads(graph).items()
                    if (at, dst) == (layer, pos)]  # fmt: skip
            rest = [shares.mlp, shares.self_attention, shares.constants]
            parts = [*read, stays[layer, pos], *(m[layer][pos] for m in rest)]
            assert math.fsum(parts) == pytest.approx(1, abs=1e-4)


def test_where_no_number_is_known_nothing_is_linked(scenes):
    wire = scenes.make_wire(by="contribution")
    for metric in ("identity", "variance"):
        wire["attribution"]["metric"] = metric
        graph = checked(Scene.model_validate(wire))
        assert any(k["kind"] == "skip" for k in graph["links"]) is (metric == "identity")
    wire["attribution"]["metric"], wire["nodes"] = "identity", None
    graph = checked(Scene.model_validate(wire))
    assert {k["kind"] for k in graph["links"]} == {"kv"}
    assert "no number here" in graph["metadata"]["info"]["description"]
    logits = {n["node_id"] for n in graph["nodes"] if n["feature_type"] == "logit"}
    assert not logits & {link[end] for link in graph["links"] for end in ("source", "target")}


def test_the_logits_are_the_predictions():
    scene = tiny_scene("gradient")
    graph = checked(scene)
    logits = [node for node in graph["nodes"] if node["feature_type"] == "logit"]
    assert [node["feature"] for node in logits] == [given.id for given in scene.predictions]
    for node, given_ in zip(logits, scene.predictions, strict=True):
        assert node["token_prob"] == pytest.approx(math.exp(given_.logprob))
        assert node["is_target_logit"] is (given_.id == scene.attribution.target.id)


def test_states_say_what_they_are():
    scene = tiny_scene("gradient")
    states = [n for n in checked(scene)["nodes"] if n["feature_type"] == "residual stream"]
    for node in states:
        assert node["feature"] is node["influence"] is node["activation"] is None
        assert node["norm"] == scene.nodes.norm[int(node["layer"])][node["ctx_idx"]]


def test_the_description_says_what_a_weight_is(scenes):
    said = checked(scenes.make_scene())["metadata"]
    for words in ("the target owes", "unit: logit", "Target: ·Paris", "200 strongest", "no link"):
        assert words in said["info"]["description"]
    assert said["generation_settings"]["formula"] == "w = a <v, u>,  u = d logit / d z"
    assert (
        "share of the state"
        in checked(tiny_scene("contribution"))["metadata"]["info"]["description"]
    )
    versus = scenes.make_wire()
    versus["attribution"]["versus"] = {"token": " London", "id": 3}
    graph = checked(Scene.model_validate(versus))
    assert "Target: ·Paris minus ·London." in graph["metadata"]["info"]["description"]


@pytest.mark.parametrize(
    ("name", "scan"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "HuggingFaceTB-SmolLM2-135M-Instruct"),
        ("gpt2", "gpt2"),
        ("/home/someone/models/my model", "my-model"),
        ("./models/tiny.gguf", "tiny-gguf"),
        ("", "model"),
        ("東京", "model"),
    ],
)
def test_the_scan_is_an_id_and_holds_no_folder(scenes, name, scan):
    wire = scenes.make_wire()
    wire["model"]["name"] = name
    assert checked(Scene.model_validate(wire))["metadata"]["scan"] == scan


def test_scan_and_slug_can_be_given(scenes):
    said = checked(scenes.make_scene(), scan="smollm2-135m", slug="capital_1")["metadata"]
    assert (said["scan"], said["slug"]) == ("smollm2-135m", "capital_1")
    for option in ("scan", "slug"):
        for wrong in ("", "a/b", "a b", "ä"):
            with pytest.raises(InputError, match=f"{option} {wrong!r}: accepted are letters"):
                to_neuronpedia(scenes.make_scene(), **{option: wrong})


def test_a_time_that_is_none(scenes):
    for created in (None, "yesterday", "2026-01-02"):
        wire = scenes.make_wire() | {"created": created}
        assert "create_time_ms" not in checked(Scene.model_validate(wire))["metadata"]["info"]


def test_two_thousand_edges_are_far_under_the_limit(scenes):
    scene = scenes.make_scene(scenes.words(200), n_edges=2000)
    assert len(scene.edges) == 2000
    assert len(to_neuronpedia(scene).encode()) < neuronpedia.LARGEST_BYTES / 50


def test_too_large_is_refused_in_words(scenes, monkeypatch):
    scene = scenes.make_scene(scenes.AWKWARD)
    size = len(to_neuronpedia(scene).encode())
    monkeypatch.setattr(neuronpedia, "LARGEST_BYTES", size)
    to_neuronpedia(scene)
    monkeypatch.setattr(neuronpedia, "LARGEST_BYTES", size - 1)
    with pytest.raises(InputError, match=f"would have {size:,} bytes .* at most {size - 1:,}"):
        to_neuronpedia(scene)


@given(
    texts=st.lists(st.text(max_size=6), min_size=1, max_size=5),
    predicted=st.text(max_size=8),
    n_layers=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text(scenes, texts, predicted, n_layers):
    wire = scenes.make_wire(texts, n_layers=n_layers, n_heads=3, n_edges=20)
    wire["predictions"][0]["token"] = predicted + "(p=7)"
    scene = Scene.model_validate(wire)
    graph = checked(scene)
    assert {road: link["weight"] for road, link in reads(graph).items()} == summed(scene)
