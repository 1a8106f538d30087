"""What may be asked about a text: one model for each command, with what its options are called.

The command line's options, HTTP bodies, the page's types and recipes are all made from these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic import model_validator as _model_validator

from worldline.errors import InputError
from worldline.field_errors import fault_line
from worldline.graph.edits import EDGE_PATTERN, NODE_PATTERN, refuse_no_place
from worldline.graph.order import Order
from worldline.number_spans import refuse_no_numbers
from worldline.tokens.spans import refuse_unwritten

R = TypeVar("R", bound="Request")
MOST = 10**9  # of whatever is counted
MOST_SEED = (1 << 63) - 1
MOST_CHARS = 200_000
TOP = 2000  # edges that a Scene lists
Words = Annotated[str, StringConstraints(min_length=1, max_length=200)]
EdgePlace = Annotated[Words, Field(json_schema_extra={"pattern": f"^{EDGE_PATTERN}$"})]
NodePlace = Annotated[Words, Field(json_schema_extra={"pattern": f"^{NODE_PATTERN}$"})]
Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]


@dataclass(frozen=True)
class Flag:
    """A field on the command line: `name`, `off` for False where that is not the default.

    `is_explicit`: a recipe says it even where it is the default, so that it outlives a change of
    defaults.
    """

    name: str
    off: str = ""
    is_explicit: bool = False


Layers = Annotated[
    Words | None, Flag("--layers"), Field(description="Layers, A-B or 0,3 (default: all).")
]


class Request(BaseModel):
    """What one command is asked to do. Its docstring is the command's help.

    Args:
        command: The command's name.
        call: The public function that does the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)
    command: ClassVar[str]
    call: ClassVar[str]

    @classmethod
    def flags(cls) -> dict[str, Flag]:
        """What each field is called on the command line; those that have no option are left out."""
        return {
            name: mark
            for base in reversed(cls.__mro__)  # a field that is bounded anew keeps its option
            for name, field in getattr(base, "model_fields", {}).items()
            for mark in field.metadata
            if isinstance(mark, Flag)
        }

    @classmethod
    def of_options(cls: type[R], **values: Any) -> R:
        """The request of a command line.

        Raises InputError for the first value that no request has, under its option's name.
        """
        flags = cls.flags()
        given_values = {name: value for name, value in values.items() if value is not None}
        try:
            return cls(**given_values)
        except ValidationError as error:
            fault = error.errors()[0]
            field = str(fault["loc"][0]) if fault["loc"] else ""
            flag = flags.get(field) or flags.get(f"{field}_")
            raise InputError(fault_line(fault, flag.name if flag else field)) from None

    def arguments(self) -> dict[str, Any]:
        """What the function that does the same is called with, beside the model and the text."""
        return {name: getattr(self, name) for name in self.flags()}

    def said(self) -> Iterator[tuple[str, Flag, Any]]:
        """(field, flag, value) of each option that a recipe has to name."""
        for name, flag in self.flags().items():
            value = getattr(self, name)
            if value in (None, ()) or (
                value == type(self).model_fields[name].default and not flag.is_explicit
            ):
                continue
            yield name, flag, value


class TargetedRequest(Request):
    """A request about the logit of one token, or its difference to another's."""

    target: Annotated[
        Words | None,
        Flag("--target"),
        Field(description='A token, such as " Paris", or id:NUMBER.'),
    ] = None
    versus: Annotated[
        Words | None,
        Flag("--versus"),
        Field(description="A second token: ask about the difference to it."),
    ] = None

    @_model_validator(mode="after")
    def _check_target(self) -> TargetedRequest:
        if self.versus is not None and self.target is None:
            raise InputError("--versus: needs --target, the token it is compared with")
        if self.versus is not None and self.target == self.versus:
            raise InputError(
                f"--versus {self.versus[:40]}: is --target itself, and the difference is 0 "
                "whatever happens; accepted are two different tokens"
            )
        return self


