"""Cuts as a person writes them: in the command line, in an address, in a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from worldline.errors import InputError
from worldline.graph.edits import EdgeCut, NodeCut
from worldline.interventions.cut import Edit, patch_source_of
from worldline.models.validation import checked_report
from worldline.runs.forward_passes import layer_heads
from worldline.tokens.spans import (
    MORE_THAN_ANY,
    number_span,
    positions_of,
    refuse_no_numbers,
    refuse_unwritten,
)

if TYPE_CHECKING:
    from worldline.graph.edits import PatchSource
    from worldline.models.loader import LoadedModel
    from worldline.tokens.tokens import Tokens

EVERY = "*"
ACCEPTED = "accepted is LAYERS.HEADS:SRC>DST, such as 23.0:1>13, 20-29.*:1>13 or *.*:1>* (all)"


def written_cuts(
    model: LoadedModel,
    tokens: Tokens,
    *,
    edges: Sequence[str] = (),
    from_: str | None = None,
    to: str | None = None,
    layers: str | None = None,
    heads: str | None = None,
    how: str | None = None,
    parts: str = "kv",
    patch_from: str | None = None,
    align: str | None = None,
    own: bool = False,
    nodes: Sequence[str] = (),
    node_how: str | None = None,
) -> list[Edit]:
    """The edits that were written: `edges` one by one, one span from-to, `nodes` as ROW,POS.

    Raises:
        InputError: nothing to cut, no `how`, a place that is not there, a patch from nothing.
    """
    spans = from_ is not None or to is not None
    refuse_unsaid(edges, spans, how, nodes, node_how)
    refuse_unused(
        how, node_how, spans=spans, edges=bool(edges), nodes=bool(nodes), layers=layers,
        heads=heads, parts=parts, patch_from=patch_from, align=align, include_self=own,
    )  # fmt: skip
    cuts: list[Edit] = []
    if edges or spans:
        assert how is not None
        if how == "patch" and patch_from is None:
            raise InputError("--how patch: needs --patch-from, the text whose K and V are taken")
        patch_source = None
        if how == "patch" and patch_from is not None:
            patch_source = patch_source_of(model, tokens, patch_from, align)
        shared_options = {"parts": parts, "own": own, "patch_source": patch_source}
        cuts += [
            EdgeCut(how, *_edge(model, tokens, edge_text), **shared_options) for edge_text in edges
        ]
        if spans:
            src = positions_of(tokens, from_ or "all", "--from")
            dst = positions_of(tokens, to or "all", "--to")
            where = _layers(model, layers, "--layers")
            which = _heads(model, where, heads, "--heads")
            cuts.append(EdgeCut(how, src, dst, where, which, **shared_options))
    return cuts + _node_cuts(model, tokens, nodes, node_how, patch_from, align)


def refuse_unsaid(
    edges: Sequence[str], spans: bool, how: str | None, nodes: Sequence[str], node_how: str | None
) -> None:
    """Raise InputError where nothing is cut, or the way is not named: none is a default."""
    if not edges and not spans and not nodes:
        raise InputError("a cut: name --edge, --from and --to, or --node")
    if (edges or spans) and how is None:
        raise InputError("--how: name mask, zero or patch; they can disagree widely")
    if nodes and node_how is None:
        raise InputError("--node-how: name zero, mean or patch")


def refuse_unused(
    how: str | None,
    node_how: str | None,
    *,
    spans: bool,
    edges: bool,
    nodes: bool,
    layers: str | None,
    heads: str | None,
    parts: str,
    patch_from: str | None,
    align: str | None,
    include_self: bool,
) -> None:
    """Raise InputError for what was said and would change nothing: it was meant to."""
    ways = " and ".join(f"{n} {v}" for n, v in (("--how", how), ("--node-how", node_how)) if v)
    if patch_from is not None and how != "patch" and node_how not in ("patch", "mean"):
        raise InputError(
            f"--patch-from: {ways} takes no other text; accepted are --how patch, --node-how "
            "patch and --node-how mean"
        )
    if align is not None and patch_from is None:
        raise InputError("--align: needs --patch-from, the text that is aligned with this one")
    for name, value in (("--layers", layers), ("--heads", heads)):
        if value is not None and not spans:
            raise InputError(f"{name}: goes with --from and --to; an --edge names its own")
    if not (edges or spans):
        for name, is_given in (
            ("--own", include_self),
            ("--parts", parts != "kv"),
            ("--how", how is not None),
        ):
            if is_given:
                raise InputError(f"{name}: is about edges; name --edge, or --from and --to")
    if node_how is not None and not nodes:
        raise InputError(f"--node-how {node_how}: name the --node")


def _edge(model: LoadedModel, tokens: Tokens, edge_text: str) -> tuple[Any, Any, Any, Any]:
    """(src, dst, layers, heads) of LAYERS.HEADS:SRC>DST; None is all."""
    layers, heads, src, dst = _edge_parts(edge_text)
    label = f"--edge {edge_text}: position"
    src, dst = (_span(end_text, len(tokens), label) for end_text in (src, dst))
    layers = None if layers.strip() == EVERY else layers
    heads = None if heads.strip() == EVERY else heads
    where = _layers(model, layers, f"--edge {edge_text}: layer")
    return src, dst, where, _heads(model, where, heads, f"--edge {edge_text}: head")


def _edge_parts(given: str) -> tuple[str, str, str, str]:
    """(layers, heads, src, dst) as they are written."""
    where, colon, ends = given.partition(":")
    layers, dot, heads = where.partition(".")
    src, arrow, dst = ends.partition(">")
    if not (colon and dot and arrow):
        raise InputError(f"--edge {given}: {ACCEPTED}")
    return layers, heads, src, dst


def _node_parts(given: str) -> tuple[int, str]:
    """(row, positions) as they are written."""
    row, comma, pos = given.partition(",")
    if not comma or not row.strip().isdecimal():
        raise InputError(f"--node {given}: accepted is ROW,POS, such as 12,3")
    return int(row), pos


def refuse_unreadable(
    text: str,
    *,
    edges: Sequence[str],
    nodes: Sequence[str],
    from_: str | None,
    to: str | None,
    layers: str | None,
    heads: str | None,
) -> None:
    """Raise InputError for places that no model and no tokens of `text` could have.

    What these have is asked in `own`; this needs neither, and goes before loading.
    """
    for edge in edges:
        for part, name in zip(_edge_parts(edge), ("layer", "head", *["position"] * 2), strict=True):
            _span(part, MORE_THAN_ANY, f"--edge {edge}: {name}")
    for node in nodes:
        refuse_no_numbers(_node_parts(node)[1], "--node position")
    refuse_no_numbers(layers, "--layers")
    refuse_no_numbers(heads, "--heads")
    refuse_unwritten(text, from_, "--from")
    refuse_unwritten(text, to, "--to")


def _span(span_text: str, n: int, label: str) -> tuple[int, ...] | None:
    return None if span_text.strip() == EVERY else number_span(span_text, n, label)


def _layers(model: LoadedModel, span_text: str | None, label: str) -> tuple[int, ...] | None:
    if span_text is None:
        return None
    return number_span(span_text, checked_report(model).n_layers, label)


def _heads(
    model: LoadedModel, layers: Sequence[int] | None, span_text: str | None, label: str
) -> tuple[int, ...] | None:
    """Heads that one of the layers has; the run refuses those that another of them lacks."""
    if span_text is None:
        return None
    n_heads = layer_heads(model)
    most = max(n_heads[layer] for layer in layers or range(len(n_heads)))
    return number_span(span_text, most or max(n_heads), label)


def _node_cuts(
    model: LoadedModel,
    tokens: Tokens,
    nodes: Sequence[str],
    how: str | None,
    patch_from: str | None,
    align: str | None,
) -> list[Edit]:
    patch_source: PatchSource | None = None
    if nodes and patch_from is not None and how in ("mean", "patch"):
        patch_source = patch_source_of(
            model, tokens, patch_from, align or ("left" if how == "mean" else None)
        )
    if nodes and how == "patch" and patch_source is None:
        raise InputError("--node-how patch: needs --patch-from, the text whose nodes are taken")
    cuts: list[Edit] = []
    for node_text in nodes:
        row, pos = _node_parts(node_text)
        at = number_span(pos, len(tokens), "--node position")
        assert how is not None
        cuts.append(NodeCut(how, (row,), at, patch_source))
    return cuts
