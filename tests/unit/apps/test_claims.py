"""``worldline claims`` in this process, on coins: shown, run, stopped, written."""

from __future__ import annotations

import json
import subprocess
import sys

import networkx as nx
import pytest
from rich.console import Console

import worldline.claims.records
import worldline.models.loader
from coin_flips import coin_graph, coin_model, flips
from worldline.apps.cli import claims as command
from worldline.claims.claim_runs import RunRequest, run_claim
from worldline.claims.run_database import Store
from worldline.claims.shipped_verdicts import read_verdicts
from worldline.claims.verdict import pick
from worldline.experiments import registry


@pytest.fixture
def run(command, monkeypatch, tmp_path):
    monkeypatch.setenv("WORLDLINE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("worldline.claims.picture.shipped_verdicts", lambda claims: [])

    return lambda *words: command("claims", *words)


@pytest.fixture
def lab(monkeypatch, tmp_path):
    """Two claims on coins; what is put in `on_item` is called with each item's key."""
    calls = {"on_item": str, "loaded": 0}

    def find(claim):
        return flips(claim, 40, 0.9, on_item=lambda key: calls["on_item"](f"{claim} {key}"))

    def load(name=None, **_):
        calls["loaded"] += 1
        return coin_model(name or "smollm2-135m-instruct")

    graph = coin_graph(tmp_path / "records", "coin", "dice")
    monkeypatch.setattr(worldline.claims.records, "load_graph", lambda: graph)
    monkeypatch.setattr(worldline.models.loader, "load_model", load)
    monkeypatch.setattr(registry, "find_experiment", find)
    monkeypatch.setattr(registry, "experiment_ids", lambda: ["coin", "dice"])
    monkeypatch.setattr(registry, "code_hash", lambda claim: "0" * 64)
    return calls


def refused(said, *words):
    assert said.code == 2, said.err
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("worldline: ")
    for word in words:
        assert word in line, line


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("show", "redundanci"), ['no "redundanci"', "redundancy"]),
        (("show", "zzz"), ["lists all claims"]),
        (("run",), ["give the ids of claims, or --all"]),
        (("run", "deltas", "--all"), ["give the ids of claims, or --all"]),
        (("run", "detlas"), ['no claim "detlas"; near it: deltas']),
        (("run", "janus-thread"), ['no claim "janus-thread"']),
        (("run", "deltas", "--n", "0"), ["--n 0: accepted is 1 or more"]),
        (("run", "deltas", "--n", "-5"), ["--n -5"]),
        (("run", "deltas", "--n", "5", "--quick"), ["--n 5 --quick"]),
        (("run", "deltas", "--seed", "-1"), ["--seed -1: accepted are numbers from 0"]),
        (("run", "deltas", "--json", "/"), ["/: cannot be written (is a folder"]),
        (("--json", "/"), ["/: cannot be written (is a folder"]),
        (("--json", "-", "show", "deltas"), ["options go behind the command"]),
        (("export", "--format", "rdf"), ["--format rdf: accepted are json-ld, graphml, html"]),
        (("export", "--format", "json", "--out", "/"), ["/: cannot be written (is a folder"]),
        (("export", "--format", "verdicts", "--model", "nobody"), ["there are none on nobody"]),
    ],
)
def test_wrong_before_any_model(run, monkeypatch, words, parts):
    def never(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(worldline.models.loader, "load_model", never)
    refused(run(*words), *parts)


def test_a_run_and_its_verdict(run, lab):
    said = run("run", "coin")
    assert said.code == 0, said.err
    assert said.err == "coin: 0 of 40 items …\n"
    assert said.out.startswith("coin: supported: 0.")
    assert " share, n 40: all of [" in said.out
    assert said.out.count("\n") == 1
    table = run().out.splitlines()
    assert table[0] == "2 claims on smollm2-135m-instruct"
    assert table[2].split()[:2] == ["coin", "supported"]
    assert table[2].endswith("smollm2-135m-instruct")
    assert table[3].split() == ["dice", "not", "run", "yet", "–"]
    shown = run("show", "coin").out
    assert "supported: 0." in shown
    assert "worldline claims run coin --n 40 --seed 0" in shown
    assert "test-of-coin  tested by" in shown


def test_quick_and_full(run, lab):
    run("run", "coin", "--quick")
    assert "(quick)" in run().out
    run("run", "coin")
    rows = run().out.splitlines()[2:4]
    assert [row.split()[0] for row in rows] == ["coin", "inconclusive"]
    assert "(quick)" in rows[1]
    assert "(quick)" not in rows[0]
    found = json.loads(run("--json", "-").out)["verdicts"]
    assert [(one["quick"], one["n"]) for one in found] == [(False, 40), (True, 4)]


def test_all_go_on_after_one_that_failed(run, lab):
    def broken(key):
        if key.startswith("coin"):
            raise ZeroDivisionError("nothing")

    lab["on_item"] = broken
    said = run("run", "--all")
    assert said.code == 1
    assert said.out.startswith("dice: supported: ")
    assert "coin: failed: ZeroDivisionError: nothing" in said.err
    assert "Traceback" not in said.err


def test_a_stopped_run_says_that_it_goes_on(run, lab):
    done = []

    def stopping(key):
        done.append(key)
        if len(done) == 10:
            raise KeyboardInterrupt

    lab["on_item"] = stopping
    said = run("run", "coin")
    assert said.code == 130
    assert said.out == ""
    assert "what was measured is kept" in said.err
    assert "Traceback" not in said.err
    said = run("run", "coin")
    assert said.code == 0
    assert "coin: 9 of 40 items …" in said.err
    assert "(9 items were kept before)" in said.out
    assert len(done) == 41
    run("run", "coin")
    assert len(done) == 41


def test_json_alone_on_standard_output(run, lab, tmp_path):
    said = run("run", "coin", "--json", "-")
    (one,) = json.loads(said.out)["verdicts"]
    assert (one["claim"], one["verdict"]) == ("coin", "supported")
    assert "coin: supported" in said.err
    picture = json.loads(run("--json", "-").out)
    assert picture["schema"] == "worldline.claims/1"
    assert picture["verdicts"] == [one]
    node = json.loads(run("show", "coin", "--json", "-").out)
    assert node["verdicts"] == [one]
    assert node["decision"]["support"] == "> 0.5"
    assert node["numbers"] == {one["run"]: {"heads": round(40 * one["value"])}}
    (test,) = node["neighbourhood"]["experiment"]
    assert (test["id"], test["relations"]) == ("test-of-coin", ["tested by"])
    run("--json", tmp_path / "f.json")
    assert json.loads((tmp_path / "f.json").read_text()) == picture


def test_another_model_is_asked_for_by_name(run, lab, tmp_path):
    (tmp_path / "mine").mkdir()
    run("run", "coin", "--model", tmp_path / "mine")
    said = run()
    assert "also run: mine (--model)" in said.out
    assert "supported" not in said.out
    assert "supported" in run("--model", tmp_path / "mine").out
    assert "supported" in run("--model", "mine").out
    assert "--model mine" in run("show", "coin", "--model", "mine").out
    assert "supported: " not in run("show", "coin").out


def test_exports(run, lab, tmp_path):
    run("run", "--all", "--seed", "2")
    document = json.loads(run("export", "--format", "json-ld").out)
    assert {"@context", "@graph"} == document.keys()
    graph = nx.parse_graphml(run("export", "--format", "graphml").out)
    assert graph.nodes["coin"]["verdict"] == "supported"
    assert run("export", "--format", "html").out.startswith("<!doctype html>")
    picture = json.loads(run("export", "--format", "json").out)
    assert picture == json.loads(run("--json", "-").out)
    place = tmp_path / "new" / "v.json"
    said = run("export", "--format", "verdicts", "--out", place)
    assert said.out == f"{place}\n"
    verdicts = read_verdicts(place)
    assert [one.run.claim for one in verdicts] == ["coin", "dice"]
    assert all(one.run.key.seed == 2 for one in verdicts)
    assert str(tmp_path) not in place.read_text()


def test_a_stale_verdict_says_so(run, lab, monkeypatch):
    run("run", "coin")
    monkeypatch.setattr(registry, "code_hash", lambda claim: "1" * 64)
    assert "supported (stale)" in run().out
    assert "stale: the experiment's code changed since" in run("show", "coin").out


def test_the_bar_on_a_terminal(lab, tmp_path):
    store = Store(tmp_path / "store")
    console = Console(width=80, force_terminal=True, record=True, file=(tmp_path / "o").open("w"))
    with command._bar(console) as (say, heard):
        say("loading")
        heard("coin", 0, 0)
        claim = worldline.claims.records.load_graph().claim("coin")
        run_claim(claim, store, coin_model(), RunRequest(), heard)
    console.file.close()
    store.close()
    text = (tmp_path / "o").read_text()
    assert "40/40" in text
    assert "coin" in text


def test_the_table_loads_no_torch(tmp_path, monkeypatch):
    """The real records, and a store in which a verdict stands that is stale by now."""
    monkeypatch.setenv("WORLDLINE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(registry, "find_experiment", lambda claim: flips(claim, 40))
    monkeypatch.setattr(registry, "code_hash", lambda claim: "0" * 64)
    store = Store()
    claim = worldline.claims.records.load_graph().claim("redundancy")
    run_claim(claim, store, coin_model("smollm2-135m-instruct"), RunRequest())
    store.close()
    for words in ([], ["show", "redundancy"], ["export", "--format", "json-ld"]):
        code = (
            "import sys, worldline.apps.cli as cli;"
            f"sys.argv = ['worldline', 'claims', *{words!r}]\n"
            "try: cli.main()\nexcept SystemExit as stop: assert not stop.code, stop.code\n"
            "assert not {'torch', 'transformers'} & set(sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "stale" in done.stdout


def test_two_weights_of_one_name(run, lab, monkeypatch):
    run("run", "coin")
    monkeypatch.setattr(type(coin_model()), "weights_hash", "d0" * 32)
    run("run", "dice")
    rows = run().out.splitlines()
    assert rows[-1].startswith("2 weights were run under this name")
    shown = json.loads(run("--json", "-").out)["verdicts"]
    assert {one["weights_hash"] for one in shown} == {shown[0]["weights_hash"]}


def test_pick_of_none():
    assert pick(()) == ()
