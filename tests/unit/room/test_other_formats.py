"""Conversations of other programs: who said what, and what was left out is counted."""

from __future__ import annotations

import itertools
import json

import pytest

from worldline.errors import InputError
from worldline.room.events import Arrival, Message, Notice
from worldline.room.imports import from_elsewhere, from_json, from_transcript, is_room
from worldline.room.log import Log
from worldline.room.look_alikes import told_apart
from worldline.room.other_formats import conversation_of

OPENAI = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image_url"}]},
    {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "see"}}]},
    {"role": "tool", "tool_call_id": "1", "content": "a lake"},
    {"role": "assistant", "content": "<think>hm</think>A lake.", "refusal": None},
]  # fmt: skip
AUTOGEN = [
    {"content": "Plan a garden.", "role": "user", "name": "user_proxy"},
    {"content": "A pond.", "role": "user", "name": "planner"},
    {"content": "And a bench.", "role": "assistant", "name": "critic"},
]
AUTOGEN_4 = [
    {"source": "user", "models_usage": None, "content": "Plan.", "type": "TextMessage"},
    {"source": "writer", "models_usage": {}, "content": "Yes.", "type": "TextMessage"},
]
SHAREGPT = {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]}
TAVERN = [
    {"user_name": "Marta", "character_name": "Ada", "chat_metadata": {}},
    {"name": "Ada", "is_user": False, "mes": "Hello.", "swipes": ["Hello.", "Hi."],
     "extra": {"reasoning": "greet"}},
    {"name": "Marta", "is_user": True, "mes": "Good day", "send_date": "x"},
    {"name": "Ada", "is_user": False, "is_system": True, "mes": "a note"},
]  # fmt: skip


def said(text: str) -> list[tuple[str, str, bool]]:
    bodies = from_elsewhere(text).bodies
    return [(one.who, one.shown, bool(one.model)) for one in bodies if isinstance(one, Message)]


@pytest.mark.parametrize("whole", [OPENAI, {"messages": OPENAI}, [{"messages": OPENAI}]])
def test_messages_of_openai(whole):
    text = json.dumps(whole)
    assert said(text) == [("User", "Look", False), ("Assistant", "A lake.", True)]
    found = from_elsewhere(text)
    told = [one.text for one in found.bodies if isinstance(one, Notice)]
    assert told[0] == "system: Be brief."
    assert told[1].startswith("Assistant calls")
    assert '"name": "see"' in told[1]
    assert told[2] == "tool: a lake"
    assert found.left_out == {"image_url parts": 1, "field tool_call_id": 1}
    reasoning = [one.reasoning for one in found.bodies if isinstance(one, Message)]
    assert reasoning == ["", "<think>hm</think>"]


def test_lists_of_autogen_keep_every_agent_apart():
    assert said(json.dumps(AUTOGEN)) == [
        ("user_proxy", "Plan a garden.", False), ("planner", "A pond.", True),
        ("critic", "And a bench.", True),
    ]  # fmt: skip
    assert said(json.dumps(AUTOGEN_4)) == [("user", "Plan.", False), ("writer", "Yes.", True)]


def test_conversations_of_sharegpt():
    assert said(json.dumps(SHAREGPT)) == [("User", "hi", False), ("Assistant", "hello", True)]


def test_lines_of_sillytavern():
    found = from_elsewhere("\n".join(map(json.dumps, TAVERN)))
    messages = [one for one in found.bodies if isinstance(one, Message)]
    assert [(one.who, one.shown, one.reasoning) for one in messages] == [
        ("Ada", "Hello.", "greet"), ("Marta", "Good day", ""),
    ]  # fmt: skip
    assert [one.name for one in found.bodies if isinstance(one, Arrival)] == ["Ada"]
    assert [one.text for one in found.bodies if isinstance(one, Notice)] == ["Ada: a note"]
    assert found.left_out == {
        "fields of the chat": 3, "other tellings of a message": 1, "field send_date": 1,
    }  # fmt: skip
    log = Log()
    log.append(found.bodies)
    assert [one.body for one in log.events()] == list(found.bodies)


def test_halves_of_characters_are_joined_or_counted_and_names_are_seen():
    text = (
        r'[{"role":"assistant","name":"A\u202eda","content":"\ud83d\ude00 \ud83d"},'
        r'{"role":"assistant","name":"room","content":"x"}]'
    )
    found = from_elsewhere(text)
    assert said(text) == [("A‹202E›da", "😀 \ufffd", True), ("room, another", "x", True)]
    assert found.left_out == {"texts with half a character, now \ufffd": 1}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[" * 200_000, "over 64 lists"),
        ('{"a":' * 200_000, "over 64 lists"),
        ("[]", "no message"),
        ("{}", "no message"),
        ('[{"role": "user"}]', "no message"),
        ('[{"role": "user", "content": "x", "time": NaN}]', "NaN"),
        ('[{"role": "user", "content": "x", "time": 1e999}]', "1e999"),
        ('[{"role": "user", "content": "x", "time": ' + "9" * 5000 + "}]", "128 bits"),
        ('[{"role": "user", "content"', "not JSON"),
        ('{"messages": [1]}', "no message"),
        ('{"messages": []}\n{"messages": []}', "2 conversations"),
    ],
)
def test_what_is_no_conversation_is_refused_in_a_line(text, word):
    with pytest.raises(InputError, match=word) as error:
        from_elsewhere(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ('"time": NaN', "NaN"),
        ('"time": Infinity', "Infinity"),
        ('"time": 1e999', "1e999"),
        ('"time": 1, "x": ' + "[" * 200_000, "over 64 lists"),
        ('"time": "soon"', "time"),
        ('"time": 1, "body": {"kind": "left", "name": "\\ud83d"}', "half of a pair"),
    ],
)
def test_our_own_json_that_is_damaged_is_refused_in_a_line(change, word):
    body = '"body": {"kind": "left", "name": "Ada"}'
    fields = change if "body" in change else f"{change}, {body}"
    text = f'{{"format": "worldline-room-1", "events": [{{"number": 1, "parent": 0, {fields}}}]}}'
    assert is_room(text)
    log = Log()
    with pytest.raises(InputError, match=word) as error:
        from_json(text, log)
    assert "\n" not in str(error.value)
    assert log.events() == []


