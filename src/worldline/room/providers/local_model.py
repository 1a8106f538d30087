"""A worldline model in this process as a participant: seeded, streamed, and open to be asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worldline.room.providers.chat_model import (
    ChatMessage,
    Delta,
    Ending,
    ReplyError,
    Settings,
    Usage,
)
from worldline.room.providers.chat_prompt import Reading, alternates, build_reading
from worldline.tokens.tokens import decode

if TYPE_CHECKING:
    from worldline import LoadedModel

UNFINISHED = "\ufffd"  # how a decoder shows the first bytes of a character


@dataclass(frozen=True, slots=True)
class LocalUsage(Usage):
    """The usage of a local reply, with what it read and wrote, in ids: enough to ask for its flow.

    `reply_ids` holds every drawn id, the one that ended the turn included; `text` is what was
    streamed, but for the mark of reasoning that a template wrote.
    """

    reading: Reading | None = None
    reply_ids: tuple[int, ...] = ()
    text: str = ""


@dataclass(eq=False)
class Local:
    """Any model that `worldline.load_model` takes, sampled in this process.

    Nothing is kept between two replies: each reads the conversation anew, so that a reply depends
    on the messages, the settings and the seed alone.
    """

    model: LoadedModel
    name: str
    scripted: bool = field(default=False, init=False)

    @property
    def alternates(self) -> bool:
        """Whether the model's template wants turns to alternate."""
        return alternates(self.model.tokenizer)

    @property
    def context_tokens(self) -> int | None:
        """How many tokens messages and reply may have together."""
        return self.model.context_tokens

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """The tokens that the model would read, the template's own included."""
        return len(self.reading(messages).tokens)

    def reading(self, messages: Sequence[ChatMessage]) -> Reading:
        """What the model reads of these messages; raises ReplyError where it cannot."""
        return build_reading(self.model.tokenizer, messages, self._own_name(messages))

    def reply(self, messages: Sequence[ChatMessage], settings: Settings) -> Iterator[Delta | Usage]:
        """Stream a reply, then a `LocalUsage`.

        Exactness: bitwise the same at equal messages, settings, versions, threads and machine.

        Raises: ReplyError for a conversation longer than the model's context.
        """
        reading = self.reading(messages)
        n_read = len(reading.tokens)
        room = settings.max_tokens
        if self.context_tokens is not None:
            room = min(room, self.context_tokens - n_read)
        if room < 1:
            raise ReplyError(
                f"{self.name} reads at most {self.context_tokens} tokens, these are {n_read}"
            )
        token_ids = self.model.continuation(
            reading.tokens.ids,
            temperature=settings.temperature,
            seed=settings.seed,
            max_tokens=room,
            stop=reading.stops,
        )
        return self._stream(reading, token_ids)

    def _stream(self, reading: Reading, token_ids: Iterable[int]) -> Iterator[Delta | Usage]:
        if reading.open_mark:  # whoever listens is to know that this begins as reasoning
            yield Delta(reading.open_mark)
        reply_ids: list[int] = []
        text = ""
        ending: Ending = "length"
        for token in token_ids:
            reply_ids.append(token)
            if token in reading.stops:
                ending = "stop"
                break
            full_text = decode(self.model.tokenizer, reply_ids)
            full_text, at_break = before_break(full_text, reading.breaks)
            visible_text = (
                full_text if at_break else full_text[: whole_until(full_text, reading.breaks)]
            )
            if len(visible_text) > len(text) and visible_text.startswith(text):
                yield Delta(visible_text[len(text) :])
                text = visible_text
            if at_break:
                ending = "stop"
                break
        words = [token for token in reply_ids if token not in reading.stops]
        final_text, _ = before_break(decode(self.model.tokenizer, words), reading.breaks)
        if len(final_text) > len(text):  # what was held back
            yield Delta(final_text[len(text) :])
            text = final_text
        yield self._usage(reading, reply_ids, text, ending)

    def _usage(
        self, reading: Reading, reply_ids: Sequence[int], text: str, ending: Ending
    ) -> LocalUsage:
        return LocalUsage(
            tokens_in=len(reading.tokens),
            tokens_out=len(reply_ids),
            price=0.0,
            ending=ending,
            model=self.model.name,
            reading=reading,
            reply_ids=tuple(reply_ids),
            text=text,
        )

    def _own_name(self, messages: Sequence[ChatMessage]) -> str:
        """Who speaks, as the assistant's own earlier words say; else the model's name."""
        speakers = (
            p.speaker for m in messages if m.role == "assistant" for p in m.parts if p.speaker
        )
        return next(speakers, self.name)


def before_break(text: str, breaks: Sequence[str]) -> tuple[str, bool]:
    r"""(The text up to the first of `breaks` that stands after a word, whether there is one).

    >>> before_break("yes\nBob: no", ("\nBob:",))
    ('yes', True)
    """
    start = len(text) - len(text.lstrip())
    places = [at for break_text in breaks if (at := text.find(break_text, start)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


def whole_until(text: str, breaks: Sequence[str]) -> int:
    r"""How much of a text may be shown: not half a character, nor what may become a break.

    >>> whole_until("yes\nBo", ("\nBob:",))
    3
    """
    n_shown = len(text.rstrip(UNFINISHED))
    longest = max(map(len, breaks), default=1)
    for size in range(min(longest - 1, n_shown), 0, -1):
        if any(break_text.startswith(text[n_shown - size : n_shown]) for break_text in breaks):
            return n_shown - size
    return n_shown
