"""Any OpenAI-compatible endpoint as a participant: streamed, patient, with typed failures."""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from worldline.room.models.asking import AgainError, asked, body_of, fetched, json_of
from worldline.room.models.chunks import Chunk, chunk_of, whole_of
from worldline.room.models.failures import (
    CutOffError,
    EmptyError,
    GarbledError,
    RefusedReplyError,
    RejectedError,
    TooLateError,
    UnreachableError,
)
from worldline.room.models.model import Delta, Ending, ReplyError, Said, Settings, Usage
from worldline.room.models.streaming import Clock, LateError, events
from worldline.room.models.wire import Patience, Sleep, base_url, may_wait, plain, wait_of

LARGEST_REPLY = 200_000  # characters
OPTIONAL = ("stream_options", "seed", "temperature", "max_tokens")  # what some endpoints refuse
Prices = Mapping[str, tuple[float, float]]


@dataclass(eq=False)
class Endpoint:
    """One model of an OpenAI-compatible endpoint.

    `prices` are the user's, US dollars per million tokens (read, written) by model; without one
    the price is what the endpoint says, or unknown. Only what a server was willing to begin is
    asked for again, and never once a piece was shown.
    """

    url: str
    model: str
    name: str = ""
    context_tokens: int | None = None
    alternates: bool = False
    prices: Prices = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)
    scripted: bool = field(default=False, init=False)
    sleep: Sleep = field(default=time.sleep, repr=False)
    _refused: set[str] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        self.url = base_url(self.url)
        self.name = self.name or self.model

    def count_tokens(self, messages: Sequence[Said]) -> int:
        """An estimate: a token for four characters, and four for each message."""
        return sum(4 + -(-len(one.text) // 4) for one in messages)

    def models(self) -> list[str]:
        """The models that the endpoint offers, by name.

        Raises: ReplyError.
        """
        raw = fetched(self.url, "GET", "/models", None, self.patience, sleep=self.sleep)
        found = json_of(raw, self.url)
        rows = found.get("data") if isinstance(found, dict) else None
        if not isinstance(rows, list):
            raise GarbledError(f"{self.url}: its list of models has no data")
        return sorted(str(row["id"]) for row in rows if isinstance(row, dict) and row.get("id"))

    def reply(self, messages: Sequence[Said], settings: Settings) -> Iterator[Delta | Usage]:
        """Stream a reply, then its usage; closing the iterator hangs up.

        Raises: ReplyError, by the types in `failures`.
        """
        chance, failed = random.Random(settings.seed), 0
        while True:
            text, shown = "", False
            wait: float | None = None
            final = True
            try:
                for one in self._once(messages, settings):
                    shown = True
                    if isinstance(one, Delta) and not one.reasoning:
                        text += one.text
                    yield one
                return
            except AgainError as error:
                failure, wait, final = error.failure, error.wait, shown
            except ReplyError as error:
                failure = error
            failed += 1
            if not final and failed < self.patience.tries and may_wait(wait, self.patience):
                self.sleep(wait_of(failed, wait, self.patience, chance))
            elif text.strip() and not isinstance(failure, CutOffError):
                raise CutOffError(f"{failure} (after {len(text)} characters)", text)
            else:
                raise failure

    def _once(self, messages: Sequence[Said], settings: Settings) -> Iterator[Delta | Usage]:
        """One attempt; raises AgainError where another may help."""
        told, clock = _Told(self), Clock(self.patience, time.monotonic())
        with (
            self._answering(messages, settings) as response,
            closing(self._chunks(response, clock)) as chunks,
        ):
            for chunk in chunks:
                for delta in told.deltas(chunk):
                    clock.heard = True
                    yield delta
        if not told.ended:
            raise AgainError(UnreachableError(f"{self.url}: the reply broke off"))
        yield told.usage()

    @contextmanager
    def _answering(self, messages: Sequence[Said], settings: Settings):
        """The open response; fields that this endpoint refuses are left out and it is asked again.

        Which these are is remembered.
        """
        while True:
            began = False
            try:
                body = self._body(messages, settings)
                with asked(self.url, "POST", "/chat/completions", body, self.patience) as response:
                    began = True
                    yield response
                return
            except RejectedError as error:
                named = [n for n in OPTIONAL if n in str(error) and n not in self._refused]
                if began or error.status not in {400, 422} or not named:
                    raise
                self._refused.add(named[0])

    def _body(self, messages: Sequence[Said], settings: Settings) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": one.role, "content": one.text} for one in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            "seed": settings.seed % 2**31,
        }
        if "max_tokens" in self._refused:
            body["max_completion_tokens"] = settings.max_tokens
        return {name: value for name, value in body.items() if name not in self._refused}

    def _chunks(self, response: Any, clock: Clock) -> Generator[Chunk]:
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":  # it does not stream
            yield whole_of(json_of(body_of(response), self.url), self.url)
            return
        if kind != "text/event-stream":
            raise GarbledError(f"{self.url}: it sent {plain(kind) or 'nothing'}, not events")
        try:
            with closing(events(response, clock)) as sent:
                for data in sent:
                    if data.strip() == "[DONE]":
                        yield Chunk(done=True)
                        return
                    yield chunk_of(json_of(data, self.url), self.url)
        except LateError as error:
            late = TooLateError(f"{self.url}: waited for {error}")
        else:
            return
        raise late

    def priced(self, tokens_in: int | None, tokens_out: int | None, said: float | None):
        """The price of a reply in US dollars: by the user's table, else what the endpoint says."""
        per = self.prices.get(self.model)
        if per is None or tokens_in is None or tokens_out is None:
            return said
        return (per[0] * tokens_in + per[1] * tokens_out) / 1e6


class _Told:
    """What came of one attempt."""

    def __init__(self, endpoint: Endpoint):
        self.endpoint = endpoint
        self.text = self.thought = self.model = ""
        self.ended = self.refusal = False
        self.reason: str | None = None
        self.counts: Chunk | None = None

    def deltas(self, chunk: Chunk) -> Iterator[Delta]:
        """What a chunk adds to the reply."""
        self.model = chunk.model or self.model
        self.reason = chunk.reason or self.reason
        self.ended = self.ended or chunk.done or chunk.reason is not None
        self.refusal = self.refusal or bool(chunk.refusal)
        if chunk.tokens_in is not None or chunk.tokens_out is not None or chunk.price is not None:
            self.counts = chunk
        if chunk.thought:
            self.thought += chunk.thought
            yield Delta(chunk.thought, reasoning=True)
        for text in (chunk.text, chunk.refusal):
            if text:
                self.text += text
                yield Delta(text)
        if len(self.text) + len(self.thought) > LARGEST_REPLY:
            raise CutOffError(f"a reply of over {LARGEST_REPLY:,} characters", self.text)

    def usage(self) -> Usage:
        """How it ended, or why it did not."""
        declined = self.refusal or self.reason == "content_filter"
        url = self.endpoint.url
        if not self.text.strip():
            if declined:
                raise RefusedReplyError(f"{url}: {self.endpoint.model} declined to answer")
            raise EmptyError(f"{url}: {self.endpoint.model} said nothing{self._why()}")
        ending: Ending = "refused" if declined else "stop"
        if self.reason == "length" and not declined:
            ending = "length"
        counts = self.counts or Chunk()
        price = self.endpoint.priced(counts.tokens_in, counts.tokens_out, counts.price)
        return Usage(counts.tokens_in, counts.tokens_out, price, ending, self.model)

    def _why(self) -> str:
        if self.thought:
            return f": it only thought, {len(self.thought)} characters"
        return f" ({plain(self.reason)})" if self.reason and self.reason != "stop" else ""