class TraceRequest(TargetedRequest):
    """Record one run, attribute every K/V edge, and show where the next token came from."""

    command: ClassVar[str] = "trace"
    call: ClassVar[str] = "observe"

    by: Annotated[
        Literal["contribution", "gradient", "frozen"] | None,
        Flag("--by", is_explicit=True),
        Field(description="contribution, gradient or frozen: the method of attribution."),
    ] = None
    how: Annotated[
        Literal["zero", "mask"] | None,
        Flag("--how", is_explicit=True),
        Field(description="zero or mask: the cut that a gradient stands for (default: zero)."),
    ] = None
    seed: Annotated[
        Seed | None, Flag("--seed"), Field(description="Seed of everything random.")
    ] = None
    top: Annotated[
        int,
        Flag("--edges"),
        Field(ge=0, le=MOST, description="Edges to list, the strongest of all."),
    ] = TOP
    chat: Annotated[
        bool, Flag("--chat"), Field(description="Set the text as a user's turn of a chat.")
    ] = False
    verify: Annotated[
        bool, Flag("--verify"), Field(description="Compare this very run with a plain one.")
    ] = False
    paths: Annotated[
        bool | None,
        Flag("--paths", off="--no-paths"),
        Field(description="Sum and follow whole paths (default: up to 32 tokens)."),
    ] = None

    @_model_validator(mode="after")
    def _check_method(self) -> TraceRequest:
        if self.by == "contribution":
            if self.how is not None:
                raise InputError(
                    f"--how {self.how}: --by contribution cuts nothing; leave --how out"
                )
            if self.target is not None:
                raise InputError(
                    "--by contribution asks about no target; leave --target out or use "
                    "--by gradient"
                )
        if self.by == "frozen" and self.how == "mask":
            raise InputError("--how mask: --by frozen holds the patterns; accepted is zero")
        return self


class PathsRequest(TargetedRequest):
    """Sum over all paths into the last token: by hops, by source, and the strong ones.

    Attributed by frozen (to a target) unless --by contribution (no target) is asked for.
    """

    command: ClassVar[str] = "paths"
    call: ClassVar[str] = "summarize_paths"
    N_DRAWN: ClassVar[int] = 100

    by: Annotated[
        Literal["frozen", "contribution"] | None,
        Flag("--by"),
        Field(description="frozen (default) or contribution: the method of attribution."),
    ] = None
    k: Annotated[
        int,
        Flag("--top", is_explicit=True),
        Field(ge=1, le=MOST, description="How many paths to show."),
    ] = 10
    n_drawn: Annotated[
        int | None,
        Flag("--draws", is_explicit=True),
        Field(
            ge=0,
            le=MOST,
            description="Paths drawn at random for the agreement of single ones, by frozen; 0: "
            f"none (default: {N_DRAWN}).",
        ),
    ] = None

    @_model_validator(mode="after")
    def _check_method(self) -> PathsRequest:
        if self.by == "contribution" and self.n_drawn is not None:
            raise InputError(
                f"--draws {self.n_drawn}: by contribution nothing is drawn; accepted is --by frozen"
            )
        if self.by == "contribution" and self.target is not None:
            raise InputError(
                "--by contribution: asks about no target; leave --target out or use --by frozen"
            )
        return self


