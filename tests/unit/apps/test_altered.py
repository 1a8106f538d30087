"""The commands about runs that never happened: numbers, one line for what cannot be, files."""

from __future__ import annotations

import json
import math

import pytest

from tiny_runs import loaded

TEXT = "t20 t21 t22 t23 t24 t25"


@pytest.fixture
def run(command, tmp_path_factory, monkeypatch):
    """The command on a tiny model; (exit code, standard output, standard error)."""
    monkeypatch.setenv("WORLDLINE_CACHE", str(tmp_path_factory.getbasetemp() / "cache_altered"))
    monkeypatch.setattr("worldline.models.loader.load_model", lambda *_, **__: loaded("llama"))

    return command


def test_a_cut(run, tmp_path):
    page, numbers = tmp_path / "F.html", tmp_path / "F.json"
    code, out, err = run(
        "cut", TEXT, "--edge", "1.0:1>5", "--from", "2-3", "--to", "-1", "--layers", "0",
        "--how", "mask", "--node", "1,4", "--node-how", "mean", "--json", numbers, "--out", page,
    )  # fmt: skip
    assert (code, err.count("Traceback")) == (0, 0), err
    found = json.loads(numbers.read_text())
    assert found["schema"] == "worldline.cut/1"
    assert found["words"] == [
        "mask: layers 0, heads all, from 2-3, to 5",
        "mask: layers 1, heads 0, from 1, to 5",
        "mean so far: rows 1, positions 4",
    ]
    assert f"change {found['change_nats']:+.3f}" in out
    assert found["change_nats"] != 0
    assert math.isclose(found["target_after"] - found["target_before"], found["change_nats"])
    assert '"n_edges":3' in page.read_text().replace(" ", "")


def test_a_patch_of_another_length(run):
    words = ("cut", TEXT, "--from", "1", "--how", "patch", "--patch-from", "t30 t31 t32")
    code, _, err = run(*words)
    assert code == 2
    assert "has 3 tokens, this one 6: name an alignment" in err
    code, out, _ = run(*words, "--align", "left", "--parts", "v", "--json", "-")
    assert code == 0
    assert json.loads(out)["words"] == ["patch V only: layers all, heads all, from 1, to 0-5"]


def test_hops(run, tmp_path):
    page = tmp_path / "F.html"
    code, out, _ = run("hops", TEXT, "--max", 1, "--json", "-", "--out", page)
    assert code == 0
    found = json.loads(out)
    names = "tokens sink budgets loss_nats loss_full_nats hops_needed state_gain_nats"
    assert set(names.split()) <= set(found)
    assert found["budgets"] == [0, 1]
    assert [one["sink"] for one in found["curves"]] == ["counted", "free"]
    assert math.isclose(found["state_gain_nats"], found["loss_nats"][1] - found["loss_full_nats"])
    assert '"hops_needed":[null,' in page.read_text().replace(" ", "")
    code, out, _ = run("hops", TEXT, "--sink", "free", "--layers", "1", "--longest", "2")
    assert code == 0
    assert "layers 1" in out
    assert "no hop over more than 2 positions" in out


def test_a_cone(run, tmp_path):
    page = tmp_path / "F.html"
    code, out, _ = run("cone", TEXT, "--at", "1,2", "--out", page)
    assert code == 0
    assert "outside the cone: bitwise zero" in out
    assert "through kv" in out
    code, out, _ = run("cone", TEXT, "--at", "0,-1", "--through", "residual", "--json", "-")
    found = json.loads(out)
    assert (found["pos"], [one["through"] for one in found["responses"]]) == (5, ["residual"])
    assert "outside_zero" in page.read_text()


