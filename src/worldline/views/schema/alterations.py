"""The parts of a Scene that show runs that never happened: hop budgets, cuts, cones, orders."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, model_validator

from worldline.views.schema.parts import (
    Matrix,
    NonNegativeFloat,
    Part,
    Row,
    SceneNode,
    ScenePrecision,
    ScenePrediction,
)
from worldline.views.schema.recipe import SceneReproduce

Precisions = dict[str, ScenePrecision]
LARGEST_DRAWN = 2000
"""How many severed edges are listed to be drawn."""


class SceneHopCurve(Part):
    """Loss by hop budget, for one convention on column 0.

    ``hops_needed`` has one number per token: the least budget from which on its prediction is the
    full model's, tokens no further apart than rounding being both predicted; null for the first,
    and where the largest budget does not do. ``precision`` says of a difference of losses what it
    has to exceed to be more than rounding.
    """

    sink: Literal["counted", "free"]
    budgets: tuple[NonNegativeInt, ...]
    loss_nats: Row
    hops_needed: tuple[NonNegativeInt | None, ...]
    hops_needed_close: tuple[NonNegativeInt | None, ...]
    state_gain_nats: FiniteFloat | None
    sink_cos: tuple[FiniteFloat | None, ...]
    norm_ratio: Row
    precision: Precisions = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_each_per_budget(self) -> SceneHopCurve:
        for name in ("loss_nats", "sink_cos", "norm_ratio"):
            n_values = len(getattr(self, name))
            if n_values != len(self.budgets):
                raise ValueError(
                    f"{name}: {n_values} for {len(self.budgets)} budgets, expected as many"
                )
        if not self.budgets:
            raise ValueError("budgets: none, expected at least one")
        return self


class SceneHops(Part):
    """What the model says of its own text if information may make only so many hops."""

    loss_full_nats: FiniteFloat
    curves: tuple[SceneHopCurve, ...]
    layers: str
    longest: NonNegativeInt | None
    tail: str
    reproduce: SceneReproduce | None = None

    @model_validator(mode="after")
    def _one_curve_per_sink(self) -> SceneHops:
        sinks = [curve.sink for curve in self.curves]
        if not sinks or len(set(sinks)) < len(sinks):
            raise ValueError(f"curves {sinks}: expected one or two, of different sinks")
        return self


class SceneCutEdge(Part):
    """A severed K/V edge; ``head`` null: all of them."""

    layer: NonNegativeInt
    head: NonNegativeInt | None
    src: NonNegativeInt
    dst: NonNegativeInt


class SceneCut(Part):
    """A set of cuts, in words and as edges, and the next token before and after.

    ``precision`` says of every change what it has to exceed to be more than rounding; ``powerless``
    why the cut cannot change anything, so that every change is exactly 0; ``note`` what should be
    known of the target that was named.
    """

    words: tuple[str, ...]
    n_edges: NonNegativeInt
    edges: tuple[SceneCutEdge, ...]
    nodes: tuple[SceneNode, ...]
    target: str
    versus: str | None = None
    target_before: FiniteFloat
    target_after: FiniteFloat
    change_nats: FiniteFloat
    logits_before: FiniteFloat | None = None
    change_logits: FiniteFloat | None = None
    kl_nats: NonNegativeFloat
    precision: Precisions = Field(default_factory=dict)
    powerless: str | None = None
    note: str | None = None
    before: tuple[ScenePrediction, ...]
    after: tuple[ScenePrediction, ...]
    reproduce: SceneReproduce | None = None

    @model_validator(mode="after")
    def _few_enough(self) -> SceneCut:
        if len(self.edges) > LARGEST_DRAWN:
            raise ValueError(f"edges: {len(self.edges)}, expected at most {LARGEST_DRAWN} to draw")
        return self


class SceneSources(Part):
    """What is lost where every read of one token is cut, token by token.

    `change_nats[i]` is the change of the target's log-probability without all reads of column i,
    `after[i]` what is predicted then. The last column is read by nobody: 0, and null. `powerless`
    are the columns whose reads cannot reach the answer, where the change is exactly 0.
    """

    how: Literal["mask", "zero"]
    target: str
    target_before: FiniteFloat
    change_nats: Row
    precision: Precisions = Field(default_factory=dict)
    powerless: tuple[NonNegativeInt, ...] = ()
    note: str | None = None
    after: tuple[ScenePrediction | None, ...]
    reproduce: SceneReproduce | None = None


class SceneResponse(Part):
    """Mean relative change at every node, and its spread over directions."""

    through: Literal["residual", "kv", "both"]
    relative: Matrix
    spread: Matrix


class SceneCone(Part):
    """What a perturbation at one node does to all others; exactly 0 outside its light cone."""

    layer: NonNegativeInt
    pos: NonNegativeInt
    n_directions: NonNegativeInt
    step: NonNegativeFloat
    responses: tuple[SceneResponse, ...]
    precision: Precisions = Field(default_factory=dict)
    outside_zero: bool
    derivative_error: FiniteFloat | None
    additivity_error: FiniteFloat | None
    reproduce: SceneReproduce | None = None


class SceneOrder(Part):
    """One order of execution: ``slices[layer][pos]`` is when a block ran, null where it did not."""

    name: str
    n_slices: NonNegativeInt
    widest: NonNegativeInt
    longest_chain: NonNegativeInt
    blocks: NonNegativeInt
    of_blocks: NonNegativeInt
    seconds: NonNegativeFloat
    nats: NonNegativeFloat | None
    ulp: NonNegativeFloat | None
    row_error: NonNegativeFloat
    slices: tuple[tuple[NonNegativeInt | None, ...], ...]


class SceneOrders(Part):
    """Several orders of execution of one run."""

    floor_nats: NonNegativeFloat
    precision: Precisions = Field(default_factory=dict)
    orders: tuple[SceneOrder, ...]
    reproduce: SceneReproduce | None = None


class SceneAltered(Part):
    """What runs that never happened said of this text."""

    hops: SceneHops | None = None
    cut: SceneCut | None = None
    cone: SceneCone | None = None
    orders: SceneOrders | None = None
    sources: SceneSources | None = None

    def refuse_misfit(self, n_layers: int, n_tokens: int) -> None:
        """Raise ValueError where something lies outside this many layers and tokens."""
        size = f"{n_layers} layers x {n_tokens} tokens"
        for curve in self.hops.curves if self.hops else ():
            for name in ("hops_needed", "hops_needed_close"):
                n_values = len(getattr(curve, name))
                if n_values != n_tokens:
                    raise ValueError(f"altered.hops.{name}: {n_values}, expected {n_tokens}")
        for name in ("change_nats", "after") if self.sources else ():
            n_values = len(getattr(self.sources, name))
            if n_values != n_tokens:
                raise ValueError(f"altered.sources.{name}: {n_values}, expected {n_tokens}")
        for edge in self.cut.edges if self.cut else ():
            if not (edge.src < edge.dst < n_tokens and edge.layer < n_layers):
                raise ValueError(f"altered.cut.edges: {edge!r} does not fit {size}")
        perturbed_nodes = [SceneNode(layer=self.cone.layer, pos=self.cone.pos)] if self.cone else []
        for node in [*(self.cut.nodes if self.cut else ()), *perturbed_nodes]:
            if node.layer > n_layers or node.pos >= n_tokens:
                raise ValueError(f"altered: {node!r} does not fit {size}")
