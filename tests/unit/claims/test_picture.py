"""The picture of the claims, and its forms for other tools."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import networkx as nx
import pytest

from coin_flips import coin_graph, coin_model, flips
from worldline.claims.claim_runs import RunRequest, run_claims
from worldline.claims.exports.graphml import claims_graphml
from worldline.claims.exports.jsonld import BACKWARDS, CONTEXT, FORWARDS, TYPES, claims_jsonld
from worldline.claims.exports.lines import claims_table, node_lines, verdict_line
from worldline.claims.exports.numbers import number_of
from worldline.claims.graph import NODE_TYPES, neighbourhood
from worldline.claims.picture import (
    BUNDLED,
    claims_picture,
    command,
    current_picture,
    model_verdicts,
)
from worldline.claims.records import load_graph
from worldline.claims.run_database import Store
from worldline.claims.shipped_verdicts import (
    read_verdicts,
    shipped_verdicts,
    with_shipped,
    write_verdicts,
)
from worldline.claims.verdict import pick
from worldline.errors import InputError
from worldline.experiments import registry
from worldline.experiments.experiment import Figure, Finding, Picture, Series
from worldline.views.schema.claims import ClaimsPicture, ClaimsVerdict

NASTY = "</script><b>&\x1b[31m\u202e\x00[red]"
UNBOUNDED = Finding(
    0.7, -math.inf, math.inf, 20,
    says=(f"It says {NASTY}.",),
    figures=(
        Figure("T", "line", "x", "y", (Series("s", (math.inf, "b"), (math.nan, 1.0)),), rule=0.5),
    ),
    picture=Picture("a text", "look", target=" b", cuts=("1.0:2>3",)),
)  # fmt: skip


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "store")
    yield found
    found.close()


def three_claims(folder, monkeypatch):
    """One supported in full and quickly, one unbounded, one that is not run."""
    known = {
        "a": flips("a", 100, 0.8),
        "b": replace(flips("b", 20), conclude=lambda measured, seed: UNBOUNDED),
        "c": flips("c"),
    }
    monkeypatch.setattr(registry, "find_experiment", known.__getitem__)
    monkeypatch.setattr(registry, "experiment_ids", lambda: list(known))
    monkeypatch.setattr(registry, "code_hash", lambda claim: "0" * 64)
    return coin_graph(folder / "records", *known)


@pytest.fixture
def graph(tmp_path, monkeypatch):
    return three_claims(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of a store with the runs; they are made once, and each test has a copy."""
    folder = tmp_path_factory.mktemp("ran")
    with pytest.MonkeyPatch.context() as patch:
        graph, store = three_claims(folder, patch), Store(folder / "store")
        list(run_claims(graph, store, coin_model(), ["a", "b"], RunRequest()))
        list(run_claims(graph, store, coin_model(), ["a"], RunRequest(quick=True)))
        store.close()
    return folder / "store"


@pytest.fixture
def picture(graph, store, ran, tmp_path):
    shutil.copytree(ran, tmp_path / "store", dirs_exist_ok=True)
    return claims_picture(graph, store, "coin", coin_model().weights_hash)


def test_what_the_picture_holds(picture):
    words = [(one.claim, one.verdict, one.quick, one.n) for one in picture.verdicts]
    assert words[0] == ("a", "supported", False, 100)
    assert words[1][2:] == (True, 10)
    assert words[2] == ("b", "inconclusive", False, 20)
    assert len(words) == 3
    one = picture.verdicts[2]
    assert (one.low, one.high, one.value) == (None, None, 0.7)
    assert one.figures[0].series[0].y == (None, 1.0)
    assert one.figures[0].series[0].x == ("inf", "b")
    assert one.picture.cuts == ("1.0:2>3",)
    assert one.command == "worldline claims run b --model coin --n 20 --seed 0 --dtype float32"
    again = ClaimsPicture.model_validate_json(picture.model_dump_json(by_alias=True))
    assert again == picture


