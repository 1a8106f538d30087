"""``worldline cut``: what the model says when flows are severed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worldline.apps.cli import options
from worldline.apps.cli.out import read_text, refuse_unwritable, write_json
from worldline.apps.cli.pictures import WIDTH, opened, write_picture
from worldline.errors import InputError

if TYPE_CHECKING:
    from worldline.contrast.cutting import CutSeen, Edit
    from worldline.model.load import LoadedModel
    from worldline.text.tokens import Tokens

MOST_HEADS = 4096  # where the configuration does not say; the run itself refuses others
EDGE = re.compile(r"(\d+)\.(\d+):(-?\d+)>(-?\d+)")


def cut(
    text: Annotated[str | None, typer.Argument(help="The text; - reads standard input.")] = None,
    file: options.File = None,
    edge: Annotated[
        list[str] | None, typer.Option(help="One K/V edge, LAYER.HEAD:SRC>DST; may be repeated.")
    ] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help='Tokens read: 3, 2-5, "words of it" or all.')
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", help='Tokens that read: 3, 2-5, "words of it" or all.')
    ] = None,
    layers: options.Layers = None,
    heads: Annotated[str | None, typer.Option(help="Heads, A-B or 0,3 (default: all).")] = None,
    how: options.How = None,
    parts: Annotated[str, typer.Option(help="kv, k or v: what a splice takes over.")] = "kv",
    splice_from: Annotated[
        str | None, typer.Option(help="The text whose K and V (or nodes) are spliced in.")
    ] = None,
    align: Annotated[
        str | None, typer.Option(help="left, right or words: for a splice of another length.")
    ] = None,
    own: Annotated[bool, typer.Option("--own", help="Cut self-attention too.")] = False,
    node: Annotated[
        list[str] | None, typer.Option(help="A residual node, ROW,POS; may be repeated.")
    ] = None,
    node_how: Annotated[
        str | None, typer.Option(help="zero, mean or splice: what a node is overwritten with.")
    ] = None,
    target: options.Target = None,
    versus: options.Versus = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    out: options.Out = None,
    json: options.Json = None,
) -> None:
    """Sever K/V edges or residual nodes, and show the next token before and after."""
    given = read_text(text, file)
    refuse_unwritable(json, out)
    if not edge and from_ is None and to is None and not node:
        raise InputError("a cut: name --edge, --from and --to, or --node")
    if (edge or from_ is not None or to is not None) and how is None:
        raise InputError("--how: name mask, drop or splice; they can disagree widely")
    if node and node_how is None:
        raise InputError("--node-how: name zero, mean or splice")
    if versus is not None and target is None:
        raise InputError("--versus: needs --target, the token it is compared with")
    with opened(given, model, device, dtype, threads) as (loaded, tokens, say):
        from worldline.contrast.cutting import cut as cut_text
        from worldline.contrast.cutting import cut_scene

        edits = _edge_edits(
            loaded, tokens, edge or [], from_, to, layers, heads, how, parts, splice_from, align,
            own,
        )  # fmt: skip
        edits += _node_edits(loaded, tokens, node or [], node_how, splice_from, align)
        say("running with and without the cut")
        seen = cut_text(loaded, tokens, edits, target=target, versus=versus)
        if json != "-":
            typer.echo("\n".join(_lines(seen)))
        if json is not None:
            write_json(json, seen.json())
        write_picture(out, loaded, given, say, json, cut=cut_scene(seen))


def _edge_edits(
    model: LoadedModel,
    tokens: Tokens,
    edges: list[str],
    from_: str | None,
    to: str | None,
    layers: str | None,
    heads: str | None,
    how: str | None,
    parts: str,
    splice_from: str | None,
    align: str | None,
    own: bool,
) -> list[Edit]:
    from worldline.contrast.cutting import donor_of
    from worldline.grid.cuts import EdgeCut
    from worldline.model.guard import checked
    from worldline.text.spans import number_span, positions_of

    if not edges and from_ is None and to is None:
        return []
    if how == "splice" and splice_from is None:
        raise InputError("--how splice: needs --splice-from, the text whose K and V are taken")
    donor = None
    if splice_from is not None and how == "splice":
        donor = donor_of(model, tokens, splice_from, align)
    assert how is not None
    same = {"parts": parts, "own": own, "donor": donor}
    found: list[Edit] = []
    for one in edges:
        match = EDGE.fullmatch(one.strip())
        if match is None:
            raise InputError(f"--edge {one}: accepted is LAYER.HEAD:SRC>DST, such as 23.0:1>13")
        layer, head, src, dst = match.groups()
        spans = (number_span(place, len(tokens), "--edge position") for place in (src, dst))
        low, high = spans
        found.append(EdgeCut(how, low, high, (int(layer),), (int(head),), **same))
    if from_ is not None or to is not None:
        n_layers = checked(model, model.weights_hash).n_layers
        src = positions_of(tokens, from_ or "all", "--from")
        dst = positions_of(tokens, to or "all", "--to")
        of_layers = None if layers is None else number_span(layers, n_layers, "--layers")
        of_heads = None
        if heads is not None:
            config: Any = model.module.config
            n_heads = getattr(config.get_text_config(), "num_attention_heads", None)
            of_heads = number_span(heads, n_heads or MOST_HEADS, "--heads")
        found.append(EdgeCut(how, src, dst, of_layers, of_heads, **same))
    return found


def _node_edits(
    model: LoadedModel,
    tokens: Tokens,
    nodes: list[str],
    how: str | None,
    splice_from: str | None,
    align: str | None,
) -> list[Edit]:
    from worldline.contrast.cutting import donor_of
    from worldline.grid.cuts import NodeCut
    from worldline.text.spans import number_span

    found: list[Edit] = []
    donor = None
    if nodes and splice_from is not None and how in ("mean", "splice"):
        donor = donor_of(model, tokens, splice_from, align or ("left" if how == "mean" else None))
    if nodes and how == "splice" and donor is None:
        raise InputError("--node-how splice: needs --splice-from, the text whose nodes are taken")
    for one in nodes:
        row, comma, pos = one.partition(",")
        if not comma or not row.strip().isdigit():
            raise InputError(f"--node {one}: accepted is ROW,POS, such as 12,3")
        at = number_span(pos, len(tokens), "--node position")
        assert how is not None
        found.append(NodeCut(how, (int(row),), at, donor))
    return found


def _lines(seen: CutSeen) -> list[str]:
    from worldline.contrast.cutting import cut_scene
    from worldline.views.altered import cut_lines
    from worldline.views.altered_parts import SceneCut

    return cut_lines(SceneCut.model_validate(cut_scene(seen)), WIDTH)
