"""The log: whole events, one writer, many readers, nothing changed afterwards."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import nullcontext
from dataclasses import asdict
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worldline import atomic_file
from worldline.errors import InputError
from worldline.room.events import (
    Arrival,
    Body,
    Budget,
    Command,
    Departure,
    Event,
    FlowRecord,
    Message,
    Notice,
    Outcome,
    PlayState,
    Setting,
    Span,
    decode,
    encode,
)
from worldline.room.log import Log, Reading, line_of

needs_links = pytest.mark.skipif(os.name == "nt", reason="links of POSIX")


def names_in(folder):
    return {one.name for one in folder.iterdir()}


FLOW = {
    "messages": [
        {"event": 1, "speaker": "Bob", "lost_nats": 0.5, "attention": 0.25, "cut_nats": None}
    ],
    "speakers": {"Bob": {"lost_nats": 0.5, "attention": 0.25}},
    "own_attention": 0.5,
    "unplaced": [2],
}
BODIES = [
    Arrival("Ada", "m", "a persona", 0.5, "Bob", True),
    Departure("Ada", "why"),
    Message("Ada", "Ada: hé", "hé", (Span(0, 1, "Bob"),), (Span(1, 2, "action"),), price=0.25),
    Command(3, "Ada", 0, 5, "add_ai", ("a", 'b "c"')),
    Outcome(4, "done", "it is", {"hits": [{"title": "t", "text": "a", "url": "u"}]}),
    FlowRecord(3, FLOW),
    Notice("near_miss", "text", 3, "Ada", Span(1, 2, "x")),
    Setting("temperature", 1.5, "Ada"),
    Budget(3, None, 0.5),
    PlayState("stopped", "why"),
]


def test_every_kind_of_event_survives_the_disk(tmp_path):
    assert {type(body) for body in BODIES} == set(get_args(Body))
    log = Log(tmp_path / "a.room", clock=lambda: 7.0)
    written = log.append(BODIES)
    reading = Reading(tmp_path / "a.room")
    assert reading.events() == written == log.events()
    assert [one.body for one in written] == BODIES
    assert [one.parent for one in written] == list(range(len(BODIES)))
    assert reading.events(after=7) == written[7:]
    reading.close()
    log.close()


def test_a_full_disk_is_called_one_and_what_was_written_stays(tmp_path):
    log = Log(tmp_path / "a.room")
    kept = log.append(BODIES)
    log._base.execute("PRAGMA max_page_count = 1")  # as few pages as there are now
    full = r"a\.room: cannot be written \(database or disk is full\)"
    with pytest.raises(InputError, match=full):
        log.append([Message("Ada", "x" * 100_000, "x", ())])
    with pytest.raises(InputError, match=full):
        log.keep(b"x" * 100_000, "image/png")
    log._base.execute("PRAGMA max_page_count = 1000000")
    kept += log.append([Departure("Ada", "")])
    log.close()
    reading = Reading(tmp_path / "a.room")
    assert reading.events() == kept
    reading.close()


def test_a_log_is_never_seen_half_made(tmp_path, monkeypatch):
    def full(place, _content, **_more):
        raise InputError(f"{place}: cannot be written (No space left on device)")

    with monkeypatch.context() as disk:
        disk.setattr("worldline.room.log.write_bytes", full)
        with pytest.raises(InputError, match="No space left"):
            Log(tmp_path / "a.room")
    assert not (tmp_path / "a.room").exists()
    with pytest.raises(InputError, match=r"b\.room: cannot be written; accepted is a folder"):
        Log(tmp_path / "none" / "b.room")
    assert not (tmp_path / "none").exists()
    with pytest.raises(InputError, match=r"a\.room: no such file"):
        Reading(tmp_path / "a.room")
    Log(tmp_path / "a.room").close()
    reading = Reading(tmp_path / "a.room")
    assert reading.events() == []
    reading.close()


def hand_made(path, *bodies):
    """A log of these bodies, whatever they say."""
    Log(path).close()
    base = sqlite3.connect(path)
    for number, body in enumerate(bodies, 1):
        row = (number, number - 1, float(number), body.kind, json.dumps(asdict(body)))
        base.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?)", row)
    base.commit()
    base.close()


def without(table, *path):
    """A copy of a record in which what the path names is missing."""
    first, *rest = path
    if isinstance(table, list):
        return [without(entry, *rest) if at == first else entry for at, entry in enumerate(table)]
    if not rest:
        return {name: value for name, value in table.items() if name != first}
    return table | {first: without(table[first], *rest)}


HITS = {"hits": [{"title": "t", "text": "a", "url": "u"}]}
DAMAGED_PARTS = [
    *(Outcome(1, "done", "", result) for result in (
        without(HITS, "hits", 0, "title"), {"hits": 5}, {"hits": None}, {"hits": ["a"]},
        {"hitz": []}, {"picture": [1]}, {"picture": "a", "about": {}}, {"before": "warm"},
    )),
    *(FlowRecord(1, flow) for flow in (
        *(without(FLOW, name) for name in ("messages", "speakers", "own_attention", "unplaced")),
        *(without(FLOW, "messages", 0, name) for name in ("event", "speaker", "attention")),
        without(FLOW, "speakers", "Bob", "lost_nats"), FLOW | {"messages": 5}, FLOW | {"x": 1},
        FLOW | {"cut_precision": {"floor": 0.1}}, FLOW | {"unplaced": ["x"]}, {"x": 1},
    )),
    *(Command(1, "Ada", 0, 1, name, arguments) for name, arguments in (
        ("temperature", ()), ("add_ai", ("a",)), ("zap", ()), ("leave", ("x",)),
    )),
    Setting("persona", 5, "Ada"), Setting("muted", "x", "Ada"), Setting("topic", [1]),
]  # fmt: skip


@pytest.mark.parametrize("body", DAMAGED_PARTS, ids=repr)
def test_a_part_of_an_event_that_no_room_writes_is_damage_and_is_not_written(tmp_path, body):
    path = tmp_path / "a.room"
    hand_made(path, Message("Ada", "a", "a"), Departure("Ada"), body, Departure("Bob"))
    reading = Reading(path)
    assert [one.number for one in reading.events()] == [1, 2]
    reading.close()
    assert "damaged at event 3: " in reading.damage
    assert "\n" not in reading.damage
    log = Log(path)
    assert (log.last, "a.room.damaged-1" in log.repair_note) == (2, True)
    with pytest.raises(InputError):
        log.append([body])
    assert log.last == len(log.events()) == 2
    log.close()


BEYOND = [
    Notice("context", "x", 9), Notice("context", "x", 3), Notice("x", "x", -1),
    Message("Ada", "a", "a", read_from=9), Message("Ada", "a", "a", read_to=3),
    Message("Ada", "a", "a", read_from=-1), Command(9, "Ada", 0, 1, "leave"),
    Outcome(0, "done"), FlowRecord(3),
]  # fmt: skip


@pytest.mark.parametrize("body", BEYOND)
def test_an_event_that_speaks_of_a_later_one_is_damage(tmp_path, body):
    path = tmp_path / "a.room"
    hand_made(path, Arrival("Ada", "m"), Departure("Ada"), body, Departure("Bob"))
    reading = Reading(path)
    assert [one.number for one in reading.events()] == [1, 2]
    reading.close()
    assert "damaged at event 3: it speaks of event" in reading.damage
    log = Log(path)
    assert (log.last, "a.room.damaged-1" in log.repair_note) == (2, True)
    log.close()


@pytest.mark.parametrize(
    "body",
    [Notice("x", "x"), Notice("x", "x", 2), Message("Ada", "a", "a", read_from=1, read_to=2)],
)
def test_an_event_that_speaks_of_an_earlier_one_is_sound(tmp_path, body):
    hand_made(tmp_path / "a.room", Arrival("Ada", "m"), Departure("Ada"), body)
    log = Log(tmp_path / "a.room")
    assert (log.last, log.repair_note) == (3, "")
    log.close()


def test_a_repair_that_the_disk_refuses_leaves_the_file_and_its_copy(tmp_path, monkeypatch):
    path = tmp_path / "a.room"
    hand_made(path, Arrival("Ada", "m"), Departure("Ada"), FlowRecord(9))
    before = path.read_bytes()

    class Full:
        def write(self, _content):
            raise InputError("No space left on device")

    def stream_to(place, **more):
        return atomic_file.stream_to(place, **more) if more else nullcontext(Full())

    with monkeypatch.context() as disk:
        disk.setattr("worldline.room.log.stream_to", stream_to)
        with pytest.raises(InputError, match="No space left"):
            Log(path)
    assert path.read_bytes() == before
    assert (tmp_path / "a.room.damaged-1").read_bytes() == before
    log = Log(path)
    assert (log.last, (tmp_path / "a.room.damaged-2").read_bytes()) == (2, before)
    log.close()


def test_a_log_in_memory_becomes_a_file(tmp_path):
    log = Log(clock=lambda: 7.0)
    written = log.append(BODIES)
    (tmp_path / "a.room").write_bytes(log.content_of_file())
    log.close()
    again = Log(tmp_path / "a.room")
    assert again.events() == written
    again.close()


@given(st.text(), st.text(), st.floats(0, 2), st.none() | st.floats(0, 9))
def test_any_message_is_the_same_after_writing(who, text, temperature, price):
    try:
        (who + text).encode("utf-8")
    except UnicodeEncodeError:
        return
    body = Message(who, text, text, temperature=temperature, price=price)
    assert decode(encode(body)) == body


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"kind":"dance"}', '{"kind":"left"}', '{"kind":"left","name":3}']
)
def test_what_is_no_event_is_refused(text):
    with pytest.raises(InputError, match="no event"):
        decode(text)


def test_events_given_together_are_written_together_or_not_at_all(tmp_path):
    log = Log(tmp_path / "a.room")
    log.append([Departure("Ada")])
    unwritable = Message("Ada", "\ud800", "\ud800")
    with pytest.raises(Exception, match=r"surrogate|UTF-8|utf-8"):
        log.append([Departure("Bob"), unwritable])
    assert [one.body for one in log.events()] == [Departure("Ada")]
    assert log.append([Departure("Cleo")])[0].number == 2
    log.close()


@pytest.mark.parametrize(
    "change", ["UPDATE events SET body = ''", "DELETE FROM events WHERE number = 1"]
)
def test_nothing_in_the_log_can_be_changed(tmp_path, change):
    log = Log(tmp_path / "a.room")
    log.append([Departure("Ada")])
    log.close()
    base = sqlite3.connect(tmp_path / "a.room")
    with pytest.raises(sqlite3.IntegrityError, match="append only"):
        base.execute(change)
    base.close()


def test_a_second_writer_is_refused_until_the_first_lets_go(tmp_path):
    log = Log(tmp_path / "a.room")
    with pytest.raises(InputError, match="another program"):
        Log(tmp_path / "a.room")
    log.append([Departure("Ada")])
    log.close()
    again = Log(tmp_path / "a.room")
    assert again.last == 1
    again.close()


@needs_links
def test_a_log_is_locked_by_whatever_link_it_is_opened(tmp_path):
    real, link = tmp_path / "a.room", tmp_path / "link.room"
    link.symlink_to(real)
    log = Log(link)
    log.append([Departure("Ada")])
    for name in (real, link):
        with pytest.raises(InputError, match="another program"):
            Log(name)
    log.close()
    log = Log(real)
    with pytest.raises(InputError, match="another program"):
        Log(link)
    log.close()
    assert names_in(tmp_path) == {"a.room", "link.room"}


@needs_links
def test_a_log_of_two_names_is_refused_and_still_read(tmp_path):
    path, other = tmp_path / "a.room", tmp_path / "b.room"
    log = Log(path)
    kept = log.append([Departure("Ada")])
    os.link(path, other)
    with pytest.raises(InputError, match="2 names"):
        Log(other)
    log.append([Departure("Bob")])  # nobody else can write it
    log.close()
    for name in (path, other):
        with pytest.raises(InputError, match="2 names"):
            Log(name)
        reading = Reading(name)
        assert reading.events()[0] == kept[0]
        reading.close()
    assert names_in(tmp_path) == {"a.room", "b.room"}


@needs_links
def test_nothing_is_written_into_a_log_that_was_moved_while_it_was_open(tmp_path):
    path, other = tmp_path / "a.room", tmp_path / "b.room"
    log = Log(path)
    path.rename(other)
    with pytest.raises(InputError, match="moved or replaced"):
        log.append([Departure("Ada")])
    path.write_bytes(b"another")
    with pytest.raises(InputError, match="moved or replaced"):
        log.append([Departure("Ada")])
    log.close()
    assert path.read_bytes() == b"another"


def test_what_another_wrote_in_between_is_no_traceback(tmp_path):
    log = Log(tmp_path / "a.room")
    log.append([Departure("Ada")])
    base = sqlite3.connect(tmp_path / "a.room")
    base.execute("INSERT INTO events VALUES (2, 1, 1.0, 'left', ?)", (encode(Departure("Eve")),))
    base.commit()
    base.close()
    with pytest.raises(InputError, match=r"a\.room: cannot be written"):
        log.append([Departure("Bob")])
    log.close()


@needs_links
def test_a_damaged_log_behind_a_link_is_repaired_where_it_lies(tmp_path):
    (tmp_path / "kept").mkdir()
    real, link = tmp_path / "kept" / "a.room", tmp_path / "link.room"
    hand_made(real, Arrival("Ada", "m"), Departure("Ada"), FlowRecord(9))
    link.symlink_to(real)
    log = Log(link)
    assert (log.last, "a.room.damaged-1" in log.repair_note) == (2, True)
    log.append([Departure("Bob")])
    log.close()
    assert link.is_symlink()
    assert names_in(real.parent) == {"a.room", "a.room.damaged-1"}
    reading = Reading(real)
    assert len(reading.events()) == 3
    reading.close()


def test_who_reads_and_who_has_written_leaves_nothing_beside_a_log(tmp_path):
    log = Log(tmp_path / "a.room")
    log.append([Departure("Ada")])
    late = Reading(tmp_path / "a.room")
    assert len(late.events()) == 1
    log.close()
    log.close()
    late.close()
    assert names_in(tmp_path) == {"a.room"}
    before = (tmp_path / "a.room").read_bytes()
    reading = Reading(tmp_path / "a.room")
    assert len(reading.events()) == 1
    reading.close()
    assert names_in(tmp_path) == {"a.room"}
    assert (tmp_path / "a.room").read_bytes() == before


def test_a_reader_leaves_what_a_dead_writer_left(tmp_path):
    code = "import os, sys; from worldline.room.log import *; from worldline.room.events import *\n"
    code += "Log(sys.argv[1]).append([Departure('Ada')]); os._exit(0)"
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.room"], check=True)
    left = {one.name: one.read_bytes() for one in tmp_path.iterdir() if one.suffix != ".room-shm"}
    reading = Reading(tmp_path / "a.room")
    assert len(reading.events()) == 1
    reading.close()
    assert left.items() <= {one.name: one.read_bytes() for one in tmp_path.iterdir()}.items()
    log = Log(tmp_path / "a.room")
    assert log.last == 1
    log.close()
    assert names_in(tmp_path) == {"a.room"}


def test_of_many_that_open_a_log_at_once_one_writes_at_a_time(tmp_path):
    path = tmp_path / "a.room"
    inside, most, written, said = [0], [0], [0], set[str]()

    def write() -> None:
        for _ in range(60):
            try:
                log = Log(path)
            except InputError as error:
                said.add(str(error))
                continue
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            log.append([Departure("Ada")])
            written[0] += 1
            inside[0] -= 1
            log.close()

    threads = [threading.Thread(target=write) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert most == [1]
    assert not {one for one in said if "another program" not in one}
    log = Log(path)
    assert log.last == written[0] > 0
    log.close()


def test_readers_see_whole_groups_while_a_writer_writes(tmp_path):
    log = Log(tmp_path / "a.room")
    seen: list[int] = []
    going = threading.Event()
    going.set()

    def look() -> None:
        reading = Reading(tmp_path / "a.room")
        while going.is_set():
            events = reading.events()
            seen.append(len(events))
            assert [one.number for one in events] == list(range(1, len(events) + 1))
        reading.close()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for one in threads:
        one.start()
    for number in range(60):
        log.append([Departure(f"{number}"), Departure("b"), Departure("c")])
    going.clear()
    for one in threads:
        one.join()
    log.close()
    assert seen
    assert all(one % 3 == 0 for one in seen)


def test_other_files_are_refused_and_left_alone(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("not a database at all, but long enough to look at" * 20)
    base = sqlite3.connect(tmp_path / "other.db")
    base.execute("CREATE TABLE t (x)")
    base.commit()
    base.close()
    before = text.read_bytes(), (tmp_path / "other.db").read_bytes()
    for path in (text, tmp_path / "other.db"):
        with pytest.raises(InputError, match="not a room's log"):
            Reading(path)
        with pytest.raises(InputError, match="not a room's log"):
            Log(path)
    assert text.read_bytes() == before[0]
    with pytest.raises(InputError, match="no such file"):
        Reading(tmp_path / "none.room")


OTHERS = {
    "bookmarks": "CREATE TABLE bookmarks (x)",
    "with a log of writes": "PRAGMA journal_mode = WAL; CREATE TABLE bookmarks (x)",
    "without a table": "PRAGMA application_id = 252006674; CREATE TABLE a (x); DROP TABLE a",
    "of another version": "PRAGMA user_version = 3; CREATE TABLE a (x); DROP TABLE a",
}


@pytest.mark.parametrize("use", [Log, Reading])
@pytest.mark.parametrize("made", OTHERS)
def test_another_programs_file_is_not_touched(made, use, tmp_path):
    path = tmp_path / "other.db"
    base = sqlite3.connect(path)
    base.executescript(OTHERS[made])
    base.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match="not a room's log"):
        use(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_beside_that_is_no_lock_is_refused(tmp_path):
    lock = tmp_path / "a.room.writer"
    lock.write_text("a letter")
    with pytest.raises(InputError, match=r"a\.room\.writer"):
        Log(tmp_path / "a.room")
    assert lock.read_text() == "a letter"


@pytest.mark.parametrize("died", ["", "PRAGMA journal_mode = WAL"])
def test_a_start_that_died_is_a_log_without_events(died, tmp_path):
    path = tmp_path / "a.room"
    path.touch()
    base = sqlite3.connect(path)
    base.executescript(died)
    base.close()
    log = Log(path)
    log.append([Departure("Ada")])
    log.close()
    assert [one.body for one in Reading(path).events()] == [Departure("Ada")]


def test_a_picture_is_kept_once_and_named_by_its_bytes(tmp_path):
    log = Log(tmp_path / "a.room")
    name = log.keep(b"bytes", "image/png")
    assert log.keep(b"bytes", "image/png") == name
    assert log.content(name) == ("image/png", b"bytes")
    with pytest.raises(InputError, match="no picture"):
        log.content("0" * 64)
    log.close()


def test_a_line_follows_the_parents():
    events = [
        Event(n, p, 0.0, Departure(str(n))) for n, p in ((1, 0), (2, 1), (3, 2), (4, 1), (5, 4))
    ]
    assert [one.number for one in line_of(events)] == [1, 4, 5]
    assert [one.number for one in line_of(events, 3)] == [1, 2, 3]
    assert line_of(events, 0) == []
    with pytest.raises(InputError, match="1 to 5"):
        line_of(events, 6)


def altered(path, *statements: str, swap: tuple[bytes, bytes] | None = None):
    """A log of one event, then altered as its file allows."""
    log = Log(path)
    log.append([Departure("Ada")])
    log.close()
    base = sqlite3.connect(path)
    base.execute("PRAGMA journal_mode = DELETE")
    for one in statements:
        base.execute(one)
    base.commit()
    base.close()
    if swap:
        content = path.read_bytes()
        assert swap[0] in content
        path.write_bytes(content.replace(*swap))
    return path


ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT"


@pytest.mark.parametrize("take", [Reading, Log])
@pytest.mark.parametrize(
    "statements",
    [
        ("DROP TABLE events", f"CREATE VIEW events AS {ENDLESS} x AS number, x - 1 AS parent, "
         "1.0 AS time, 'notice' AS kind, '{}' AS body FROM c"),
        ("DROP TABLE contents", f"CREATE VIEW contents AS {ENDLESS} x AS name, x AS type, x AS "
         "bytes FROM c"),
        (f"CREATE TRIGGER more AFTER INSERT ON events BEGIN {ENDLESS} max(x) FROM c; END",),
        ("DROP TABLE contents",),
        ("CREATE TABLE other (x)",),
    ],
)  # fmt: skip
def test_a_file_whose_tables_are_not_a_logs_is_refused_before_a_query(tmp_path, take, statements):
    path = altered(tmp_path / "a.room", *statements)
    with pytest.raises(InputError, match="its tables are not those of a room's log"):
        take(path)


@pytest.mark.parametrize("take", [Reading, Log])
@pytest.mark.parametrize(
    "swap",
    [
        (b"CREATE TABLE contents", b"CREATE TA\xe3LE contents"),
        (b"CREATE TABLE events", b"CREATE TABL\xff events"),
        (b"name TEXT PRIMARY", b"n\xe9me TEXT PRIMARY"),
    ],
)
def test_a_schema_with_a_broken_byte_is_refused_in_a_line(tmp_path, take, swap):
    path = altered(tmp_path / "a.room", swap=swap)
    with pytest.raises(InputError, match="room's log") as error:
        take(path)
    assert "\n" not in str(error.value)