@pytest.mark.parametrize(
    ("model", "dtype", "said"),
    [
        (BUNDLED, "float32", "worldline claims run a --n 100 --seed 0"),
        (BUNDLED, "bfloat16", "worldline claims run a --n 100 --seed 0 --dtype bfloat16"),
        (
            "o/it's", "float32",
            "worldline claims run a --model 'o/it'\"'\"'s' --n 100 --seed 0 --dtype float32",
        ),
        (
            "LlamaForCausalLM in memory", "float32",
            "no command line loads LlamaForCausalLM in memory (weights c0c0c0c0c0c0)",
        ),
    ],
)  # fmt: skip
def test_the_line_names_what_ran(graph, store, model, dtype, said):
    (outcome,) = run_claims(graph, store, coin_model(), ["a"], RunRequest())
    run = replace(outcome.verdict.run, model=model, versions={"dtype": dtype})
    assert command(replace(outcome.verdict, run=run)) == said


def test_runs_and_verdicts_are_nodes(picture):
    kinds = [node.type for node in picture.nodes]
    assert kinds == sorted(kinds, key=NODE_TYPES.index)
    assert [kinds.count(kind) for kind in ("claim", "run", "verdict")] == [3, 3, 3]
    known = {node.id for node in picture.nodes}
    edges = {(one.source, one.type, one.target) for one in picture.edges}
    assert all(one.source in known and one.target in known for one in picture.edges)
    for one in picture.verdicts:
        run, verdict = f"run-{one.run}", f"verdict-{one.run}"
        assert (f"test-of-{one.claim}", "generated", run) in edges
        assert (run, "generated", verdict) in edges
        assert (run, "tests", one.claim) in edges
        supports = (verdict, "supports", one.claim) in edges
        assert supports == (one.verdict == "supported")


def test_other_weights_have_no_verdicts(graph, store, picture):
    assert claims_picture(graph, store, "coin", "f" * 64).verdicts == ()
    assert claims_picture(graph, store, "dice").verdicts == ()
    assert claims_picture(graph, store, "coin").verdicts == picture.verdicts


def test_what_nothing_can_test_has_its_word_without_a_run(tmp_path):
    picture = claims_picture(load_graph(), Store(tmp_path), "nobody")
    (one,) = picture.verdicts
    assert (one.claim, one.verdict, one.run) == ("continuity", "not testable here", "")
    assert not [node for node in picture.nodes if node.type in ("run", "verdict")]
    document = json.loads(claims_jsonld(picture))
    said = {one["@id"]: one for one in document["@graph"]}
    assert said["claims:continuity"]["terms:untestable"] == one.reason


def test_the_picture_of_now_is_that_of_the_users_store(graph, store, picture, monkeypatch):
    monkeypatch.setenv("WORLDLINE_DATA", str(store.folder))
    monkeypatch.setattr("worldline.claims.picture.load_graph", lambda: graph)
    assert current_picture("coin") == picture
    with ThreadPoolExecutor(1) as other:
        assert other.submit(current_picture, "coin").result() == picture


# --- JSON-LD --------------------------------------------------------------------------------------


def walk(value):
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from walk(one)
    elif isinstance(value, list):
        for one in value:
            yield from walk(one)


@pytest.mark.parametrize("whole", [False, True])
def test_jsonld_is_closed_and_every_prefix_is_said(picture, store, whole):
    if whole:
        picture = claims_picture(load_graph(), store, "nobody")
    document = json.loads(claims_jsonld(picture))
    nodes = document["@graph"]
    known = [node["@id"] for node in nodes]
    assert len(set(known)) == len(known) == len(picture.nodes) + 1
    prefixes = {name for name, value in CONTEXT.items() if isinstance(value, str)}
    references = terms = 0
    for value in walk(nodes):
        if value.keys() == {"@id"}:
            references += 1
            assert value["@id"] in known
        types = value.get("@type", [])
        for key in (*value, *([types] if isinstance(types, str) else types)):
            if not key.startswith("@"):
                terms += 1
                assert key.partition(":")[0] in prefixes, key
    assert references > len(picture.edges) - 1
    assert terms
    for node in nodes[1:]:
        assert node["@type"]
        assert node["schema:name"]


