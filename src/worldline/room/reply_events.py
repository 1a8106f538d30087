"""From a model's reply to the events that it is: the message, its commands, the room's remarks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from worldline.room.event_format import command_text
from worldline.room.events import ROOM, Body, Command, Message, Notice
from worldline.room.prompt import ReplyPrompt
from worldline.room.providers.chat_model import Delta, Model, ReplyError, Settings, Usage
from worldline.room.reply_commands import ParsedReply, parse
from worldline.room.speaker_labels import borrowed_passages
from worldline.room.speech import speech_of, streaming
from worldline.room.state import Participant
from worldline.steps import StoppedError
from worldline.tokens.sanitize import one_line, whole_characters

MOST_REMARKS = 8  # of one kind, on one message
_REMARKED = ("code", "quote", "reasoning")  # there nobody thinks that a command was meant


@dataclass(frozen=True, slots=True)
class Provisional:
    """A piece of a reply while it streams: not in the log, and it may never come to be.

    `withheld`, without a text: something came, and is not shown until it is known to be no
    reasoning.
    """

    speaker: str
    text: str
    reasoning: bool = False
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, whole, or as much of it as came; `failure` says why there is no more of it.

    `begins`: whether it begins inside its reasoning; None where nobody can tell.
    """

    text: str
    reasoning: str
    usage: Usage
    seconds: float
    failure: str = ""
    begins: bool | None = False


def heard(
    model: Model,
    prompt: ReplyPrompt,
    settings: Settings,
    speaker: str,
    watch: Callable[[Provisional], None],
    is_stopped: Callable[[], bool],
    thinks: bool | None = False,
) -> Reply:
    """Listen to a reply until it is whole, or fails, is empty, or is stopped on the way.

    `watch` is told of it as it comes, but not of the reasoning inside the text. With `thinks` the
    text begins with it; where that is not known (None) the words wait until it is, at the latest
    until the reply is whole.
    """
    began = time.perf_counter()
    text: list[str] = []
    reasoning: list[str] = []
    reasoning_filter, sent_pieces = streaming(thinks), list[str]()
    usage, failure, has_signalled = Usage(), "", False
    stream = model.reply(prompt.messages, settings)
    try:
        for piece in stream:
            if is_stopped():
                raise ReplyError("it was stopped")
            if isinstance(piece, Usage):
                usage = piece
                continue
            (reasoning if piece.reasoning else text).append(piece.text)
            shown_text = piece.text if piece.reasoning else reasoning_filter.more(piece.text)
            if piece.reasoning and reasoning_filter.unsure:  # it comes on a way of its own
                sent_pieces.append(reasoning_filter.begin_outside())
                watch(Provisional(speaker, sent_pieces[-1]))
            if not piece.reasoning:
                sent_pieces.append(shown_text)
                if reasoning_filter.unsure and not has_signalled:
                    has_signalled = True
                    watch(Provisional(speaker, "", withheld=True))
            if shown_text:
                watch(Provisional(speaker, shown_text, piece.reasoning))
    except ReplyError as error:
        failure, usage = str(error) or type(error).__name__, error.usage or usage
    except StoppedError as error:
        failure = str(error)
    finally:
        _close(stream)
    reply_text, thoughts = whole_characters("".join(text)), whole_characters("".join(reasoning))
    if not failure and not reply_text.strip():
        failure = f"the reply was empty{', but for its reasoning' if thoughts.strip() else ''}"
    begins = False if thoughts else thinks
    if not failure and (withheld_text := _untold(reply_text, begins, "".join(sent_pieces))):
        watch(Provisional(speaker, withheld_text))
    return Reply(reply_text, thoughts, usage, time.perf_counter() - began, failure, begins)


def as_events(
    reply: Reply,
    me: Participant,
    model: Model,
    settings: Settings,
    names: Iterable[str],
    models: Iterable[str],
    next_number: int,
    read_range: tuple[int, int],
) -> list[Body]:
    """The message, numbered `next_number` in the log, then its commands, then remarks on it."""
    is_whole = not reply.failure and reply.usage.ending == "stop"
    speech = speech_of(reply.text, reply.begins, is_whole, me.name)
    shown_text = speech.shown_text
    spans = borrowed_passages(shown_text, me.name, names)
    parse_result = parse(shown_text, spans, models)
    message = Message(
        me.name,
        reply.text,
        shown_text,
        spans,
        parse_result.claims,
        "\n".join(part for part in (reply.reasoning, speech.reasoning) if part),
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
        *read_range,
    )
    commands = [
        Command(next_number, me.name, part.start, part.end, part.name, part.arguments)
        for part in parse_result.commands
    ]
    remarks = [*_remarks(parse_result, message, next_number)]
    if speech.unsure:
        text = f"{me.name} was cut off; whether it spoke or still thought, nothing tells"
        remarks.append(Notice("unsure", text, next_number, me.name))
    return [message, *commands, *_few(remarks)]


def _untold(reply_text: str, begins: bool | None, sent_text: str) -> str:
    """What of a reply that is whole was held back as it streamed, and is no reasoning."""
    shown_text = speech_of(reply_text, begins).shown_text
    sent_text = sent_text.strip()
    return (
        shown_text[len(sent_text) :]
        if shown_text.startswith(sent_text) and len(shown_text) > len(sent_text)
        else ""
    )


def _few(remarks: Iterable[Notice]) -> Iterator[Notice]:
    """The first remarks of each kind; of the others, how many there are."""
    more: dict[str, list[Notice]] = {}
    for remark in remarks:
        kind_remarks = more.setdefault(remark.code, [])
        kind_remarks.append(remark)
        if len(kind_remarks) <= MOST_REMARKS:
            yield remark
    for kind_remarks in more.values():
        if len(kind_remarks) > MOST_REMARKS:
            n = len(kind_remarks) - MOST_REMARKS
            text = f"{kind_remarks[0].who}: {n} more of this kind in the same message"
            yield replace(kind_remarks[0], text=text)


def _remarks(parse_result: ParsedReply, message: Message, number: int) -> Iterator[Notice]:
    speaker = message.who
    if message.reasoning and not message.shown:
        cut = ", and was cut off" if message.ending == "length" else ""
        text = f"{speaker} only thought{cut}; it said nothing, and nobody reads what it thought"
        yield Notice("only_reasoning", text, number, speaker)
    for name in dict.fromkeys(passage.name for passage in message.borrowed):
        whose = "the room's" if name == ROOM else f"{name}'s"
        yield Notice(
            "borrowed",
            f"{speaker} wrote in {whose} name; the words are {speaker}'s",
            number,
            speaker,
        )
    for passage in parse_result.near:
        excerpt = message.shown[passage.start : passage.end]
        text = f"{speaker}'s {one_line(excerpt, 80)!r} was not run: {passage.hint}"
        yield Notice("near_miss", text, number, speaker)
    for passage in parse_result.imitations:
        if passage.name not in _REMARKED:
            excerpt = message.shown[passage.start : passage.end]
            where = "in a quotation" if passage.name == "quotation" else f"in {passage.name}'s name"
            text = f"{one_line(excerpt, 80)!r} {where} was not run"
            yield Notice("imitation", text, number, speaker)
    for passage in parse_result.repeats:
        command = Command(
            number, speaker, passage.start, passage.end, passage.name, passage.arguments
        )
        yield Notice(
            "repeat",
            f"{speaker}'s {command_text(command)} was given twice, it runs once",
            number,
            speaker,
        )


def _close(stream: Iterator[Delta | Usage]) -> None:
    close = getattr(stream, "close", None)
    if close is not None:
        close()
