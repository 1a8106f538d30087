"""The store: what is kept comes back as it was, from any process, and nothing is half kept."""

from __future__ import annotations

import math
import os
import sqlite3
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldline.claims.json_numbers import finite, pack, unpack
from worldline.claims.run_database import Store
from worldline.claims.verdict import Run, RunKey, Verdict, pack_finding, unpack_finding
from worldline.errors import InputError
from worldline.experiments.experiment import Figure, Finding, Picture, Series

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=True),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FULL = Finding(
    0.5, -math.inf, math.nan, 12,
    numbers={"table": [[1, math.inf], [None, "x"]]},
    says=("One.", "Two."),
    figures=(
        Figure("T", "line", "x", "y",
               (Series("s", (1.0, "two"), (math.nan, 2.0), low=(0.0, -math.inf)),), rule=0.1),
    ),
    picture=Picture("text", "says", cuts=("1.0:2>3",)),
)  # fmt: skip


def run(claim="coin", seed=0, n=10, **more):
    key = RunKey(claim, "w" * 64, "f" * 64, "c" * 64, "r" * 64, seed, n)
    said = {"quick": False, "counts": "flips", "versions": {"worldline": "1"}}
    return Run(key=key, model="coin", started="2026-01-01T00:00:00Z", **{**said, **more})


def verdict(of, word="supported", finding=FULL, date="2026-01-01T00:00:01Z"):
    return Verdict(of, word, finding, "so", date)


@pytest.fixture
def store(tmp_path):
    found = Store(tmp_path / "data")
    yield found
    found.close()


@given(PLAIN)
def test_plain_json_comes_back_as_it_was(value):
    written = pack(value)
    assert "NaN" not in written or isinstance(value, str | list | dict)
    back = unpack(written)
    assert pack(back) == written
    assert repr(back) == repr(value)


@pytest.mark.parametrize("value", [{1: 2}, {"x": {3}}, object(), b"x", {"x": [1j]}])
def test_what_is_not_plain_is_refused(value):
    with pytest.raises(TypeError, match="plain JSON"):
        pack(value)


def test_what_is_not_finite_is_null_for_others():
    assert finite({"a": (math.nan, [math.inf, 1.0]), "b": "nan"}) == {
        "a": [None, [None, 1.0]],
        "b": "nan",
    }


def test_a_finding_comes_back():
    assert repr(unpack_finding(pack_finding(FULL))) == repr(
        Finding(**{**FULL.__dict__, "numbers": {"table": [[1, math.inf], [None, "x"]]}})
    )
    nothing = Finding(None, None, None, 0, untestable="no template")
    assert unpack_finding(pack_finding(nothing)) == nothing


def test_reading_makes_nothing(store):
    assert store.verdicts() == []
    assert store.items("x") == {}
    assert not store.folder.exists()


def test_what_is_kept_is_there_for_another(store):
    one = store.start(run())
    store.keep_item(one.id, "a", {"x": math.nan, "y": [math.inf, 0.1]})
    other = Store(store.folder)
    assert repr(other.items(one.id)) == "{'a': {'x': nan, 'y': [inf, 0.1]}}"
    store.conclude(verdict(one))
    (found,) = other.verdicts()
    assert repr(found.finding) == repr(FULL)
    assert (found.run.key, found.word, found.run.finished) == (one.key, "supported", found.date)
    assert other.verdict(one.id) == found or repr(other.verdict(one.id)) == repr(found)
    other.close()


def test_the_first_of_two_equal_things_stays(store):
    one = store.start(run())
    again = store.start(run(counts="others"))
    assert again == one
    store.keep_item(one.id, "a", {"x": 1})
    store.keep_item(one.id, "a", {"x": 2})
    assert store.items(one.id) == {"a": {"x": 1}}
    assert store.start(run(seed=1)).id != one.id


