"""Files for other tools: endings, contents, and what happens without the packages."""

import importlib.util
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import networkx as nx
import polars as pl
import pytest

from tiny_scenes import tiny_scene
from worldline.errors import InputError
from worldline.views.export_formats import EXPORTS, ending_of, export_bytes
from worldline.views.frames import COLUMNS, columns_of
from worldline.views.schema.scene import Scene

DOCS = Path(__file__).parents[3] / "docs" / "exports.md"


def test_every_form_of_a_real_run():
    scene = tiny_scene("gradient")
    made = {ending: export_bytes(scene, ending) for ending in EXPORTS}
    assert Scene.model_validate_json(made[".scene.json"]) == scene
    assert json.loads(made[".neuronpedia.json"]) == json.loads(scene.to_neuronpedia())
    graph = nx.read_graphml(io.BytesIO(made[".graphml"]), force_multigraph=True)
    assert graph.number_of_edges() == len(scene.edges)
    for table in COLUMNS:
        back = pl.read_parquet(io.BytesIO(made[f".{table}.parquet"]))
        assert back.to_dict(as_series=False) == columns_of(scene, table)
        assert made[f".{table}.csv"].decode().startswith(",".join(COLUMNS[table]) + "\n")


def test_the_scene_has_them_as_methods():
    scene = tiny_scene("contribution")
    assert scene.to_networkx().number_of_nodes() == (scene.model.n_layers + 1) * len(scene.tokens)
    assert scene.to_graphml().startswith("<?xml")
    assert json.loads(scene.to_neuronpedia(slug="one"))["metadata"]["slug"] == "one"
    assert len(scene.to_frame("edges")) == len(scene.to_frame("edges", library="polars"))


def test_carriage_returns_stay(scenes):
    scene = scenes.make_scene(["a\r\nb", "\r", "\n"])
    for ending in (".tokens.csv", ".edges.csv"):
        assert b',"a\r\nb",' in export_bytes(scene, ending)
        assert b',"\r",' in export_bytes(scene, ending)


@pytest.mark.parametrize(
    ("path", "ending"),
    [
        ("run.graphml", ".graphml"),
        ("a/b.c/run.EDGES.csv", ".edges.csv"),
        (Path("run.scene.json"), ".scene.json"),
        ("x.tokens.parquet", ".tokens.parquet"),
        ("my.graphml.nodes.csv", ".nodes.csv"),
    ],
)
def test_the_ending_says_the_form(path, ending):
    assert ending_of(path) == ending


@pytest.mark.parametrize("path", ["run", "run.csv", "run.json", "edges.csv", "run.graphml.gz", ""])
def test_unknown_endings_are_refused_with_all_that_is_accepted(scenes, path):
    with pytest.raises(InputError) as refused:
        export_bytes(scenes.make_scene(), path)
    assert str(refused.value).startswith(f"{path}: unknown ending; accepted are .scene.json, ")
    assert all(ending in str(refused.value) for ending in EXPORTS)


@pytest.mark.parametrize(
    ("package", "use"),
    [
        ("networkx", lambda scene: scene.to_networkx()),
        ("networkx", lambda scene: scene.to_graphml()),
        ("networkx", lambda scene: ending_of("run.graphml")),
        ("pandas", lambda scene: scene.to_frame("edges")),
        ("polars", lambda scene: scene.to_frame("edges", "polars")),
        ("polars", lambda scene: ending_of("run.edges.parquet")),
    ],
)
def test_a_missing_package_is_named(scenes, monkeypatch, package, use):
    true = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else true(name)
    )
    with pytest.raises(InputError) as refused:
        use(scenes.make_scene())
    assert str(refused.value) == (
        f'{package} is not installed; pip install "worldline[graphs]" brings it'
    )


def test_text_forms_need_no_package():
    """Neither the table of endings nor JSON and CSV load anything heavy."""
    code = (
        "import sys\n"
        "from worldline.views.export_formats import EXPORTS, ending_of\n"
        "from worldline.views.schema.scene import Scene\n"
        "from worldline.views.export_formats import export_bytes\n"
        "scene = Scene.model_validate_json(sys.stdin.read())\n"
        "for ending in EXPORTS:\n"
        "    if ending.endswith(('.json', '.csv')): assert export_bytes(scene, ending)\n"
        "    else: ending_of('run' + ending)\n"
        "heavy = {'torch', 'numpy', 'pandas', 'polars', 'networkx'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=tiny_scene("contribution").to_json(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_page_names_every_ending_and_every_column():
    said = DOCS.read_text(encoding="utf-8")
    for ending in EXPORTS:
        assert ending.rpartition(".")[2] in said
    for table, columns in COLUMNS.items():
        (body,) = re.findall(rf"^### {table}\n(.*?)(?=^#|\Z)", said, flags=re.M | re.S)
        rows = re.findall(r"^\| `(\w+)` \| (.+?) \|$", body, flags=re.M)
        assert rows == [(name, meaning) for name, (_, meaning) in columns.items()]
