"""What a plan changes in a run: K/V edges severed, nodes overwritten, hops limited."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from math import isfinite
from typing import Any

from worldline.arguments import whole_number, whole_numbers
from worldline.errors import InputError
from worldline.number_spans import number_span, ranges_text, refuse_no_numbers

EDGE_HOWS, NODE_HOWS = ("mask", "zero", "patch"), ("zero", "mean", "patch", "perturb")
PARTS, SINKS = ("kv", "k", "v", "q"), ("counted", "free")
Places = tuple[int, ...]
EVERY = "*"  # all layers, heads or positions, where an edit is written
EDGE_PATTERN = r"([^.:>]+)\.([^.:>]+):([^:>]+)>([^:>]+)"  # LAYERS.HEADS:SRC>DST
NODE_PATTERN = r"\s*([0-9]{1,9})\s*,([^.:>]+)"  # ROW,POS
EDGE_FORM = "accepted is LAYERS.HEADS:SRC>DST, such as 23.0:1>13, 20-29.*:1>13 or *.*:1>* (all)"
NODE_FORM = "accepted is ROW,POS, such as 12,3"


@dataclass(frozen=True)
class GraphSize:
    """How far the graph of a run goes: what numbers a written edit may name.

    Args:
        n_heads: Heads of each layer; 0 where a layer has none.
        n_pos: Tokens of the text.
    """

    n_heads: Places
    n_pos: int

    def most_heads(self, layers: Places | None) -> int:
        """Heads of the layer that has most, of these layers or of all."""
        of_layers = self.n_heads if layers is None else [self.n_heads[layer] for layer in layers]
        return max(of_layers) or max(self.n_heads)


@dataclass(frozen=True)
class PatchSource:
    """Another run whose inner states are patched in.

    Attributes:
        ids: The tokens of that run.
        at: For each position of ours its position there, or None.
        edits: What is changed in that run: it may be perturbed, or read only its own tokens.

    >>> PatchSource((5, 6), (0, None, 1)).at[2]
    1
    """

    ids: tuple[int, ...]
    at: tuple[int | None, ...]
    edits: frozenset[Intervention] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", whole_numbers("ids", self.ids, least=None))
        at = tuple(pos if pos is None else whole_number("at", pos) for pos in self.at)
        object.__setattr__(self, "at", at)
        object.__setattr__(self, "edits", edits_of(self.edits))
        refuse_conflicts(self.edits, len(self.ids))


@dataclass(frozen=True)
class EdgeCut:
    """K/V edges from every position in `src` to every later one in `dst`.

    Args:
        how: "mask" (attention knockout): the score is -inf, the rest of the row renormalises;
            "zero" (zero ablation): the weighted value is removed after the softmax; "patch"
            (activation patching): K and V are another run's.
        src: Positions that are read, whole numbers or a single one; None is all.
        dst: Positions that read.
        layers: Layers that read.
        heads: Heads that read.
        parts: What a patch takes over: "kv", "k", "v", or "q", the query of the destination by
            which these edges are scored.
        own: Whether self-attention (src = dst) is cut too.
        patch_source: The run that is patched from.

    Raises:
        InputError: an unknown `how` or `parts`, edges into the past.

    >>> EdgeCut("mask", src=(1,), dst=(13,), layers=(23,)).how
    'mask'
    """

    how: str
    src: Places | None = None
    dst: Places | None = None
    layers: Places | None = None
    heads: Places | None = None
    parts: str = "kv"
    own: bool = False
    patch_source: PatchSource | None = None

    def __post_init__(self) -> None:
        for name in ("src", "dst", "layers", "heads"):
            object.__setattr__(self, name, _places(name, getattr(self, name)))
        _one_of("how", self.how, EDGE_HOWS)
        _one_of("parts", self.parts, PARTS)
        if self.parts != "kv" and self.how != "patch":
            raise InputError(f"parts={self.parts!r}: only a patch tells K, V and Q apart")
        _refuse_source(self.how, self.patch_source)
        src, dst = self.src, self.dst
        if src and dst and (min(src) > max(dst) if self.own else min(src) >= max(dst)):
            raise InputError(
                f"edges from {ranges_text(src)} to {ranges_text(dst)}: "
                "an edge goes to a later position"
            )

    @classmethod
    def parse(
        cls, text: str, how: str, *, size: GraphSize, label: str = "edge", **options: Any
    ) -> EdgeCut:
        """The edges of LAYERS.HEADS:SRC>DST, each a span of numbers or * for all.

        Args:
            text: Where the edges are: the text that `place` gives, or one like it with -1 for
                the last.
            how: "mask", "zero" or "patch".
            size: The graph that the numbers must lie in.
            label: What the text is called where it is refused.
            options: `parts`, `own` and `patch_source`.

        Raises:
            InputError: another form, numbers outside the graph, what the class refuses.

        >>> EdgeCut.parse("20-22.*:1>13", "mask", size=GraphSize((9,) * 30, 14)).layers
        (20, 21, 22)
        """
        layers, heads, src, dst = _parts_of(EDGE_PATTERN, text, label, EDGE_FORM)
        label = f"{label} {text[:60]}"
        layer_span = _span_of(layers, len(size.n_heads), f"{label}: layer")
        place = {
            "src": _span_of(src, size.n_pos, f"{label}: position"),
            "dst": _span_of(dst, size.n_pos, f"{label}: position"),
            "layers": layer_span,
            "heads": _span_of(heads, size.most_heads(layer_span), f"{label}: head"),
        }
        return cls(how, **place, **options)

    def json(self) -> dict[str, Any]:
        """As plain numbers and words, which `intervention_of` reads.

        >>> EdgeCut("mask", src=(1,)).json()["how"]
        'mask'
        """
        return _edit_json(self)

    @property
    def place(self) -> str:
        """The edges as LAYERS.HEADS:SRC>DST, which `parse` reads.

        >>> EdgeCut("mask", src=(1,), dst=(13,), layers=(23,)).place
        '23.*:1>13'
        """
        layers, heads, src, dst = map(_span_text, (self.layers, self.heads, self.src, self.dst))
        return f"{layers}.{heads}:{src}>{dst}"

    def __str__(self) -> str:
        parts = "" if self.parts == "kv" else f" {self.parts}"
        return f"{self.how}{parts} {self.place}{' with self-attention' if self.own else ''}"

    def pairs(self, n_pos: int) -> Iterator[tuple[int, int]]:
        """(src, dst) of every edge."""
        every = range(n_pos)
        for dst in self.dst if self.dst is not None else every:
            for src in self.src if self.src is not None else every:
                if src < dst or (self.own and src == dst):
                    yield src, dst


@dataclass(frozen=True)
class NodeCut:
    """The residual stream overwritten at nodes: all `positions` (None: all) of all `rows`.

    Args:
        how: "zero" (zero ablation); "mean" (mean ablation): the mean of the row over positions up
            to this one, or over all of the patch source's text; "patch" (activation patching): the
            patch source's own node; "perturb": `vector` is added (a steering vector, where its
            direction has a name).
        rows: Rows of the residual stream; row l enters block l.
        positions: Positions in these rows; None is all.
        patch_source: The run that is patched from, or whose mean is taken.
        vector: d_model numbers, in units of the residual stream.

    Raises:
        InputError: an unknown `how`, a vector that is missing, needless or not finite.

    >>> NodeCut("perturb", rows=(12,), positions=(1,), vector=(0.5, -0.5)).vector
    (0.5, -0.5)
    """

    how: str
    rows: Places
    positions: Places | None = None
    patch_source: PatchSource | None = None
    vector: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("rows", "positions"):
            object.__setattr__(self, name, _places(name, getattr(self, name)))
        _one_of("how", self.how, NODE_HOWS)
        if self.how != "mean":
            _refuse_source(self.how, self.patch_source)
        if (self.how == "perturb") != (self.vector is not None):
            needs = "needs the vector" if self.vector is None else "adds no vector"
            raise InputError(f"how={self.how!r}: it {needs}")
        if self.vector is not None:
            object.__setattr__(self, "vector", _numbers("vector", self.vector))
            if not all(map(isfinite, self.vector)):
                raise InputError("vector: accepted are finite numbers")

    @classmethod
    def parse(
        cls, text: str, how: str, *, size: GraphSize, label: str = "node", **options: Any
    ) -> NodeCut:
        """The nodes of ROW,POS: one row, and a span of positions or * for all.

        Args:
            text: Where the nodes are.
            how: "zero", "mean" or "patch".
            size: The graph that the positions must lie in; rows are checked by the run.
            label: What the text is called where it is refused.
            options: `patch_source`.

        Raises:
            InputError: another form, positions outside the text, what the class refuses.

        >>> NodeCut.parse("12,0-1", "zero", size=GraphSize((9,) * 30, 14)).positions
        (0, 1)
        """
        row, positions = _parts_of(NODE_PATTERN, text, label, NODE_FORM)
        at = _span_of(positions, size.n_pos, f"{label} position")
        return cls(how, (int(row),), at, **options)

    def json(self) -> dict[str, Any]:
        """As plain numbers and words, which `intervention_of` reads."""
        return _edit_json(self)

    @property
    def places(self) -> tuple[str, ...]:
        """The nodes as ROW,POS, one text for each row, which `parse` reads."""
        return tuple(f"{row},{_span_text(self.positions)}" for row in self.rows)

    def __str__(self) -> str:
        return f"{self.how} {' '.join(self.places)}"


Intervention = EdgeCut | NodeCut
"""What may be changed in a run: K/V edges severed or patched, or nodes overwritten."""


@dataclass(frozen=True)
class HopBudget:
    """Information makes at most so many hops.

    Attributes:
        hops: The most hops.
        sink: Whether reads of column 0 are "counted" as hops or "free".
        layers: Blocks whose reads count as hops (None: all); those in the others are free.
    """

    hops: int
    sink: str = "counted"
    layers: Places | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", _places("layers", self.layers))
        object.__setattr__(self, "hops", whole_number("hops", self.hops))
        _one_of("sink", self.sink, SINKS)


def intervention_of(edit_json: dict[str, Any]) -> Intervention:
    """The intervention that `json` wrote.

    Raises KeyError or TypeError for what it did not write; InputError as the class does.

    >>> intervention_of(EdgeCut("mask", src=(1,)).json()).src
    (1,)
    """
    kinds = {"EdgeCut": EdgeCut, "NodeCut": NodeCut}
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in edit_json.items()
        if name not in ("kind", "patch_source")
    }
    source = edit_json["patch_source"]
    if source is not None:
        edits = frozenset(map(intervention_of, source.get("edits", ())))
        source = PatchSource(tuple(source["ids"]), tuple(source["at"]), edits)
    return kinds[edit_json["kind"]](**values, patch_source=source)


def interventions_json(edits: Iterable[Intervention]) -> list[dict[str, Any]]:
    """Interventions in an order of their own, patch sources with theirs."""
    return sorted((edit.json() for edit in edits), key=repr)


def _edit_json(edit: Intervention) -> dict[str, Any]:
    record = {"kind": type(edit).__name__} | {
        field.name: getattr(edit, field.name) for field in fields(edit)
    }
    if edit.patch_source is not None:
        source = edit.patch_source
        of = {"edits": interventions_json(source.edits)} if source.edits else {}
        record["patch_source"] = {"ids": source.ids, "at": source.at} | of
    return record


def refuse_no_place(text: str, label: str) -> None:
    """Raise InputError for a text that names neither edges nor nodes, whatever the graph.

    >>> refuse_no_place("20-29.*:1>13", "edge")
    """
    is_node = label.endswith("node")
    pattern, form = (NODE_PATTERN, NODE_FORM) if is_node else (EDGE_PATTERN, EDGE_FORM)
    spans = _parts_of(pattern, text, label, form)
    if is_node:
        names = (f"{label} row", f"{label} position")
    else:
        names = [f"{label} {text[:60]}: {kind}" for kind in ("layer", "head", *["position"] * 2)]
    for span, name in zip(spans, names, strict=True):
        if span.strip() != EVERY:
            refuse_no_numbers(span, name)


def edge_place(layer: int, head: int, src: int, dst: int) -> str:
    """One edge as it is written.

    >>> edge_place(23, 0, 1, 13)
    '23.0:1>13'
    """
    return f"{layer}.{head}:{src}>{dst}"


def longer_than(length: int, n_pos: int, first: int = 0) -> frozenset[EdgeCut]:
    """Cuts, by mask, of every hop longer than `length`: a window over what attention may read.

    Positions before `first` stay readable from anywhere.

    Raises InputError for a length below 0.

    >>> len(longer_than(2, 5))
    2
    """
    length = whole_number("longest hop", length)
    return frozenset(
        EdgeCut("mask", src=tuple(range(first, dst - length)), dst=(dst,))
        for dst in range(length + first + 1, n_pos)
    )


def edits_of(edits: object) -> frozenset[Intervention]:
    """Cuts as a set; a single one stands for a set of one.

    Raises InputError for what is no cut, and no listing of cuts.

    >>> len(edits_of(EdgeCut("mask"))), len(edits_of([]))
    (1, 0)
    """
    edit_list = (edits,) if isinstance(edits, (EdgeCut, NodeCut)) else edits
    if isinstance(edit_list, (str, bytes)) or not isinstance(edit_list, Iterable):
        raise InputError(f"edits of type {type(edits).__name__}: accepted are {_EDITS}")
    cuts = tuple(edit_list)
    for edit in cuts:
        if not isinstance(edit, (EdgeCut, NodeCut)):
            raise InputError(f"an edit of type {type(edit).__name__}: accepted are {_EDITS}")
    return frozenset(cuts)


_EDITS = "EdgeCut and NodeCut values, one or several"


def refuse_conflicts(edits: Iterable[Intervention], n_pos: int) -> None:
    """Raise InputError where an edit lies outside the text, or two overwrite one thing unlike."""
    edges = [edit for edit in edits if isinstance(edit, EdgeCut)]
    nodes = [edit for edit in edits if isinstance(edit, NodeCut)]
    for edit in (*edges, *nodes):
        spans = (edit.src, edit.dst) if isinstance(edit, EdgeCut) else (edit.positions,)
        for span in spans:
            if span and max(span) >= n_pos:
                raise InputError(
                    f"position {max(span)}: the text has {n_pos} tokens, 0 to {n_pos - 1}"
                )
        at = None if edit.patch_source is None or edit.how == "mean" else edit.patch_source.at
        if at is not None and len(at) != n_pos:
            raise InputError(f"a patch aligned for {len(at)} positions, where the text has {n_pos}")
        if at is not None and (lacking := _lacking(edit, at, n_pos)) is not None:
            raise InputError(
                f"position {lacking} has no counterpart in the text that is patched in; "
                "accepted are texts of one length, or an alignment that covers it"
            )
    single: dict[tuple[int, ...], EdgeCut] = {}
    wide = []
    for edit in edges if len({_way(edge) for edge in edges}) > 1 else ():
        place = _single(edit)
        if place is None:
            wide.append(edit)
            continue
        earlier_edit = single.setdefault(place, edit)
        if earlier_edit != edit:
            raise _conflict(earlier_edit, edit, f"edge {edge_place(*place)}")
    for first_edit, second_edit in combinations(wide, 2):
        _refuse_overlap(first_edit, second_edit, n_pos)
    for first_edit in wide:
        for second_edit in single.values():
            _refuse_overlap(first_edit, second_edit, n_pos)
    for first_edit, second_edit in combinations(nodes, 2):
        rows = _common(first_edit.rows, second_edit.rows)
        at = _common(first_edit.positions, second_edit.positions)
        if rows != () and at != () and _way(first_edit) != _way(second_edit):
            where = f"row {rows[0] if rows else 0}, position {at[0] if at else 0}"
            raise _conflict(first_edit, second_edit, f"node at {where}")


def _refuse_overlap(first_edit: EdgeCut, second_edit: EdgeCut, n_pos: int) -> None:
    if _way(first_edit) == _way(second_edit):
        return
    layers, heads = (
        _common(first_edit.layers, second_edit.layers),
        _common(first_edit.heads, second_edit.heads),
    )
    if layers == () or heads == ():
        return
    if common := sorted(set(first_edit.pairs(n_pos)) & set(second_edit.pairs(n_pos))):
        src, dst = common[0]
        place = layers[0] if layers else 0, heads[0] if heads else 0, src, dst
        raise _conflict(first_edit, second_edit, f"edge {edge_place(*place)}")


def _conflict(first_edit: Any, second_edit: Any, place: str) -> InputError:
    alike = first_edit.how == second_edit.how
    words = f"two ways of {first_edit.how}" if alike else f"{first_edit.how} and {second_edit.how}"
    return InputError(f"{place}: {words}; a plan changes one thing in one way")


def _way(edit: Intervention) -> tuple[Any, ...]:
    parts, vector = getattr(edit, "parts", None), getattr(edit, "vector", None)
    return edit.how, parts, edit.patch_source, vector


def _lacking(edit: Intervention, at: Sequence[int | None], n_pos: int) -> int | None:
    if isinstance(edit, NodeCut):
        used = range(n_pos) if edit.positions is None else edit.positions
    else:
        end = 1 if edit.parts == "q" else 0
        used = sorted({pair[end] for pair in edit.pairs(n_pos)})
    return next((pos for pos in used if at[pos] is None), None)


def _single(edit: EdgeCut) -> tuple[int, int, int, int] | None:
    spans = (edit.layers, edit.heads, edit.src, edit.dst)
    if any(span is None or len(span) != 1 for span in spans):
        return None
    layer, head, src, dst = (span[0] for span in spans if span is not None)
    return layer, head, src, dst


def _common(first_places: Places | None, second_places: Places | None) -> Places | None:
    if first_places is None or second_places is None:
        return second_places if first_places is None else first_places
    return tuple(sorted(set(first_places) & set(second_places)))


def _places(name: str, value: Any) -> Places | None:
    if value is None:
        return None
    places = tuple(sorted(set(whole_numbers(name, value))))
    if not places:
        raise InputError(f"{name}: it is empty; give at least one number, or None for all")
    return places


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    try:
        if isinstance(values, (str, bytes)) or any(isinstance(item, str) for item in values):
            raise TypeError
        return tuple(float(item) for item in values)
    except (TypeError, ValueError):
        raise InputError(f"{name} of type {type(values).__name__}: accepted are numbers") from None


def _parts_of(pattern: str, text: str, label: str, form: str) -> tuple[str, ...]:
    match = re.fullmatch(pattern, text)
    if match is None:
        raise InputError(f"{label} {text[:60]}: {form}")
    return match.groups()


def _span_of(span_text: str, n: int, label: str) -> Places | None:
    return None if span_text.strip() == EVERY else number_span(span_text, n, label)


def _span_text(places: Places | None) -> str:
    return EVERY if places is None else ranges_text(places)


def _one_of(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise InputError(f"{name}={value!r}: accepted are {', '.join(choices)}")


def _refuse_source(how: str, source: PatchSource | None) -> None:
    if (how == "patch") != (source is not None):
        needs = "needs the text that is patched in" if source is None else "takes no other text"
        raise InputError(f"how={how!r}: it {needs}")
