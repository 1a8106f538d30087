"""The table of the documentation, and one made anew on the bundled model in a small size."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from worldline.apps.cli import app, main

ROOT = Path(__file__).parents[2]
(LINE,) = (
    line
    for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("worldline faithfulness ")
)
RAW = ROOT / "docs" / "faithfulness" / "smollm2-135m-instruct.zip"


def test_the_page_is_what_the_raw_effects_say():
    """Every table and figure of docs/faithfulness.md, computed again."""
    made = runpy.run_path(str(ROOT / "docs" / "make_faithfulness.py"))["written"]()
    assert len(made) == 6
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, path.name
    assert RAW.stat().st_size < 20_000_000


def test_the_table_from_raw_effects_needs_no_model(tmp_path, monkeypatch):
    monkeypatch.setattr("worldline.models.loader.load_model", None)
    done = CliRunner().invoke(
        app, ["faithfulness", "--raw", str(RAW), "--json", str(tmp_path / "t.json")]
    )
    assert done.exit_code == 0, done.output
    table = json.loads((tmp_path / "t.json").read_text())
    for by_how in table["families"].values():
        for facts in by_how.values():
            assert facts["prompts"] >= 8 or facts["prompts"] == 1
    assert "circuits set by hand" in done.output


def test_a_small_table_on_the_bundled_model(bundled, tmp_path, command):
    """The README's command, a tenth of one family: made, and gone on with; agrees with the page."""
    raw, out = tmp_path / "raw", tmp_path / "t.json"
    done = command.line(LINE, tmp_path, "--raw", raw, "--json", out)
    assert done.code == 0, done.err
    table = json.loads(out.read_text())
    rows = {row["measure"]: row for row in table["rows"]}
    assert rows.keys() >= {"gradient (zero)", "EAP", "flow routes, local"}
    assert rows["gradient (zero)"]["rank_signed"][0] > 0.8
    assert rows["gradient (zero)"]["rank_signed"][0] > rows["EAP"]["rank_signed"][0]
    assert "agreement: 1 prompt to report on" in done.out
    files = {path.name: path.stat().st_mtime_ns for path in raw.iterdir()}
    asked = ["--raw", raw, "--measures", "gradient (zero),EAP,flow routes, local"]
    again = command.line(LINE, tmp_path, *asked)
    assert again.code == 0, again.err
    assert "EAP" in again.out
    assert "IG" not in again.out
    assert {path.name: path.stat().st_mtime_ns for path in raw.iterdir()} == files


@pytest.mark.parametrize(
    "asked",
    [
        ["--data", "nope"],
        ["--how", "zap"],
        ["--measures", "zap"],
        ["--n", "0"],
        ["--split", "zap"],
        ["--raw", "none.zip"],
    ],
)
def test_what_cannot_be_asked_is_one_line(asked, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["worldline", "faithfulness", *asked])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert asked[0] in said
    assert said.count("\n") == 1


def test_one_pair_fills_no_half(bundled, tmp_path, monkeypatch, capsys):
    pair = tmp_path / "own.jsonl"
    pair.write_text(
        '{"clean": "The teachers beside the cat", "corrupted": "The teacher beside the cat", '
        '"answer": " are", "wrong": " is"}\n'
    )
    asked = ["--data", str(pair), "--how", "patch", "--raw", str(tmp_path / "raw")]
    monkeypatch.setattr(sys, "argv", ["worldline", "faithfulness", *asked])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert "1 prompt passes the filter, none in the half that --split report shows" in said
    assert not (tmp_path / "raw").exists()
