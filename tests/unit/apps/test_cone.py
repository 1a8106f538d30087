"""``worldline cone``: the numbers that it prints and writes, and how it says no."""

from __future__ import annotations

import json

import pytest

from tiny_runs import loaded

TEXT = "t20 t21 t22 t23 t24 t25"
THROUGH = ("residual", "kv", "both")


@pytest.fixture
def run(command, tmp_path_factory, monkeypatch):
    """The command on a tiny model; (exit code, standard output, standard error)."""
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path_factory.getbasetemp() / "cache_cone"))
    models = {None: "llama", "doge": "doge", "jamba": "jamba", "bloom": "bloom"}
    monkeypatch.setattr(
        "worldline.models.loader.load_model", lambda name=None, **__: loaded(models[name])
    )

    return lambda *words: command("cone", *words)


def test_what_is_printed_is_what_is_written(run, tmp_path):
    place = tmp_path / "cone.json"
    code, out, _ = run(TEXT, "--at", "1,-4", "--json", place)
    found = json.loads(place.read_text())
    assert code == 0
    assert (found["schema"], found["layer"], found["pos"]) == ("worldline.cone/1", 1, 2)
    assert (found["step"], found["n_directions"]) == (0.01, 4)
    assert [one["through"] for one in found["responses"]] == list(THROUGH)
    for one in found["responses"]:
        largest = max(max(row) for row in one["relative"])
        assert f"through {one['through']}: largest relative change {largest:.2g}" in out
    assert f"derivative: {found['derivative_error']:.1e}" in out
    assert f"against both: {found['additivity_error']:.1e}" in out
    assert found["derivative_worst"] >= found["derivative_error"] > 0
    assert found["reach"] == {
        "residual": [0, 1, 1, 4],
        "kv": [0, 0, 3, 3],
        "both": [0, 1, 4, 4],
    }
    drawn, _, again = out.rpartition("\n\n")
    assert again.startswith("again, from Python: wl.light_cone(")  # never folded
    assert all(len(line) <= 100 for line in drawn.splitlines())


def test_options_reach_the_cone(run):
    words = (TEXT, "--at", "0,1", "--through", "kv", "--json", "-")
    first, again, other, small = (
        json.loads(run(*words, *more)[1])
        for more in (
            ("--directions", 1),
            ("--directions", 1, "--seed", 0),
            ("--directions", 1, "--seed", 1),
            ("--directions", 1, "--step", "1e-3"),
        )
    )
    assert first == again
    assert first["responses"] != other["responses"]
    assert (small["step"], small["n_directions"]) == (1e-3, 1)
    assert small["derivative_error"] < first["derivative_error"] / 5
    big, little = (one["responses"][0]["relative"][-1][-1] for one in (first, small))
    assert big == pytest.approx(10 * little, rel=0.2)


def test_a_model_without_a_derivative_says_so(run):
    code, out, _ = run(TEXT, "--at", "1,1", "--model", "bloom")
    assert code == 0
    assert "no forward-mode derivative: You must implement the jvp function" in out
    assert "finite step against" not in out


def test_a_text_from_a_file(run, tmp_path):
    place = tmp_path / "text.txt"
    place.write_text(TEXT)
    words = ("--at", "0,1", "--directions", 1, "--json", "-")
    assert run("--file", place, *words)[1] == run(TEXT, *words)[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--at", "1,0-3"), "--at 1,0-3: names 4 positions; accepted is one node"),
        (("--at", "1,2,3"), "--at 1,2,3: names 2 positions"),
        (("--at", "²,1"), "--at ²,1: accepted is LAYER,POS"),
        (("--at", "-1,1"), "--at -1,1: accepted is LAYER,POS"),
        (("--at", "1,"), "--at position '': accepted are numbers"),
        (("--at", "1,-7"), "--at position -7: accepted are 0 to 5 (-1 is the last)"),
        (("--at", "4,1"), "is off the grid: accepted are rows 0 to 3, positions 0 to 5"),
        (("--at", "1,1", "--step", "nan"), "--step nan: accepted are finite numbers above 0"),
        (("--at", "1,1", "--step", "-1"), "--step -1.0"),
        (("--at", "1,1", "--directions", "-2"), "--directions -2: accepted are numbers from 1"),
        (("--at", "1,1", "--model", "doge"), "layer 1 makes its mask from the perturbed node too"),
        (("--at", "1,1", "--model", "jamba"), "residual stream and K/V cannot be told apart"),
        (("--at", "1,1", "--json", "/proc/none/F"), "/proc/none/F: cannot be written"),
    ],
)
def test_what_cannot_be_perturbed_is_one_line(run, words, said):
    code, out, err = run(TEXT, *words)
    assert code == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert sum(line.startswith("worldline: ") for line in err.splitlines()) == 1
