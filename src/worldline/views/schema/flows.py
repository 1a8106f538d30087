"""Parts of a Scene that show a flow between columns, be they tokens or groups of tokens."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt

from worldline.views.schema.parts import Matrix, NonNegativeFloat, Part

NonPositiveFloat = Annotated[FiniteFloat, Field(le=0)]


class SceneCoverage(Part):
    """How much of the flow the Scene's edges hold.

    ``total`` is the sum of |weight| over all ``of`` edges of the run, ``share`` the part of it
    that the ``edges`` listed here hold.
    """

    edges: NonNegativeInt
    of: NonNegativeInt
    share: FiniteFloat
    total: NonNegativeFloat


class SceneFlow(Part):
    """Exact totals of edge weights per layer and column, over all heads and all edges: L x T each.

    ``in_*[l][j]`` sums the edges of block ``l`` written into ``(l + 1, j)``; ``out_*[l][i]`` sums
    those read from ``(l, i)``. The negative sums are negative numbers (or 0).
    """

    in_positive: Matrix
    in_negative: Matrix
    out_positive: Matrix
    out_negative: Matrix


class SceneSpan(Part):
    """Characters ``start:end`` of the Scene's text; empty where a group covers no text."""

    start: NonNegativeInt
    end: NonNegativeInt


class SceneGroupEdge(Part):
    """All reads of one layer from group ``src`` into group ``dst``: two sums, over all heads."""

    layer: NonNegativeInt
    src: NonNegativeInt
    dst: NonNegativeInt
    positive: NonNegativeFloat
    negative: NonPositiveFloat

    @property
    def net(self) -> float:
        """What is left of the two."""
        return self.positive + self.negative


class SceneGrouping(Part):
    """The flow between groups of neighbouring tokens, summed over all edges of the run.

    ``group_of[i]`` is the group of token ``i``; ``spans[g]`` the characters of group ``g``,
    ``names[g]`` its own name if it has one. ``coverage`` counts group edges by |positive +
    negative|. ``between_*`` sums the run's edges that lead to another group, ``within_*`` those
    that stay in one and so are in no group edge. ``flow`` leaves those out too.
    """

    name: Literal["words", "sentences", "turns"]
    group_of: tuple[NonNegativeInt, ...]
    spans: tuple[SceneSpan, ...]
    names: tuple[str | None, ...]
    edges: tuple[SceneGroupEdge, ...]
    coverage: SceneCoverage
    between_positive: NonNegativeFloat
    between_negative: NonPositiveFloat
    within_positive: NonNegativeFloat
    within_negative: NonPositiveFloat
    flow: SceneFlow | None

    def refuse_misfit(self, n_layers: int, n_tokens: int, n_chars: int) -> None:
        """Raise ValueError where a group, an edge or a matrix does not fit the Scene."""
        n, steps = len(self.spans), pairwise((-1, *self.group_of))
        covers = self.group_of[-1:] == ((n - 1,) if n else ())
        if (
            len(self.group_of) != n_tokens
            or not covers
            or any(b - a not in (0, 1) for a, b in steps)
        ):
            raise ValueError(
                f"{self.name}: not {n} runs of neighbours that cover {n_tokens} tokens"
            )
        if len(self.names) != n or any(
            not span.start <= span.end <= n_chars for span in self.spans
        ):
            raise ValueError(f"{self.name}: not a name and a span inside the text for {n} groups")
        strongest = float("inf")
        for at, edge in enumerate(self.edges):
            if not (edge.src < edge.dst < n and edge.layer < n_layers):
                raise ValueError(f"{self.name}.edges[{at}] {edge!r} lies outside {n} groups")
            if abs(edge.net) > strongest:
                raise ValueError(
                    f"{self.name}.edges[{at}] {edge!r} is stronger than the one before"
                )
            strongest = abs(edge.net)
        if self.coverage.edges != len(self.edges):
            raise ValueError(
                f"{self.name}.coverage.edges is {self.coverage.edges}, not {len(self.edges)}"
            )
        for field in SceneFlow.model_fields if self.flow is not None else ():
            if [len(row) for row in getattr(self.flow, field)] != [n] * n_layers:
                raise ValueError(f"{self.name}.flow.{field} is not {n_layers} x {n}")
