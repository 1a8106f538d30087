import json

import jsonschema
import pytest
from pydantic import ValidationError

from worldline.views.scene import SCHEMA_PATH, Scene, scene_schema, write_scene_schema


def test_the_committed_schema_is_the_one_the_models_give(tmp_path):
    written = write_scene_schema(tmp_path / "scene.schema.json")
    assert written.read_text(encoding="utf-8") == SCHEMA_PATH.read_text(encoding="utf-8")


def test_what_is_written_fits_the_schema_and_comes_back_equal(scenes):
    scene = scenes.make_scene(scenes.AWKWARD)
    wire = json.loads(scene.to_json())
    jsonschema.Draft202012Validator(scene_schema()).validate(wire)
    assert wire["schema"] == "worldline.scene/1"
    assert Scene.model_validate_json(scene.to_json()) == scene


def test_every_field_is_required_on_the_wire():
    schema = scene_schema()
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
        (("kept", "edges"), 3, "kept.edges is 3"),
        (("tokens", 2, "pos"), 9, r"tokens\[2\] has pos 9"),
        (("nodes", "norm"), [[1.0]], "nodes.norm has 1 rows"),
        (("flow", "in_positive"), [], "flow.in_positive has 0 rows"),
        (("edges", 0, "weight"), float("nan"), "finite"),
        (("model", "colour"), "blue", "Extra inputs"),
        (("schema",), "worldline.scene/2", "worldline.scene/1"),
    ],
)
def test_a_scene_that_does_not_fit_together_is_refused(scenes, path, value, says):
    with pytest.raises(ValidationError, match=says):
        Scene.model_validate(_changed(scenes.make_wire(), path, value))


def test_a_scene_cannot_be_changed(scenes):
    scene = scenes.make_scene()
    with pytest.raises(ValidationError):
        scene.title = "other"
