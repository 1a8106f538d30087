"""The Scene: one typed picture of one run, which text, HTML and JSON are drawn from.

Conventions used by every field. Row ``l`` (0..L) is the residual stream entering block ``l``;
row ``L`` enters the final norm. A K/V edge of layer ``l`` is read from node ``(l, src)`` and
written into node ``(l + 1, dst)``, with ``src < dst``. Matrices are ``[row or layer][position]``.
Names on the wire are the names here; ``schema_`` travels as ``schema``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, FiniteFloat, NonNegativeInt, model_validator

from worldline.views.schema.alterations import SceneAltered
from worldline.views.schema.flows import SceneCoverage, SceneFlow, SceneGrouping
from worldline.views.schema.parts import (
    Matrix,
    NonNegativeFloat,
    Part,
    Row,
    SceneMeaning,
    SceneNode,
    ScenePrediction,
)
from worldline.views.schema.recipe import SceneReproduce

if TYPE_CHECKING:
    import networkx as nx

SCENE_SCHEMA: Literal["worldline.scene/2"] = "worldline.scene/2"
"""The tag every Scene of this version carries in its field ``schema``."""


class SceneModel(Part):
    """Which model ran, in numbers that identify it."""

    name: str
    n_layers: NonNegativeInt
    n_heads: NonNegativeInt
    n_kv_heads: NonNegativeInt
    d_model: NonNegativeInt
    dtype: str
    device: str
    weights_hash: str


class SceneToken(Part):
    """One column: a token, the piece of the text it covers, and the group it is shown in.

    ``char_start:char_end`` and ``byte_start:byte_end`` index the Scene's ``text`` (its UTF-8
    bytes); a token that covers no text (a special one) has an empty span. Tokens with the same
    ``group`` are pieces of one character and are shown together.
    """

    pos: NonNegativeInt
    id: NonNegativeInt
    text: str
    char_start: NonNegativeInt
    char_end: NonNegativeInt
    byte_start: NonNegativeInt
    byte_end: NonNegativeInt
    group: NonNegativeInt
    special: bool


class SceneTarget(Part):
    """A token that is asked about; ``note``: what should be known of how it was named."""

    token: str
    id: NonNegativeInt
    note: str | None = None


class SceneAttribution(Part):
    """What an edge's weight means: the question, the formula, its unit and how exact it is."""

    by: Literal["contribution", "gradient", "frozen"]
    target: SceneTarget | None
    versus: SceneTarget | None
    how: Literal["zero", "mask"] | None
    metric: str | None
    formula: str
    unit: str
    exactness: str


class SceneEdge(Part):
    """One read of the K/V stream: from ``(layer, src)`` into ``(layer + 1, dst)`` by one head.

    ``saturated`` marks a first-order weight of a read that holds so much ``attention`` that not
    even its sign is to be trusted; exact sums are never marked.
    """

    layer: NonNegativeInt
    head: NonNegativeInt
    src: NonNegativeInt
    dst: NonNegativeInt
    weight: FiniteFloat
    attention: NonNegativeFloat | None = None
    saturated: bool = False


class SceneLens(Part):
    """One token that the logit lens reads at a node; ``logprob`` in nats."""

    token: str
    logprob: FiniteFloat


class SceneShares(Part):
    """What a node of row 1..L is made of: L x T each, entry ``[l][j]`` belongs to ``(l + 1, j)``.

    The matrices add up to one at every node. ``other`` is what entered the block from elsewhere
    than the node below (such as a second embedding); null where nothing did.
    """

    skip: Matrix
    mlp: Matrix
    self_attention: Matrix
    kv: Matrix
    constants: Matrix
    other: Matrix | None


class SceneNodes(Part):
    """What is known at every node: ``norm`` and ``lens`` for rows 0..L, the others for 1..L.

    A row of ``lens`` is empty where the lens was not read, for the length of the text.

    ``writes_agree[l][j]`` is how far what block ``l`` adds to ``(l + 1, j)`` points one way: the
    norm of the sum over the sum of norms, of every head and every other term but the skip
    connection.
    """

    norm: Matrix
    lens: tuple[tuple[tuple[SceneLens, ...], ...], ...] | None
    shares: SceneShares | None
    writes_agree: tuple[tuple[FiniteFloat | None, ...], ...] | None = None


class SceneRead(Part):
    """One hop of a path; ``head`` is null where all heads of the layer are taken together."""

    layer: NonNegativeInt
    head: NonNegativeInt | None


class SceneInterval(Part):
    """From ``low`` to ``high``."""

    low: FiniteFloat
    high: FiniteFloat


