"""What a reply took: as its model says, or estimated, so that no budget is passed unseen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from worldline.room.models.model import Model, Said, Usage
from worldline.room.replying import Reply


@runtime_checkable
class Priced(Protocol):
    """A model that knows what its tokens cost."""

    def priced(
        self, tokens_in: int | None, tokens_out: int | None, said: float | None
    ) -> float | None:
        """US dollars; None where nobody knows."""
        ...


def counted(reply: Reply, model: Model, messages: Sequence[Said]) -> Usage:
    """The usage of a reply, whole or not; what nobody says of it is estimated.

    An endpoint that breaks off says nothing of what it took, and some never do. Where no word
    came, nothing is known and nothing is estimated.
    """
    usage, written = reply.usage, reply.text + reply.reasoning
    known = usage.tokens_in is not None and usage.tokens_out is not None
    if model.scripted or known or not written:
        return usage
    read, said = usage.tokens_in, usage.tokens_out
    read = model.count_tokens(messages) if read is None else read
    said = model.count_tokens([Said("assistant", written)]) if said is None else said
    price = usage.price
    if price is None and isinstance(model, Priced):
        price = model.priced(read, said, None)
    return replace(usage, tokens_in=read, tokens_out=said, price=price, estimated=True)
