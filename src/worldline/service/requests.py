"""What may be asked: a text seen, cut, limited, perturbed, or run in other orders."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MOST_CHARS = 200_000
Words = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class TextQuestion(BaseModel):
    """What all questions share: the text, and whether it is a user's turn of a chat."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1, max_length=MOST_CHARS)
    chat: bool = False


class SeeQuestion(TextQuestion):
    """Record the text and attribute every K/V edge: answered by a Scene."""

    ask: Literal["see"] = "see"
    by: Literal["gradient", "frozen", "contribution"] | None = None
    target: Words | None = None
    versus: Words | None = None
    how: Literal["zero", "mask"] | None = None
    top: int = Field(default=2000, ge=0, le=20_000)
    paths: bool | None = None


class PathsQuestion(TextQuestion):
    """Sum and follow the paths to a target, however long the text."""

    ask: Literal["paths"] = "paths"
    target: Words | None = None
    versus: Words | None = None


class CutQuestion(TextQuestion):
    """Run the text with and without a set of cuts, each as the command line writes it."""

    ask: Literal["cut"] = "cut"
    edges: tuple[Words, ...] = Field(default=(), max_length=500)
    nodes: tuple[Words, ...] = Field(default=(), max_length=500)
    how: Literal["mask", "zero", "patch"] | None = None
    node_how: Literal["zero", "mean", "patch"] | None = None
    parts: Literal["kv", "k", "v", "q"] = "kv"
    patch_from: str | None = Field(default=None, min_length=1, max_length=MOST_CHARS)
    align: Literal["left", "right", "words"] | None = None
    target: Words | None = None
    versus: Words | None = None


class SourcesQuestion(TextQuestion):
    """Cut all reads of each token in turn."""

    ask: Literal["sources"] = "sources"
    how: Literal["mask", "zero"] = "mask"
    target: Words | None = None


class HopsQuestion(TextQuestion):
    """Limit how many hops information may make."""

    ask: Literal["hops"] = "hops"
    max_hops: int = Field(default=8, ge=0, le=256)
    sink: Literal["counted", "free", "both"] | None = None


class ConeQuestion(TextQuestion):
    """Perturb one node a little."""

    ask: Literal["cone"] = "cone"
    layer: int = Field(ge=0, le=100_000)
    pos: int = Field(ge=0, le=1_000_000)
    directions: int = Field(default=4, ge=1, le=64)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)


class OrdersQuestion(TextQuestion):
    """Run the blocks in other legal orders."""

    ask: Literal["orders"] = "orders"
    orders: tuple[Words, ...] = Field(default=(), max_length=8)


class TraceQuestion(TextQuestion):
    """Record the text and keep the trace as a safetensors file."""

    ask: Literal["trace"] = "trace"


Question = Annotated[
    SeeQuestion
    | PathsQuestion
    | CutQuestion
    | SourcesQuestion
    | HopsQuestion
    | ConeQuestion
    | OrdersQuestion
    | TraceQuestion,
    Field(discriminator="ask"),
]