def test_jsonld_says_who_generated_what(picture):
    said = {one["@id"]: one for one in json.loads(claims_jsonld(picture))["@graph"]}
    one = picture.verdicts[0]
    run, review = said[f"claims:run-{one.run}"], said[f"claims:verdict-{one.run}"]
    assert "prov:Activity" in run["@type"]
    assert run["prov:used"] == [{"@id": "claims:test-of-a"}]
    assert {"@id": review["@id"]} in run["prov:generated"]
    assert "schema:ClaimReview" in review["@type"]
    assert review["prov:wasGeneratedBy"] == [{"@id": run["@id"]}]
    assert review["schema:itemReviewed"] == {"@id": "claims:a"}
    assert review["cito:supports"] == review["dgc:supports"] == [{"@id": "claims:a"}]
    assert review["schema:reviewRating"]["schema:alternateName"] == "supported"
    assert {"schema:Claim", "dgc:Claim"} <= set(said["claims:a"]["@type"])


def test_every_type_and_edge_has_a_word():
    assert set(TYPES) == set(NODE_TYPES)
    edges = set(FORWARDS) | set(BACKWARDS) | {"generated"}
    assert {edge.type for edge in load_graph().edges} <= edges


# --- GraphML, text --------------------------------------------------------------------------------


def test_graphml_comes_back(picture):
    graph = nx.parse_graphml(claims_graphml(picture))
    assert graph.number_of_nodes() == len(picture.nodes)
    assert graph.number_of_edges() == len(picture.edges)
    assert graph.nodes["a"]["verdict"] == "supported"
    assert graph.nodes["a"]["value"] == picture.verdicts[0].value
    assert "low" not in graph.nodes["b"]
    assert "verdict" not in graph.nodes["c"]
    kinds = {edge["type"] for *_, edge in graph.edges(data=True)}
    assert kinds == {"tests", "generated", "supports"}


def test_graphml_without_networkx(picture, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'pip install "worldline\[graphs\]"'):
        claims_graphml(picture)


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits(picture, store, width):
    from rich.console import Console

    for shown in (picture, claims_picture(load_graph(), store, "smollm2-135m-instruct")):
        console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115,PTH123
        console.print(claims_table(shown, width))
        lines = console.export_text().splitlines()
        assert max(map(len, lines)) <= width
        claims = [node.id for node in shown.nodes if node.type == "claim"]
        assert [line.split()[0] for line in lines[1:] if line[0] != " "] == claims
        console.file.close()


def test_lines_of_a_claim(graph, store, picture):
    parts = [one for one in picture.verdicts if one.claim == "b"]
    around = neighbourhood(graph, "b", {"b": "x"})
    text = "\n".join(node_lines(graph, graph.nodes["b"], parts, around, 72))
    assert max(map(len, text.splitlines())) <= 72
    for word in ("claim  b", "source: a test", "metric: share of heads", "unit: share", "> 0.5",
                 "inconclusive: 0.7 [−∞, ∞] share, n 20 (flips)", "It says", "experiment (1)",
                 "test-of-b  tested by  (1 edge)", "worldline claims run b"):  # fmt: skip
        assert word in text, word
    assert not set("\x1b\u202e\x00") & set(text)
    assert "\n" not in verdict_line(parts[0])


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        ((0.5, 0.5, 0.5), "0.5"),
        ((0.91234, 0.90001, 0.93), "0.9123 [0.90001,\u00a00.93]"),
        ((0.5, None, 0.6), "0.5 [−∞,\u00a00.6]"),
        ((None, None, None), "–"),
        ((2.1e-6, 2.1e-6, 2.1e-6), "2.1e-06"),
    ],
)
def test_numbers_as_they_are_shown(picture, numbers, shown):
    said = dict(zip(("value", "low", "high"), numbers, strict=True))
    one = picture.verdicts[0].model_copy(update={**said, "support": ">= 0.9", "refute": "< 0.9"})
    assert number_of(ClaimsVerdict.model_validate(one.model_dump())) == shown


