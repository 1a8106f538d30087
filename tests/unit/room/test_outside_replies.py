"""Replies of endpoints in a room: broken off, stopped, paid for; and a file that seats them."""

from __future__ import annotations

import json
import threading
import time

import pytest

from scripted_rooms import notices, open_scenario, outcomes, said
from stub_endpoint import Plan, answer, stub_endpoint
from worldline.errors import InputError
from worldline.room.actions import Deeds
from worldline.room.events import Message
from worldline.room.host import WITHHELD, HostedRoom
from worldline.room.images import EndpointImages
from worldline.room.log import Log
from worldline.room.providers.catalog import Catalog
from worldline.room.providers.endpoint import Endpoint
from worldline.room.providers.model_names import models_named
from worldline.room.providers.scripted_model import ScriptedModel
from worldline.room.providers.transport import KEY, Patience
from worldline.room.replay import replay
from worldline.room.reply_events import Provisional
from worldline.room.room import Room
from worldline.room.scenarios import catalog_of, scenario_of
from worldline.room.state import Spending

PATIENCE = Patience(tries=1)


@pytest.fixture(autouse=True)
def _no_keys_or_proxies(monkeypatch):
    for name in (KEY, "HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def room_of(stub, names=("Ada",), deeds=None, **more) -> Room:
    models = {"m": Endpoint(stub.url, "m", patience=PATIENCE, **more)}
    room = Room(Log(), Catalog(models), deeds)
    for name in names:
        room.join(name, "m")
    return room


def words(text, **more) -> bytes:
    sent = {"choices": [{"delta": {"content": text}}], **more}
    return b"data: " + json.dumps(sent).encode() + b"\n\n"


END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = {"prompt_tokens": 30, "completion_tokens": 10}


def test_a_reply_that_breaks_off_is_kept_as_what_it_was_and_counted():
    raw = answer(words("One two ", usage=USAGE), words('!image "cat"\nthr'))
    with stub_endpoint(Plan(raw=raw)) as stub:
        room = room_of(stub, prices={"m": (1e6, 2e6)})
        event = room.step()
    assert event is not None
    body = event.body
    assert isinstance(body, Message)
    assert (body.text, body.ending) == ('One two !image "cat"\nthr', "broken off")
    assert (body.tokens_in, body.tokens_out, body.price) == (30, 10, 50.0)
    assert room.state.spent == Spending(1, 40, 50.0, 0)
    assert outcomes(room) == []
    (line,) = notices(room, "broken_off")
    assert line.startswith("Ada's reply broke off: ")
    assert line.endswith("its commands were not run")
    assert room.line[-1].body.about == event.number
    assert notices(room, "no_reply") == []


def test_what_nobody_says_is_estimated_and_holds_the_budget():
    with stub_endpoint(Plan(raw=answer(words("x" * 400)))) as stub:
        room = room_of(stub, prices={"m": (0.0, 1e6)})
        room.limit(tokens=104)
        body = room.step().body
        assert (body.estimated, body.tokens_out, body.price) == (True, 104, 104.0)
        assert body.tokens_in > 100
        assert room.play() == 0
    assert "tokens is used up" in notices(room, "ended")[0]


def test_a_whole_reply_without_its_usage_is_estimated_too():
    with stub_endpoint(Plan(raw=answer(words("x" * 400), END))) as stub:
        body = room_of(stub).step().body
    assert (body.ending, body.estimated, body.tokens_out, body.price) == ("stop", True, 104, None)


def test_thoughts_without_a_word_are_paid_for():
    thought = b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n'
    last = b"data: " + json.dumps({"usage": {**USAGE, "cost": 0.5}}).encode() + b"\n\n"
    with stub_endpoint(Plan(raw=answer(thought, END, last))) as stub:
        room = room_of(stub)
        assert room.step() is None
    assert (said(room), len(notices(room, "no_reply"))) == ([], 1)
    assert room.state.spent == Spending(0, 40, 0.5, 0)


def test_what_was_never_begun_costs_nothing():
    with stub_endpoint(Plan(status=400)) as stub:
        room = room_of(stub)
        room.step()
    assert room.state.spent == Spending()


def test_a_room_in_which_all_break_off_ends():
    with stub_endpoint(Plan(raw=answer(words("half a")))) as stub:
        room = room_of(stub, ("Ada", "Bob"))
        assert room.play(20) == 2
    assert said(room) == [("Ada", "half a"), ("Bob", "half a")]
    assert room.state.playing == "paused"


def test_a_replay_takes_over_what_broke_off():
    with stub_endpoint(Plan(raw=answer(words("half a")))) as stub:
        room = room_of(stub)
        room.step()
    again = replay(room.line, Catalog({"m": ScriptedModel("m", ("else",))}))
    assert again.differs == 0


def seconds_to_stop(room, stub) -> float:
    """How long a room plays on that is stopped while `stub` owes it an answer."""
    playing = threading.Thread(target=room.play)
    playing.start()
    while not stub.asked:
        time.sleep(0.01)
    began = time.monotonic()
    room.stop("enough")
    playing.join(5)
    return time.monotonic() - began


@pytest.mark.parametrize("head", [[], answer()])
def test_a_stop_is_heard_while_nothing_comes(head):
    with stub_endpoint(Plan(raw=head, hold=20)) as stub:
        room = room_of(stub)
        assert seconds_to_stop(room, stub) < 0.5
    assert notices(room, "no_reply") == ["Ada did not answer: it was stopped"]
    assert room.state.playing == "stopped"


def test_a_stop_is_heard_while_a_picture_is_made():
    with stub_endpoint(Plan(raw=[], hold=20)) as pictures:
        draw = EndpointImages(pictures.url, "painter")
        room = Room(Log(), Catalog({"m": ScriptedModel("m", ('!image "cat"',))}), Deeds(draw))
        room.join("Ada", "m")
        assert seconds_to_stop(room, pictures) < 0.5
    assert outcomes(room) == [("image", "failed", "it was stopped")]


def test_settings_that_a_model_does_not_take_are_said_once_and_not_claimed():
    refusal = answer(b'{"detail":[{"loc":["body","seed"],"msg":"no"}]}', status=422)
    whole = Plan(raw=answer(words("hello"), END))
    with stub_endpoint(Plan(raw=refusal), whole) as stub:
        room = room_of(stub)
        first, second = room.step().body, room.step().body
    assert (first.seed, second.seed, first.temperature) == (None, None, 1.0)
    assert notices(room, "left_out") == ["m does not take seed: asked without"]


SCENARIO = """
title = "T"
[opening]
who = "Host"
text = "go"
[[participant]]
name = "Ada"
model = "m@{url}"
[[participant]]
name = "Bob"
model = "{other}"
"""


def test_a_scenario_seats_the_model_of_an_endpoint():
    with stub_endpoint(Plan(raw=answer(words("hello"), END))) as stub:
        scenario = scenario_of(SCENARIO.format(url=stub.url, other="x"), "s")
        room = open_scenario(scenario, Log(), {"x": ScriptedModel("x", ("hi",))})
        room.play(2)
        assert stub.asked[0]["model"] == "m"
    assert said(room)[1:] == [("Ada", "hello"), ("Bob", "hi")]
    assert [one.model for one in room.state.present] == ["m", "x"]


def test_an_address_in_a_scenario_is_checked_before_anything_begins():
    for wrong in ("m@http://user:pass@x", "@https://x", "m@https://x?key=1"):
        text = SCENARIO.replace("m@{url}", wrong).format(other="x")
        with pytest.raises(InputError, match="scenario s: Ada: ") as caught:
            scenario_of(text, "s")
        assert "pass@" not in str(caught.value)


def test_one_name_at_two_places_is_refused():
    two = SCENARIO.format(url="https://a.org", other="m@https://b.org")
    with pytest.raises(InputError, match=r"at https://a\.org/v1 and https://b\.org/v1"):
        catalog_of(scenario_of(two, "s"), {})
    with pytest.raises(InputError, match="and this process"):
        models_named(["m@https://a.org", "m"])


# --- a template that opens the reasoning, at an endpoint ------------------------------------------


def streamed(stub, raws, names=("Ada",)):
    """A room of replies as they come in pieces, and what whoever watches is shown of each."""
    shown: list[str] = []

    def watch(what):
        if isinstance(what, Provisional) and not what.reasoning:
            shown.append("(sign)" if what.withheld else what.text)

    models = {"m": Endpoint(stub.url, "m", patience=PATIENCE)}
    room = Room(Log(), Catalog(models), watch=watch)
    for name in names:
        room.join(name, "m")
    found = []
    for _ in raws:
        room.step()
        found.append("|".join(one for one in shown if one))
        shown.clear()
    return room, found


def replies(*raws):
    return [Plan(raw=answer(*map(words, raw), END)) for raw in raws]


SECRET = (
    "I should ",
    "lie to Bob. " * 5,
    "</think>",
    "Hello ",
    "Bob, how is the weather today? " * 3,
)


def test_the_first_reply_of_an_unknown_endpoint_shows_no_reasoning():
    with stub_endpoint(*replies(SECRET, SECRET)) as stub:
        room, (first, second) = streamed(stub, (0, 1))
    for shown in (first, second):
        assert "lie" not in shown
        assert shown.replace("|", "").removeprefix("(sign)") == "".join(SECRET[3:])
    assert (first.startswith("(sign)|Hello"), "(sign)" in second) == (True, False)
    assert "lie" not in "".join(text for _, text in said(room))
    assert "lie" in room.line[1].body.reasoning


def test_where_a_reply_came_without_reasoning_the_next_one_streams():
    plain = ("Hello ", "there, ", "all of you who came to this room today")
    with stub_endpoint(*replies(plain, plain)) as stub:
        _, (first, second) = streamed(stub, (0, 1))
    assert first == "(sign)|" + "".join(plain)
    assert second == "|".join(plain)


def test_a_mark_that_opens_behind_words_waits_until_the_reply_is_whole():
    # the words may be reasoning that a template opened, of which a later mark would tell
    marked = ("Well. ", "<think>", "lie " * 20, "</think>", "Hello " * 12, "Bob")
    with stub_endpoint(*replies(marked)) as stub:
        _, (first,) = streamed(stub, (0,))
    assert first.startswith("(sign)|Well. Hello")
    assert "lie" not in first


def test_thoughts_on_a_way_of_their_own_let_the_words_stream():
    thought = b'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n'
    with stub_endpoint(Plan(raw=answer(thought, words("One "), words("two"), END))) as stub:
        _, (first,) = streamed(stub, (0,))
    assert first == "One |two"


LENGTH = b'data: {"choices":[{"delta":{},"finish_reason":"length"}]}\n\n'


def test_a_reply_cut_off_in_reasoning_that_a_template_opened_is_no_speech():
    cut = Plan(raw=answer(words("I should lie "), words("to Bob"), LENGTH))
    with stub_endpoint(*replies(SECRET), cut) as stub:
        room, (_, second) = streamed(stub, (0, 1))
    body = [one.body for one in room.line if isinstance(one.body, Message)][1]
    assert (body.shown, body.reasoning, second) == ("", "I should lie to Bob", "")
    assert notices(room, "only_reasoning")[0].startswith("Ada only thought, and was cut off")


def test_a_first_reply_cut_off_says_that_nothing_tells_what_it_is():
    with stub_endpoint(Plan(raw=answer(words("One two"), LENGTH))) as stub:
        room, _ = streamed(stub, (0,))
        assert notices(room, "unsure") == [
            "Ada was cut off; whether it spoke or still thought, nothing tells"
        ]
        assert said(room) == [("Ada", "One two")]


def test_the_page_shows_a_sign_until_the_words_are_known():
    pieces: list[str] = []
    with stub_endpoint(*replies(SECRET)) as stub:
        catalog = Catalog({"m": Endpoint(stub.url, "m", patience=PATIENCE)})

        def made(watch):
            def seen(what):
                watch(what)
                pieces.append(hosted.piece.text if begun else "")

            room = Room(Log(), catalog, watch=seen)
            room.join("Ada", "m")
            return room

        begun: list[bool] = []
        hosted = HostedRoom("a", made)
        begun.append(True)
        hosted.room.step()
    assert pieces[1] == WITHHELD
    assert pieces[2].startswith("Hello")
    assert not any("lie" in one or (WITHHELD in one and one != WITHHELD) for one in pieces)
