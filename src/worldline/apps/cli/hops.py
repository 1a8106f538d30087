"""``worldline hops``: what the model says if information may make at most h hops."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worldline.apps.cli import options
from worldline.apps.cli.altered_pictures import (
    WIDTH,
    load_and_tokenize,
    write_numbers,
    write_picture,
)
from worldline.apps.cli.output_files import read_written, refuse_unwritable
from worldline.apps.cli.streams import wants_color
from worldline.errors import InputError

if TYPE_CHECKING:
    from worldline import HopCurve

SINKS = ("counted", "free", "both")
MAX_HOPS = 8


def hops(
    text: Annotated[str | None, typer.Argument(help="The text; - reads standard input.")] = None,
    file: options.File = None,
    keep_newline: options.KeepNewline = False,
    max_: Annotated[
        int,
        typer.Option(
            "--max", max=options.MOST, help="The largest budget; less where fewer hops can be made."
        ),
    ] = MAX_HOPS,
    sink: Annotated[
        str | None,
        typer.Option(help="Reads of column 0: counted, free or both (default: as the text asks)."),
    ] = None,
    layers: options.Layers = None,
    longest: Annotated[
        int | None,
        typer.Option(max=options.MOST, help="Forbid hops over more positions than this."),
    ] = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    out: options.Out = None,
    json: options.Json = None,
) -> None:
    """Limit how many hops information may make: the loss per budget, the hops each token needs.

    With --layers only reads in those layers count as hops.
    """
    input_text = read_written(text, file, keep_newline=keep_newline)
    refuse_unwritable(json, out, reads=[file], models=[model])
    options.refuse_unknown(device=device, dtype=dtype)
    if max_ < 0:
        raise InputError(f"--max {max_}: accepted are whole numbers from 0")
    if longest is not None and longest < 0:
        raise InputError(f"--longest {longest}: accepted are whole numbers from 0")
    if sink not in (None, *SINKS):
        raise InputError(f"--sink {sink}: accepted are {', '.join(SINKS)}")
    from worldline.tokens import refuse_no_numbers

    refuse_no_numbers(layers, "--layers")
    with load_and_tokenize(input_text.text, model, device, dtype, threads) as (
        loaded_model,
        tokens,
        say,
    ):
        from worldline.interventions import curves_scene, hop_curves
        from worldline.models import checked_report
        from worldline.tokens import number_span
        from worldline.views import hops_recipe, recipe_on

        counted_layers = None
        if layers is not None:
            n_layers = checked_report(loaded_model).n_layers
            counted_layers = number_span(layers, n_layers, "--layers")
        curves = hop_curves(
            loaded_model,
            tokens,
            sink=sink,
            max_hops=max_,
            layers=counted_layers,
            longest=longest,
            progress=say,
        )
        recipe = hops_recipe(
            recipe_on(loaded_model, input_text, threads=threads),
            [curve.sink for curve in curves], max_hops=max_, layers=counted_layers, longest=longest,
        )  # fmt: skip
        write_numbers(_lines(curves), as_json(curves), loaded_model, recipe, json)
        write_picture(out, loaded_model, recipe, input_text, say, json, hops=curves_scene(curves))


def as_json(curves: list[HopCurve]) -> dict[str, Any]:
    """The numbers: those of the first curve, and all of them where there are two."""
    curve_numbers = [curve.json() for curve in curves]
    return {"schema": "worldline.hops/1"} | curve_numbers[0] | {"curves": curve_numbers}


def _lines(curves: list[HopCurve]) -> list[str]:
    from worldline.interventions import curves_scene
    from worldline.views import SceneHops, hops_lines, split_note, token_labels

    tokens, part = curves[0].tokens, SceneHops.model_validate(curves_scene(curves))
    lines = hops_lines(part, token_labels(tokens), WIDTH, color=wants_color(sys.stdout))
    return [*lines, *split_note(tokens.groups)]