class ScenePath(Part):
    """One path to what is asked: ``nodes`` from row 0 up, one of the ``reads`` for each hop."""

    weight: FiniteFloat
    hops: NonNegativeInt
    nodes: tuple[SceneNode, ...]
    reads: tuple[SceneRead, ...]
    words: str


class SceneAgreement(Part):
    """How far the parts of one sum agree, for one named grouping; ``coherence`` null at 0/0.

    ``shuffled`` is the 95 % interval of the coherence under random signs; ``estimated`` that of
    the coherence itself, where it is an estimate, and ``interval`` says how either was found.
    """

    grouping: str
    coherence: FiniteFloat | None
    constructive: FiniteFloat
    destructive: FiniteFloat
    shuffled: SceneInterval | None
    estimated: SceneInterval | None
    interval: str


class SceneEffective(Part):
    """How many paths there are in effect: the exponential of the entropy of a distribution.

    ``of`` says in words which distribution: without that the number means nothing.
    """

    normalise: Literal["paths", "rows"]
    of: str
    effective: NonNegativeFloat
    entropy_nats: FiniteFloat


class ScenePaths(Part):
    """The sum of all paths into the last column, by hops and by source, and strong ones listed.

    ``by_hops[h]`` sums the paths with exactly ``h`` hops, ``beyond`` those with more than are
    listed; ``by_source`` has one number per column. ``ways`` is how many paths the full grid has,
    as a decimal string. ``caution`` belongs beside every picture of it. ``reproduce`` is null
    where the Scene's own lines make them.
    """

    by: Literal["frozen", "contribution"]
    title: str
    ways: str
    by_hops: Row
    beyond: FiniteFloat
    by_source: Row
    closing: str
    agreement: tuple[SceneAgreement, ...]
    effective: tuple[SceneEffective, ...]
    paths: tuple[ScenePath, ...]
    found_as: str
    caution: str
    reproduce: SceneReproduce | None = None


class SceneInert(Part):
    """Whether recording changed anything: on a probe text, or on this very run."""

    checked: Literal["probe", "run"]
    equal: bool
    calls: NonNegativeInt
    expected_calls: NonNegativeInt


class SceneClosure(Part):
    """The worst relative error with which a node equals the sum of its terms, and where it is.

    ``over`` is "sources" where attention was added up anew over heads and sources: only then is a
    node closed. With "terms" what the model added was added again, which says nothing of heads.
    ``n_nodes`` of ``of_nodes`` were added up over heads and sources: those of ``layers``, drawn
    with ``seed``, where these are not all.
    """

    worst: NonNegativeFloat
    layer: NonNegativeInt
    pos: NonNegativeInt
    tolerance: NonNegativeFloat
    over: Literal["terms", "sources"]
    n_nodes: NonNegativeInt = 0
    of_nodes: NonNegativeInt = 0
    layers: tuple[NonNegativeInt, ...] | None = None
    seed: int | None = None


