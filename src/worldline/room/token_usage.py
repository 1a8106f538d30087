"""What a reply took: as its model says, or estimated, so that no budget is passed unseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from worldline.room.providers.chat_model import ChatMessage, Model, Usage
from worldline.room.reply_events import Reply


@runtime_checkable
class PricedModel(Protocol):
    """A model that knows what its tokens cost."""

    def price_of(
        self, tokens_in: int | None, tokens_out: int | None, stated_price: float | None
    ) -> float | None:
        """US dollars; None where nobody knows."""
        ...


def reply_usage(reply: Reply, model: Model, messages: Sequence[ChatMessage]) -> Usage:
    """The usage of a reply, whole or not; what nobody says of it is estimated.

    An endpoint that breaks off says nothing of what it took, and some never do. Where no word
    came, nothing is known and nothing is estimated.
    """
    usage, reply_text = reply.usage, reply.text + reply.reasoning
    has_counts = usage.tokens_in is not None and usage.tokens_out is not None
    if model.scripted or has_counts or not reply_text:
        return usage
    tokens_in, tokens_out = usage.tokens_in, usage.tokens_out
    tokens_in = model.count_tokens(messages) if tokens_in is None else tokens_in
    tokens_out = (
        model.count_tokens([ChatMessage("assistant", reply_text)])
        if tokens_out is None
        else tokens_out
    )
    price = usage.price
    if price is None and isinstance(model, PricedModel):
        price = model.price_of(tokens_in, tokens_out, None)
    return replace(usage, tokens_in=tokens_in, tokens_out=tokens_out, price=price, estimated=True)
