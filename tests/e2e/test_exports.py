"""Every command and the snippet of docs/exports.md runs, and what they write can be read."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import networkx as nx
import pandas as pd
import polars as pl
import pytest

from worldline.views.schema.scene import Scene

PAGE = (Path(__file__).parents[2] / "docs" / "exports.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, flags=re.S)
COMMANDS = [line for kind, body in BLOCKS if kind == "sh" for line in body.splitlines()]
(SNIPPET,) = (body for kind, body in BLOCKS if kind == "python")
pytestmark = pytest.mark.bundled
READERS = {
    ".neuronpedia.json": lambda place: json.loads(place.read_bytes())["links"],
    ".graphml": lambda place: nx.read_graphml(place, force_multigraph=True).edges,
    ".csv": pd.read_csv,
    ".parquet": pl.read_parquet,
    ".scene.json": lambda place: Scene.model_validate_json(place.read_bytes()).edges,
}


@pytest.mark.parametrize("line", COMMANDS)
def test_command_runs_and_its_files_can_be_read(bundled, command, line, tmp_path):
    done = command.line(line, tmp_path)
    assert done.code == 0, done.err
    words = shlex.split(line)
    places = [tmp_path / words[at + 1] for at, word in enumerate(words) if word == "--export"]
    assert places
    for place in places:
        (read,) = (reader for ending, reader in READERS.items() if place.name.endswith(ending))
        assert len(read(place)) > 100


def test_the_snippet_runs(bundled, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(SNIPPET, {"__name__": "__main__"})
    assert " Paris" in capsys.readouterr().out
    graph = json.loads((tmp_path / "france.neuronpedia.json").read_bytes())
    assert graph["metadata"]["scan"] == "smollm2-135m"
    logits = [node for node in graph["nodes"] if node["feature_type"] == "logit"]
    assert logits[0]["clerp"].startswith('Output " Paris" (p=0.')
    assert logits[0]["is_target_logit"]
