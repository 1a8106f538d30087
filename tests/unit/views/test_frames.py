"""The tables of a Scene: what they hold, their types, and the same again out of CSV."""

import csv
import io
import json
import math

import pandas as pd
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiny_scenes import tiny_scene
from worldline.errors import InputError
from worldline.views.frames import COLUMNS, LIBRARIES, columns_of, to_csv, to_frame
from worldline.views.schema.scene import Scene

POLARS = {int: pl.Int64, float: pl.Float64, str: pl.String, bool: pl.Boolean}
PANDAS = {
    int: pd.api.types.is_integer_dtype,
    float: pd.api.types.is_float_dtype,
    str: pd.api.types.is_string_dtype,
    bool: pd.api.types.is_bool_dtype,
}


def plain(frame):
    """The values of a frame as columns, null as None."""
    if isinstance(frame, pl.DataFrame):
        return frame.to_dict(as_series=False)
    return {
        name: [None if pd.isna(value) else value for value in frame[name].tolist()]
        for name in frame.columns
    }


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("table", COLUMNS)
@pytest.mark.parametrize("by", ["gradient", "contribution"])
def test_a_real_run_has_every_table(by, table, library):
    scene = tiny_scene(by)
    frame = to_frame(scene, table, library)
    assert list(frame.columns) == list(COLUMNS[table])
    assert plain(frame) == columns_of(scene, table)
    assert len(frame) > 0
    for name, (kind, _) in COLUMNS[table].items():
        if library == "polars":
            assert frame.schema[name] == POLARS[kind], name
        else:
            assert PANDAS[kind](frame[name].dtype), name


def test_edges():
    scene = tiny_scene("gradient")
    edges = to_frame(scene, "edges")
    assert edges["weight"].tolist() == [edge.weight for edge in scene.edges]
    texts = [token.text for token in scene.tokens]
    for edge, row in zip(scene.edges, edges.itertuples(), strict=True):
        assert (row.layer, row.head, row.src, row.dst) == (
            edge.layer,
            edge.head,
            edge.src,
            edge.dst,
        )
        assert (row.src_token, row.dst_token) == (texts[edge.src], texts[edge.dst])
    into = edges.groupby(["layer", "dst"])["weight"].sum()
    assert scene.coverage.share == 1
    for (layer, dst), total in into.items():
        flow = scene.flow.in_positive[layer][dst] + scene.flow.in_negative[layer][dst]
        assert total == pytest.approx(flow, abs=1e-5)


def test_nodes():
    scene = tiny_scene("contribution")
    nodes = to_frame(scene, "nodes", "polars")
    assert len(nodes) == (scene.model.n_layers + 1) * len(scene.tokens)
    for row in nodes.iter_rows(named=True):
        layer, pos = row["layer"], row["pos"]
        assert row["norm"] == scene.nodes.norm[layer][pos]
        assert row["lens_logprob"] == scene.nodes.lens[layer][pos][0].logprob
        shares = [row[name] for name in row if name.startswith("share_")]
        known = [share for share in shares if share is not None]
        if layer == 0:
            assert not known
            assert row["in_positive"] is row["in_negative"] is row["writes_agree"] is None
        else:
            assert math.fsum(known) == pytest.approx(1, abs=1e-4)
            assert row["in_positive"] == scene.flow.in_positive[layer - 1][pos]
            assert row["writes_agree"] == scene.nodes.writes_agree[layer - 1][pos]
        if layer == scene.model.n_layers:
            assert row["out_positive"] is None
        else:
            assert row["out_negative"] == scene.flow.out_negative[layer][pos]


def test_paths():
    scene = tiny_scene("contribution")
    paths = to_frame(scene, "paths")
    assert len(paths) == len(scene.paths.paths)
    for path, row in zip(scene.paths.paths, paths.itertuples(), strict=True):
        nodes, reads = json.loads(row.nodes), json.loads(row.reads)
        assert (row.weight, row.hops, row.words) == (path.weight, path.hops, path.words)
        assert nodes == [[node.layer, node.pos] for node in path.nodes]
        assert len(reads) == row.hops
        assert row.by == "contribution"


def test_tokens_and_predictions(scenes):
    scene = scenes.make_scene(scenes.AWKWARD)
    tokens = to_frame(scene, "tokens")
    assert tokens["text"].tolist() == scenes.AWKWARD
    for row in tokens.itertuples():
        assert scene.text[row.char_start : row.char_end] == row.text
        assert scene.text.encode()[row.byte_start : row.byte_end].decode() == row.text
    predictions = to_frame(scene, "predictions")
    assert predictions["rank"].tolist() == list(range(len(scene.predictions)))
    assert predictions["logprob"].is_monotonic_decreasing


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_not_known_is_null_and_keeps_its_type(scenes, library):
    scene = scenes.make_scene(n_layers=2, with_nodes=False, with_flow=False)
    unknown = set(COLUMNS["nodes"]) - {"layer", "pos", "token"}
    found = plain(to_frame(scene, "nodes", library))
    assert {name for name, values in found.items() if set(values) == {None}} == unknown
    empty = to_frame(scenes.make_scene(["one"]), "edges", library)
    assert (len(empty), list(empty.columns)) == (0, list(COLUMNS["edges"]))


def test_wrong_names(scenes):
    scene = scenes.make_scene()
    with pytest.raises(InputError, match=r"table 'heads': accepted are edges, nodes, tokens, "):
        to_frame(scene, "heads")
    with pytest.raises(InputError, match=r"library 'arrow': accepted are pandas, polars"):
        to_frame(scene, "edges", "arrow")
    with pytest.raises(InputError, match=r"no paths \(it was made without\)"):
        to_frame(scene, "paths")
    wire = scenes.make_wire() | {"paths_left_out": "not asked for"}
    with pytest.raises(InputError, match=r"no paths \(not asked for\)"):
        to_csv(Scene.model_validate(wire), "paths")


def of_csv(text, table):
    """What a reader of CSV gets back, turned into the types of the columns."""
    names, *rows = csv.reader(io.StringIO(text, newline=""))
    kinds = {name: kind for name, (kind, _) in COLUMNS[table].items()}
    assert names == list(kinds)
    turn = {int: int, float: float, str: str, bool: json.loads}
    return {
        name: [
            None if row[at] == "" and kinds[name] is not str else turn[kinds[name]](row[at])
            for row in rows
        ]
        for at, name in enumerate(names)
    }


@pytest.mark.parametrize("table", COLUMNS)
def test_csv_of_a_real_run_keeps_every_digit(table):
    scene = tiny_scene("gradient")
    assert of_csv(to_csv(scene, table), table) == columns_of(scene, table)


@pytest.mark.parametrize("table", ["edges", "tokens", "nodes", "predictions"])
def test_csv_of_awkward_tokens(scenes, table):
    scene = scenes.make_scene(scenes.AWKWARD, n_layers=3)
    expected = columns_of(scene, table)
    assert of_csv(to_csv(scene, table), table) == expected
    frame = pd.read_csv(io.StringIO(to_csv(scene, table)), keep_default_na=False, na_values=[""])
    assert len(frame) == len(next(iter(expected.values())))


@given(texts=st.lists(st.text(max_size=5), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text(scenes, texts):
    scene = scenes.make_scene(texts, n_layers=1, n_heads=2, n_edges=12)
    for table in ("edges", "tokens"):
        expected = columns_of(scene, table)
        assert of_csv(to_csv(scene, table), table) == expected
        for library in LIBRARIES:
            assert plain(to_frame(scene, table, library)) == expected
