"""Any OpenAI-compatible endpoint as a participant: streamed, patient, with typed failures."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worldline.room.providers.attempt import ReplyAttempt, TextBuffer
from worldline.room.providers.chat_model import ChatMessage, Delta, ReplyError, Settings, Usage
from worldline.room.providers.deadlines import Clock
from worldline.room.providers.error_replies import leave_out
from worldline.room.providers.event_streams import chunks_of
from worldline.room.providers.exchange import Request
from worldline.room.providers.failures import (
    AgainError,
    CutOffError,
    GarbledError,
    RejectedError,
    StoppedError,
    UnreachableError,
)
from worldline.room.providers.http_requests import fetch, json_of, open_exchange
from worldline.room.providers.message_shapes import SHAPES
from worldline.room.providers.stop_signal import wait
from worldline.room.providers.transport import Patience, Sleep, base_url, secrets_of

END_SECONDS = 2.0  # how long what comes after a reply's end is waited for: what it took
UNSUITED = frozenset((0, 400, 422, 500, 501))  # how servers refuse who says what
Prices = Mapping[str, tuple[float, float]]


@dataclass(eq=False)
class Endpoint:
    """One model of an OpenAI-compatible endpoint.

    `prices` are the user's, US dollars per million tokens (read, written) by model; without one
    the price is what the endpoint says, or unknown. Only what a server was willing to begin is
    asked for again, and never once a piece was shown. Settings that it does not take are left out
    from then on, and roles are put as its template wants them.
    """

    url: str
    model: str
    name: str = ""
    context_tokens: int | None = None
    alternates: bool = False
    prices: Prices = field(default_factory=dict)
    patience: Patience = field(default_factory=Patience)
    scripted: bool = field(default=False, init=False)
    template_hidden: bool = field(default=True, init=False)  # it may open reasoning unseen
    sleep: Sleep = field(default=wait, repr=False)
    _refused_fields: set[str] = field(default_factory=set, init=False, repr=False)
    _shape: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        self.url = base_url(self.url)
        self.name = self.name or self.model

    def count_tokens(self, messages: Sequence[ChatMessage]) -> int:
        """An estimate: a token for four characters, and four for each message."""
        return sum(4 + -(-len(message.text) // 4) for message in messages)

    def models(self) -> list[str]:
        """The models that the endpoint offers, by name.

        Raises: ReplyError.
        """
        raw = fetch(Request(self.url, "GET", "/models"), self.patience, sleep=self.sleep)
        answer = json_of(raw, self.url)
        rows = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(rows, list):
            raise GarbledError("its list of models has no data")
        return sorted(str(row["id"]) for row in rows if isinstance(row, dict) and row.get("id"))

    def reply(self, messages: Sequence[ChatMessage], settings: Settings) -> Iterator[Delta | Usage]:
        """Stream a reply, then its usage; closing the iterator hangs up.

        Raises: ReplyError, by the types in `failures`; CutOffError where it broke off after some
        of its words were shown.
        """
        chance, n_failures, clock = random.Random(settings.seed), 0, Clock(self.patience)
        while True:
            attempt = ReplyAttempt(self.model, self.price_of, *self._unheard())
            may_retry, asked_to_wait = False, None
            try:
                yield from self._once(messages, settings, clock, attempt)
                return
            except AgainError as error:
                failure, asked_to_wait, may_retry = error.failure, error.wait, True
            except ReplyError as error:
                failure = error
            has_output = bool(attempt.words.size or attempt.thoughts.size)
            if not has_output and self._adapt(failure, messages, settings):
                continue
            n_failures += 1
            if may_retry and not has_output and n_failures < self.patience.tries and clock.may_wait(
                asked_to_wait
            ):  # fmt: skip
                self.sleep(clock.wait_of(n_failures, asked_to_wait, chance))
                continue
            yield from attempt.flush()
            raise self._final(failure, attempt)

    def _unheard(self) -> tuple[TextBuffer, TextBuffer]:
        """Words and thoughts, in which no key will stand, though the endpoint knows its own."""
        secrets = secrets_of(self.url)
        return TextBuffer(secrets), TextBuffer(secrets)

    def _final(self, failure: ReplyError, attempt: ReplyAttempt) -> ReplyError:
        """The failure, with the words that were shown and what they took."""
        text = attempt.words.text
        if text.strip():
            usage = attempt.usage_so_far("broken off")
            error_text = f"{failure} (after {len(text)} characters)"
            cut = failure if isinstance(failure, CutOffError) else CutOffError(error_text, text)
            cut.usage = usage
            return cut
        failure.usage = failure.usage or attempt.usage_so_far("broken off")
        return failure

    def _once(
        self,
        messages: Sequence[ChatMessage],
        settings: Settings,
        clock: Clock,
        attempt: ReplyAttempt,
    ) -> Iterator[Delta | Usage]:
        """One attempt; raises AgainError where another may help."""
        body = self._body(messages, settings)
        attempt.left_out = _left_out(body)
        request = Request(self.url, "POST", "/chat/completions", body)
        with open_exchange(request, clock) as exchange:
            try:
                for chunk in chunks_of(exchange, exchange.head()):
                    yield from attempt.deltas(chunk)
                    if attempt.has_ended:
                        clock.end_within(END_SECONDS)
                    else:
                        clock.start(
                            "next" if attempt.words.size or attempt.thoughts.size else "first"
                        )
            except (StoppedError, CutOffError):
                raise
            except (AgainError, ReplyError):
                if not attempt.has_ended:  # what goes wrong after the end is no part of the reply
                    raise
        yield from attempt.flush()
        if not attempt.has_ended:
            raise AgainError(UnreachableError("the reply broke off"))
        yield attempt.usage()

    def _adapt(
        self, failure: ReplyError, messages: Sequence[ChatMessage], settings: Settings
    ) -> bool:
        """Whether what the endpoint refused can be put otherwise; how is remembered."""
        if not isinstance(failure, RejectedError):
            return False
        body = self._body(messages, settings)
        return leave_out(failure, body, self._refused_fields) or self._reshape(failure, messages)

    def _reshape(self, error: RejectedError, messages: Sequence[ChatMessage]) -> bool:
        """Whether there is another shape of the conversation, where the endpoint wants one."""
        if error.status not in UNSUITED or not error.roles:
            return False
        before = SHAPES[self._shape](messages)
        for n in range(self._shape + 1, len(SHAPES)):
            if SHAPES[n](messages) != before:
                self._shape = n
                return True
        self._shape = 0  # it was about something else
        return False

    def _body(self, messages: Sequence[ChatMessage], settings: Settings) -> dict[str, Any]:
        role_texts = [(message.role, message.text) for message in SHAPES[self._shape](messages)]
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": role, "content": _sendable(text)} for role, text in role_texts],
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": settings.temperature,
            "max_tokens": settings.max_tokens,
            "seed": settings.seed % 2**31,
        }
        if "max_tokens" in self._refused_fields:
            body["max_completion_tokens"] = settings.max_tokens
        if "stream" in self._refused_fields:
            del body["stream_options"]
        return {name: value for name, value in body.items() if name not in self._refused_fields}

    def price_of(self, tokens_in: int | None, tokens_out: int | None, stated_price: float | None):
        """The price of a reply in US dollars: by the user's table, else what the endpoint says."""
        per = self.prices.get(self.model)
        if per is None or tokens_in is None or tokens_out is None:
            return stated_price
        return (per[0] * tokens_in + per[1] * tokens_out) / 1e6


def _left_out(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings that are not among what was sent."""
    missing_fields = [
        field_name for field_name in ("temperature", "seed") if field_name not in body
    ]
    has_limit = "max_tokens" in body or "max_completion_tokens" in body
    return tuple(missing_fields if has_limit else [*missing_fields, "max_tokens"])


def _sendable(text: str) -> str:
    """Text that UTF-8 can hold: half a character becomes a question mark."""
    return text.encode("utf-8", "replace").decode()
