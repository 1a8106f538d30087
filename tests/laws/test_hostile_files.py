"""Whatever is in a file: it is read whole, or refused in one line; never half, never a traceback.

A kind of file joins by a row of `KINDS`: what writes a good one, and what reads it and gives
something to compare. Bytes are flipped and cut off, and numbers in its text become absurd.
"""

from __future__ import annotations

import functools
import json
import random
import re
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import worldline as wl
from damage import REFUSED, damaged_bytes, examples, outcome
from tiny_runs import loaded, some_tokens
from worldline.claims.run_database import Store as Claims
from worldline.claims.shipped_verdicts import SHIPPED, read_verdicts
from worldline.claims.verdict import Run, RunKey, Verdict, read_finding
from worldline.errors import InputError
from worldline.experiments.faithfulness.families import load_pairs
from worldline.experiments.faithfulness.part_files import Store as Parts
from worldline.foreign_json import read_json_file
from worldline.graph.order import Order
from worldline.room.scenarios import read_scenario
from worldline.room.search import RecordedSearch
from worldline.runs.trace_files import _digest


class Kind(NamedTuple):
    """A kind of file: its name's ending, a good one, and its reader."""

    ending: str
    write: Callable[[Path], object]
    read: Callable[[Path], Any]
    sealed: bool
    """Whether a byte that was changed is always seen: by a checksum over all of it."""


def _write_trace(place: Path) -> None:
    wl.save_trace(wl.record(loaded("llama"), some_tokens(4)), place)


def _read_trace(place: Path) -> Any:
    trace = wl.load_trace(place)
    return trace.tokens, trace.identity, [row.tolist() for row in trace.resid], trace.predictions


def _write_claims(place: Path) -> None:
    (place.parent / "made").mkdir(exist_ok=True)
    store = Claims(place.parent / "made")
    key = RunKey("coin", "w" * 64, "f" * 64, "c" * 64, "r" * 64, 0, 10)
    run = Run(key, "coin", False, "flips", {"worldline": "1"}, "2026-01-01T00:00:00Z")
    store.start(run)
    store.keep_item(run.id, "k", {"x": [1.5, float("nan")]})
    finding = read_finding({"value": 0.5, "low": 0.1, "high": 0.9, "n": 12})
    store.conclude(Verdict(run, "supported", finding, "so", "2026-01-01T00:00:01Z"))
    with sqlite3.connect(store.path) as base:
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    base.close()
    store.close()
    place.write_bytes(store.path.read_bytes())


def _read_claims(place: Path) -> Any:
    folder = place.parent / "kept"
    folder.mkdir(exist_ok=True)
    for left in ("claims.sqlite-wal", "claims.sqlite-shm"):
        (folder / left).unlink(missing_ok=True)
    (folder / "claims.sqlite").write_bytes(place.read_bytes())
    store = Claims(folder)
    try:
        found = store.verdicts()
        return repr(found), [repr(store.items(one.run.id)) for one in found]
    finally:
        store.close()


def _write_parts(place: Path) -> None:
    parts = Parts(place.parent / "raw")
    parts.write("a.zero", {"n": 1}, edges=np.array([[1, 2]]), w=np.array([0.5, 2.0]))
    parts.pack(place)


def _read_parts(place: Path) -> Any:
    parts = Parts(place)
    return [
        (name, said, {key: array.tolist() for key, array in arrays.items()})
        for name in sorted(parts.names())
        for said, arrays in [parts.read(name)]
    ]


def _text(content: str) -> Callable[[Path], object]:
    return lambda place: place.write_text(content, encoding="utf-8")


def _shipped() -> str:
    return min(SHIPPED.glob("*.json"), key=lambda one: one.stat().st_size).read_text("utf-8")


