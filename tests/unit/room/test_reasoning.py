"""Reasoning is never shown as speech, whole or as it streams; words that name a mark stay words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripted_rooms import notices, room_of, said
from worldline.room.events import Event, Message
from worldline.room.inert_regions import without_reasoning
from worldline.room.log import Log
from worldline.room.providers.catalog import Catalog
from worldline.room.providers.chat_model import Delta, Usage
from worldline.room.providers.scripted_model import ScriptedModel
from worldline.room.reasoning import ReasoningFilter
from worldline.room.reply_events import Provisional
from worldline.room.room import Room

MARKS = [
    ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"), ("[THINK]", "[/THINK]"), ("[think]", "[/think]"),
    ("◁think▷", "◁/think▷"), ("<seed:think>", "</seed:think>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"), ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"), ("<antThinking>", "</antThinking>"),
    ("< THINK >", "</ Think >"), ('<think type="a">', "</think >"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<|channel|>analysis ", "<|channel|>final "), ("<|channel>thought\n", "<channel|>"),
    ("<unused94>thought\n", "<unused95>"), ("<thought_process>", "</thought_process>"),
    ("<thinking_process>", "</thinking_process>"), ("<analysis>", "</analysis>"),
    ("<scratch_pad>", "</scratch_pad>"), ("<scratchpad>", "</scratchpad>"),
    ("<reasoning_content>", "</reasoning_content>"), ("<longcat_think>", "</longcat_think>"),
    ("<|assistant_thinking|>", "<|assistant|>"), ("<|thought_start|>", "<|thought_end|>"),
    ("<inner-thoughts>", "</inner-thoughts>"),
]  # fmt: skip
WEAK = {"<|end|><", "<|channe", "<channel", "<unused9", "<|assist"}  # they close what is open
CLOSING = {closes for _, closes in MARKS}
MENTIONS = [
    "I use the `<think>` tag.", "The <think> tag is old.", 'Say "<think>" now.',
    "It goes between <think> and </think> there.", "```\n<think>x</think>\n```\nok",
    "[thinking] Hm, well.", "a < b and c > d, <b>x</b>", "Hello<|end|>", "the closing </think> tag",
    "<no_think>yes", "<data_analysis>x</data_analysis>", "<I was thinking> hm", "a <unused95> b",
]  # fmt: skip


def streamed(text: str, size: int) -> str:
    quiet = ReasoningFilter()
    return "".join(quiet.more(text[at : at + size]) for at in range(0, len(text), size))


@pytest.mark.parametrize(("opens", "closes"), MARKS)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_reasoning_in_the_marks_of_every_family(opens, closes, size):
    for text, shown in (
        (f"{opens}secret{closes}Hello", "Hello"),
        (f"Well. {opens}secret{closes} Hello", "Well.  Hello"),
        (f"{opens}secret, cut o", ""),
        (f"Well. {opens}secret, cut o", "Well."),
        (f"{opens}a {opens}secret{closes} secret{closes}Hello", "Hello"),
    ):
        if opens == "[think]" and closes not in text:
            continue  # a stage direction, as it seems
        if (
            opens.startswith(("<|channel", "<unused", "<|assistant"))
            and "a " in text
            and "secret, cut" not in text
        ):
            continue  # what one mark closes whole does not nest
        assert without_reasoning(text)[0].split() == shown.split()
        told = streamed(text, size)
        assert "secret" not in told
        assert "".join(shown.split()).startswith("".join(told.split()))


@pytest.mark.parametrize("closes", [one for _, one in MARKS if one[:8] not in WEAK])
def test_reasoning_that_a_template_opened_is_closed_by_a_mark_alone(closes):
    shown, thought = without_reasoning(f"secret{closes}Hello")
    assert (shown, thought.strip()) == ("Hello", f"secret{closes}".strip())
    quiet = ReasoningFilter(starts_inside=True)
    assert "secret" not in "".join(quiet.more(one) for one in f"secret{closes}Hello" + " " * 40)


@pytest.mark.parametrize("text", MENTIONS)
def test_a_mark_that_is_only_spoken_of_stays(text):
    assert without_reasoning(text) == (text, "")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('I say "hi"</think>"Hi there"', '"Hi there"'),
        ("secret</think> Tokens are small.", "Tokens are small."),
        ("<think> Tokens are secret.</think>Hello", "Hello"),
        ("<think>`</think>` secret</think>Hello", "Hello"),
        ("<think>a</think>secret</think>Hello", "Hello"),
        ("It is 5` <think>secret\n</think> and 3`", "It is 5`  and 3`"),
        ("secret ```\n</think>\nHello", "Hello"),
        ("<think>\n`</think>`\nreal", "real"),
        ('<think>\nsecret\n"</think>"\nreal', "real"),
        ("<think>\nsecret\n```\n</think>\n```\nreal", "```\nreal"),
        ("<think>\n`</think>`\nsecret\n</think>\nreal", "real"),
        ("<think>\nI end with `</think>` then\nsecret", ""),
    ],
)
def test_a_mark_that_closes_is_not_taken_for_one_that_is_spoken_of(text, shown):
    assert without_reasoning(text)[0] == shown


@given(st.lists(st.sampled_from([*sum(MARKS, ()), "secret", " the ", " tag", "`", '"', "\n", "a"])))
def test_a_stream_in_any_pieces_never_shows_what_stands_behind_an_opening_mark(pieces):
    text = f"<think>{''.join(one for one in pieces if one not in CLOSING)}"
    for size in (1, 7, len(text)):
        assert "secret" not in streamed(text, size)
    assert "secret" not in without_reasoning(text)[0] or "`" in text or '"' in text


def test_a_reply_that_is_only_reasoning_says_so_and_nobody_reads_it():
    room = room_of({"Ada": ["<think>I plan to vote against Bob"], "Bob": ["hello"]})
    seen: list[str] = []
    room._watch = lambda what: seen.append(what.text) if isinstance(what, Provisional) else None
    room.play(2)
    message = next(one.body for one in room.line if isinstance(one.body, Message))
    assert (message.shown, message.reasoning) == ("", "<think>I plan to vote against Bob")
    assert notices(room, "only_reasoning") == [
        "Ada only thought; it said nothing, and nobody reads what it thought"
    ]
    assert "vote" not in "".join(seen)


def test_nothing_of_the_reasoning_streams_and_everything_else_does():
    class Thinker(ScriptedModel):
        __slots__ = ()

        def reply(self, messages, settings):
            for at in range(0, len(self.lines[settings.turn]), 3):
                yield Delta(self.lines[settings.turn][at : at + 3])
            yield Usage()

    lines = ("secret one</think>Hello", "secret two</think>Hello again", "Hi [thinking] there")
    shown: list[str] = []

    def watch(what: Event | Provisional) -> None:
        if isinstance(what, Provisional) and not what.reasoning:
            shown.append(what.text)

    room = Room(Log(), Catalog({"m": Thinker("m", lines)}), watch=watch)
    room.join("Ada", "m")
    room.play(1)
    shown.clear()
    room.play(1)  # its template opens the reasoning, as the first reply told
    assert "".join(shown) == "Hello again"
    assert said(room) == [("Ada", "Hello"), ("Ada", "Hello again")]