def test_names_with_parentheses_stand_above_their_messages():
    found = from_transcript("AI-1 (GPT 9 Sol (High))\nhello\n\nAI-2 (Bob)\nhi\n")
    said = [(one.who, one.shown) for one in found.bodies if isinstance(one, Message)]
    assert said == [("GPT 9 Sol (High)", "hello"), ("Bob", "hi")]


def test_a_conversation_in_which_nobody_speaks_is_none():
    with pytest.raises(InputError, match="no message"):
        conversation_of('[{"role": "system", "content": "Be brief."}]')


def test_what_a_message_says_twice_is_counted():
    message = {
        "role": "assistant", "from": "human", "content": "text1", "value": "text2", "text": "text3",
        "mes": "text1", "reasoning": {"steps": ["secret"]}, "reasoning_content": "",
        "extra": {"reasoning": "other", "model": "m"}, "name": "Ada", "source": "Bob",
    }  # fmt: skip
    found = from_elsewhere(json.dumps([message]))
    assert found.left_out == {
        "value beside content": 1, "text beside content": 1, "from beside role": 1,
        "source beside name": 1, "reasoning in extra beside reasoning": 1,
        "field model in extra": 1, "words that are an object": 1,
    }  # fmt: skip


def test_a_call_that_is_no_list_is_told():
    found = from_elsewhere('[{"role":"assistant","content":"x","tool_calls":{"name":"see"}}]')
    assert [one.text for one in found.bodies if isinstance(one, Notice)] == [
        'Assistant calls {"name": "see"}'
    ]


@pytest.mark.parametrize("ids", [(1, 0), (0, 1), (1, 1), (0, 0)])
def test_one_who_speaks_twice_is_of_one_kind(ids):
    messages = [
        {"role": "user", "name": "Bob", "content": "x", **({"id": "7"} if one else {})}
        for one in ids
    ]
    kinds = {ai for _, _, ai in said(json.dumps(messages))}
    assert kinds == {ids != (1, 1)}


def test_who_looks_like_another_is_told_apart():
    messages = [{"role": "assistant", "name": who, "content": "x"} for who in ("Bob", "\u0412ob")]
    assert [who for who, _, _ in said(json.dumps(messages))] == ["Bob", "\u0412ob, another"]
    found = from_transcript("AI-1 (Bob)\nhello\n\nAI-2 (\u0412ob)\nhi\n\nAI-3 (R00M)\nx\n")
    names = [one.who for one in found.bodies if isinstance(one, Message)]
    assert names == ["Bob", "\u0412ob, another", "R00M, another"]


TAKEN = [
    ["room", "room, another"],
    ["room", "Room, another", "room, a speaker"],
    ["Bob", "\u0412ob", "\u0412ob, another"],
    ["Bob", "\u0412ob", "Bob, another"],
    ["x" * 500, "x" * 499 + "y", "x" * 59 + "\u2026"],
    ["a b", "a  b", "a\tb", " a b ", "a b, another"],
    ["A\u200b", "A\u2039200B\u203a"],
]


@pytest.mark.parametrize("names", [order for names in TAKEN for order in (names, names[::-1])])
def test_nobody_becomes_another_speaker(names):
    messages = [{"role": "assistant", "name": name, "content": "x"} for name in names]
    called = [who for who, _, _ in said(json.dumps(messages))]
    assert len(set(called)) == len(names)
    assert max(map(len, called)) <= 60 + len(", another 2")


def test_who_calls_has_the_name_that_it_speaks_under():
    call = {"function": {"name": "see"}}
    names = ("Bob", "\u0412ob", "y" * 70)
    messages = [
        {"role": "assistant", "name": name, "content": "x", "tool_calls": [call]} for name in names
    ]
    found = from_elsewhere(json.dumps(messages))
    told = [one.text.partition(" calls ")[0] for one in found.bodies if isinstance(one, Notice)]
    assert told == ["Bob", "\u0412ob, another", "y" * 59 + "\u2026"]
    assert told == [one.who for one in found.bodies if isinstance(one, Message)]
    assert found.left_out == {"ends of long names": 1}


def test_a_crowd_of_one_look_is_told_apart_in_a_moment():
    letters = [("o", "\u043e", "\u03bf")] * 6
    names = ["".join(name) for name in itertools.product(*letters)]
    names += [f"oooooo, another {n}" for n in range(500)]
    called = told_apart(names, "room")
    assert len(set(called.values())) == len(names)