def test_orders(run, tmp_path):
    own = tmp_path / "slices.json"
    own.write_text("[[[0, 0]], [[0, 1]]]")
    code, out, _ = run("orders", TEXT, "--order", "decode", "--slices", own, "--json", "-")
    assert code == 0
    names = [one["name"] for one in json.loads(out)["orders"]]
    assert names == ["decode", "given"]
    code, out, _ = run("orders", TEXT, "--out", tmp_path / "F.html")
    assert code == 0
    for name in ("prefill", "decode", "wavefront(1)", "random(0)", "cone"):
        assert name in out
    assert "equivalent plain runs differ by" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("cut", TEXT), "a cut: name --edge, --from and --to, or --node"),
        (("cut", TEXT, "--from", "1"), "--how: name mask, zero or patch"),
        (("cut", TEXT, "--edge", "1-2", "--how", "mask"), "--edge 1-2: accepted is LAYERS.HEADS"),
        (
            ("cut", TEXT, "--edge", "9.0:1>2", "--how", "mask"),
            "--edge 9.0:1>2: layer 9: accepted are 0 to",
        ),
        (("cut", TEXT, "--edge", "0.0:2>1", "--how", "mask"), "an edge goes to a later position"),
        (("cut", TEXT, "--from", "9", "--how", "mask"), "--from 9: accepted are 0 to 5"),
        (("cut", TEXT, "--from", "abc", "--how", "mask"), "does not stand in the text"),
        (
            ("cut", TEXT, "--from", "1", "--how", "snip"),
            "--how snip: accepted are mask, zero, patch",
        ),
        (("cut", TEXT, "--from", "1", "--how", "patch"), "needs --patch-from"),
        (("cut", TEXT, "--from", "1", "--how", "mask", "--parts", "k"), "only a patch tells"),
        (("cut", TEXT, "--node", "1,2"), "--node-how: name zero, mean or patch"),
        (("cut", TEXT, "--node", "x", "--node-how", "zero"), "--node x: accepted is ROW,POS"),
        (("cut", TEXT, "--node", "1,2", "--node-how", "patch"), "needs --patch-from"),
        (
            ("cut", TEXT, "--edge", "0.0:1>2", "--from", "1", "--how", "mask", "--versus", "id:30"),
            "--versus: needs --target",
        ),
        (
            ("cut", TEXT, "--edge", "0.0:1>2", "--how", "mask", "--target", "x", "--versus", "x"),
            "two different tokens",
        ),
        (
            ("cut", TEXT, "--each", "--how", "mask", "--from", "1"),
            "accepted beside it are --how and --target",
        ),
        (("hops", TEXT, "--max", "-1"), "--max -1: accepted are numbers from 0"),
        (("hops", TEXT, "--longest", "-2"), "--longest -2: accepted are numbers from 0"),
        (("hops", TEXT, "--sink", "no"), "--sink no: accepted are counted, free, both"),
        (("hops", TEXT, "--layers", "7"), "--layers 7: accepted are 0 to"),
        (("hops", "t20"), "one token predicts nothing"),
        (("cone", TEXT), "--at: name the node"),
        (("cone", TEXT, "--at", "3"), "--at 3: accepted is LAYER,POS"),
        (("cone", TEXT, "--at", "1,2-3"), "--at 1,2-3: names 2 positions; accepted is one node"),
        (("cone", TEXT, "--at", "99,1"), "is off the grid: accepted are rows 0 to"),
        (("cone", TEXT, "--at", "1,9"), "--at position 9: accepted are 0 to 5"),
        (("cone", TEXT, "--at", "1,1", "--through", "air"), "--through air: accepted are"),
        (("cone", TEXT, "--at", "1,1", "--directions", "0"), "--directions 0"),
        (("cone", TEXT, "--at", "1,1", "--step", "0"), "--step 0.0"),
        (("orders", TEXT, "--order", "zigzag"), "order 'zigzag': accepted are prefill"),
        (("orders", TEXT, "--order", "wavefront(0)"), "accepted are slopes above 0"),
        (("orders", TEXT, "--order", "cone(99,0)"), "cone(99,0): accepted are rows 0 to"),
        (("orders", TEXT, "--slices", "nowhere.json"), "--slices nowhere.json:"),
        (("orders", ""), "text: it is empty"),
    ],
)
def test_what_cannot_be_is_one_line(run, words, said):
    code, out, err = run(*words)
    assert code == 2
    assert out == ""
    assert said in err
    assert "Traceback" not in err
    assert sum(line.startswith("worldline: ") for line in err.splitlines()) == 1


def test_a_file_with_other_slices_is_refused(run, tmp_path):
    own = tmp_path / "slices.json"
    for content, said in (
        ("{", "not JSON"),
        ("[[3]]", "accepted is a list of lists of [layer, column]"),
        ("[[[0, 1]]]", "slice 0: block (0, 1) reads K and V of (0, 0)"),
    ):
        own.write_text(content)
        code, _, err = run("orders", TEXT, "--slices", own)
        assert code == 2
        assert said in err


@pytest.mark.parametrize(
    "words",
    [
        ("cut", TEXT, "--how", "mask", "--edge", "zz"),
        ("cut", TEXT, "--how", "mask", "--edge", "0.0:a>1"),
        ("cut", TEXT, "--how", "mask", "--from", "Zorp"),
        ("cut", TEXT, "--how", "mask", "--from", "1", "--heads", "x"),
        ("cut", TEXT, "--node-how", "zero", "--node", "1"),
        ("cone", TEXT, "--at", "1,x"),
        ("hops", TEXT, "--layers", "x"),
    ],
)
def test_what_no_model_could_read_is_refused_before_one_is_loaded(run, monkeypatch, words):
    def load(*_args, **_kwargs):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("worldline.models.loader.load_model", load)
    code, _, said = run(*words)
    assert code == 2
    assert "accepted" in said
