"""A flow: the weight of every K/V edge of a run, as exact totals and the strongest edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    from worldline.attribution.group_flow import GroupFlow
    from worldline.attribution.joint_reads import JointReads

LARGEST_REMAINDER = 0.01


SATURATED = 0.7  # attention: below it no sign was wrong, see docs/exactness.md


class Edge(NamedTuple):
    """One read of the K/V stream: from (layer, src) into (layer + 1, dst) by one head.

    Attributes:
        layer: The block that reads.
        head: The head that reads.
        src: The position that is read.
        dst: The position that reads.
        weight: What the edge carries, in the unit of its flow.
        attention: The weight that the head's pattern gives the source.
    """

    layer: int
    head: int
    src: int
    dst: int
    weight: float
    attention: float | None = None

    @property
    def is_saturated(self) -> bool:
        """Whether so much of the row is read here that a first-order weight is not to be trusted.

        Exact sums (contribution, frozen) have no such limit.
        """
        return self.attention is not None and self.attention > SATURATED


@dataclass(frozen=True)
class Coverage:
    """How much of the flow the listed edges hold.

    Attributes:
        edges: How many edges are listed.
        of: How many edges there are.
        share: The sum of |weight| over the listed edges, over `total`.
        total: The sum of |weight| over all edges, in the unit of a weight.
    """

    edges: int
    of: int
    share: float
    total: float


@dataclass(frozen=True)
class Target:
    """What is asked: a token's logit, or its difference to another's.

    Attributes:
        id: The token's id; of a span the first's.
        token: Its text; of a span the text of all of it.
        versus_id: The id of the token that it is compared with; None for none.
        versus: The text of that token.
        span: (first, stop) where the log-probability is asked of what the text itself says at these
            positions, each token given all before it; None for the next token.
        note: What should be known of the tokens as they were named.
    """

    id: int
    token: str
    versus_id: int | None = None
    versus: str | None = None
    span: tuple[int, int] | None = None
    note: str | None = None


@dataclass(frozen=True)
class Meaning:
    """What a weight of this flow means.

    Attributes:
        by: The method: "contribution", "gradient" or "frozen".
        how: The cut that a gradient is matched to, "zero" or "mask"; None by contribution.
        metric: The inner product of contributions; None by the others.
        target: What gradient and frozen ask about; None by contribution.
        formula: The weight as a formula.
        unit: Its unit.
        exactness: How exact it is, in a sentence.
    """

    by: str
    how: str | None
    metric: str | None
    target: Target | None
    formula: str
    unit: str
    exactness: str


def target_words(target: Target) -> str:
    """A target in words."""
    if target.span is not None:
        first, stop = target.span
        return f"log-probability of tokens {first} to {stop - 1}"
    words = f'logit of "{target.token}"'
    return words if target.versus is None else f'{words} minus logit of "{target.versus}"'


@dataclass(eq=False)
class Totals:
    """Exact sums over all edges, positive and negative parts apart, in the unit of a weight.

    float64; the negative sums are negative numbers.

    Attributes:
        in_positive: [layer, pos], by destination.
        in_negative: [layer, pos], by destination.
        out_positive: [layer, pos], by source.
        out_negative: [layer, pos], by source.
        head_positive: [layer, head].
        head_negative: [layer, head].
        distance_positive: [layer, pos], by dst - src.
        distance_negative: [layer, pos], by dst - src.
        self_attention: [layer, pos], signed: reads of the own position, which are no edges.
    """

    in_positive: Float[np.ndarray, "layer pos"]
    in_negative: Float[np.ndarray, "layer pos"]
    out_positive: Float[np.ndarray, "layer pos"]
    out_negative: Float[np.ndarray, "layer pos"]
    head_positive: Float[np.ndarray, "layer head"]
    head_negative: Float[np.ndarray, "layer head"]
    distance_positive: Float[np.ndarray, "layer pos"]
    distance_negative: Float[np.ndarray, "layer pos"]
    self_attention: Float[np.ndarray, "layer pos"]


@dataclass(frozen=True, eq=False)
class NodeFlow:
    """What flows through every node of the frozen-linear model: in + sources = out; in logits.

    Attributes:
        nodes: [row, pos], <x, G>, the signed sum of all paths through a node.
        carry: [layer, pos], what stays in its column across a block.
        sources: [layer, pos], what biases add.
        unplaced: [layer], what biases add that belong to no one position.
        remainder: What no path carries.
        top_row: The sum of |flow| into the last row: errors are relative to it.
    """

    nodes: Float[np.ndarray, "row pos"]
    carry: Float[np.ndarray, "layer pos"]
    sources: Float[np.ndarray, "layer pos"]
    unplaced: Float[np.ndarray, " layer"]
    remainder: float
    top_row: float

    @property
    def whole(self) -> bool:
        """Whether the remainder is at most 1 % of the flow into the last row."""
        return abs(self.remainder) <= LARGEST_REMAINDER * self.top_row


@dataclass(eq=False)
class Flow:
    """The attribution of a run.

    Attributes:
        meaning: What a weight means, and its unit.
        n_layers: Blocks of the model.
        n_pos: Positions of the text.
        edges: The strongest edges by size, strongest first.
        coverage: How much of the flow these hold.
        totals: Sums over all edges.
        shares: By contribution only, what each node of row 1..L is made of: a matrix [layer, pos]
            per kind of term, adding up to one at every node.
        target_value: What was asked about, in the unit of the metric; None without a target.
        node_flow: Frozen only, the flow through nodes.
        groups: The same flow between groups of tokens, where groups were asked for.
        joint: Gradient of a span only, what is lost where all reads of a group are cut at once.
    """

    meaning: Meaning
    n_layers: int
    n_pos: int
    edges: list[Edge]
    coverage: Coverage
    totals: Totals
    shares: dict[str, np.ndarray] | None = None
    target_value: float | None = None
    node_flow: NodeFlow | None = None
    groups: tuple[GroupFlow, ...] = ()
    joint: tuple[JointReads, ...] = ()
    _dense: Callable[[int], np.ndarray] | None = field(default=None, repr=False)

    def dense(self, layer: int) -> Float[np.ndarray, "head q_pos k_pos"]:
        """Every weight of one layer, [head, dst, src], self-attention on the diagonal.

        Computed anew at each call, so that no run ever holds more than it is asked for.
        """
        if self._dense is None:
            raise ValueError("this flow was not made from a trace in memory")
        if not 0 <= layer < self.n_layers:
            raise ValueError(f"layer {layer}: accepted are 0 to {self.n_layers - 1}")
        return self._dense(layer)
