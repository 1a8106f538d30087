"""What an outcome and a flow hold: records that JSON can hold, in the words of the log's file."""

from __future__ import annotations

from typing import NotRequired

from pydantic import ConfigDict, FiniteFloat, with_config
from typing_extensions import TypedDict

_CLOSED = ConfigDict(extra="forbid")


@with_config(_CLOSED)
class HitRecord(TypedDict):
    """One result of a search, as `actions.Hit`."""

    title: str
    text: str
    url: str


@with_config(_CLOSED)
class ActionResult(TypedDict):
    """What came of a command: of each kind its own, none of them of most."""

    hits: NotRequired[list[HitRecord]]
    picture: NotRequired[str]
    type: NotRequired[str]
    about: NotRequired[str]
    name: NotRequired[str]
    model: NotRequired[str]
    greeting: NotRequired[str]
    before: NotRequired[FiniteFloat]
    after: NotRequired[FiniteFloat]
    models: NotRequired[list[str]]


@with_config(_CLOSED)
class SpeakerFlow(TypedDict):
    """Loss in nats and share of attention, summed over a speaker's messages."""

    lost_nats: FiniteFloat
    attention: FiniteFloat


@with_config(_CLOSED)
class MessageFlow(SpeakerFlow):
    """What a reply owes to one message, as `reply_reads.MessageRead`."""

    event: int | None
    speaker: str
    n_tokens: NotRequired[int]
    lost_by_layer: NotRequired[list[FiniteFloat]]
    attention_by_layer: NotRequired[list[FiniteFloat]]
    by_token: NotRequired[list[FiniteFloat]]
    cut_nats: NotRequired[FiniteFloat | None]
    whole_nats: NotRequired[FiniteFloat | None]


@with_config(_CLOSED)
class PrecisionRecord(TypedDict):
    """A `Precision` as JSON has it."""

    floor: FiniteFloat
    resolution: FiniteFloat
    dtype: str


@with_config(_CLOSED)
class FlowNumbers(TypedDict):
    """What one reply read, as `reply_reads.ReplyFlow.json`."""

    messages: list[MessageFlow]
    speakers: dict[str, SpeakerFlow]
    own_attention: FiniteFloat
    unplaced: list[int]
    schema: NotRequired[str]
    how: NotRequired[str]
    exactness: NotRequired[str]
    logprob_nats: NotRequired[FiniteFloat]
    pieces: NotRequired[list[str]]
    template_attention: NotRequired[FiniteFloat]
    cut_precision: NotRequired[PrecisionRecord | None]


@with_config(_CLOSED)
class NoFlow(TypedDict):
    """Nothing: no flow is known."""
