"""What numbers mean: every name the page uses is known, and every command can be read."""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import typer

import worldline as wl
from browsing import altered_scene
from worldline.apps.cli import app
from worldline.interventions.cut import CutResult
from worldline.interventions.hop_curve import HopCurve
from worldline.interventions.light_cone import LightCone
from worldline.interventions.run_orders import OrderComparison
from worldline.requests import TraceRequest
from worldline.views.altered_runs import with_altered
from worldline.views.metric_docs import MEANINGS
from worldline.views.number_records import meanings_of, with_meanings
from worldline.views.reproduce import recipe_of
from worldline.views.schema.scene import Scene

WEB = Path(__file__).parents[3] / "web" / "src"
PATHS = {
    "by": "frozen",
    "title": "All paths",
    "ways": "3",
    "by_hops": [1.0],
    "beyond": 0.0,
    "by_source": [1.0],
    "closing": "of it",
    "agreement": [],
    "effective": [],
    "paths": [],
    "found_as": "Strong paths found",
    "caution": "none",
}
CUT = {
    "words": ["mask"], "n_edges": 0, "edges": [], "nodes": [], "target": " a",
    "target_before": -1.0, "target_after": -2.0, "change_nats": -1.0, "kl_nats": 0.5,
    "before": [], "after": [],
}  # fmt: skip
RESULTS = {
    "hop_curve": HopCurve,
    "cut": CutResult,
    "light_cone": LightCone,
    "run_orders": OrderComparison,
}


@pytest.fixture(scope="module")
def whole(scenes):
    """A Scene with every part there is."""
    wire = altered_scene().model_dump(by_alias=True)
    wire["paths"] = PATHS
    wire["nodes"]["writes_agree"] = [[0.5] * len(wire["tokens"])] * wire["model"]["n_layers"]
    return with_meanings(Scene.model_validate(wire))


def test_the_page_names_exactly_the_numbers_that_are_known():
    named = re.findall(r'\| "(\w+)"', (WEB / "names.ts").read_text(encoding="utf-8"))
    assert named == list(MEANINGS)


def test_every_name_is_used_by_the_page_and_none_is_made_another_way():
    sources = {path: path.read_text(encoding="utf-8") for path in WEB.rglob("*.ts")}
    used = " ".join(text for path, text in sources.items() if path.name != "names.ts")
    made = {"in_positive", "in_negative", "in_net", "out_positive", "out_negative", "out_net"}
    assert [n for n in MEANINGS if f'"{n}"' not in used and n not in made] == []
    makers = [path.name for path, text in sources.items() if 'h("data"' in text]
    assert makers == ["dom.ts"]


def test_a_whole_scene_needs_all_and_a_bare_one_few(whole, scenes):
    assert list(whole.meanings) == list(MEANINGS)
    bare = scenes.make_scene(with_nodes=False, with_flow=False)
    assert "norm" not in bare.meanings
    assert "hops_needed" not in bare.meanings
    assert "weight" in bare.meanings
    assert set(meanings_of(bare)) == {
        name for name, one in MEANINGS.items() if one.needs in ("edges", "predictions")
    }


def test_no_brace_is_left_and_all_is_said(whole):
    for name, one in whole.meanings.items():
        for words in (one.title, one.formula, one.unit, one.exactness, one.python):
            assert words, name
        assert not re.search(r"\{[a-z_]+\}", one.formula + one.unit + one.exactness), name
    assert whole.meanings["weight"].formula == whole.attribution.formula
    assert whole.meanings["weight"].exactness == whole.attribution.exactness
    assert "1e-05 in float32" in whole.meanings["closure"].exactness


def readable(cli):
    """The command's own parser takes the words; nothing is run."""
    program, name, *words = shlex.split(cli)
    assert program == "worldline"
    command = typer.main.get_command(app).commands[name]
    return command.make_context(name, words).params


def test_every_command_line_can_be_read(whole):
    read = {name: readable(one.cli) for name, one in whole.meanings.items()}
    assert {params["text"] for params in read.values()} == {"The capital of France is", "When in"}
    assert read["hops_needed"]["max_hops"] == 2
    assert read["hops_needed"]["longest"] == 5
    assert read["hops_needed"]["sink"] == "both"
    assert read["relative_change"]["at"] == "1,1"
    assert read["change_nats"]["how"] == "mask"
    assert (read["change_nats"]["from_"], read["change_nats"]["to"]) == ("1", "3")
    assert read["order_nats"]["orders"] == ["cone(2,1)"]
    assert read["weight"]["target"] == " Paris"


def test_every_python_call_names_what_there_is(whole):
    for name, one in whole.meanings.items():
        tree = ast.parse(one.python, mode="eval").body
        if isinstance(tree, ast.ListComp):  # one run for every token
            tree = tree.elt
        chain = []
        while not isinstance(tree, ast.Call):
            chain.append(getattr(tree, "attr", None))
            tree = tree.value
        assert isinstance(tree.func, ast.Attribute), name
        assert tree.func.attr in wl.__all__, name
        if tree.func.attr == "observe":
            found = whole
            assert chain.pop() == "scene"
            for step in reversed(chain):
                found = found[0] if step is None else getattr(found, step)
        else:
            kind = RESULTS[tree.func.attr]
            (step,) = chain
            assert step in {field.name for field in fields(kind)} or hasattr(kind, step), name
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert used - {"observe"} <= set(wl.__all__), name


def test_a_part_that_came_without_its_recipe_says_so(scenes):
    scene = with_altered(scenes.make_scene(), cut=CUT)
    assert scene.meanings["kl_nats"].cli == scene.meanings["kl_nats"].python == ""
    assert "no line makes it again" in scene.meanings["kl_nats"].note


def test_paths_asked_for_alone_have_a_recipe_of_their_own(whole, scenes):
    recipe = recipe_of(scenes.made_on("a b"), TraceRequest(by="gradient", how="zero", paths=True))
    paths = whole.paths.model_copy(update={"reproduce": recipe.reproduce_lines()})
    scene = with_meanings(whole.model_copy(update={"paths": paths}))
    assert readable(scene.meanings["ways"].cli)["paths"] is True
    assert readable(scene.meanings["ways"].cli)["text"] == "a b"
    assert readable(scene.meanings["weight"].cli)["paths"] is None


def test_an_older_file_keeps_its_own_lines(whole):
    wire = whole.model_dump(by_alias=True)
    wire["reproduce"] = {"cli": "worldline trace x", "python": "wl.observe('x')"}
    found = with_meanings(Scene.model_validate(wire)).meanings["weight"]
    assert (found.cli, found.python) == ("worldline trace x", "wl.observe('x')")