PAIR = {"clean": "a b", "corrupted": "a c", "answer": "x", "wrong": "y"}
SCENARIO = """title = "T"
opening = {who = "You", text = "Hello"}
[rules]
seed = 3
max_tokens = 20
[budget]
messages = 5
dollars = 0.5
[[participant]]
name = "Ada"
script = ["One."]
temperature = 0.5
"""
KINDS = {
    "trace": Kind("", _write_trace, _read_trace, True),
    "claims": Kind(".sqlite", _write_claims, _read_claims, False),
    "parts": Kind(".zip", _write_parts, _read_parts, False),
    "verdicts": Kind(".json", _text(_shipped()), lambda one: repr(read_verdicts(one)), False),
    "pairs": Kind(".jsonl", _text(json.dumps(PAIR)), lambda one: load_pairs(str(one)), False),
    "scenario": Kind(".toml", _text(SCENARIO), read_scenario, False),
    "order": Kind(
        ".json",
        _text("[[[0, 0]], [[0, 1], [1, 0]]]"),
        lambda o: Order.given(read_json_file(o)),
        False,
    ),
    "search": Kind(
        ".json",
        _text('{"q": [{"title": "t", "text": "x", "url": "u"}]}'),
        lambda one: RecordedSearch.from_file(one).results,
        False,
    ),
}
ABSURD = (
    "-1", "1e9", "1000000000", "99999999999999999999999999", "NaN", "Infinity", "1e400", '"3"',
    "null", "[]", "{}", "true", "1.5", "[" * 3000 + "]" * 3000,
)  # fmt: skip


@functools.cache
def _good(kind: str, folder: Path) -> tuple[bytes, Any]:
    place = folder / f"good{KINDS[kind].ending}"
    KINDS[kind].write(place)
    return place.read_bytes(), KINDS[kind].read(place)


