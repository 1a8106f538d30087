"""What the page is told of the claims: the graph of records, and the verdicts of one model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, FiniteFloat, NonNegativeInt

from worldline.views.schema.parts import Part

CLAIMS_SCHEMA: Literal["worldline.claims/1"] = "worldline.claims/1"

NodeType = Literal[
    "paper", "thinker", "framework", "method", "concept", "claim", "question", "artifact",
    "experiment", "run", "verdict",
]  # fmt: skip
EdgeType = Literal[
    "authored", "cites", "introduces", "states", "tests", "generated", "supports", "opposes",
    "qualifies", "answers", "uses",
]  # fmt: skip
Word = Literal["supported", "refuted", "qualified", "inconclusive", "not testable here", "measured"]


class ClaimsSeries(Part):
    """One line, set of points or of bars, with its interval where it has one."""

    name: str
    x: tuple[FiniteFloat | str, ...]
    y: tuple[FiniteFloat | None, ...]
    low: tuple[FiniteFloat | None, ...] | None
    high: tuple[FiniteFloat | None, ...] | None


class ClaimsFigure(Part):
    """A small chart; ``rule`` is a level to compare with, and ``rule_name`` says which."""

    title: str
    mark: Literal["line", "bar", "point"]
    x: str
    y: str
    series: tuple[ClaimsSeries, ...]
    rule: FiniteFloat | None
    rule_name: str | None


class ClaimsShown(Part):
    """What to show of a verdict in the lattice; ``cuts`` as the command line takes them."""

    text: str
    says: str
    target: str | None
    versus: str | None
    cuts: tuple[str, ...]
    how: str


class ClaimsVerdict(Part):
    """A verdict and the run it is bound to.

    ``value`` is in ``unit``, ``low`` and ``high`` its 95 % interval (null: unbounded or none);
    ``support`` and ``refute`` are the two comparisons fixed beforehand (null for a measurement).
    ``stale`` says why the verdict no longer holds, or is null.
    """

    claim: str
    verdict: Word
    quick: bool
    stale: str | None
    metric: str
    unit: str
    value: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None
    support: str | None
    refute: str | None
    n: NonNegativeInt
    counts: str
    reason: str
    says: tuple[str, ...]
    figures: tuple[ClaimsFigure, ...]
    picture: ClaimsShown | None
    model: str
    weights_hash: str
    seed: int
    run: str
    date: str
    command: str


class ClaimsNode(Part):
    """One record: ``text`` is what it says, ``source`` where that was said."""

    id: str
    type: NodeType
    title: str
    text: str
    source: str
    url: str | None


class ClaimsEdge(Part):
    """From one record to another."""

    source: str
    type: EdgeType
    target: str


class ClaimsPicture(Part):
    """The whole graph, with the verdicts on one model."""

    schema_: Literal["worldline.claims/1"] = Field(default=CLAIMS_SCHEMA, alias="schema")
    model: str
    nodes: tuple[ClaimsNode, ...]
    edges: tuple[ClaimsEdge, ...]
    verdicts: tuple[ClaimsVerdict, ...]
