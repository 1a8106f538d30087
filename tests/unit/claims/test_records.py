"""The records that come with worldline, and everything that a record must not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from coin_flips import coin_graph, write_records
from worldline.claims.records import RECORDS, load_graph
from worldline.errors import InputError
from worldline.experiments.registry import experiment_ids

DESIGN = Path(__file__).parents[3] / "docs" / "design" / "claims.md"


def test_all_are_read_and_each_claim_has_its_experiment():
    graph = load_graph()
    tests = {edge.target: edge.source for edge in graph.edges if edge.type == "tests"}
    assert set(tests) == set(experiment_ids())
    assert set(graph.claims) - set(tests) == {"continuity"}
    assert all(source == f"test-of-{claim}" for claim, source in tests.items())
    assert graph.claims["continuity"].why


def test_metrics_and_thresholds_are_those_of_the_design():
    """The table of the design is the twin of the records, word for word."""
    rows = [line.split("|")[1:-1] for line in DESIGN.read_text().splitlines() if "|" in line]
    cells = [tuple(cell.strip() for cell in row) for row in rows if len(row) == 4]
    table = {row[0]: row[1:] for row in cells if row[0] in load_graph().claims}
    assert len(table) == 21
    for name, one in load_graph().claims.items():
        metric, support, refute = table[name]
        if one.decides == "not testable":
            assert (metric, support, refute) == ("none", "", "")
        elif one.decides == "measurement":
            assert (one.metric, support, refute) == (metric, "measurement", "")
        else:
            assert (one.metric, one.support, one.refute) == (metric, support, refute)


def test_no_node_stands_alone():
    graph = load_graph()
    assert [name for name in graph.nodes if not graph.edge_counts[name]] == []


def test_the_threads_neighbourhood_is_there():
    """One thinker, one framework, one method and ten concepts, as on the page about the thread."""
    from worldline.claims.graph import neighbourhood

    around = neighbourhood(load_graph(), "janus-thread")
    assert [one.node.id for one in around["thinker"]] == ["janus"]
    assert [one.node.id for one in around["framework"]] == ["wolfram-causal-graph"]
    assert [one.node.id for one in around["method"]] == ["kv-caching"]
    assert len(around["concept"]) == 10
    assert len(around["question"]) == 1


def test_files_lie_in_the_folder_of_their_type():
    for path in RECORDS.rglob("*.toml"):
        kind = load_graph().nodes[path.stem].type
        assert path.parent.name == f"{kind}s"


def refused(folder, *parts):
    load_graph.cache_clear()
    with pytest.raises(InputError) as raised:
        load_graph(folder)
    line = str(raised.value)
    assert "\n" not in line
    for part in parts:
        assert part in line, line


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ('type = "claim"', 'type = "rumour"', ["coin.toml: type", "rumour"]),
        ('type = "claim"', 'type = "verdict"', ["coin.toml: type", "verdict"]),
        ('type = "claim"', "", ["coin.toml", "type", "required"]),
        ('source = "a test"', "", ["coin.toml: source", "required"]),
        ('source = "a test"', 'source = ""', ["coin.toml: source"]),
        ('source = "a test"', 'source = " "', ["coin.toml: source"]),
        ('unit = "share"', 'unit = "share"\nunti = "x"', ["coin.toml: unti", "not permitted"]),
        ('unit = "share"', "", ["coin.toml: unit: is missing with support and refute"]),
        ('unit = "share"', "unit = 3", ["coin.toml: unit", "string"]),
        ('refute = "<= 0.5"', "", ["coin.toml: refute: is missing"]),
        ('refute = "<= 0.5"', 'refute = "<=0.5"', ["coin.toml: refute", '"<=0.5"', "accepted"]),
        ('refute = "<= 0.5"', 'refute = "<= 0.6"', ["coin.toml", "overlap"]),
        ('refute = "<= 0.5"', 'refute = "> 2"', ["coin.toml", "overlap"]),
        ('unit = "share"', 'unit = "share"\ndecides = "measurement"', ["support: has no place"]),
        ('unit = "share"', 'unit = "share"\ndecides = "taste"', ["coin.toml: decides", "taste"]),
        ('unit = "share"', 'unit = "share"\nwhy = "so"', ["coin.toml: why: has no place"]),
        ('unit = "share"', "unit = ", ["coin.toml: cannot be read"]),
        ('id = "coin"', 'id = "Coin"', ["coin.toml: id", "Coin"]),
        ('id = "coin"', 'id = "heads"', ["coin.toml", '"heads" is not the name of its file']),
        ('unit = "share"', 'unit = "share"\nurl = "javascript:alert(1)"', ["coin.toml: url"]),
        (
            'refute = "<= 0.5"',
            'refute = "<= 0.5"\n[edges]\ncites = ["nowhere"]',
            ["coin.toml: cites", 'no record "nowhere"'],
        ),
        (
            'refute = "<= 0.5"',
            'refute = "<= 0.5"\n[edges]\nlikes = ["test-of-coin"]',
            ["coin.toml: edges.likes"],
        ),
        (
            'refute = "<= 0.5"',
            'refute = "<= 0.5"\n[edges]\ncites = ["coin"]',
            ["coin.toml: cites: an edge to itself"],
        ),
        (
            'refute = "<= 0.5"',
            'refute = "<= 0.5"\n[edges]\ncites = ["test-of-coin", "test-of-coin"]',
            ["coin.toml: cites", "twice"],
        ),
        (
            'refute = "<= 0.5"',
            'refute = "<= 0.5"\n[edges]\nanswers = ["test-of-coin"]',
            ["coin.toml: answers: goes from no claim to a experiment"],
        ),
    ],
)
def test_what_is_wrong_is_one_line_with_the_file(tmp_path, old, new, parts):
    folder = write_records(tmp_path / "r")
    change(folder / "coin.toml", old, new)
    refused(folder, *parts)


def test_a_claim_without_experiment_and_one_with_two(tmp_path):
    folder = write_records(tmp_path / "r")
    test = (folder / "test-of-coin.toml").read_text()
    (folder / "test-of-coin.toml").unlink()
    refused(folder, "coin.toml: a claim has one experiment, this one none")
    for name in ("one", "two"):
        (folder / f"{name}.toml").write_text(test.replace("test-of-coin", name))
    refused(folder, "coin.toml: a claim has one experiment, this one 2")


def test_an_experiment_without_claim(tmp_path):
    folder = write_records(tmp_path / "r")
    text = (folder / "test-of-coin.toml").read_text().replace("test-of-coin", "alone")
    (folder / "alone.toml").write_text(text.replace('tests = ["coin"]', 'cites = ["coin"]'))
    refused(folder, "alone.toml: an experiment tests one claim, this one 0")


def test_an_experiment_of_what_nothing_can_test(tmp_path):
    folder = write_records(tmp_path / "r")
    text = (folder / "coin.toml").read_text()
    (folder / "coin.toml").write_text(
        text[: text.index("metric")] + 'decides = "not testable"\nwhy = "so"\n'
    )
    refused(folder, "coin.toml", "not testable", "1 experiments test it")
    (folder / "test-of-coin.toml").unlink()
    load_graph.cache_clear()
    assert load_graph(folder).claims["coin"].why == "so"


def test_two_files_of_one_id(tmp_path):
    folder = write_records(tmp_path / "r")
    (folder / "b").mkdir()
    (folder / "b" / "coin.toml").write_bytes((folder / "coin.toml").read_bytes())
    refused(folder, 'coin.toml: id "coin" is that of b/coin.toml too')


def test_a_file_that_is_not_utf8(tmp_path):
    folder = write_records(tmp_path / "r")
    (folder / "coin.toml").write_bytes(b'id = "\xff"')
    refused(folder, "coin.toml: cannot be read")


def test_the_hash_is_that_of_what_decides(tmp_path):
    folder = write_records(tmp_path / "r")

    def hash_with(old, new):
        load_graph.cache_clear()
        path = folder / "coin.toml"
        text = path.read_text()
        change(path, old, new)
        found = load_graph(folder).claims["coin"].decision_hash()
        path.write_text(text)
        return found

    plain = hash_with("coin", "coin")
    assert hash_with('title = "Heads"', 'title = "Tails"') == plain
    assert hash_with('source = "a test"', 'source = "elsewhere"') == plain
    for old, new in (
        ("More than half", "Most"),
        ("share of heads", "number of heads"),
        ('support = "> 0.5"', 'support = "> 0.6"'),
        ('refute = "<= 0.5"', 'refute = "<= 0.4"'),
        ('unit = "share"', 'unit = "parts"'),
    ):
        assert hash_with(old, new) != plain


def test_closest_names(tmp_path):
    graph = coin_graph(tmp_path / "r", "coin", "dice")
    with pytest.raises(InputError, match='there is no "cion"; near it: coin'):
        graph.find("cion")
    with pytest.raises(InputError, match='there is no claim "test-of-coin"'):
        graph.claim("test-of-coin")
    with pytest.raises(InputError, match="lists all claims"):
        graph.find("zzzzzz")
