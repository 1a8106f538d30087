"""Every command with every kind of wrong word: one line, exit code 2, and nothing was loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TEXTS = ("trace", "paths", "cut", "cone", "hops", "orders")
DEVICED = (*TEXTS, "capacity", "faithfulness", "serve", "claims run")
NUMBERS = {
    "trace": ["--seed", "--threads"],
    "paths": ["--top", "--draws", "--threads"],
    "cut": ["--threads"],
    "cone": ["--directions", "--step", "--seed", "--threads"],
    "hops": ["--max", "--longest", "--threads"],
    "orders": ["--threads"],
    "capacity": ["--n", "--seed", "--threads"],
    "faithfulness": ["--n", "--threads"],
    "claims run": ["--n", "--seed", "--threads"],
    "count": ["--n-layers", "--distance", "--n-heads", "--window"],
    "serve": ["--port", "--threads"],
    "room": ["--turns", "--branch", "--seed", "--threads"],
    "room export a.room": ["--until"],
}
NEEDED = {
    **{name: ["the cat"] for name in TEXTS},
    "cone": ["the cat", "--at", "1,1"],
    "cut": ["the cat", "--edge", "0.0:0>1", "--how", "zero"],
    "claims run": ["--all"],
    "count": ["--n-layers", "2", "--distance", "2"],
    "room": ["--headless"],
    "room export a.room": ["--out", "a.md"],
}
ABSURD = ("1e20", "nan", "1e400", "-1", "9" * 5000, "100000000000000000000", "x", "")


@pytest.fixture(autouse=True)
def nothing_is_loaded(monkeypatch, tmp_path):
    import worldline.models.loader
    from worldline.room.log import Log

    def never(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(worldline.models.loader, "load_model", never)
    monkeypatch.setenv("WORLDLINE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    Log("a.room").close()


def refused(said):
    assert said.code == 2, (said.code, said.err)
    assert said.out == ""
    assert said.err.startswith("worldline: ")
    assert said.err.count("\n") == 1, said.err


@pytest.mark.parametrize(
    ("line", "option"), [(line, option) for line, many in NUMBERS.items() for option in many]
)
def test_numbers_that_no_option_takes(command, line, option):
    for value in ABSURD:
        if option == "--step" and value in ("1e20", "100000000000000000000"):
            continue  # a step that is taken
        said = command(*line.split(), *NEEDED.get(line, ()), option, value)
        refused(said)
        assert option in said.err or option[2:].replace("-", "_") in said.err, said.err


@pytest.mark.parametrize("line", DEVICED)
def test_words_that_no_option_knows(command, line):
    wrong = {"--device": "toaster", "--dtype": "float7", "--threads": "0"}
    if line == "trace":
        wrong |= {"--by": "nonsense", "--how": "erase", "--versus": " x", "--target": ""}
    if line == "paths":
        wrong |= {"--by": "nonsense", "--versus": " x", "--target": ""}
    if line != "serve":
        wrong |= {"--json": "/proc/none/x"}
    for option, value in wrong.items():
        refused(command(*line.split(), *NEEDED.get(line, ()), option, value))


def test_none_of_it_needed_torch(tmp_path):
    """In a process of its own, for here torch is loaded long since."""
    lines = [
        ["trace", "a", "--by", "nonsense"],
        ["trace", "a", "--seed", "1e20"],
        ["trace", "a", "--out", "/proc/none/x"],
        ["trace", "--file", "/nowhere"],
        ["paths", "a", "--top", "0"],
        ["cone", "a", "--at", "1,1", "--step", "nan"],
        ["hops", "a", "--device", "toaster"],
        ["cut", "a", "--dtype", "float7", "--edge", "0.0:0>1"],
        ["claims", "--model", "nosuch"],
        ["room", "--headless", "--scenario", "nosuch"],
        ["trace", "a", "--export", "a.nonsense"],
    ]
    code = (
        "import sys, json\nfrom worldline.apps.cli import main\n"
        f"for line in {lines!r}:\n"
        "    sys.argv = ['worldline', *line]\n"
        "    try: main()\n"
        "    except SystemExit as stop: assert stop.code == 2, (line, stop.code)\n"
        "    assert 'torch' not in sys.modules, line\n"
    )
    env = os.environ | {"WORLDLINE_DATA": str(tmp_path / "data")}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == len(lines)


def test_bytes_that_are_no_text(tmp_path):
    command = [sys.executable, "-m", "worldline.apps.cli"]
    for line in (["trace", b"a\xff"], ["room", "--headless", "--with", b"\xff:Ada"]):
        done = subprocess.run([*command, *line], capture_output=True, cwd=tmp_path)
        assert done.returncode == 2
        assert b": not UTF-8 after" in done.stderr
        assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("words", [(), ("show", "deltas"), ("export", "--format", "json")])
def test_claims_of_a_model_on_which_none_was_run(command, words):
    said = command("claims", *words, "--model", "nosuch")
    refused(said)
    assert "no claim was run on it; known are" in said.err


def test_a_newline_is_kept_where_it_is_asked_for(tmp_path, capsys):
    from worldline.apps.cli.output_files import read_written

    wrote = {"a\n": "a", "a\r\n": "a", "a\n\n": "a\n", "a\r": "a\r", "\ufeffa": "a", " a ": " a "}
    for written, text in wrote.items():
        (tmp_path / "t").write_bytes(written.encode())
        read = read_written(None, tmp_path / "t")
        assert read.text == text
        assert (read.before + read.text + read.after).encode() == (tmp_path / "t").read_bytes()
        said = capsys.readouterr().err
        dropped = "the newline at the end is not part of the text (--keep-newline keeps it)\n"
        assert said == (dropped if written.endswith("\n") else "")
        kept = read_written(None, tmp_path / "t", keep_newline=True)
        assert kept.text == written.removeprefix("\ufeff")
        assert read_written(written, None).text == written
    (tmp_path / "t").write_bytes(b"\n")
    with pytest.raises(ValueError, match="it is empty"):
        read_written(None, tmp_path / "t")