class Scene(Part):
    """One run, as a picture: tokens as columns, layers as rows, attributed K/V edges between them.

    The large parts (``nodes``, ``flow``, ``paths``) may be null; a view then leaves out what it
    cannot show and says so. ``paths_left_out`` says why there are no paths. ``altered`` is what
    runs that never happened said of the same text. ``meanings`` says of every name of a number on
    the page what it means, for the parts that are there. ``groupings`` show the same flow between
    groups of tokens. ``left_out`` says what a long text has fewer numbers of, and what of the text
    was not read, one sentence each.
    """

    schema_: Literal["worldline.scene/2"] = Field(default=SCENE_SCHEMA, alias="schema")
    title: str
    text: str
    created: str | None
    model: SceneModel
    versions: dict[str, str]
    seed: int | None
    tokens: tuple[SceneToken, ...]
    predictions: tuple[ScenePrediction, ...]
    attribution: SceneAttribution
    edges: tuple[SceneEdge, ...]
    coverage: SceneCoverage
    nodes: SceneNodes | None
    flow: SceneFlow | None
    paths: ScenePaths | None = None
    paths_left_out: str | None = None
    altered: SceneAltered | None = None
    groupings: tuple[SceneGrouping, ...] = ()
    left_out: tuple[str, ...] = ()
    inert: SceneInert
    closure_error: SceneClosure
    reproduce: SceneReproduce
    meanings: dict[str, SceneMeaning] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> Scene:
        n_layers, n_tokens = self.model.n_layers, len(self.tokens)
        for at, token in enumerate(self.tokens):
            if token.pos != at:
                raise ValueError(f"tokens[{at}] has pos {token.pos}, expected {at}")
        strongest = float("inf")
        for at, edge in enumerate(self.edges):
            if not (edge.src < edge.dst < n_tokens and edge.layer < n_layers):
                raise ValueError(
                    f"edges[{at}] {edge!r} lies outside {n_layers} layers x {n_tokens} tokens, "
                    "or does not go from an earlier column to a later one"
                )
            if abs(edge.weight) > strongest:
                raise ValueError(f"edges[{at}] {edge!r} is stronger than the edge before it")
            strongest = abs(edge.weight)
        if self.coverage.edges != len(self.edges):
            raise ValueError(
                f"coverage.edges is {self.coverage.edges}, but {len(self.edges)} are listed"
            )
        for at, path in enumerate(self.paths.paths if self.paths else ()):
            if not all(node.layer <= n_layers and node.pos < n_tokens for node in path.nodes):
                raise ValueError(f"paths.paths[{at}] leaves {n_layers} layers x {n_tokens} tokens")
        if self.altered is not None:
            self.altered.refuse_misfit(n_layers, n_tokens)
        for grouping in self.groupings:
            grouping.refuse_misfit(n_layers, n_tokens, len(self.text))
        for name, matrix, n_rows in self._matrices():
            shape = [len(row) for row in matrix]
            if name == "nodes.lens":
                shape = [width or n_tokens for width in shape]
            if shape != [n_tokens] * n_rows:
                widths = sorted(set(shape))
                raise ValueError(
                    f"{name} has {len(shape)} rows of {widths}, expected {n_rows} x {n_tokens}"
                )
        return self

    def _matrices(self) -> list[tuple[str, tuple[tuple[Any, ...], ...], int]]:
        """Every large matrix as (name, matrix, number of rows it must have)."""
        n_layers = self.model.n_layers
        matrices: list[tuple[str, tuple[tuple[Any, ...], ...], int]] = []
        if self.nodes is not None:
            matrices.append(("nodes.norm", self.nodes.norm, n_layers + 1))
            if self.nodes.lens is not None:
                matrices.append(("nodes.lens", self.nodes.lens, n_layers + 1))
            if self.nodes.writes_agree is not None:
                matrices.append(("nodes.writes_agree", self.nodes.writes_agree, n_layers))
            if self.nodes.shares is not None:
                for name in SceneShares.model_fields:
                    matrix = getattr(self.nodes.shares, name)
                    if matrix is not None:
                        matrices.append((f"nodes.shares.{name}", matrix, n_layers))
        cone = self.altered.cone if self.altered is not None else None
        for response in cone.responses if cone is not None else ():
            name = f"altered.cone.{response.through}"
            matrices.append((name, response.relative, n_layers + 1))
            matrices.append((f"{name}.spread", response.spread, n_layers + 1))
        orders = self.altered.orders if self.altered is not None else None
        for order in orders.orders if orders is not None else ():
            matrices.append((f"altered.orders.{order.name}", order.slices, n_layers))
        if self.flow is not None:
            for name in SceneFlow.model_fields:
                matrices.append((f"flow.{name}", getattr(self.flow, name), n_layers))
        return matrices

    def to_json(self, *, indent: int | None = None) -> str:
        """Give the Scene as JSON with its names on the wire (``schema``, not ``schema_``)."""
        return self.model_dump_json(by_alias=True, indent=indent)

    def to_neuronpedia(self, *, scan: str | None = None, slug: str | None = None) -> str:
        """Give the attribution-graph JSON that neuronpedia.org displays; see ``neuronpedia.py``.

        Raises:
            InputError: it would be over 100 MB, or ``scan`` or ``slug`` is no id.
        """
        from worldline.views.neuronpedia import to_neuronpedia

        return to_neuronpedia(self, scan=scan, slug=slug)

    def to_networkx(self) -> nx.MultiDiGraph:
        """Give the nodes ``(layer, pos)`` and the listed edges, keyed by head (graph_exports.py).

        Raises:
            InputError: networkx is not installed.
        """
        from worldline.views.graph_exports import to_networkx

        return to_networkx(self)

    def to_graphml(self) -> str:
        """Give the same graph as GraphML, with no character that XML cannot hold.

        Raises:
            InputError: networkx is not installed.
        """
        from worldline.views.graph_exports import to_graphml

        return to_graphml(self)

    def to_frame(self, table: str, library: str = "pandas") -> Any:
        """Give "edges", "nodes", "tokens", "predictions" or "paths" as a DataFrame.

        ``worldline.views.frames.COLUMNS`` says what the columns mean, with their units.

        Raises:
            InputError: an unknown table or library, no paths, or the library is not installed.
        """
        from worldline.views.frames import to_frame

        return to_frame(self, table, library)
