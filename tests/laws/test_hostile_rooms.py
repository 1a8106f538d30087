"""Files of a room that were damaged: a whole result or one line, no endless loop, nothing lost."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from damage import REFUSED, damaged_bytes, examples, outcome
from scripted_rooms import room_of
from worldline.errors import InputError
from worldline.room.events import Departure, Event, Notice
from worldline.room.export_files import as_html, as_json, as_markdown
from worldline.room.imports import from_elsewhere, from_json, is_room
from worldline.room.log import MEMORY, Log, Reading, line_of
from worldline.room.providers.catalog import Catalog
from worldline.room.replay import renumber
from worldline.room.room import Room
from worldline.room.scenarios import scenario_of
from worldline.room.state import state_of

BOUNDED = settings(
    max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ABSURD = st.sampled_from(
    ["NaN", "1e999", "-1", "1e9", "9" * 400, "null", '"x"', "[]", "{}", "[" * 300, '"\\ud83d"', ""]
)
SCENARIO = """
title = "T"
[opening]
who = "Host"
text = "go"
[rules]
max_tokens = 8
[[participant]]
name = "Ada"
script = ["one", "two"]
"""
MESSAGES = json.dumps([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}])


def spoken_room(path: Path | str = MEMORY) -> Room:
    """A room whose log holds every kind of result: a picture, hits, a temperature, a flow."""
    scripts = {
        "Ada": ['one !image "a"', "two\n!temperature 0.5", "three"],
        "Bob": ['uno !search "b"', "dos", "tres"],
    }

    def attribute(_model: object, _usage: object) -> dict[str, object]:
        numbers = {"lost_nats": 0.5, "attention": 0.25}
        cut = {"cut_nats": 0.4, "whole_nats": 0.6}
        return {
            "messages": [{"event": 1, "speaker": "Ada", **numbers, **cut}],
            "speakers": {"Ada": numbers}, "own_attention": 0.5, "unplaced": [],
            "cut_precision": {"floor": 0.01, "resolution": 0.02, "dtype": "float32"},
        }  # fmt: skip

    room = room_of(scripts, path)
    room._attribute = attribute
    room.play(5)
    return room


@cache
def whole_json() -> str:
    room = spoken_room()
    text = as_json(room.log.events(), room.log.content)
    assert all(f'"{name}"' in text for name in ("hits", "picture", "before", "whole_nats"))
    return text


@cache
def whole_log(folder: Path) -> bytes:
    path = folder / "whole.room"
    spoken_room(path).close()
    return path.read_bytes()


def exported(log: Log | Reading, events: list[Event]) -> str:
    """What the exports make of a log that is taken as sound: each of them, without a fault."""
    line = line_of(events)
    assert state_of(line).tip == line[-1].number
    assert renumber(line)
    as_json(events, log.content)
    return as_markdown(line, log.content) + as_html(line, log.content, title="t")


def damage(text: str, at: float, cut: bool, put: str) -> str:
    """The text cut off somewhere, or with something put over what stands there."""
    place = int(at * len(text))
    return text[:place] + ("" if cut else put + text[place + max(1, len(put) // 2) :])


def in_one_line(error: BaseException) -> None:
    assert isinstance(error, InputError)
    assert "\n" not in str(error)
    assert len(str(error)) < 600


DAMAGES = st.tuples(st.floats(0, 0.999), st.booleans(), ABSURD | st.text(max_size=3))


@BOUNDED
@given(DAMAGES)
def test_our_json_that_is_damaged(how):
    log = Log()
    try:
        from_json(damage(whole_json(), *how), log)
    except InputError as error:
        in_one_line(error)
        assert log.events() == []
        return
    if log.last:
        assert exported(log, log.events())


def records(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to every key of a record, however deep."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from records(inner, (*path, key))


def test_our_json_with_any_one_key_turned_or_any_one_value_of_another_kind():
    whole = json.loads(whole_json())
    n_refused = 0
    for path in records(whole["events"]):
        *way, last = path
        for put in ("a key", None, 7, "x", [], {}, [[]]):
            document = json.loads(whole_json())
            part = document["events"]
            for key in way:
                part = part[key]
            if put != "a key":
                part[last] = put
            elif isinstance(last, str):
                part[f"{last}~"] = part.pop(last)
            log = Log()
            try:
                from_json(json.dumps(document), log)
            except InputError as error:
                in_one_line(error)
                n_refused += 1
                continue
            if log.last:
                assert exported(log, log.events())
            Room(log, Catalog({})).close()
    assert n_refused > 500


@BOUNDED
@given(DAMAGES, st.sampled_from([MESSAGES, json.dumps({"messages": json.loads(MESSAGES)})]))
def test_messages_of_others_that_are_damaged(how, text):
    text = damage(text, *how)
    if is_room(text):
        return
    try:
        found = from_elsewhere(text)
    except InputError as error:
        in_one_line(error)
        return
    log = Log()
    assert [one.body for one in log.append(found.bodies)] == list(found.bodies)


@BOUNDED
@given(DAMAGES)
def test_a_scenario_that_is_damaged(how):
    try:
        scenario_of(damage(SCENARIO, *how), "x")
    except InputError as error:
        in_one_line(error)


def opened(path: Path) -> list[Event]:
    """What a reader and then a writer make of a file: the same, and the writer's can be written."""
    reading = Reading(path)
    read = reading.events()
    reading.close()
    log = Log(path)
    assert log.events() == read
    if read:
        assert exported(log, read)
    assert bool(log.repair_note) == bool(reading.damage)
    log.append([Departure("Ada")])
    log.close()
    return read


