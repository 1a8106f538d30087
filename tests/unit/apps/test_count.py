"""``worldline count``: the numbers with their N, n and m, as a table and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.fixture
def run(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")

    return lambda *words: command("count", *words)


SIZE = ("--n-layers", 12, "--distance", 10, "--n-heads", 12)


def test_the_table_says_what_was_counted(run):
    code, out, err = run(*SIZE)
    assert (code, err) == (0, "")
    size, _, *rows = out.splitlines()
    assert size == "N = 12 blocks, n = 11 steps up, m = 10 positions, H = 12 heads"
    assert [row.split()[:3] for row in rows] == [
        ["block", "352,716", "no"],
        ["lattice", "352,716", "no"],
        ["streams", "37,986,984", "no"],
        ["blocks", "155,594,686,464", "no"],
        ["heads", "21,396,309,323,007,879,217,152", "no"],
    ]


@pytest.mark.parametrize("columns", ["40", "80", "99"])
def test_a_narrow_table_cuts_no_number(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = run(*SIZE)
    assert "155,594,686,464" in out
    assert "about 2.14e+22" in out
    assert "…" not in out


def test_large_counts_are_told_by_their_size(run):
    code, out, _ = run("--n-layers", 126, "--distance", 1_000_000, "--convention", "lattice")
    assert code == 0
    row = out.splitlines()[-1].split()
    assert row[:4] == ["lattice", "about", "5.35e+540", "yes"]
    assert len(out.splitlines()) == 3


def test_window_and_parallel_are_said_and_used(run):
    _, out, _ = run(*SIZE, "--window", 3, "--parallel", "--convention", "streams")
    assert "a window of 3, MLP beside attention" in out.splitlines()[0]
    _, wide, _ = run(*SIZE, "--convention", "streams")
    assert out.splitlines()[-1] != wide.splitlines()[-1]


def test_json_has_every_digit_as_a_string(run):
    code, out, _ = run(*SIZE, "--json", "-")
    assert code == 0
    found = json.loads(out)
    assert found["schema"] == "worldline.count/1"
    by_name = {each["convention"]: each for each in found["counts"]}
    heads = by_name["heads"]
    assert heads["count"] == "21396309323007879217152"
    assert (heads["n_blocks"], heads["n_up"], heads["distance"], heads["n_heads"]) == (
        12,
        11,
        10,
        12,
    )
    assert sum(map(int, heads["by_hops"])) == int(heads["count"])
    assert len(by_name) == 5


def test_json_to_a_file_beside_the_table(run, tmp_path):
    place = tmp_path / "counts.json"
    code, out, _ = run("--n-layers", 2, "--distance", 2, "--convention", "block", "--json", place)
    assert code == 0
    assert "block" in out
    assert [each["count"] for each in json.loads(place.read_text())["counts"]] == ["3"]


def test_no_path_at_all(run):
    code, out, _ = run("--n-layers", 2, "--distance", 9, "--window", 2, "--json", "-")
    assert code == 0
    assert {(e["count"], e["log10"]) for e in json.loads(out)["counts"]} == {("0", None)}
    _, out, _ = run("--n-layers", 2, "--distance", 9, "--window", 2)
    assert out.splitlines()[-1].split()[:4] == ["heads", "0", "no", "-"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--n-layers", 0, "--distance", 2), "n_layers 0: at least 1"),
        (("--n-layers", 1001, "--distance", 2), "n_layers 1001: 1 to 1,000"),
        (("--n-layers", 2, "--distance", -1), "distance -1: at least 0"),
        (("--n-layers", 2, "--distance", 1, "--n-heads", 0), "n_heads 0: at least 1"),
        (("--n-layers", 2, "--distance", 1, "--window", 0), "window 0: at least 1"),
        (
            ("--n-layers", 2, "--distance", 1, "--convention", "foo"),
            "convention 'foo': one of block, lattice, streams, blocks, heads",
        ),
        (
            ("--n-layers", 2, "--distance", 1, "--json", "/"),
            "/: cannot be written (is a folder; name a file)",
        ),
    ],
)
def test_wrong_input_is_one_line(run, words, line):
    assert run(*words) == (2, "", f"worldline: {line}\n")


def test_needs_no_torch():
    code = (
        "import sys; from worldline.apps.cli import app;"
        "app(['count', '--n-layers', '3', '--distance', '4'], standalone_mode=False);"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