class CutRequest(TargetedRequest):
    """Sever K/V edges or residual nodes, and show the next token before and after."""

    command: ClassVar[str] = "cut"
    call: ClassVar[str] = "cut"

    edges: Annotated[
        tuple[EdgePlace, ...],
        Flag("--edge"),
        Field(
            description="K/V edges, LAYERS.HEADS:SRC>DST such as 23.0:1>13, * for all; may be "
            "repeated."
        ),
    ] = ()
    nodes: Annotated[
        tuple[NodePlace, ...],
        Flag("--node"),
        Field(description="A residual node, ROW,POS; may be repeated."),
    ] = ()
    from_: Annotated[
        str | None,
        Flag("--from"),
        Field(alias="from", description='Tokens read: 3, 2-5, "words of it" or all.'),
    ] = None
    to: Annotated[
        str | None,
        Flag("--to"),
        Field(description='Tokens that read: 3, 2-5, "words of it" or all.'),
    ] = None
    layers: Layers = None
    heads: Annotated[
        Words | None, Flag("--heads"), Field(description="Heads, A-B or 0,3 (default: all).")
    ] = None
    how: Annotated[
        Literal["mask", "zero", "patch"] | None,
        Flag("--how", is_explicit=True),
        Field(description="zero, mask or patch: how edges are cut."),
    ] = None
    parts: Annotated[
        Literal["kv", "k", "v", "q"],
        Flag("--parts"),
        Field(description="kv, k, v or q: what a patch takes over."),
    ] = "kv"
    patch_from: Annotated[
        str | None,
        Flag("--patch-from"),
        Field(
            min_length=1,
            max_length=MOST_CHARS,
            description="The text whose K and V (or nodes) are patched in.",
        ),
    ] = None
    align: Annotated[
        Literal["left", "right", "words"] | None,
        Flag("--align"),
        Field(description="left, right or words: for a patch of another length."),
    ] = None
    node_how: Annotated[
        Literal["zero", "mean", "patch"] | None,
        Flag("--node-how", is_explicit=True),
        Field(description="zero, mean or patch: what a node is overwritten with."),
    ] = None
    own: Annotated[bool, Flag("--own"), Field(description="Cut self-attention too.")] = False
    each: Annotated[
        bool,
        Flag("--each"),
        Field(description="What the answer loses without all reads of each token: mask or zero."),
    ] = False

    @property
    def has_spans(self) -> bool:
        """Whether edges are named by the tokens at their two ends."""
        return self.from_ is not None or self.to is not None

    @_model_validator(mode="after")
    def _check_cut(self) -> CutRequest:
        if self.each:
            self._check_each()
            return self
        if not self.edges and not self.has_spans and not self.nodes:
            raise InputError("a cut: name --edge, --from and --to, or --node")
        if (self.edges or self.has_spans) and self.how is None:
            raise InputError("--how: name mask, zero or patch; they can disagree widely")
        if self.nodes and self.node_how is None:
            raise InputError("--node-how: name zero, mean or patch")
        self._refuse_unused()
        for place in self.edges:
            refuse_no_place(place, "--edge")
        for place in self.nodes:
            refuse_no_place(place, "--node")
        refuse_no_numbers(self.layers, "--layers")
        refuse_no_numbers(self.heads, "--heads")
        return self

    def _check_each(self) -> None:
        beside_each = {name for name, _, _ in self.said()} - {"each", "how", "target"}
        if beside_each:
            raise InputError(
                "--each: cuts every token in turn, in all layers and heads; accepted beside it "
                "are --how and --target"
            )
        if self.how not in ("mask", "zero"):
            how_words = "no --how" if self.how is None else f"--how {self.how}"
            raise InputError(f"--each with {how_words}: accepted are mask, zero")

    def _refuse_unused(self) -> None:
        """Raise InputError for what was said and would change nothing: it was meant to."""
        patched = self.how == "patch" or self.node_how in ("patch", "mean")
        if self.patch_from is not None and not patched:
            hows = (("--how", self.how), ("--node-how", self.node_how))
            ways = " and ".join(f"{name} {value}" for name, value in hows if value)
            raise InputError(
                f"--patch-from: {ways} takes no other text; accepted are --how patch, --node-how "
                "patch and --node-how mean"
            )
        if self.align is not None and self.patch_from is None:
            raise InputError("--align: needs --patch-from, the text that is aligned with this one")
        for name, value in (("--layers", self.layers), ("--heads", self.heads)):
            if value is not None and not self.has_spans:
                raise InputError(f"{name}: goes with --from and --to; an --edge names its own")
        if not (self.edges or self.has_spans):
            of_edges = {"--own": self.own, "--parts": self.parts != "kv", "--how": self.how}
            for name, is_used in of_edges.items():
                if is_used:
                    raise InputError(f"{name}: is about edges; name --edge, or --from and --to")
        if self.node_how is not None and not self.nodes:
            raise InputError(f"--node-how {self.node_how}: name the --node")
        if self.parts != "kv" and self.how != "patch":
            raise InputError(f"--parts {self.parts}: only a patch tells K, V and Q apart")
        if self.how == "patch" and self.patch_from is None:
            raise InputError("--how patch: needs --patch-from, the text whose K and V are taken")
        if self.node_how == "patch" and self.patch_from is None:
            raise InputError("--node-how patch: needs --patch-from, the text whose nodes are taken")

    def refuse_unwritten(self, text: str) -> None:
        """Raise InputError for spans that no tokens of `text` can make good: before any model."""
        refuse_unwritten(text, self.from_, "--from")
        refuse_unwritten(text, self.to, "--to")


