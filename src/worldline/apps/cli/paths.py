"""``worldline paths``: what arrives by how many hops, from where, and along which paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from worldline.apps.cli import options
from worldline.apps.cli.altered_pictures import WIDTH, load_and_tokenize, write_numbers
from worldline.apps.cli.output_files import read_written, refuse_unwritable
from worldline.errors import InputError

if TYPE_CHECKING:
    from worldline import PathSummary, Tokens

METHODS = ("frozen", "contribution")
N_DRAWN = 100


def paths(
    text: Annotated[str | None, typer.Argument(help="The text; - reads standard input.")] = None,
    file: options.File = None,
    keep_newline: options.KeepNewline = False,
    model: options.Model = None,
    target: options.Target = None,
    versus: options.Versus = None,
    by: options.By = None,
    top: Annotated[int, typer.Option(max=options.MOST, help="How many paths to show.")] = 10,
    draws: Annotated[
        int | None,
        typer.Option(
            max=options.MOST,
            help="Paths drawn at random for the agreement of single ones, by frozen; 0: none "
            f"(default: {N_DRAWN}).",
        ),
    ] = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    json: options.Json = None,
) -> None:
    """Sum over all paths into the last token: by hops, by source, and the strong ones.

    Attributed by frozen (to a target) unless --by contribution (no target) is asked for.
    """
    input_text = read_written(text, file, keep_newline=keep_newline)
    refuse_unwritable(json, reads=[file], models=[model])
    options.refuse_unknown(device=device, dtype=dtype)
    by = by or METHODS[0]
    if by not in METHODS:
        accepted_methods = ", ".join(METHODS)
        raise InputError(f"--by {by}: the edges of paths are attributed by {accepted_methods}")
    if top < 1:
        raise InputError(f"--top {top}: accepted are whole numbers from 1")
    if by == "contribution" and draws is not None:
        raise InputError(
            f"--draws {draws}: by contribution nothing is drawn; accepted is --by frozen"
        )
    draws = N_DRAWN if draws is None else draws
    if draws < 0:
        raise InputError(f"--draws {draws}: accepted are whole numbers from 0")
    options.refuse_target(target, versus)
    if by == "contribution" and target is not None:
        raise InputError(
            "--by contribution: asks about no target; leave --target out or use --by frozen"
        )
    from worldline import summarize_paths
    from worldline.views import paths_recipe, recipe_on

    with load_and_tokenize(input_text.text, model, device, dtype, threads) as (
        loaded_model,
        tokens,
        say,
    ):
        paths_summary = summarize_paths(
            input_text.text,
            loaded_model,
            by=by,
            target=target,
            versus=versus,
            k=top,
            n_drawn=draws,
            progress=say,
        )
        recipe = paths_recipe(
            recipe_on(loaded_model, input_text, threads=threads), by=by,
            target=target, versus=versus, k=top, n_drawn=draws,
        )  # fmt: skip
        write_numbers(
            lines(paths_summary, tokens), paths_summary.json(), loaded_model, recipe, json
        )


def lines(paths_summary: PathSummary, tokens: Tokens) -> list[str]:
    """The numbers as text."""
    from worldline.views import paths_shown, spectrum_lines, split_note, token_labels

    lines = spectrum_lines(
        paths_shown(paths_summary), token_labels(tokens), WIDTH, len(paths_summary.paths)
    )
    return [*lines, *split_note(tokens.groups)]
