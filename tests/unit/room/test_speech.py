"""What of a reply is speech: one answer, for what streams, the log, commands and imports."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripted_rooms import notices, outcomes, said
from worldline.room.events import Message, Notice
from worldline.room.imports import from_messages
from worldline.room.log import Log
from worldline.room.providers.catalog import Catalog
from worldline.room.providers.chat_model import Delta, Usage
from worldline.room.providers.scripted_model import ScriptedModel
from worldline.room.replay import replay
from worldline.room.reply_events import Provisional
from worldline.room.room import Room
from worldline.room.speech import begins_thinking, speech_of, streaming


class Pieces(ScriptedModel):
    """Says its lines in pieces of three characters; a line that ends in … is cut off there."""

    __slots__ = ()

    def reply(self, messages, settings):
        line = self._line(settings.turn)
        for at in range(0, len(line), 3):
            yield Delta(line[at : at + 3])
        yield Usage(ending="length" if line.endswith("…") else "stop")


def room_of(*lines: str, names=("Ada",)) -> tuple[Room, list[str]]:
    shown: list[str] = []

    def watch(what):
        if isinstance(what, Provisional) and not what.reasoning:
            shown.append(what.text)

    room = Room(Log(), Catalog({"m": Pieces("m", lines)}), watch=watch)
    for name in names:
        room.join(name, "m")
    return room, shown


FIRST = "hm</think>yes"


@pytest.mark.parametrize(
    ("reply", "spoken"),
    [
        ("I should lie to Bob, who trusts me as I know he does…", ""),
        ("I should lie to Bob, who trusts me as I know he does.", ""),  # no limit cut it off
        ('I could !leave or !image "lie" now.\n!image "lie"\n!leave\n' + "x" * 40, ""),
        ("I lie <|end|> and lie again, as long as it takes to be sent out…", ""),
        ("[thinking] I should lie to Bob, who trusts me as I know he does…", ""),
        ("a <think>lie</think> I still lie, as long as it takes to be sent…", ""),
        ("```\n</think>\n``` lie, as long as it takes to be sent out, lie</think>Hi Bob", "Hi Bob"),
        ("x `a\t</think> lie` lie, as long as it takes to be sent out</think>Hi Bob", "Hi Bob"),
        ("```\n</think> lie, as long as it takes to be sent out\n``` lie</think>Hi", "Hi"),
        ("<think>lie</think>Hello Bob", "Hello Bob"),  # its own mark tells
    ],
)
def test_after_a_reply_that_began_in_reasoning_only_a_mark_ends_it(reply, spoken):
    room, shown = room_of(FIRST, reply)
    room.play(1)
    shown.clear()
    room.play(1)
    assert "".join(shown).strip() == spoken
    body = [one.body for one in room.line if isinstance(one.body, Message)][1]
    assert (body.text, body.shown) == (reply, spoken)
    assert "lie" in body.reasoning
    assert outcomes(room) == []
    assert bool(notices(room, "only_reasoning")) == (not spoken)
    assert replay(room.line, Catalog({"m": Pieces("m", (FIRST, reply))})).differs == 0


def test_what_one_speaker_told_of_a_model_holds_for_the_others():
    room, shown = room_of(FIRST, names=("Ada", "Bob"))
    room.play(1)
    room.catalog.model("m")
    lie = "I should lie to Ada, who trusts me as I know she does…"
    room.catalog._opened_models["m"] = Pieces("m", (lie, lie))
    shown.clear()
    room.play(1)
    assert ("".join(shown), said(room)[1:]) == ("", [("Bob", "")])


def test_a_mark_in_code_tells_nothing_of_how_a_model_begins():
    code = "Write it so:\n```\n</think>\n```\nThat is all."
    room, _ = room_of(code, "I say so.")
    room.play(2)
    assert said(room) == [("Ada", code), ("Ada", "I say so.")]


def test_thoughts_on_a_way_of_their_own_tell_that_words_are_words():
    message = Message("Ada", "yes, but", "yes, but", reasoning="hm", model="m", ending="length")
    assert begins_thinking([message], None) is False
    assert begins_thinking([], None) is None


PARTS = [
    "<think>",
    "</think>",
    "<|end|>",
    "[thinking]",
    "`",
    "```",
    "~~~",
    "\n",
    "\n\n",
    "> ",
    "w ",
]


@given(st.lists(st.sampled_from([*PARTS, "word " * 9]), max_size=14), st.sampled_from([1, 5, 999]))
def test_no_stream_shows_more_than_the_whole_reply_will(parts, size):
    head = "".join(parts)
    for begins in (True, None):
        for text in (head, f"{head}</think>Hello" + "." * 40):
            quiet = streaming(begins)
            told = "".join(quiet.more(text[at : at + size]) for at in range(0, len(text), size))
            speech = speech_of(text, begins)
            strays = speech.reasoning.count("</think>") > 1  # one that comes later takes it back
            if told.strip() and not strays:
                assert "".join(speech.shown_text.split()).startswith("".join(told.split()))


@pytest.mark.parametrize("late", [False, True])
def test_an_import_tells_by_the_other_messages_of_a_speaker(late):
    lie = {"role": "assistant", "name": "Ada", "content": 'I should lie.\n!image "lie"'}
    told = {"role": "assistant", "name": "Ada", "content": FIRST}
    other = {"role": "assistant", "name": "Bob", "content": "I speak."}
    apart = lie | {"reasoning_content": "hm"}
    order = [lie, told] if late else [told, lie]
    found = from_messages(json.dumps([*order, other, apart]))
    by = {one.text: one for one in found.bodies if isinstance(one, Message) and one.model}
    messages = [one for one in found.bodies if isinstance(one, Message)]
    shown = [(one.who, one.shown) for one in messages]
    pair = [("Ada", ""), ("Ada", "yes")] if late else [("Ada", "yes"), ("Ada", "")]
    assert shown == [*pair, ("Bob", "I speak."), ("Ada", apart["content"])]
    assert by[FIRST].reasoning == "hm</think>"
    assert found.columns.commands == {"image": 1}  # where its thoughts were kept apart
    (notice,) = [one for one in found.bodies if isinstance(one, Notice)]
    assert notice.text == "Ada only thought; nobody reads what it thought"
