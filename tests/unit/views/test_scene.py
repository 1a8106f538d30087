import json
import runpy
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from worldline.views.schema.json_schemas import schema_of
from worldline.views.schema.scene import Scene


def test_the_committed_schemas_are_those_the_models_give():
    script = Path(__file__).parents[3] / "web" / "scripts" / "schemas.py"
    schemas = runpy.run_path(str(script))["SCHEMAS"]
    names = sorted(path.name.removesuffix(".schema.json") for path in schemas)
    assert names == ["claims", "question", "scene"]
    for path, schema in schemas.items():
        assert path.read_text(encoding="utf-8") == schema


def test_what_is_written_fits_the_schema_and_comes_back_equal(scenes):
    scene = scenes.make_scene(scenes.AWKWARD)
    wire = json.loads(scene.to_json())
    jsonschema.Draft202012Validator(schema_of(Scene)).validate(wire)
    assert wire["schema"] == "worldline.scene/2"
    assert Scene.model_validate_json(scene.to_json()) == scene


def test_every_field_is_required_on_the_wire():
    schema = schema_of(Scene)
    for name, part in [("Scene", schema), *schema["$defs"].items()]:
        assert set(part["required"]) == set(part["properties"]), name
        assert part["additionalProperties"] is False, name


def _changed(wire, path, value):
    *way, last = path
    part = wire
    for step in way:
        part = part[step]
    part[last] = value
    return wire


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("edges", 0, "src"), 5, "earlier column"),
        (("edges", 0, "layer"), 30, "lies outside"),
        (("edges", 3, "weight"), 99.0, "stronger than the edge before it"),
        (("coverage", "edges"), 3, "coverage.edges is 3"),
        (("tokens", 2, "pos"), 9, r"tokens\[2\] has pos 9"),
        (("nodes", "norm"), [[1.0]], "nodes.norm has 1 rows"),
        (("flow", "in_positive"), [], "flow.in_positive has 0 rows"),
        (("edges", 0, "weight"), float("nan"), "finite"),
        (("model", "colour"), "blue", "Extra inputs"),
        (("schema",), "worldline.scene/1", "worldline.scene/2"),
    ],
)
def test_a_scene_that_does_not_fit_together_is_refused(scenes, path, value, says):
    with pytest.raises(ValidationError, match=says):
        Scene.model_validate(_changed(scenes.make_wire(), path, value))


def test_a_scene_cannot_be_changed(scenes):
    scene = scenes.make_scene()
    with pytest.raises(ValidationError):
        scene.title = "other"


def _grouped(scenes):
    texts = scenes.words(12)
    return scenes.make_wire(texts, groups={"words": scenes.in_groups(12, 3)}, n_edges=40)


def test_groupings_come_back_equal(scenes):
    scene = Scene.model_validate(_grouped(scenes))
    (grouping,) = scene.groupings
    assert len(grouping.spans) == 5
    jsonschema.Draft202012Validator(schema_of(Scene)).validate(json.loads(scene.to_json()))
    assert Scene.model_validate_json(scene.to_json()) == scene


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("group_of", 3), 3, "words: not 5 runs of neighbours that cover 12 tokens"),
        (("group_of",), [0, 1], "words: not 5 runs"),
        (("spans", 0, "end"), 999, "not a name and a span inside the text"),
        (("names",), [None], "not a name and a span inside the text"),
        (("edges", 0, "src"), 4, r"words.edges\[0\] .* lies outside 5 groups"),
        (("edges", 0, "layer"), 30, "lies outside"),
        (("edges", 1, "positive"), 99.0, "stronger than the one before"),
        (("edges", 0, "negative"), 0.5, "less than or equal to 0"),
        (("coverage", "edges"), 3, "words.coverage.edges is 3, not 40"),
        (("flow", "out_negative"), [[0.0]], "words.flow.out_negative is not 30 x 5"),
        (("name",), "letters", "words"),
    ],
)
def test_a_grouping_that_does_not_fit_is_refused(scenes, path, value, says):
    wire = _grouped(scenes)
    _changed(wire["groupings"][0], path, value)
    with pytest.raises(ValidationError, match=says):
        Scene.model_validate(wire)


def test_a_row_of_the_lens_may_be_left_out_but_not_be_short(scenes):
    wire = scenes.make_wire()
    wire["nodes"]["lens"][3] = []
    assert Scene.model_validate(wire).nodes.lens[3] == ()
    wire["nodes"]["lens"][3] = [[]]
    with pytest.raises(ValidationError, match=r"nodes.lens has 31 rows of \[1, 6\]"):
        Scene.model_validate(wire)