# --- shipped verdicts -----------------------------------------------------------------------------


def test_verdicts_in_a_file_come_back(graph, store, picture, tmp_path):
    path = tmp_path / "coin.json"
    verdicts = store.verdicts()
    path.write_text(write_verdicts(verdicts))
    assert "NaN" not in path.read_text()
    back = read_verdicts(path)
    assert sorted(map(repr, back)) == sorted(map(repr, verdicts))
    assert write_verdicts(back) == path.read_text()
    assert with_shipped(verdicts, back) == verdicts
    assert with_shipped([], back) == back
    assert len(shipped_verdicts(graph.claims, tmp_path)) == 3
    with pytest.raises(InputError, match=r'coin\.json: there is no claim "a"'):
        shipped_verdicts(["b"], tmp_path)


def test_shipped_verdicts_stand_where_the_user_has_none(
    graph, store, picture, tmp_path, monkeypatch
):
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "coin.json").write_text(write_verdicts(store.verdicts()))
    shipped = shipped_verdicts(graph.claims, folder)
    monkeypatch.setattr("worldline.claims.picture.shipped_verdicts", lambda claims: shipped)
    empty = Store(tmp_path / "empty")
    assert claims_picture(graph, empty, "coin").verdicts == picture.verdicts
    assert not empty.folder.exists()
    monkeypatch.setattr(registry, "code_hash", lambda claim: "1" * 64)
    assert all(one.stale for one in claims_picture(graph, empty, "coin").verdicts)
    list(run_claims(graph, empty, coin_model(), ["a"], RunRequest(quick=True)))
    found = [(one.verdict.run.quick, bool(one.stale)) for one in
             pick(model_verdicts(graph, empty, "coin")["a"])]  # fmt: skip
    assert found == [(True, False), (False, True)]
    empty.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file["runs"].pop(), "a verdict without its run"),
        (lambda file: file["runs"].append(file["runs"][0]), "two runs have one id"),
        (lambda file: file["runs"][0].update(n=7), "has not the id of what it says"),
        (lambda file: file["runs"][0].update(place="/home"), "runs.0.place"),
        (lambda file: file["runs"][0].pop("seed"), "runs.0.seed"),
        (lambda file: file["verdicts"][0].update(word="true"), "verdicts.0.word"),
        (lambda file: file["verdicts"][0]["finding"].pop("n"), "a finding that is none"),
        (lambda file: file["verdicts"][0]["finding"].update(x=1), "a finding that is none"),
        (lambda file: file.update(schema="other/1"), "schema"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(store, picture, tmp_path, change, said):
    file = json.loads(write_verdicts(store.verdicts()))
    change(file)
    path = tmp_path / "coin.json"
    path.write_text(json.dumps(file))
    with pytest.raises(InputError, match=r"coin\.json: .*" + said) as raised:
        read_verdicts(path)
    assert "\n" not in str(raised.value)
    path.write_bytes(b"\xff{")
    with pytest.raises(InputError, match=r"coin\.json: "):
        read_verdicts(path)


def test_the_shipped_files_are_whole():
    """None of them is of a claim that has no record; all are of known words."""
    for verdict in shipped_verdicts(load_graph().claims):
        assert verdict.run.finished


def test_no_torch_is_loaded(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from worldline.claims.records import load_graph\n"
        "from worldline.claims.picture import claims_picture\n"
        "from worldline.claims.run_database import Store\n"
        "from worldline.claims.exports.jsonld import claims_jsonld\n"
        f"picture = claims_picture(load_graph(), Store(Path({str(tmp_path)!r})), 'x')\n"
        "claims_jsonld(picture)\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
