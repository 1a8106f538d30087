"""``worldline paths``: what it prints and writes, and how it says no."""

from __future__ import annotations

import json

import pytest

from tiny_runs import loaded
from worldline.models import loader as load

TEXT = "t20 t21 t22 t30"


@pytest.fixture
def run(command, monkeypatch, tmp_path):
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(load, "load_model", lambda *_a, **_k: loaded("llama"))

    return lambda *words: command("paths", *words)


def test_what_is_printed_is_what_is_written(run, tmp_path):
    place = tmp_path / "paths.json"
    code, out, _ = run(TEXT, "--target", "id:31", "--top", 3, "--json", place)
    numbers = json.loads(place.read_text())
    assert code == 0
    assert numbers["schema"] == "worldline.graph/1"
    assert len(numbers["paths"]) == 3
    assert f"{numbers['by_hops'][1]:+8.3f}" in out
    assert "coherence over hop counts" in out
    assert "no bound on those not found" in out
    assert "(100 drawn): about" in out
    assert f"paths in effect: {numbers['effective'][0]['effective']:,.1f}" in out
    assert "Caution: patterns are held" in out
    for path in numbers["paths"]:
        start, end = (node["pos"] for node in (path["nodes"][0], path["nodes"][-1]))
        reads = " → ".join(f"{read['layer']}.{read['head']}" for read in path["reads"])
        listed = f"{path['weight']:+.3f} {path['hops']:5}  "
        (line,) = [line for line in out.splitlines() if listed in line and f"({start})" in line]
        assert reads in line
        assert line.endswith(f"({end})")


def test_shares_need_no_target(run):
    code, out, _ = run(TEXT, "--by", "contribution", "--json", "-")
    numbers = json.loads(out)
    assert code == 0
    assert numbers["by"] == "contribution"
    assert numbers["agreement"][2]["grouping"].startswith("paths from row 0")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            (TEXT, "--by", "magic"),
            "--by magic: accepted are frozen, contribution",
        ),
        ((TEXT, "--top", 0), "--top 0: accepted are numbers from 1"),
        ((TEXT, "--draws", -1), "--draws -1: accepted are numbers from 0"),
        ((TEXT, "--versus", "id:30"), "--versus: needs --target"),
        ((TEXT, "--target", "id:30", "--versus", "id:30"), "two different tokens"),
        (
            (TEXT, "--by", "contribution", "--target", "id:30"),
            "--by contribution: asks about no target",
        ),
        ((TEXT, "--target", "id:9999"), "there is no such token; the ids go from 0 to 111"),
        (("",), "text: it is empty"),
    ],
)
def test_what_cannot_be_asked_is_one_line(run, words, said):
    code, out, err = run(*words)
    assert code == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err
