"""What one record says: a node in words, with its edges; of a claim, what decides it."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from worldline.claims.comparison import overlap, read_comparison
from worldline.views.schema.claims import ClaimsEdge, ClaimsNode, EdgeType

Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
Words = Annotated[str, StringConstraints(min_length=1, pattern=r"^\S(.*\S)?$")]
"""One paragraph that neither begins nor ends with white space."""

WrittenType = Literal[
    "paper", "thinker", "framework", "method", "concept", "claim", "question", "artifact",
    "experiment",
]  # fmt: skip
"""The types that a file may have; runs and verdicts are generated."""


class Record(BaseModel):
    """A node in words, the place where it was said, and its edges by type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Id
    type: WrittenType
    title: Words
    text: Words
    source: Words
    url: Annotated[str, StringConstraints(pattern=r"^https://\S+$")] | None = None
    edges: dict[EdgeType, list[Id]] = Field(default_factory=dict)

    def node(self) -> ClaimsNode:
        """As a node of the graph."""
        return ClaimsNode(
            id=self.id, type=self.type, title=self.title, text=self.text, source=self.source,
            url=self.url,
        )  # fmt: skip

    def edges_out(self) -> list[ClaimsEdge]:
        """The edges that begin here."""
        return [
            ClaimsEdge(source=self.id, type=kind, target=target)
            for kind, targets in self.edges.items()
            for target in targets
        ]


class Claim(Record):
    """A claim and what decides it.

    Either a ``metric`` in a ``unit`` with two comparisons, ``support`` and ``refute``, that no
    number satisfies both; or ``decides`` says that a number is all there is to say, or that
    nothing can be measured, and ``why``.
    """

    metric: Words | None = None
    unit: Words | None = None
    support: str | None = None
    refute: str | None = None
    decides: Literal["measurement", "not testable"] | None = None
    why: Words | None = None

    @field_validator("support", "refute")
    @classmethod
    def _is_comparison(cls, comparison_text: str | None) -> str | None:
        if comparison_text is not None:
            read_comparison(comparison_text)
        return comparison_text

    @model_validator(mode="after")
    def _is_decided(self) -> Claim:
        required_fields = {
            None: {"metric", "unit", "support", "refute"},
            "measurement": {"metric", "unit"},
            "not testable": {"why"},
        }[self.decides]
        for name in ("metric", "unit", "support", "refute", "why"):
            is_set = getattr(self, name) is not None
            if is_set != (name in required_fields):
                way = f'decides = "{self.decides}"' if self.decides else "support and refute"
                raise ValueError(f"{name}: {'has no place' if is_set else 'is missing'} with {way}")
        if self.support and self.refute:
            comparisons = read_comparison(self.support), read_comparison(self.refute)
            if overlap(*comparisons):
                raise ValueError(f'support "{self.support}" and refute "{self.refute}" overlap')
        return self

    def decision_hash(self) -> str:
        """SHA-256 of what decides: wording, metric, unit, both comparisons, and which way."""
        decision_fields: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("id", "text", "metric", "unit", "support", "refute", "decides")
        }
        json_text = json.dumps(decision_fields, sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(json_text.encode()).hexdigest()
