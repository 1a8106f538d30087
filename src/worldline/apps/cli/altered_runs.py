"""``worldline cut``, ``hops``, ``cone`` and ``orders``: runs that never happened."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worldline.apps.cli.output_files import read_written, write_text
from worldline.apps.cli.run_options import WIDTH, ModelOptions, PictureOptions
from worldline.apps.cli.streams import wants_color
from worldline.errors import InputError
from worldline.foreign_json import read_json_file
from worldline.requests import (
    AlteredRequest,
    ConeRequest,
    CutRequest,
    HopsRequest,
    OrdersRequest,
)
from worldline.tokens import WrittenText

PatchFrom = Annotated[
    str | None, typer.Option(help=CutRequest.model_fields["patch_from"].description)
]

if TYPE_CHECKING:
    from worldline import Order, Tokens
    from worldline.service.altered_run import AlteredRun


def cut(
    make_request: Callable[..., CutRequest],
    options: ModelOptions,
    picture: PictureOptions,
    patch_from: PatchFrom = None,
    patch_file: Annotated[
        Path | None, typer.Option(help="Read the text that is patched in from this file.")
    ] = None,
) -> None:
    """Run with and without a cut, or with each token cut in turn."""
    patch = None
    if patch_file is not None:
        patch = read_written(patch_from, patch_file, keep_newline=options.keep_newline)
    elif patch_from is not None:
        patch = WrittenText.of_no_file(patch_from, keep_newline=options.keep_newline)
    request = make_request(patch_from=None if patch is None else patch.text)
    input_text = options.written(picture.out, reads=[patch_file])
    request.refuse_unwritten(input_text.text)
    _run(request, options, picture, input_text, patch=patch)


def hops(request: HopsRequest, options: ModelOptions, picture: PictureOptions) -> None:
    """Run under every budget of hops."""
    _run(request, options, picture, options.written(picture.out))


def cone(request: ConeRequest, options: ModelOptions, picture: PictureOptions) -> None:
    """Run with one node perturbed."""
    _run(request, options, picture, options.written(picture.out))


def orders(
    request: OrdersRequest,
    options: ModelOptions,
    picture: PictureOptions,
    slices: Annotated[
        Path | None,
        typer.Option(help="Read an order of your own: JSON, a list of lists of [layer, column]."),
    ] = None,
) -> None:
    """Run in other orders of execution."""
    input_text = options.written(picture.out, reads=[slices])
    own_order = None if slices is None else (str(slices), _read_order(slices))
    _run(request, options, picture, input_text, slices=own_order)


def _run(
    request: AlteredRequest,
    options: ModelOptions,
    picture: PictureOptions,
    input_text: WrittenText,
    **files: Any,
) -> None:
    """Load, run, and show what came of it: lines, JSON, a picture of the plain run beside it."""
    with options.loaded(input_text.text) as (model, tokens, say):
        from worldline.service.altered_run import run_altered
        from worldline.views import recipe_on

        run = recipe_on(model, input_text, threads=options.threads)
        altered = run_altered(model, tokens, request, run, say, **files)
        options.write_numbers(_lines(altered, tokens), altered.numbers, model, altered.recipe)
        if picture.out is None:
            return
        from worldline.session import observe_written
        from worldline.views import render_html, with_altered

        observation = observe_written(
            input_text, model, paths=False, threads=options.threads, progress=say
        )
        part = altered.scene | {"reproduce": altered.recipe.reproduce_lines()}
        page = render_html(with_altered(observation.scene, **{altered.part: part}))
        typer.echo(str(write_text(picture.out, page)), err=options.json == "-")


def _lines(altered: AlteredRun, tokens: Tokens) -> list[str]:
    from worldline.views import SceneAltered, altered_lines, split_note, token_labels

    part = SceneAltered.model_validate({altered.part: altered.scene})
    lines = altered_lines(part, token_labels(tokens), WIDTH, color=wants_color(sys.stdout))
    names_tokens = altered.part in ("sources", "hops", "cone")
    notes = [*(split_note(tokens.groups) if names_tokens else []), altered.note]
    return [*lines, *filter(None, notes)]


def _read_order(place: Path) -> Order:
    from worldline import Order

    try:
        return Order.given(read_json_file(place))
    except InputError as error:
        raise InputError(f"--slices {error}") from None