def test_a_verdict_without_its_run_is_refused(store):
    store.start(run())
    with pytest.raises(InputError, match="a verdict without its run"):
        store.conclude(verdict(run(seed=7)))
    assert store.verdicts() == []
    connection = sqlite3.connect(store.path)
    connection.execute("PRAGMA foreign_keys = ON")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO verdicts VALUES ('x', 'supported', '{}', 'so', 'now')")
    connection.close()


def test_an_item_without_run_and_one_that_is_not_plain(store):
    one = store.start(run())
    with pytest.raises(TypeError):
        store.keep_item(one.id, "a", {"x": {1}})
    with pytest.raises(InputError, match="cannot be used"):
        store.keep_item("nowhere", "a", {})
    store.keep_item(one.id, "b", {"x": 1})
    assert store.items(one.id) == {"b": {"x": 1}}


def test_it_is_in_wal_mode(store):
    store.start(run())
    connection = sqlite3.connect(store.path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_another_version_and_a_damaged_file(store, tmp_path):
    store.start(run())
    store.close()
    connection = sqlite3.connect(store.path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(InputError, match=r"claims\.sqlite: made by another worldline"):
        store.verdicts()
    store.path.write_bytes(b"no database at all, whatever its name may say" * 30)
    with pytest.raises(InputError, match=r"claims\.sqlite: cannot be used"):
        Store(store.folder).verdicts()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used"):
        Store(tmp_path / "file" / "below").start(run())


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE bookmarks (x)",
        "PRAGMA journal_mode = WAL; CREATE TABLE bookmarks (x)",
        "PRAGMA user_version = 1; CREATE TABLE bookmarks (x)",
        "PRAGMA application_id = 7; CREATE TABLE a (x); DROP TABLE a",
        "PRAGMA user_version = 99; CREATE TABLE runs (x)",
    ],
)
def test_another_programs_file_is_not_touched(store, made):
    store.folder.mkdir(exist_ok=True)
    base = sqlite3.connect(store.path)
    base.executescript(made)
    base.close()
    before = store.path.read_bytes()
    for ask in (store.verdicts, lambda: store.start(run())):
        with pytest.raises(
            InputError, match=r"claims\.sqlite: (another program's|made by another)"
        ):
            ask()
    assert store.path.read_bytes() == before
    assert list(store.folder.iterdir()) == [store.path]


def test_a_run_is_made_by_one_at_a_time(store):
    """The second waits until the first lets go, says so once, and others do not wait."""
    waited, order = [], []

    def second():
        other = Store(store.folder)
        with other.alone("a", lambda: waited.append(1)):
            order.append("second")
        other.close()

    with store.alone("a"):
        thread = threading.Thread(target=second)
        thread.start()
        with Store(store.folder).alone("b"):
            order.append("other run")
        while not waited:
            assert thread.is_alive()
        order.append("first")
    thread.join(10)
    assert order == ["other run", "first", "second"]
    assert waited == [1]
    assert all(one.stat().st_size == 0 for one in (store.folder / "locks").iterdir())


@pytest.mark.skipif(os.name == "nt", reason="links of POSIX")
def test_a_store_is_the_same_by_a_link_and_refused_by_two_names(store, tmp_path):
    with store.alone("a"):
        pass
    store.close()
    linked, named = Store(tmp_path / "linked"), Store(tmp_path / "named")
    for other in (linked, named):
        other.folder.mkdir()
    linked.path.symlink_to(store.path)
    with linked.alone("a"):
        assert not (linked.folder / "locks").exists()
    linked.close()
    os.link(store.path, named.path)
    for other in (store, linked, named):
        with pytest.raises(InputError, match="2 names"):
            other.verdicts()


def test_the_folder_is_that_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLDLINE_DATA", str(tmp_path / "mine"))
    assert Store().path == tmp_path / "mine" / "claims.sqlite"
    monkeypatch.delenv("WORLDLINE_DATA")
    assert "worldline" in str(Store().path)