class HopsRequest(Request):
    """Limit how many hops information may make: the loss per budget, the hops each token needs.

    With --layers only reads in those layers count as hops.
    """

    command: ClassVar[str] = "hops"
    call: ClassVar[str] = "hop_curve"

    max_hops: Annotated[
        int,
        Flag("--max", is_explicit=True),
        Field(
            ge=0,
            le=MOST,
            description="The largest budget; less where fewer hops can be made.",
        ),
    ] = 8
    sink: Annotated[
        Literal["counted", "free", "both"] | None,
        Flag("--sink"),
        Field(description="Reads of column 0: counted, free or both (default: as the text asks)."),
    ] = None
    layers: Layers = None
    longest: Annotated[
        int | None,
        Flag("--longest"),
        Field(ge=0, le=MOST, description="Forbid hops over more positions than this."),
    ] = None

    @_model_validator(mode="after")
    def _check_layers(self) -> HopsRequest:
        refuse_no_numbers(self.layers, "--layers")
        return self


class ConeRequest(Request):
    """Perturb one node a little and see its light cone: which nodes change, by which highway."""

    command: ClassVar[str] = "cone"
    call: ClassVar[str] = "light_cone"

    at: Annotated[
        Words | None, Flag("--at"), Field(description="The node that is perturbed, LAYER,POS.")
    ] = None
    directions: Annotated[
        int,
        Flag("--directions", is_explicit=True),
        Field(ge=1, le=MOST, description="Random directions to perturb in."),
    ] = 4
    step: Annotated[
        float,
        Flag("--step"),
        Field(description="Size of the perturbation over the node's norm."),
    ] = 1e-2
    seed: Annotated[
        Seed | None, Flag("--seed"), Field(description="Seed of everything random.")
    ] = None
    through: Annotated[
        Literal["residual", "kv", "both"] | None,
        Flag("--through"),
        Field(description="residual, kv or both: how it leaves (default: all three)."),
    ] = None

    @_model_validator(mode="after")
    def _check_node(self) -> ConeRequest:
        if self.at is None:
            raise InputError("--at: name the node, LAYER,POS, such as 12,1 (-1 is the last token)")
        if not (isfinite(self.step) and self.step > 0):
            raise InputError(f"--step {self.step}: accepted are finite numbers above 0")
        refuse_no_numbers(self.layer_and_position[1], "--at position")
        return self

    @property
    def layer_and_position(self) -> tuple[int, str]:
        """The row, and the position as it is written."""
        layer, comma, pos = (self.at or "").partition(",")
        if not comma or not layer.strip().isdecimal() or len(layer) > 9:
            raise InputError(f"--at {(self.at or '')[:40]}: accepted is LAYER,POS, such as 12,1")
        return int(layer), pos


class OrdersRequest(Request):
    """Execute the blocks of a run in other legal orders: slices, time, and that nothing changes."""

    command: ClassVar[str] = "orders"
    call: ClassVar[str] = "run_orders"

    orders: Annotated[
        tuple[Words, ...],
        Flag("--order"),
        Field(
            description="prefill, decode, wavefront(SLOPE), random(SEED), cone(LAYER,POS); "
            "repeatable."
        ),
    ] = ()

    @_model_validator(mode="after")
    def _check_orders(self) -> OrdersRequest:
        for order_text in self.orders:
            Order.parse(order_text)
        return self


AlteredRequest = CutRequest | HopsRequest | ConeRequest | OrdersRequest