@BOUNDED
@given(st.floats(0, 0.999), st.integers(0, 255), st.booleans())
def test_a_log_with_a_byte_turned_or_cut_short(tmp_path_factory, at, byte, cut):
    folder = tmp_path_factory.mktemp("logs")
    content = whole_log(tmp_path_factory.getbasetemp())
    place = int(at * len(content))
    path = folder / "a.room"
    path.write_bytes(content[:place] + (b"" if cut else bytes([byte]) + content[place + 1 :]))
    before = path.read_bytes()
    try:
        read = opened(path)
    except InputError as error:
        in_one_line(error)
        return
    assert [one.number for one in read] == list(range(1, len(read) + 1))
    kept = [one for one in folder.iterdir() if ".damaged-" in one.name]
    assert all(one.read_bytes()[:100] == before[:100] for one in kept)


@pytest.mark.parametrize(
    "old", [b"CREATE TABLE events", b"number INTEGER", b"CREATE TRIGGER events_stay", b"contents"]
)
def test_broken_letters_in_what_a_log_says_of_its_tables(tmp_path, old):
    path = tmp_path / "a.room"
    path.write_bytes(whole_log(tmp_path).replace(old, b"\xdf\xee" + old[2:]))
    try:
        read = opened(path)
    except InputError as error:
        in_one_line(error)
        return
    assert [one.number for one in read] == list(range(1, len(read) + 1))


@BOUNDED
@given(st.integers(0))
def test_a_log_that_is_damaged_in_any_way(tmp_path_factory, seed):
    path = tmp_path_factory.mktemp("logs") / "a.room"
    whole = whole_log(tmp_path_factory.getbasetemp())
    path.write_bytes(damaged_bytes(whole, random.Random(seed)))
    read = outcome(lambda: opened(path))
    if read != REFUSED:
        assert [one.number for one in read] == list(range(1, len(read) + 1))


CHANGES = {
    "a row is missing": "DELETE FROM events WHERE number = 4",
    "a row follows itself": "UPDATE events SET parent = 4 WHERE number = 4",
    "a row follows a later one": "UPDATE events SET parent = 6 WHERE number = 4",
    "an unknown kind": """UPDATE events SET body = '{"kind":"dance"}' WHERE number = 4""",
    "half a row": "UPDATE events SET body = substr(body, 1, 9) WHERE number = 4",
    "a time that is none": "UPDATE events SET time = 9e999 WHERE number = 4",
    "a time of words": "UPDATE events SET time = 'soon' WHERE number = 4",
    "bytes": "UPDATE events SET body = x'ff00fe' WHERE number = 4",
    "a deep row": f"""UPDATE events SET body = '{"[" * 200_000}' WHERE number = 4""",
    "a number past all": "UPDATE events SET number = 1000000000 WHERE number = 4",
    "a setting of another kind": (
        """UPDATE events SET body = '{"kind":"setting","what":"quota_room","value":"x"}' """
        "WHERE number = 4"
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_damaged_row_ends_a_log_before_it_and_the_file_as_it_was_stays(tmp_path, change):
    path = tmp_path / "a.room"
    room = room_of({"Ada": ["one", "two"], "Bob": ["uno", "dos"]}, path)
    room.play(4)
    sound = room.log.events()[:3]
    catalog = room.catalog
    room.close()
    base = sqlite3.connect(path)
    base.executescript("DROP TRIGGER events_stay; DROP TRIGGER events_keep;")
    base.execute("PRAGMA ignore_check_constraints = ON")
    base.execute(change)
    base.commit()
    base.close()
    before = path.read_bytes()
    reading = Reading(path)
    assert reading.events() == sound
    assert "event 4" in reading.damage
    assert "\n" not in reading.damage
    reading.close()
    assert path.read_bytes() == before
    again = Room(Log(path), catalog)
    assert again.log.events()[:3] == sound
    (said,) = [one.body.text for one in again.line if isinstance(one.body, Notice)]
    assert "it goes on after event 3" in said
    assert "a.room.damaged-1" in said
    again.play(1)
    again.close()
    assert (tmp_path / "a.room.damaged-1").read_bytes() == before
    whole = Log(path)
    assert whole.repair_note == ""
    assert whole.events()[:3] == sound
    whole.close()


def test_a_file_without_a_byte_is_a_log_without_events(tmp_path):
    path = tmp_path / "a.room"
    path.touch()
    assert opened(path) == []
    reading = Reading(path)
    assert [one.body for one in reading.events()] == [Departure("Ada")]
    reading.close()
    path.write_bytes(b"")
    room = Room(Log(path), Catalog({}))
    assert room.line == []
    room.close()


def test_a_second_copy_takes_another_name(tmp_path):
    path, mine = tmp_path / "a.room", tmp_path / "a.room.damaged-1"
    mine.write_text("mine")
    log = Log(path)
    log.append([Departure("Ada"), Departure("Bob")])
    log.close()
    base = sqlite3.connect(path)
    base.executescript("DROP TRIGGER events_keep; DELETE FROM events WHERE number = 1;")
    base.close()
    log = Log(path)
    assert log.events() == []
    assert "damaged-2" in log.repair_note
    log.close()
    assert mine.read_text() == "mine"
    assert (tmp_path / "a.room.damaged-2").is_file()
