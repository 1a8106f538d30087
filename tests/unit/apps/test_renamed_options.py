"""The names that options and values had before: accepted, said once, and in no help."""

import json

import pytest

from tiny_runs import loaded
from worldline.apps.cli.renamed_options import rename_options

TEXT = "t20 t21 t22"


@pytest.fixture
def run(command, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("worldline.models.loader.load_model", lambda *_, **__: loaded("llama"))
    return command


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (["--by", "share"], ["--by", "contribution"], "--by share is now --by contribution"),
        (["--by=share"], ["--by=contribution"], "--by share is now --by contribution"),
        (["--how", "drop"], ["--how", "zero"], "--how drop is now --how zero"),
        (["--how", "splice"], ["--how", "patch"], "--how splice is now --how patch"),
        (["--node-how", "splice"], ["--node-how", "patch"], "--node-how splice is now"),
        (["--splice-from", "drop"], ["--patch-from", "drop"], "--splice-from is now --patch-from"),
        (["--splice-file=a=b"], ["--patch-file=a=b"], "--splice-file is now --patch-file"),
    ],
)
def test_an_old_name_is_today_s_and_is_said_in_one_line(capsys, old, new, said):
    assert rename_options(["cut", TEXT, *old]) == ["cut", TEXT, *new]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"worldline: {said}")


@pytest.mark.parametrize(
    "words",
    [
        ["trace", "share"],
        ["trace", "--target", "drop", "--how", "mask"],
        ["cut", "--how", "zero", "--by", "contribution", "--patch-from", "splice"],
        ["trace", "--", "--splice-from", "--how", "drop"],
        ["trace", "--how"],
    ],
)
def test_what_is_no_old_name_stays(capsys, words):
    assert rename_options(words) == words
    assert capsys.readouterr().err == ""


def test_a_command_reads_them(run):
    code, out, err = run("trace", TEXT, "--by", "share", "--json", "-")
    assert (code, json.loads(out)["attribution"]["by"]) == (0, "contribution")
    assert "--by share is now --by contribution" in err


@pytest.mark.parametrize("name", ["trace", "cut", "paths", "faithfulness"])
def test_no_help_names_them(run, name):
    _, out, _ = run(name, "--help")
    assert "splice" not in out
    assert "drop" not in out
