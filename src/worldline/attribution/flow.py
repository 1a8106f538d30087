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

    `attention` is the weight that the head's pattern gives the source.
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

    `share` is the sum of |weight| over the `edges` that are listed, over `total`, that of all `of`
    edges.
    """

    edges: int
    of: int
    share: float
    total: float


@dataclass(frozen=True)
class Target:
    """What is asked: the logit of `token`, or its difference to that of `versus`.

    `note` is what should be known of the tokens as they were named.

    With `span`, (first, stop), the log-probability of what the text itself says at these
    positions, each token given all before it; `token` is then their text and `id` the first's.
    """

    id: int
    token: str
    versus_id: int | None = None
    versus: str | None = None
    span: tuple[int, int] | None = None
    note: str | None = None


@dataclass(frozen=True)
class Meaning:
    """What a weight of this flow means."""

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
    """Exact sums over all edges, positive and negative parts apart; float64.

    `in_*` [layer, pos] by destination, `out_*` [layer, pos] by source, `head_*` [layer, head],
    `distance_*` [layer, pos] by dst - src. The negative sums are negative numbers.
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
    """What flows through every node of the frozen-linear model: in + sources = out.

    `nodes` [row, pos] is <x, G>, the signed sum of all paths through a node; `carry` [layer, pos]
    what stays in its column across a block; `sources` [layer, pos] what biases add (`unplaced`
    [layer] where they belong to no one position). `remainder` is what no path carries, and
    `top_row` the sum of |flow| into the last row: errors are relative to it.
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
    """The attribution of a run. `edges` are the strongest, by size, strongest first.

    `shares` (by contribution only) gives what each node of row 1..L is made of: a matrix [layer,
    pos] per kind, adding up to one at every node. `conserved` (frozen only) is the flow through
    nodes. `groups` is the same flow between groups of tokens, where groups were asked for. `joint`
    (gradient of a span only) is what is lost where all reads of a group are cut at once.
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