@pytest.fixture(scope="module", params=list(KINDS))
def file(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    content, value = _good(request.param, folder)
    return KINDS[request.param], folder / f"bad{KINDS[request.param].ending}", content, value


def _outcome(kind: Kind, place: Path, content: bytes) -> Any:
    """What was read, or that it was refused, in one line, soon and in little memory."""
    place.write_bytes(content)
    return outcome(lambda: kind.read(place))


bounded = settings(
    max_examples=examples(25),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


def test_the_good_one_is_read(file):
    kind, place, content, value = file
    assert _outcome(kind, place, content) == value


@bounded
@example(0.0, 1)
@example(0.999999, 255)
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_byte_was_changed(file, where, change):
    kind, place, content, value = file
    at = int(where * len(content))
    changed = content[:at] + bytes([content[at] ^ change]) + content[at + 1 :]
    found = _outcome(kind, place, changed)
    if kind.sealed:
        assert found in (REFUSED, value)


@bounded
@example(0.0)
@given(st.floats(0, 1, exclude_max=True))
def test_the_end_is_missing(file, part):
    kind, place, content, _ = file
    _outcome(kind, place, content[: int(part * len(content))])


@bounded
@given(st.integers(0))
def test_pieces_and_sizes_were_changed(file, seed):
    kind, place, content, value = file
    found = _outcome(kind, place, damaged_bytes(content, random.Random(seed)))
    if kind.sealed:
        assert found in (REFUSED, value)


@bounded
@given(st.binary(max_size=300))
def test_anything_at_all(file, content):
    kind, place, _, _ = file
    _outcome(kind, place, content)


@bounded
@given(st.integers(0), st.sampled_from(ABSURD))
def test_a_number_became_absurd(file, which, absurd):
    kind, place, content, _ = file
    if kind.ending in (".zip", ".sqlite"):
        return
    if kind.ending:
        _outcome(kind, place, _with_absurd(content.decode(), which, absurd).encode())
        return
    from safetensors.torch import load

    size = int.from_bytes(content[:8], "little")  # safetensors: a header that says its length
    outer = json.loads(content[8 : 8 + size])
    said = outer["__metadata__"]
    said["worldline"] = _with_absurd(said["worldline"], which, absurd)
    said["sha256"] = _digest(said["worldline"], load(content))  # as if it were written so
    header = json.dumps(outer).encode()
    _outcome(kind, place, len(header).to_bytes(8, "little") + header + content[8 + size :])


def _with_absurd(text: str, which: int, absurd: str) -> str:
    numbers = list(re.finditer(r"(?<![\w.\"-])-?\d+(\.\d+)?(e-?\d+)?(?![\w.\"])", text))
    if not numbers:
        return text + absurd
    hit = numbers[which % len(numbers)]
    return text[: hit.start()] + absurd + text[hit.end() :]


# --- what each kind must not let through ----------------------------------------------------------


def _trace_with(place: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    _write_trace(place)
    with safe_open(place, framework="pt") as whole:
        header = json.loads(whole.metadata()["worldline"])
    change(header)
    said, tensors = json.dumps(header), load_file(place)
    save_file(tensors, place, metadata={"worldline": said, "sha256": _digest(said, tensors)})
    return place


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h: h["arrays"].update(X=10**9), "array 'X' of 1000000000 layers"),
        (lambda h: h["arrays"].update(k=10**9), "array 'k' of 1000000000 layers"),
        (lambda h: h["arrays"].pop("k"), "of which its header names"),
        (lambda h: h["identity"].update(n_layers=10**9), "1000000000 layers in"),
        (lambda h: h["identity"].update(n_layers=-5), "-5 layers in"),
        (lambda h: h["identity"].update(n_heads=10**9), "1000000000 heads"),
        (lambda h: h["identity"].update(d_model=10**9), r"resid\.0 is"),
        (lambda h: h["tokens"]["ids"].__setitem__(1, 10**6), "id 1000000: the ids go from 0 to"),
        (lambda h: h["tokens"]["ids"].__setitem__(1, -1), "id -1: the ids go from 0 to"),
        (lambda h: h["tokens"]["ids"].append(1), r"resid\.0 is"),
        (lambda h: h["tokens"]["pieces"].append("x"), "tokens: 4 ids"),
        (lambda h: h["tokens"]["char_spans"].__setitem__(0, [0, 10**9]), "spans outside the text"),
        (lambda h: h["tokens"]["groups"].__setitem__(1, 10**9), "groups do not go up"),
        (lambda h: h["predictions"][0].update(id=10**6), "id 1000000"),
        (lambda h: h["predictions"][0].update(logprob=float("nan")), "log-probability nan"),
        (lambda h: h["predictions"][0].update(logprob=3.0), "log-probability 3.0"),
        (lambda h: h["closure"].update(worst=float("inf")), "closure inf"),
        (lambda h: h["closure"].update(layer=10**9), "closure at layer 1000000000"),
        (lambda h: h["extra"].update(n_vocab=10**12), "a vocabulary of 1000000000000"),
        (lambda h: h.update(opaque_layers=[10**9]), "opaque layers"),
        (lambda h: h.update(seed="x"), "damaged"),
        (lambda h: h.update(seed=10**30), "whole numbers of 64 bits"),
    ],
)
def test_a_trace_that_no_run_left_is_refused(tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        wl.load_trace(_trace_with(tmp_path / "t", change))


def test_a_trace_without_a_checksum_is_read_as_one_of_before(tmp_path):
    place = _trace_with(tmp_path / "t", lambda header: None)
    assert wl.load_trace(place).tokens.ids


def test_a_number_of_a_trace_was_changed(tmp_path):
    _write_trace(tmp_path / "t")
    content = bytearray((tmp_path / "t").read_bytes())
    content[-2] ^= 1
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(InputError, match="they are not what was written"):
        wl.load_trace(tmp_path / "t")


def test_a_zip_that_grows_when_unpacked_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("worldline.experiments.faithfulness.part_files.MOST_BYTES", 100_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.npz", b"\0" * 200_000)
    with pytest.raises(InputError, match="part a is damaged \\(over 100,000 bytes"):
        Parts(tmp_path / "a.zip").read("a")
    (tmp_path / "raw").mkdir()
    with zipfile.ZipFile(tmp_path / "raw" / "b.npz", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("said.npy", b"\0" * 200_000)
    with pytest.raises(InputError, match="part b is damaged \\(over 100,000 bytes"):
        Parts(tmp_path / "raw").read("b")


def test_an_array_that_says_it_is_larger_than_its_file_makes_no_room_for_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as part, part.open("said.npy", "w") as file:
        np.lib.format.write_array_header_1_0(
            file, {"shape": (10**15,), "fortran_order": False, "descr": "<f8"}
        )
    with pytest.raises(InputError, match="an array of \\(1000000000000000,\\) float64 in 0 bytes"):
        Parts(tmp_path).read("a")
