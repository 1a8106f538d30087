"""Runs that never happened in the Scene and as text: whole, within the width, nothing hidden."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
from rich.cells import cell_len

from worldline.graph.edits import EdgeCut
from worldline.requests import ConeRequest, CutRequest, HopsRequest, OrdersRequest
from worldline.resolution import under_words
from worldline.views.altered_runs import (
    altered_lines,
    cone_lines,
    cut_lines,
    hops_lines,
    orders_lines,
    sources_lines,
    with_altered,
)
from worldline.views.difference_text import change_words
from worldline.views.html import scene_json
from worldline.views.lattice_text import render_text
from worldline.views.reproduce import recipe_of
from worldline.views.schema.alterations import (
    SceneCone,
    SceneCut,
    SceneHops,
    SceneOrders,
    SceneSources,
)
from worldline.views.schema.json_schemas import schema_of
from worldline.views.schema.parts import ScenePrecision
from worldline.views.schema.recipe import Recipe, RecipeText
from worldline.views.schema.scene import Scene

PIECES = ["·When", " 東京", "\x1b[31m", " e\u0301", " 🚀", "\u202eevil"]
N, LAYERS = 6, 3


def curve(sink):
    return {
        "sink": sink,
        "budgets": [0, 1, 2],
        "loss_nats": [9.0, 6.5, 2.75],
        "hops_needed": [None, 0, 2, None, 1, 2],
        "hops_needed_close": [None, 1, 2, None, 2, 2],
        "state_gain_nats": 3.9,
        "sink_cos": [0.5, None, 0.1],
        "norm_ratio": [8.0, 1.1, 1.0],
    }


def recipes():
    """What made each of them."""
    run = Recipe(
        command="", call="", source="smollm2-135m-instruct", device="cpu", dtype=None,
        text=RecipeText.of("When in"),
    )  # fmt: skip
    edit = EdgeCut("mask", src=(1,), dst=(3,), layers=(1,), heads=(0,))
    cut = CutRequest(from_="1", to="3", layers="1", heads="0", how="mask", target=" a")
    each = CutRequest(each=True, how="mask")
    hops = HopsRequest(max_hops=2, longest=5, sink="both")
    cone = ConeRequest(at="1,1")
    return {
        "sources": recipe_of(run, each, n_tokens=N),
        "hops": recipe_of(run, hops, sinks=("counted", "free")),
        "cut": recipe_of(run, cut, edits=[edit]),
        "cone": recipe_of(run, cone, n_tokens=N),
        "orders": recipe_of(run, OrdersRequest(orders=("cone(2,1)",))),
    }


def parts():
    """One of each, as plain numbers."""
    made = {
        name: {"reproduce": one.reproduce_lines().model_dump()} for name, one in recipes().items()
    }
    return {name: part | made[name] for name, part in numbers().items()}


def numbers():
    relative = [[0.0] * N, [0.0, 1e-2, 0.0, 0.0, 0.0, 0.0], [0.0, 1e-3, 1e-5, 0.0, 1e-4, 0.0]]
    relative.append([0.0, 1e-3, 1e-4, 1e-6, 1e-4, 1e-9])
    found = [{"token": " a\x9b", "id": n, "logprob": -1.0 - n} for n in range(4)]
    return {
        "sources": {
            "how": "mask",
            "target": " a",
            "target_before": -1.0,
            "change_nats": [-0.5, -2.0, 0.25, 0.0, -0.125, 0.0],
            "after": [*([found[0]] * (N - 1)), None],
        },
        "hops": {
            "loss_full_nats": 2.6,
            "curves": [curve("counted"), curve("free")],
            "layers": "all",
            "longest": 5,
            "tail": "the tail is unproven",
        },
        "cut": {
            "words": ["mask: layers 1, heads 0, from 1, to 3"],
            "n_edges": 1,
            "edges": [{"layer": 1, "head": None, "src": 1, "dst": 3}],
            "nodes": [{"layer": 2, "pos": 4}],
            "target": "\u202eevil",
            "target_before": -0.1,
            "target_after": -2.0,
            "change_nats": -1.9,
            "kl_nats": 0.75,
            "before": found,
            "after": found[::-1],
        },
        "cone": {
            "layer": 1,
            "pos": 1,
            "n_directions": 4,
            "step": 0.01,
            "responses": [
                {"through": "both", "relative": relative, "spread": relative},
                {"through": "kv", "relative": [[0.0] * N] * 4, "spread": [[0.0] * N] * 4},
            ],
            "outside_zero": True,
            "derivative_error": 0.02,
            "additivity_error": None,
        },
        "orders": {
            "floor_nats": 1e-5,
            "orders": [
                {
                    "name": "cone(2,1)",
                    "n_slices": 2,
                    "widest": 3,
                    "longest_chain": 2,
                    "blocks": 3,
                    "of_blocks": 18,
                    "seconds": 0.25,
                    "nats": None,
                    "ulp": None,
                    "row_error": 1e-7,
                    "slices": [[0, 0, None, None, None, None], [None, 1, *[None] * 4], [None] * N],
                }
            ],
        },
    }


@pytest.fixture(scope="module")
def scene(scenes):
    made = scenes.make_scene(PIECES, n_layers=LAYERS)
    return with_altered(made, **parts())


def test_it_comes_back_and_fits_the_schema(scene):
    wire = json.loads(scene.to_json())
    jsonschema.Draft202012Validator(schema_of(Scene)).validate(wire)
    assert Scene.model_validate(wire) == scene
    assert wire["altered"]["hops"]["curves"][0]["hops_needed"] == [None, 0, 2, None, 1, 2]
    only = with_altered(scene, cut=parts()["cut"] | {"kl_nats": 0.5})
    assert only.altered.cut.kl_nats == 0.5
    assert only.altered.hops == scene.altered.hops


@pytest.mark.parametrize("part", ["cone", "orders"])
def test_matrices_must_fit_the_lattice(scene, part):
    damaged = parts()[part]
    if part == "cone":
        damaged["responses"][0]["relative"] = [[0.0] * N]
    else:
        damaged["orders"][0]["slices"] = [[None] * 5] * LAYERS
    with pytest.raises(ValueError, match="expected"):
        with_altered(scene, **{part: damaged})


@pytest.mark.parametrize("width", [40, 60, 100])
def test_text_within_the_width_and_nothing_that_moves_a_cursor(scene, width):
    altered = scene.altered
    lines = [
        *hops_lines(altered.hops, PIECES, width),
        *cut_lines(altered.cut, width),
        *cone_lines(altered.cone, PIECES, width),
        *orders_lines(altered.orders, width),
    ]
    for line in lines:
        assert cell_len(line) <= width
        assert not any(char in line for char in "\x1b\x9b\u202e\n")


def test_what_the_lines_say(scene):
    altered = scene.altered
    hops = "\n".join(hops_lines(altered.hops, PIECES, 100))
    assert "   2       2.750       2.750" in hops
    assert "·東京[0]" in hops
    assert "·🚀[1]" in hops
    assert "·e\u0301[–]" in hops
    assert "no hop over more than 5 positions" in hops
    assert "3.90 nats" in hops
    assert "norm of a node over the plain run's, by budget: 8.0 1.1 1.0" in hops
    assert "mean cosine of V with column 0's, by budget: 0.50 – 0.10" in hops
    cut = "\n".join(cut_lines(altered.cut, 100))
    assert "-0.100 to -2.000 nats, change -1.90 nats" in cut
    assert "   37 % ·a‹9B›" in cut
    cone = cone_lines(altered.cone, PIECES, 100)
    assert "   1 | @    |" in cone
    assert "   0 |      |" in cone  # exactly zero is blank
    assert any(line.startswith("   3 | ") and line.count(" ") < 12 for line in cone)
    assert "nothing changes" in "\n".join(cone)
    assert "outside the cone: bitwise zero" in cone
    orders = "\n".join(orders_lines(altered.orders, 100))
    assert "cone(2,1)" in orders
    assert "3 of 18" in orders
    assert "–" in orders


@pytest.mark.parametrize("width", [40, 60, 100])
def test_any_sentence_is_folded_and_any_word_cut(width):
    hops, cut = parts()["hops"], parts()["cut"]
    hops["tail"] = "unbroken" * 30
    cut["words"] = ["words " * 40, "\x1b[2J\u2028 東京" * 20]
    long = ["supercalifragilistic" * 8, *["東京" * 30] * (N - 1)]
    lines = [
        *hops_lines(SceneHops.model_validate(hops), long, width),
        *cut_lines(SceneCut.model_validate(cut), width),
    ]
    assert max(cell_len(line) for line in lines) <= width
    assert not any(char in line for line in lines for char in "\x1b\u2028")
    assert sum(line.count("words") for line in lines) == 40  # folded, not cut off
    assert sum(line.endswith(("[0]", "[1]", "[2]", "[–]")) for line in lines) == 2 * N


def test_colour_only_adds_escapes_and_grows_with_the_hops(scene):
    plain = hops_lines(scene.altered.hops, PIECES, 60)
    coloured = hops_lines(scene.altered.hops, PIECES, 60, color=True)
    assert [re.sub("\x1b\\[[0-9;]*m", "", line) for line in coloured] == plain
    (line,) = {line for line in coloured if "東京" in line}
    shades = dict(re.findall("48;5;([0-9]+)m[^\x1b]*\\[([012])\\]", line))
    assert len(shades) == 3
    assert "m·e" not in line  # more than the largest budget: no shade


def test_it_stands_in_the_text_of_the_scene(scene):
    plain = render_text(scene, width=60, color=False)
    assert "left out: " not in plain
    for words in ("At most h hops", "KL(before || after)", "through both", "cone(2,1)"):
        assert words in plain
    assert not any(char in plain for char in "\x1b\x9b\u202e")
    assert "48;5;208m" in render_text(scene, width=60, color=True)
    assert "At most h hops" not in render_text(
        scene.model_copy(update={"altered": None}), width=60, color=False
    )


def test_where_there_is_no_room_a_character_is_the_largest_of_several():
    relative = [[0.0] * 90 for _ in range(70)]
    relative[3][88], relative[69][0] = 1.0, 1e-4
    response = {"through": "kv", "relative": relative, "spread": relative}
    part = SceneCone.model_validate(parts()["cone"] | {"responses": [response]})
    lines = cone_lines(part, ["x"] * 90, 40)
    rows = [line for line in lines if line.endswith("|")]
    assert len(rows) == 24
    assert max(cell_len(line) for line in lines) <= 40
    assert rows[0].startswith("  69 |+")
    assert rows[-2] == f"   3 |{' ' * 29}@|"
    assert rows[-1].strip() == f"0 |{' ' * 30}|"
    words = " ".join(lines)
    assert "the largest of 3 rows x 3 columns" in words


def test_numbers_far_apart_and_parts_that_are_missing_degrade():
    relative = [[1e10, 5e-324, 0.0]]
    response = {"through": "both", "relative": relative, "spread": relative}
    part = SceneCone.model_validate(parts()["cone"] | {"responses": [response]})
    assert "   0 |@. |" in cone_lines(part, PIECES, 60)
    order = parts()["orders"]["orders"][0] | {"nats": 2e-6, "ulp": None}
    some = SceneOrders.model_validate({"floor_nats": 0.0, "orders": [order]})
    for width in (40, 100):
        assert "2.0e-06" in " ".join(orders_lines(some, width))
    cut = SceneCut.model_validate(parts()["cut"] | {"after": []})
    assert sum("·a‹9B›" in line for line in cut_lines(cut, 60)) == 4


def test_a_state_gain_below_zero_is_explained():
    hops = parts()["hops"]
    for gain in (3.9, -0.4):
        curves = [curve("free") | {"state_gain_nats": gain}]
        part = SceneHops.model_validate(hops | {"curves": curves})
        assert ("below 0" in " ".join(hops_lines(part, PIECES, 100))) == (gain < 0)


def test_no_part_no_lines(scenes):
    made = with_altered(scenes.make_scene(PIECES, n_layers=LAYERS))
    assert altered_lines(made.altered, PIECES, 60) == []


@pytest.mark.parametrize(
    ("part", "change", "says"),
    [
        ("hops", {"curves": []}, "expected one or two"),
        ("hops", {"curves": [curve("free"), curve("free")]}, "expected one or two"),
        ("hops", {"curves": [curve("free") | {"loss_nats": [1.0]}]}, "1 for 3 budgets"),
        ("hops", {"curves": [curve("free") | {"hops_needed": [None]}]}, "expected 6"),
        ("cut", {"edges": [{"layer": 3, "head": 0, "src": 0, "dst": 1}]}, "does not fit"),
        ("cut", {"edges": [{"layer": 1, "head": 0, "src": 4, "dst": 4}]}, "does not fit"),
        ("cut", {"edges": [{"layer": 1, "head": 0, "src": 0, "dst": 1}] * 2001}, "at most 2000"),
        ("cut", {"nodes": [{"layer": 0, "pos": 6}]}, "does not fit"),
        ("cone", {"layer": 4}, "does not fit"),
    ],
)
def test_a_part_that_does_not_fit_the_scene_is_refused(scene, part, change, says):
    with pytest.raises(ValueError, match=says):
        with_altered(scene, **{part: parts()[part] | change})


def test_the_page_holds_the_cone_in_few_digits(scene):
    cone = parts()["cone"]
    cone["responses"][0]["relative"][1][1] = 0.123456789
    wire = json.loads(scene_json(with_altered(scene, cone=cone)))["altered"]
    assert wire["cone"]["responses"][0]["relative"][1][1] == 0.123457
    assert wire["cone"]["responses"][0]["relative"][0][0] == 0.0


def test_what_a_token_is_worth_is_told_as_a_loss_as_on_the_page():
    known = {"change_nats": {"floor": 0.2, "resolution": 0.1, "dtype": "float32"}}
    part = parts()["sources"] | {"precision": known, "powerless": [3]}
    lines = sources_lines(SceneSources.model_validate(part), PIECES, 100)
    rows = [line.split() for line in lines if re.match(r" +\d+ ", line)]
    assert [(row[0], row[2]) for row in rows] == [
        ("1", "+2.00"),
        ("0", "+0.500"),
        ("4", "–"),
        ("3", "0"),
        ("2", "-0.250"),
    ]
    assert f"– stands for {under_words(ScenePrecision(**known['change_nats']), 'nats')}" in lines


def test_a_change_carries_its_floor_and_one_below_it_is_smaller_than_that():
    coarse = ScenePrecision(floor=0.01, resolution=0.06, dtype="bfloat16")
    fine = ScenePrecision(floor=2e-6, resolution=1e-6, dtype="float32")
    assert change_words(-0.5, coarse, "nats") == "-0.500 nats (resolution of bfloat16 0.06)"
    assert change_words(-0.05, coarse, "nats") == "< 0.06 nats (resolution of bfloat16)"
    assert under_words(coarse, "nats") == "< 0.06 nats (resolution of bfloat16)"
    assert change_words(-0.5, fine, "nats") == "-0.500 nats (floor 2e-06)"
