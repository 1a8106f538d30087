"""Conversations that other programs keep as JSON: who said what, and what was left out.

OpenAI's messages (a list, or under "messages"), AutoGen's lists, ShareGPT's conversations, and the
lines of SillyTavern.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from worldline.errors import InputError
from worldline.foreign_json import read_json
from worldline.room.look_alikes import UsedNames
from worldline.room.participants import LONGEST_NAME
from worldline.tokens.sanitize import GONE, one_line, whole_characters

ACCEPTED = "accepted are our JSON, OpenAI or AutoGen messages, ShareGPT, SillyTavern lines"
MOST_BITS = 128  # of a whole number: others give long names to messages
_PEOPLE = frozenset({"user", "human", "person", "user_proxy", "admin"})
_TAKEN = frozenset(
    [
        "role",
        "name",
        "content",
        "from",
        "value",
        "source",
        "type",
        "mes",
        "is_user",
        "is_system",
        "extra",
        "swipes",
        "swipe_id",
        "text",
        "reasoning",
        "reasoning_content",
        "tool_calls",
        "function_call",
        "refusal",
        "models_usage",
    ]
)
_REASONING_OF = ("reasoning_content", "reasoning")
_WORDS_OF = ("content", "value", "mes", "text", "refusal")


_KINDS = {dict: "an object", bool: "a truth value"}


@dataclass(frozen=True, slots=True)
class Entry:
    """Something said, by a person, by a model, or by neither (`who` is empty: it is told about).

    What is told begins with the name of its `doer`, where it has one.
    """

    who: str
    text: str
    ai: bool = False
    reasoning: str = ""
    doer: str = ""


@dataclass(slots=True)
class Conversation:
    """The entries of a file, in order, and how much of each kind was left out."""

    entries: list[Entry] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def conversation_of(text: str) -> Conversation:
    """Read what another program wrote.

    Raises: InputError, in a line, where it is none of the forms, or nobody says anything.
    """
    conversation = Conversation()
    items, title = _items(text, conversation.left_out)
    for item in items:
        if isinstance(item, dict) and ("mes" in item or _is_message(item)):
            conversation.entries += _entries(item, conversation.left_out)
        elif isinstance(item, dict) and title and "chat_metadata" in item:
            conversation.left_out["fields of the chat"] += len(item)
        else:
            conversation.left_out["entries that are no message"] += 1
    ais = {entry.who for entry in conversation.entries if entry.ai}
    called = _seen_names(
        (new_entry.who or new_entry.doer for new_entry in conversation.entries),
        conversation.left_out,
    )
    conversation.entries = [
        replace(
            old_entry,
            who=called[old_entry.who],
            doer=called[old_entry.doer],
            ai=old_entry.who in ais,
        )  # one kind each
        for old_entry in conversation.entries
    ]
    if not any(entry.who for entry in conversation.entries):
        raise InputError(f"{one_line(text, 40)!r}: not a room and no message; {ACCEPTED}")
    return conversation


def load_json(text: str, left_out: Counter[str]) -> Any:
    """What a JSON text holds; `left_out` counts the texts of which half a character was lost."""

    def repair_text(raw_text: str) -> str:
        repaired_text = whole_characters(raw_text)
        if repaired_text.count(GONE) > raw_text.count(GONE):
            left_out[f"texts with half a character, now {GONE}"] += 1
        return repaired_text

    return read_json(text, repr(one_line(text, 40)), most_bits=MOST_BITS, repair_text=repair_text)


def _items(text: str, left_out: Counter[str]) -> tuple[Sequence[Any], bool]:
    """The messages of a file, and whether it is lines of which the first is about the chat."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(item.lstrip().startswith("{") for item in lines):
        items = [load_json(json_line, left_out) for json_line in lines]
        content = [
            text_line
            for text_line in items
            if "messages" in text_line or "conversations" in text_line
        ]
        if len(content) > 1:
            raise InputError(f"{len(content)} conversations, one a line; accepted is one")
        return _items(json.dumps(content[0]), left_out) if content else (items, True)
    content = load_json(text, left_out)
    if isinstance(content, dict):
        for name in ("messages", "conversations", "conversation", "chat_history", "history"):
            if isinstance(content.get(name), list):
                return content[name], False
        return [content], True
    if not isinstance(content, list):
        raise InputError(f"{one_line(text, 40)!r}: not a room and no message; {ACCEPTED}")
    if len(content) == 1 and isinstance(content[0], dict) and not _is_message(content[0]):
        return _items(json.dumps(content[0]), left_out)
    return content, False


def _is_message(item: Mapping[str, Any]) -> bool:
    speaker = any(
        isinstance(item.get(field_name), str) for field_name in ("role", "from", "source", "name")
    )
    return speaker and any(name in item for name in (*_WORDS_OF, "tool_calls", "function_call"))


def _entries(item: Mapping[str, Any], left_out: Counter[str]) -> Iterator[Entry]:
    role = str(item.get("role") or item.get("from") or "").casefold()
    name = str(item.get("name") or item.get("source") or "")
    words = _words(_first_of(item, _WORDS_OF, left_out), left_out)
    extra = item.get("extra")
    extra_reasoning = extra.get("reasoning") if isinstance(extra, dict) else None
    reasoning_fields = {
        **{field_name: item.get(field_name) for field_name in _REASONING_OF},
        "reasoning in extra": extra_reasoning,
    }
    reasoning = _first_of(reasoning_fields, tuple(reasoning_fields), left_out)
    for pair in (("role", "from"), ("name", "source")):
        _first_of(item, pair, left_out)
    for unread_field in (extra.keys() if isinstance(extra, dict) else set()) - {"reasoning"}:
        left_out[f"field {one_line(str(unread_field), 40)} in extra"] += 1
    left_out["other tellings of a message"] += max(0, len(_list(item.get("swipes"))) - 1)
    for unread_field in item.keys() - _TAKEN:
        left_out[f"field {one_line(str(unread_field), 40)}"] += 1
    calls = item.get("tool_calls")
    for call in (
        *(calls if isinstance(calls, list) else [calls]),
        item.get("function_call"),
    ):
        if not call:
            continue
        reasoning_fields = f"calls {one_line(json.dumps(call), 2000)}"
        yield Entry("", reasoning_fields, doer=_speaker_name(name, role))
    if not words.strip() and not reasoning:
        left_out["messages without words"] += not item.get("tool_calls")
    elif role in ("system", "developer", "tool", "function", "observation") or item.get(
        "is_system"
    ):
        yield Entry("", f"{name or role or 'system'}: {words}")
    else:
        reasoning_text = _words(reasoning, left_out)
        yield Entry(_speaker_name(name, role), words, _is_ai(item, role, name), reasoning_text)


def _first_of(item: Mapping[str, Any], names: Sequence[str], left_out: Counter[str]) -> Any:
    """The first that says something; others that say something else are counted."""
    filled_fields = [name for name in names if item.get(name)]
    for other_name in filled_fields[1:]:
        if item[other_name] != item[filled_fields[0]]:
            left_out[f"{other_name} beside {filled_fields[0]}"] += 1
    return item[filled_fields[0]] if filled_fields else ""


def _is_ai(item: Mapping[str, Any], role: str, name: str) -> bool:
    if "is_user" in item:
        return not item["is_user"]
    if name:
        return name.casefold() not in _PEOPLE and (
            role != "user" or "source" in item or _agent(item)
        )
    return role not in _PEOPLE


def _agent(item: Mapping[str, Any]) -> bool:
    """Whether a name stands beside nothing but a role and words, as where agents talk."""
    return item.keys() <= {"role", "name", "content"}


def _words(content: Any, left_out: Counter[str]) -> str:
    """A text, or the texts of a list of parts."""
    if isinstance(content, str):
        return content
    if content and not isinstance(content, list):
        left_out[f"words that are {_KINDS.get(type(content), 'a number')}"] += 1
    parts: list[str] = []
    for part in _list(content):
        text = (
            part if isinstance(part, str) else part.get("text") if isinstance(part, dict) else None
        )
        if isinstance(text, str):
            parts.append(text)
        else:
            kind = part.get("type", "other") if isinstance(part, dict) else "other"
            left_out[f"{one_line(str(kind), 40)} parts"] += 1
    return "\n".join(parts)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _speaker_name(name: str, role: str) -> str:
    """Whose a message is, as the file has it; without a name that can be seen its role's."""
    usual = {"gpt": "Assistant", "human": "User"}.get(role, role.capitalize())
    return next((given for given in (name, usual) if one_line(given, LONGEST_NAME)), "Somebody")


def _seen_names(names: Iterable[str], left_out: Counter[str]) -> dict[str, str]:
    """What each is called: all of it seen, in one line, not too long, and nobody else's."""
    seen = {name: one_line(name, LONGEST_NAME) for name in dict.fromkeys(names)} | {"": ""}
    called = {name: name for name, shown in seen.items() if shown == name}
    taken, used = set(called), UsedNames(seen.values())
    for name, shown in seen.items():
        if shown == name:
            continue
        left_out["ends of long names"] += shown != one_line(name, 2 * LONGEST_NAME)
        called[name] = used.another(shown, LONGEST_NAME) if shown in taken else shown
        taken.add(called[name])
    return called
