"""``worldline cut``: what the model says when flows are severed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worldline.apps.cli import options
from worldline.apps.cli.altered_pictures import (
    WIDTH,
    load_and_tokenize,
    write_numbers,
    write_picture,
)
from worldline.apps.cli.output_files import read_written, refuse_unwritable
from worldline.errors import InputError
from worldline.tokens import WrittenText

if TYPE_CHECKING:
    from worldline import CutResult
    from worldline.interventions import SourceEffects


def cut(
    text: Annotated[str | None, typer.Argument(help="The text; - reads standard input.")] = None,
    file: options.File = None,
    keep_newline: options.KeepNewline = False,
    edge: Annotated[
        list[str] | None,
        typer.Option(
            help="K/V edges, LAYERS.HEADS:SRC>DST such as 23.0:1>13, * for all; may be repeated."
        ),
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
    parts: Annotated[str, typer.Option(help="kv, k, v or q: what a patch takes over.")] = "kv",
    patch_from: Annotated[
        str | None, typer.Option(help="The text whose K and V (or nodes) are patched in.")
    ] = None,
    patch_file: Annotated[
        Path | None, typer.Option(help="Read the text that is patched in from this file.")
    ] = None,
    align: Annotated[
        str | None, typer.Option(help="left, right or words: for a patch of another length.")
    ] = None,
    own: Annotated[bool, typer.Option("--own", help="Cut self-attention too.")] = False,
    node: Annotated[
        list[str] | None, typer.Option(help="A residual node, ROW,POS; may be repeated.")
    ] = None,
    node_how: Annotated[
        str | None, typer.Option(help="zero, mean or patch: what a node is overwritten with.")
    ] = None,
    each: Annotated[
        bool,
        typer.Option(
            "--each", help="What the answer loses without all reads of each token: mask or zero."
        ),
    ] = False,
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
    input_text = read_written(text, file, keep_newline=keep_newline)
    refuse_unwritable(json, out, reads=[file, patch_file], models=[model])
    options.refuse_unknown(device=device, dtype=dtype)
    options.refuse_target(target, None if each else versus)  # --each takes no --versus at all
    patch = None
    if patch_file is not None:
        patch = read_written(patch_from, patch_file, keep_newline=keep_newline)
    elif patch_from is not None:
        patch = WrittenText.of_no_file(patch_from, keep_newline=keep_newline)
    patch_from = None if patch is None else patch.text
    from worldline.interventions import (
        refuse_unreadable,
        refuse_unsaid,
        refuse_unused,
        written_cuts,
    )
    from worldline.views import cut_recipe, recipe_on, sources_recipe

    spans = from_ is not None or to is not None
    if each:
        beside = (edge, node, spans, versus, node_how, layers, heads, patch_from, align, own)
        _refuse_beside_each(any(beside) or parts != "kv", how)
    else:
        refuse_unsaid(edge or [], spans, how, node or [], node_how)
        refuse_unused(
            how, node_how, spans=spans, edges=bool(edge), nodes=bool(node), layers=layers,
            heads=heads, parts=parts, patch_from=patch_from, align=align, include_self=own,
        )  # fmt: skip
        refuse_unreadable(
            input_text.text, edges=edge or [], nodes=node or [], from_=from_, to=to, layers=layers,
            heads=heads,
        )  # fmt: skip
    with load_and_tokenize(input_text.text, model, device, dtype, threads) as (
        loaded_model,
        tokens,
        say,
    ):
        run = recipe_on(loaded_model, input_text, threads=threads)
        if each:
            from worldline.interventions import cut_sources

            source_effects = cut_sources(
                loaded_model, tokens, how=how or "", target=target, progress=say
            )
            recipe = sources_recipe(run, source_effects.how, target, len(tokens))
            write_numbers(
                _source_lines(source_effects), source_effects.json(), loaded_model, recipe, json
            )
            write_picture(
                out, loaded_model, recipe, input_text, say, json, sources=source_effects.scene()
            )
            return
        from worldline import cut as cut_text
        from worldline.interventions import cut_scene

        cut_fields = {
            "edges": edge or [], "from_": from_, "to": to, "layers": layers, "heads": heads,
            "how": how, "parts": parts, "patch_from": patch_from, "align": align, "own": own,
            "nodes": node or [], "node_how": node_how,
        }  # fmt: skip
        edits = written_cuts(loaded_model, tokens, **cut_fields)
        say("running with and without the cut")
        cut_result = cut_text(loaded_model, tokens, edits, target=target, versus=versus)
        recipe = cut_recipe(
            run, edits, cut_fields=cut_fields, target=target, versus=versus, patch=patch
        )
        write_numbers(_lines(cut_result), cut_result.json(), loaded_model, recipe, json)
        write_picture(out, loaded_model, recipe, input_text, say, json, cut=cut_scene(cut_result))


def _refuse_beside_each(more: bool, how: str | None) -> None:
    if more:
        raise InputError(
            "--each: cuts every token in turn, in all layers and heads; accepted beside it are "
            "--how and --target"
        )
    if how not in ("mask", "zero"):
        how_words = "no --how" if how is None else f"--how {how}"
        raise InputError(f"--each with {how_words}: accepted are mask, zero")


def _source_lines(source_effects: SourceEffects) -> list[str]:
    from worldline.views import SceneSources, sources_lines, split_note, token_labels

    part = SceneSources.model_validate(source_effects.scene())
    lines = sources_lines(part, token_labels(source_effects.tokens), WIDTH)
    return [*lines, *split_note(source_effects.tokens.groups)]


def _lines(cut_result: CutResult) -> list[str]:
    from worldline.interventions import cut_scene
    from worldline.views import SceneCut, cut_lines

    return cut_lines(SceneCut.model_validate(cut_scene(cut_result)), WIDTH)
