"""What a command writes never takes the place of what it reads, or of its other outputs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from worldline.apps.cli.overwrite_checks import refuse_overwriting
from worldline.errors import InputError
from worldline.room.log import Log

TEXTS = {
    "trace": [], "paths": [], "hops": [], "orders": [], "cone": ["--at", "1,1"],
    "cut": ["--edge", "0.0:0>1", "--how", "zero"],
}  # fmt: skip


@pytest.fixture
def place(monkeypatch, tmp_path):
    """A folder with a text, a model, an adapter on it, a log; nothing is ever loaded."""
    import worldline.models.loader
    import worldline.session  # before the loader is replaced, which it takes by name

    def never(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(worldline.models.loader, "load_model", never)
    monkeypatch.setattr(worldline.session, "observe", never)
    monkeypatch.setenv("WORLDLINE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    for folder in ("model", "adapter"):
        Path(folder).mkdir()
    for name in ("text.txt", "m.gguf", "model/config.json", "model/model.safetensors", "x.json"):
        Path(name).write_text(f"that of {name}")
    Path("adapter/adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "../model"})
    )
    Path("link.html").symlink_to("text.txt")
    Path("link.md").symlink_to("a.room")
    Path("folder").symlink_to("model")
    os.link("model/model.safetensors", "hard.html")
    log = Log("a.room")
    log.close()
    return tmp_path


def contents():
    return {file: file.read_bytes() for file in Path().rglob("*") if file.is_file()}


def refused(command, *line, why):
    before = contents()
    said = command(*line)
    assert (said.code, said.err.count("\n")) == (2, 1), said
    assert why in said.err, said.err
    assert contents() == before


READ = "this command reads it"
IN_MODEL = "it would lie in"
TWO = "two outputs would be written there"


@pytest.mark.parametrize("name", TEXTS)
class TestOfAText:
    def test_the_text(self, command, place, name):
        line = [name, *TEXTS[name], "--file", "text.txt"]
        refused(command, *line, "--json", "./text.txt", why=READ)
        if name != "paths":
            refused(command, *line, "--out", "link.html", why=READ)

    @pytest.mark.parametrize("model", ["model", "folder", "adapter"])
    def test_the_model(self, command, place, name, model):
        line = [name, "hello", *TEXTS[name], "--model", model]
        refused(command, *line, "--json", "model/config.json", why=READ)
        refused(command, *line, "--json", "folder/new/generation_config.json", why=IN_MODEL)
        if name != "paths":
            refused(command, *line, "--out", "hard.html", why=READ)

    def test_a_gguf_file(self, command, place, name):
        refused(command, name, "hello", *TEXTS[name], "--model", "m.gguf", "--json", "m.gguf",
                why=READ)  # fmt: skip

    def test_two_outputs(self, command, place, name):
        if name != "paths":
            line = [name, "hello", *TEXTS[name], "--out", "new/x", "--json", "new/../new/x"]
            refused(command, *line, why=TWO)


def test_of_a_trace(command, place):
    refused(command, "trace", "a", "--out", "same", "--save", "same", why=TWO)
    exports = ["--export", "x.graphml", "--export", str(place / "x.graphml")]
    refused(command, "trace", "a", *exports, why=TWO)
    line = ["trace", "a", "--model", "model", "--save"]
    refused(command, *line, "model/model.safetensors", why=READ)
    refused(command, *line, "model/other.safetensors", why=IN_MODEL)


def test_of_others(command, place):
    refused(command, "cut", "a", "--edge", "0.0:0>1", "--how", "patch", "--patch-file",
            "text.txt", "--json", "text.txt", why=READ)  # fmt: skip
    refused(command, "orders", "a", "--slices", "x.json", "--json", "x.json", why=READ)
    refused(command, "capacity", "--model", "model", "--json", "model/config.json", why=READ)
    refused(command, "faithfulness", "--data", "x.json", "--json", "x.json", why=READ)
    refused(command, "claims", "run", "--all", "--model", "model", "--json", "model/config.json",
            why=READ)  # fmt: skip


def test_of_rooms(command, place):
    line = ["room", "--headless", "--turns", "0", "--log"]
    refused(command, *line, "b.room", "--json", "b.room", why=TWO)
    refused(command, *line, "a.room", "--out", "link.md", why=TWO)
    refused(command, *line, "a.room", "--json", "a.room.writer", why=READ)
    refused(command, *line, "link.md", "--json", "a.room-wal", why=READ)
    refused(command, *line, "b.room", "--out", "x.md", "--json", "x.md", why=TWO)
    refused(command, *line, "b.room", "--with", "model:Ada", "--json", "model/config.json",
            why=READ)  # fmt: skip
    refused(command, "room", "export", "a.room", "--out", "link.md", why=READ)
    refused(command, "room", "import", "text.txt", "--log", "b.room", "--json", "text.txt",
            why=READ)  # fmt: skip
    refused(command, "room", "import", "text.txt", "--log", "b.room", "--json", "b.room", why=TWO)


def test_what_is_written_into_or_read_by_nobody_is_taken(place):
    """Pipes and devices lose nothing, and a picture in a model's folder is no part of the model."""
    null = Path(os.devnull)
    refuse_overwriting([null, null, Path("model/p.html"), Path("text.txt")], ["model", "nowhere"])


def test_standard_streams(place, capfd):
    with Path("text.txt").open("rb") as text:
        before = os.dup(0)
        os.dup2(text.fileno(), 0)
        try:
            with pytest.raises(InputError, match=r"text\.txt: .*standard input is that file"):
                refuse_overwriting([Path("text.txt")], [])
        finally:
            os.dup2(before, 0)
            os.close(before)


def test_a_folder_of_parts_that_cannot_be_is_refused_before_a_model_is_loaded(command, place):
    for name in ("text.txt", "link.html"):
        said = command("faithfulness", "--data", "circuits", "--raw", name)
        assert (said.code, said.err.count("\n")) == (2, 1), said
        assert said.err.startswith(f"worldline: {name}"), said  # the place, and no loaded model
