"""From a model's reply to the events that it is: the message, its commands, the room's remarks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from worldline.room.commands import Parsed, parse
from worldline.room.events import ROOM, Body, Command, Message, Notice
from worldline.room.models.model import Delta, Model, ReplyError, Settings, Usage
from worldline.room.naming import borrowed, without_own_label
from worldline.room.regions import without_reasoning
from worldline.room.seeing import Seen
from worldline.room.state import Participant
from worldline.room.telling import written

_REMARKED = ("code", "quote", "reasoning")  # there nobody thinks that a command was meant


@dataclass(frozen=True, slots=True)
class Provisional:
    """A piece of a reply while it streams: not in the log, and it may never come to be."""

    who: str
    text: str
    reasoning: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, whole, or as much of it as came; `failure` says why there is no more of it."""

    text: str
    reasoning: str
    usage: Usage
    seconds: float
    failure: str = ""


def heard(
    model: Model,
    seen: Seen,
    settings: Settings,
    who: str,
    watch: Callable[[Provisional], None],
    stopped: Callable[[], bool],
) -> Reply:
    """Listen to a reply until it is whole, or fails, is empty, or is stopped on the way."""
    began = time.perf_counter()
    text: list[str] = []
    reasoning: list[str] = []
    usage, failure = Usage(), ""
    stream = model.reply(seen.messages, settings)
    try:
        for piece in stream:
            if stopped():
                raise ReplyError("it was stopped")
            if isinstance(piece, Usage):
                usage = piece
                continue
            (reasoning if piece.reasoning else text).append(piece.text)
            watch(Provisional(who, piece.text, piece.reasoning))
    except ReplyError as error:
        failure, usage = str(error) or type(error).__name__, error.usage or usage
    finally:
        _close(stream)
    if not failure and not "".join(text).strip():
        failure = "the reply was empty"
    seconds = time.perf_counter() - began
    return Reply("".join(text), "".join(reasoning), usage, seconds, failure)


def as_events(
    reply: Reply,
    me: Participant,
    model: Model,
    settings: Settings,
    names: Iterable[str],
    models: Iterable[str],
    next_number: int,
    read: tuple[int, int],
) -> list[Body]:
    """The message, numbered `next_number` in the log, then its commands, then remarks on it."""
    stripped = without_own_label(reply.text.strip(), me.name)
    own, thought = without_reasoning(stripped)
    shown = without_own_label(own, me.name) or stripped
    spans = borrowed(shown, me.name, names)
    parsed = parse(shown, spans, models)
    message = Message(
        me.name,
        reply.text,
        shown,
        spans,
        parsed.claims,
        "\n".join(one for one in (reply.reasoning, thought) if one),
        model.name,
        settings.temperature,
        settings.seed,
        settings.turn,
        reply.usage.tokens_in,
        reply.usage.tokens_out,
        reply.usage.price,
        reply.seconds,
        reply.usage.ending,
        model.scripted,
        *read,
    )
    commands = [
        Command(next_number, me.name, one.start, one.end, one.name, one.arguments)
        for one in parsed.commands
    ]
    return [message, *commands, *_remarks(parsed, message, next_number)]


def _remarks(parsed: Parsed, message: Message, number: int) -> Iterator[Notice]:
    who = message.who
    for name in dict.fromkeys(one.name for one in message.borrowed):
        whose = "the room's" if name == ROOM else f"{name}'s"
        yield Notice("borrowed", f"{who} wrote in {whose} name; the words are {who}'s", number, who)
    for one in parsed.near:
        excerpt = message.shown[one.start : one.end]
        text = f"{who}'s {excerpt[:80]!r} was not run: {one.hint}"
        yield Notice("near_miss", text, number, who)
    for one in parsed.imitations:
        if one.name not in _REMARKED:
            excerpt = message.shown[one.start : one.end]
            where = "in a quotation" if one.name == "quotation" else f"in {one.name}'s name"
            yield Notice("imitation", f"{excerpt[:80]!r} {where} was not run", number, who)
    for one in parsed.repeats:
        given = Command(number, who, one.start, one.end, one.name, one.arguments)
        yield Notice(
            "repeat", f"{who}'s {written(given)} was given twice, it runs once", number, who
        )


def _close(stream: Iterator[Delta | Usage]) -> None:
    close = getattr(stream, "close", None)
    if close is not None:
        close()
