"""``worldline trace --export``: a file for each ending, whole or not at all, refused in words."""

from __future__ import annotations

import importlib.util
import json
import os

import networkx as nx
import polars as pl
import pytest

from tiny_runs import loaded
from worldline.views.export_formats import EXPORTS
from worldline.views.schema.scene import Scene

TEXT = "t20 t21 t22 t30"


@pytest.fixture
def run(command, tmp_path_factory, monkeypatch):
    """The command on a tiny model; (exit code, standard output, standard error)."""
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path_factory.getbasetemp() / "cache_export"))
    monkeypatch.setattr("worldline.session.load_model", lambda *_, **__: loaded("llama"))

    return lambda *words: command("trace", TEXT, *words)


@pytest.fixture
def no_work(monkeypatch):
    """Fails where a model would be run."""

    def work(*_, **__):
        raise AssertionError("nothing may run")

    monkeypatch.setattr("worldline.session.observe", work)


def last_line(err):
    return err.strip().splitlines()[-1]


def test_every_ending_at_once(run, tmp_path):
    places = {ending: tmp_path / f"new/run{ending}" for ending in EXPORTS}
    words = [word for place in places.values() for word in ("--export", place)]
    code, out, err = run(*words)
    assert code == 0, err
    assert out.splitlines()[-len(places) :] == [str(place) for place in places.values()]
    assert {place.name for place in (tmp_path / "new").iterdir()} == {
        f"run{ending}" for ending in EXPORTS
    }
    scene = Scene.model_validate_json(places[".scene.json"].read_bytes())
    assert scene.text == TEXT
    assert places[".edges.csv"].read_bytes().count(b"\n") == len(scene.edges) + 1
    assert len(pl.read_parquet(places[".edges.parquet"])) == len(scene.edges)
    graph = nx.read_graphml(places[".graphml"], force_multigraph=True)
    assert graph.number_of_edges() == len(scene.edges)
    assert json.loads(places[".neuronpedia.json"].read_bytes())["metadata"]["prompt"] == TEXT


def test_json_on_standard_output_stays_alone(run, tmp_path):
    place = tmp_path / "run.graphml"
    _, out, err = run("--export", place, "--json", "-")
    assert json.loads(out)["schema"] == "worldline.observation/1"
    assert last_line(err) == str(place)


def test_unknown_endings_are_refused_before_any_work(run, no_work, tmp_path):
    code, out, err = run("--export", tmp_path / "a.graphml", "--export", tmp_path / "a.dot")
    assert (code, out) == (2, "")
    assert err.startswith(f"worldline: {tmp_path}/a.dot: unknown ending; accepted are .scene.json,")
    assert all(ending in err for ending in EXPORTS)
    assert err.count("\n") == 1
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("folder", [True, False])
def test_what_cannot_be_written_is_refused_before_any_work(run, no_work, tmp_path, folder):
    place = tmp_path / "run.graphml"
    if folder:
        place.mkdir()
    else:
        place = tmp_path / "file" / "run.graphml"
        (tmp_path / "file").write_text("kept")
    code, out, err = run("--export", place)
    assert (code, out) == (2, "")
    assert err.startswith(f"worldline: {place}: ")


@pytest.mark.parametrize(
    ("ending", "package"), [(".graphml", "networkx"), (".edges.parquet", "polars")]
)
def test_a_missing_package_is_named_before_any_work(
    run, no_work, tmp_path, monkeypatch, ending, package
):
    true = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == package else true(name, *rest),
    )
    code, out, err = run("--export", tmp_path / f"run{ending}")
    assert (code, out) == (2, "")
    assert (
        err == f'worldline: {package} is not installed; pip install "worldline[graphs]" brings it\n'
    )


def test_paths_that_were_not_followed(run, tmp_path):
    code, _, err = run("--no-paths", "--export", tmp_path / "run.paths.csv")
    assert code == 2
    assert last_line(err) == "worldline: table 'paths': this Scene has no paths (not asked for)"
    assert not [*tmp_path.iterdir()]


def test_a_full_disk_leaves_no_half_file(run, tmp_path, monkeypatch):
    place = tmp_path / "run.edges.csv"
    place.write_text("the old one")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = run("--export", place)
    assert code == 2
    assert last_line(err) == f"worldline: {place}: cannot be written (No space left on device)"
    assert [entry.name for entry in tmp_path.iterdir()] == ["run.edges.csv"]
    assert place.read_text() == "the old one"
