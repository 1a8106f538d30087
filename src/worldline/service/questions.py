"""Requests about a text as a server takes them: it bounds what a stranger's question may cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from worldline.requests import (
    MOST_CHARS,
    ConeRequest,
    CutRequest,
    EdgePlace,
    HopsRequest,
    NodePlace,
    OrdersRequest,
    TargetedRequest,
    TraceRequest,
    Words,
)


class TextQuestion(BaseModel):
    """What all questions share: the text, and whether it is a user's turn of a chat."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1, max_length=MOST_CHARS)
    chat: bool = False


class TraceQuestion(TextQuestion, TraceRequest):
    """Record the text and attribute every K/V edge: answered by a Scene."""

    ask: Literal["trace"] = "trace"
    top: int = Field(default=2000, ge=0, le=20_000)
    # The run is kept and shared, so it is recorded in one way.
    verify: Literal[False] = False  # pyright: ignore[reportIncompatibleVariableOverride]
    seed: None = None  # pyright: ignore[reportIncompatibleVariableOverride]


class PathsQuestion(TextQuestion, TargetedRequest):
    """Sum and follow the paths of a trace, however long the text."""

    ask: Literal["paths"] = "paths"


class CutQuestion(TextQuestion, CutRequest):
    """Run the text with and without a set of cuts, or without all reads of each token in turn."""

    ask: Literal["cut"] = "cut"
    edges: tuple[EdgePlace, ...] = Field(default=(), max_length=500)
    nodes: tuple[NodePlace, ...] = Field(default=(), max_length=500)
    from_: Words | None = Field(default=None, alias="from")
    to: Words | None = None


class HopsQuestion(TextQuestion, HopsRequest):
    """Limit how many hops information may make."""

    ask: Literal["hops"] = "hops"
    max_hops: int = Field(default=8, ge=0, le=256)


class ConeQuestion(TextQuestion, ConeRequest):
    """Perturb one node a little."""

    ask: Literal["cone"] = "cone"
    directions: int = Field(default=4, ge=1, le=64)


class OrdersQuestion(TextQuestion, OrdersRequest):
    """Run the blocks in other legal orders."""

    ask: Literal["orders"] = "orders"
    orders: tuple[Words, ...] = Field(default=(), max_length=8)


class SaveQuestion(TextQuestion):
    """Record the text and keep the trace as a safetensors file."""

    ask: Literal["save"] = "save"


Question = Annotated[
    TraceQuestion
    | PathsQuestion
    | CutQuestion
    | HopsQuestion
    | ConeQuestion
    | OrdersQuestion
    | SaveQuestion,
    Field(discriminator="ask"),
]
