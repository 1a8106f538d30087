"""What each participant reads before it speaks, built anew from the events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from worldline.room.event_format import event_line
from worldline.room.events import Command, Event, Message, Setting
from worldline.room.providers.chat_model import ChatMessage, Model, Part, Role, merge_neighbours
from worldline.room.reply_commands import FORMS
from worldline.room.speaker_labels import without_room_lines
from worldline.room.state import Participant, State
from worldline.tokens.sanitize import visible

_MEANINGS = {
    "image": "have a picture made",
    "add_ai": "invite another AI",
    "temperature": "set your own sampling temperature, 0 to 2",
    "search": "search the web; everyone sees what was found",
    "prompt": "add to your own instructions",
    "mute_self": "be silent until somebody addresses you with @",
    "leave": "leave the room",
    "list_models": "see who can be invited",
}
_QUIET_SETTINGS = frozenset({"seed", "prompt", "muted"})


@dataclass(frozen=True, slots=True)
class ReplyPrompt:
    """The messages a model reads; `read_from` is the first event in them, 0: nothing is cut."""

    messages: tuple[ChatMessage, ...]
    read_from: int


def seen_by(
    me: Participant, state: State, line: Sequence[Event], model: Model, max_tokens: int
) -> ReplyPrompt:
    """What `me` reads: who it is and who is here, then everything since the beginning.

    Its own messages are the assistant's, the others' are the user's with the name in front; what
    the room says stands in square brackets. Where the model cannot read as much, the oldest go
    first, and a line in the room's name says from which event on it reads.
    """
    system = ChatMessage("system", system_text(me, state))
    lines = _lines(me, line)
    messages = _end_with_user([system, *lines], me, model)
    room = None if model.context_tokens is None else model.context_tokens - max_tokens
    if room is None or model.count_tokens(messages) <= room:
        return ReplyPrompt(tuple(messages), 0)
    low, high = 1, len(lines)  # the fewest lines to leave out, by halves
    while low < high:
        middle = (low + high) // 2
        if model.count_tokens(_cut(system, lines, middle, me, model)) <= room:
            high = middle
        else:
            low = middle + 1
    return ReplyPrompt(tuple(_cut(system, lines, low, me, model)), _first(lines, low))


def system_text(me: Participant, state: State) -> str:
    """Who you are, who is present, what is limited, which commands there are."""
    companions = [
        f"{entry.name} ({entry.model})" for entry in state.present if entry.name != me.name
    ]
    limit = state.settings["max_participants"]
    parts = [
        f"You are {me.name}, one of several AIs in a conversation.",
        me.persona,
        me.prompt,
        f"Present besides you: {', '.join(companions) or 'no other AI'}.",
        f"People who spoke: {', '.join(state.people)}." if state.people else "",
        f"{len(state.present)} of at most {limit} AIs are here.",
        "Write only your own next message, without your name in front, and never in anybody "
        "else's name. Lines in [room: ...] come from the room and are true; nobody else can write "
        "them. Saying that you do something does nothing; these commands do, each on a line of "
        "its own with nothing else on that line:",
        "\n".join(f"{form} - {_MEANINGS[name]}" for name, form in FORMS.items()),
        f"A message may give {state.settings['quota_message']} commands.",
    ]
    return "\n".join(entry for entry in parts if entry)


def _lines(me: Participant, line: Sequence[Event]) -> list[ChatMessage]:
    commands = {entry.number: entry.body for entry in line if isinstance(entry.body, Command)}
    messages: list[ChatMessage] = []
    for event in line:
        body = event.body
        if isinstance(body, Message):
            if body.shown:  # else it only thought, which the room says
                messages.append(_message(me, event.number, body))
        elif isinstance(body, Setting) and body.what in _QUIET_SETTINGS:
            continue
        elif text := event_line(event, commands):
            safe_text = without_room_lines(visible(text))
            messages.append(_single_part_message("user", f"[room: {safe_text}]", event.number, ""))
    return messages


def _message(me: Participant, number: int, body: Message) -> ChatMessage:
    if body.who == me.name and body.model:
        return _single_part_message("assistant", body.shown, number, body.who)
    label = f"{body.who}: "
    text = label + without_room_lines(visible(body.shown))  # no one else writes the room's lines
    return ChatMessage("user", text, (Part(number, body.who, len(label), len(text)),))


def _single_part_message(role: Role, text: str, number: int | None, speaker: str) -> ChatMessage:
    return ChatMessage(role, text, (Part(number, speaker, 0, len(text)),))


def _end_with_user(messages: list[ChatMessage], me: Participant, model: Model) -> list[ChatMessage]:
    """The messages with a user's at the end, merged where the template wants it."""
    if messages[-1].role != "user":
        messages = [
            *messages,
            _single_part_message("user", f"[room: it is your turn, {me.name}]", None, ""),
        ]
    return merge_neighbours(messages) if model.alternates else messages


def _cut(
    system: ChatMessage, lines: Sequence[ChatMessage], n: int, me: Participant, model: Model
) -> list[ChatMessage]:
    text = f"[room: you cannot read as far back as the beginning; event {_first(lines, n)} is next]"
    return _end_with_user(
        [system, _single_part_message("user", text, None, ""), *lines[n:]], me, model
    )


def _first(lines: Sequence[ChatMessage], n: int) -> int:
    """The number of the first event that is read when `n` lines are left out."""
    after = next((message.parts[0].event for message in lines[n:] if message.parts), None)
    last = lines[-1].parts[0].event if lines else 0
    return after if after is not None else (last or 0) + 1
