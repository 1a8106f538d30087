"""Flows in the log: where they stand, who reads them (nobody), and how they are drawn."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from scripted_rooms import of_kind, room_of, said
from worldline.errors import RefusedError
from worldline.room.events import Event, FlowRecord, Message
from worldline.room.export_files import as_html, as_json, as_markdown
from worldline.room.flow_strip import CELLS, strip
from worldline.room.imports import from_json
from worldline.room.log import Log, line_of
from worldline.room.prompt import seen_by
from worldline.room.replay import replay
from worldline.room.reply_flow import readings_of
from worldline.room.strands import MOST_STRANDS, beside, strands, table


def row(event, speaker, lost, attention):
    return {"event": event, "speaker": speaker, "lost_nats": lost, "attention": attention}


def flow(*rows):
    speakers = {}
    for one in rows:
        sums = speakers.setdefault(one["speaker"], {"lost_nats": 0.0, "attention": 0.0})
        for name in sums:
            sums[name] += one[name]
    return {
        "messages": list(rows), "speakers": speakers, "own_attention": 0.2, "unplaced": [],
    }  # fmt: skip


def attributed_room(path=":memory:"):
    """Ada and Bob; what each drew on is made up: all earlier messages in turn."""
    room = room_of({"Ada": ["<b>one</b>", 'two !image "x"'], "Bob": ["first", "second"]}, path)

    def attribute(model, _usage):
        earlier = [e for e in room.line if isinstance(e.body, Message)][:-1]
        if model.name == "mBob" and len(earlier) == 1:
            return "nothing is known"
        return flow(
            row(None, "", 0.1, 0.1),
            *(row(e.number, e.body.who, 1.0 + n, 0.3 / (n + 1)) for n, e in enumerate(earlier)),
        )

    room._attribute = attribute
    return room


def test_a_flow_follows_the_outcomes_of_its_message():
    room = attributed_room()
    room.play(4)
    kinds = [e.kind for e in room.line if e.kind not in ("joined", "setting")]
    assert kinds == [
        "message", "drawn", "message", "drawn",
        "message", "command", "outcome", "drawn", "message", "drawn",
    ]  # fmt: skip
    drawn = [e.body for e in of_kind(room.line, "drawn")]
    assert [one.reason for one in drawn] == ["", "nothing is known", "", ""]
    assert set(readings_of(room.line)) == {drawn[n].message for n in (0, 2, 3)}


def test_a_model_that_is_refused_has_a_reason_and_the_room_goes_on():
    room = attributed_room()

    def refuse(_model, _usage):
        raise RefusedError("a law\nfailed")

    room._attribute = refuse
    assert room.play(4) == 4
    assert {e.body.reason for e in of_kind(room.line, "drawn")} == {"a law failed"}


def test_nobody_in_the_room_reads_a_flow():
    room = attributed_room()
    room.play(3)
    ada = room.state.find("Ada")
    model = room.catalog.model(ada.model)
    seen = seen_by(ada, room.state, room.line, model, 100)
    assert "nothing is known" not in "".join(one.text for one in seen.messages)
    assert "nothing is known" not in as_markdown(room.line)


def test_a_branch_takes_what_its_message_drew_on_along():
    room = attributed_room()
    room.play(3)
    third = [e for e in room.line if isinstance(e.body, Message)][2]
    room.branch(third.number)
    assert third.number in readings_of(room.line)
    assert said(room)[-1] == ("Ada", 'two !image "x"')


def test_a_replay_and_a_round_trip_keep_flows_and_move_their_numbers():
    room = attributed_room()
    room.play(2)
    room.rewind()
    room._attribute = attributed_room()._attribute
    room.play(2)
    result = replay(room.line, room.catalog)
    assert not result.differs, result.reason
    numbers = {e.number for e in result.events if isinstance(e.body, Message)}
    for event in of_kind(list(result.events), "drawn"):
        rows = event.body.flow.get("messages", [])
        assert {one["event"] for one in rows} - {None} <= numbers
    log = Log()
    events = from_json(as_json(room.log.events()), log)
    assert events == room.log.events()
    assert line_of(log.events()) == room.line


class Balanced(HTMLParser):
    """Raises where an element is closed that was not opened last."""

    EMPTY = frozenset({"meta", "br", "img", "circle", "path"})

    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.EMPTY:
            return
        assert self.open.pop() == tag


def test_strands_bars_and_table_are_drawn_from_the_log():
    room = attributed_room()
    room.play(4)
    page = as_html(room.line)
    checked = Balanced()
    checked.feed(page)
    assert checked.open == []
    drawing = ET.fromstring(strands(room.line))
    assert len(drawing.findall("path")) == 2 + 3  # of Ada's second reply and of Bob's
    assert len(drawing.findall("circle")) == 4
    whom = table(room.line)
    assert "Most read by the others: Ada." in whom
    assert "nothing is known" in page
    assert "<b>one</b>" not in page
    assert 'href="#e' in page


def test_a_cut_of_no_more_than_rounding_is_no_number():
    room = attributed_room()
    cut = row(1, "Bob", 0.5, 0.5) | {"cut_nats": 0.01, "whole_nats": 0.51}
    known = {"floor": 0.02, "resolution": 0.06, "dtype": "bfloat16"}
    room._attribute = lambda _model, _usage: flow(cut) | {"cut_precision": known}
    room.play(1)
    page = "".join(map(beside(room.line), room.line))
    assert "<td>&lt; 0.06 (resolution of bfloat16)</td><td>+0.500</td>" in page
    for by_others, cell in ((0.08, "&lt; 0.085 (resolution of bfloat16)"), (0.09, "+0.090")):
        cut["whole_nats"] = cut["cut_nats"] + by_others  # of two altered runs: 0.06 times root 2
        reply = Event(1, 0, 0.0, Message("Ada", "a", "a"))
        drawn = FlowRecord(1, flow(cut) | {"cut_precision": known})
        assert f"</td><td>{cell}</td></tr>" in beside([reply, Event(2, 1, 0.0, drawn)])(reply)


def test_of_very_many_strands_the_strongest_are_drawn():
    room = room_of({"Ada": ["a"] * 30, "Bob": ["b"] * 30})

    def attribute(_model, _usage):
        earlier = [e for e in room.line if isinstance(e.body, Message)][:-1]
        return flow(*(row(e.number, e.body.who, 1.0 + n, 0.01) for n, e in enumerate(earlier)))

    room._attribute = attribute
    room.play(60)
    drawing = ET.fromstring(strands(room.line))
    paths = drawing.findall("path")
    assert len(paths) == MOST_STRANDS
    assert drawing.find("title").text.endswith(": the 1,000 strongest of 1,770")
    drawn = [float(one.find("title").text.split(" nats")[0].split("+")[1]) for one in paths]
    every = sorted(1.0 + n for said in range(60) for n in range(said))
    assert drawn == every[-MOST_STRANDS:]


def test_a_room_without_flows_has_no_strands():
    room = room_of({"Ada": ["one"]})
    room.play(1)
    assert strands(room.line) == table(room.line) == ""


def test_a_strip_names_whose_words_were_read():
    found = strip(
        flow(row(1, "Bob", -0.5, 0.5), row(2, "Ada", 0.25, 0.25), row(3, "", 9.0, 0.05)), "Ada"
    )
    cells = "B" * 16 + "A" * 8
    assert len(cells) == CELLS
    assert found == (
        f"read [{cells}] 75 % of its attention on messages: Bob 50 %, its own earlier words 25 %; "
        "most by loss: Bob, -0.50 nats"
    )
    nobody = strip(flow(row(None, "", 1.0, 0.4)), "Ada")
    assert nobody == f"read [{'·' * CELLS}] nobody's words"


@pytest.mark.parametrize(
    "body", [FlowRecord(1), FlowRecord(1, reason="x"), FlowRecord(2, flow(row(1, "a", 1, 0)))]
)
def test_a_drawn_is_one_line_of_json(body):
    from worldline.room.events import decode, encode

    assert decode(encode(body)) == body
