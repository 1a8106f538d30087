"""Messages to the text that a local model reads, and where each event stands among its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from worldline.errors import InputError
from worldline.room.providers.chat_model import JOINT, ChatMessage, Part, ReplyError
from worldline.room.providers.message_shapes import SHAPES
from worldline.room.reasoning import marks_in
from worldline.tokens.chat_templates import NamedSpan, Turn, render_chat
from worldline.tokens.tokenizer import special_ids
from worldline.tokens.tokens import Tokens, decode, tokenize

if TYPE_CHECKING:
    from worldline.tokens.tokenizer import Tokenizer

_TAIL = 200  # characters at the end of a text in which a template opens reasoning
_ALIKE = {"<": "‹", "[": "［", "|": "¦"}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model read before it replied: its tokens, and the characters of each event in them.

    A part whose place in the text is not certain (the template rewrote it) is in `unplaced_parts`.
    `stops` are the ids that end a turn, `breaks` the texts that do where there is no template.
    `open_mark` is the mark with which the template begins the reply's reasoning; "" for none.
    """

    tokens: Tokens
    parts: tuple[Part, ...]
    unplaced_parts: tuple[Part, ...]
    stops: frozenset[int]
    breaks: tuple[str, ...] = ()
    open_mark: str = ""


def build_reading(tokenizer: Tokenizer, messages: Sequence[ChatMessage], own_name: str) -> Reading:
    """The text of `messages` by the model's chat template, or as "Name: ..." where it has none.

    No message can pretend to open a turn: the spelling of special tokens is broken in it, by one
    character of equal length, so that places stay where they are.

    Raises: ReplyError where the template takes the messages in no shape.
    """
    messages = [break_special_tokens(tokenizer, message) for message in messages]
    if not getattr(tokenizer, "chat_template", None):
        return _plain(tokenizer, messages, own_name)
    reason = "there is nothing to answer"
    for shape in SHAPES:
        shaped_messages = shape(messages)
        if not shaped_messages:
            continue
        try:
            text, spans = render_chat(
                tokenizer, [Turn(message.role, message.text) for message in shaped_messages]
            )
        except InputError as error:
            reason = str(error)
            continue
        tokens = tokenize(tokenizer, text, add_special_tokens=False)
        parts, unplaced_parts = _locate_parts(shaped_messages, text, spans)
        return Reading(tokens, parts, unplaced_parts, stops_of(tokenizer), (), _open_mark(text))
    raise ReplyError(f"the model cannot read this conversation: {reason}")


def _open_mark(text: str) -> str:
    """The mark of reasoning that stands open at the end of what a template wrote."""
    end = text[-_TAIL:].rstrip()
    last = next((mark for mark in marks_in(end) if mark.end == len(end)), None)
    return end[last.start :] if last is not None and last.opens else ""


def break_special_tokens(tokenizer: Tokenizer, message: ChatMessage) -> ChatMessage:
    """The message with the spelling of every special token broken: its first character changed.

    As long as before: `parts` stay valid.
    """
    text = message.text
    pieces = {decode(tokenizer, [token]).strip() for token in special_ids(tokenizer)}
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) > 1 and piece in text:
            text = text.replace(piece, _ALIKE.get(piece[0], "·") + piece[1:])
    return message if text == message.text else replace(message, text=text)


def alternates(tokenizer: Tokenizer) -> bool:
    """Whether the template refuses two neighbours of one role."""
    if not getattr(tokenizer, "chat_template", None):
        return False
    try:
        render_chat(tokenizer, [Turn("user", "a"), Turn("user", "b")])
    except InputError:
        return True
    return False


def stops_of(tokenizer: Tokenizer) -> frozenset[int]:
    """Special tokens that the template itself writes around turns, and the end of a text."""
    stop_ids = {getattr(tokenizer, "eos_token_id", None)}
    turns = [Turn("user", "a"), Turn("assistant", "b"), Turn("user", "c")]
    try:
        text, _ = render_chat(tokenizer, turns)
    except InputError:
        text = ""
    if text:
        ids = tokenize(tokenizer, text, add_special_tokens=False).ids
        stop_ids |= set(ids) & special_ids(tokenizer)
    return frozenset(token_id for token_id in stop_ids if token_id is not None)


def _locate_parts(
    messages: Sequence[ChatMessage], text: str, spans: Sequence[NamedSpan]
) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """(Parts in characters of the rendered text, parts whose place is not certain)."""
    where = {span.name: span for span in spans}
    placed_parts: list[Part] = []
    unplaced_parts: list[Part] = []
    for index, message in enumerate(messages):
        span = where.get(f"{message.role} {index}")
        if span is None:
            unplaced_parts += message.parts
            continue
        by = span.start - message.text.find(text[span.start : span.end])
        for part in message.parts:
            start, end = max(part.start + by, span.start), min(part.end + by, span.end)
            placed_parts.append(replace(part, start=start, end=max(start, end)))
    return tuple(placed_parts), tuple(unplaced_parts)


def _plain(tokenizer: Tokenizer, messages: Sequence[ChatMessage], own_name: str) -> Reading:
    """Lines "Name: ...", for a model that knows no turns."""
    text, parts = "", []
    speakers = {part.speaker for message in messages for part in message.parts if part.speaker}
    for message in messages:
        label = f"{own_name}: " if message.role == "assistant" else ""
        by = len(text) + len(label)
        parts += [replace(p, start=p.start + by, end=p.end + by) for p in message.parts]
        text += label + message.text + JOINT
    tokens = tokenize(tokenizer, f"{text}{own_name}:")
    breaks = tuple(sorted({f"\n{name}:" for name in (*speakers, own_name)} | {JOINT}))
    return Reading(tokens, tuple(parts), (), stops_of(tokenizer), breaks)
