"""``worldline paths``: what arrives by how many hops, from where, and along which paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from worldline.apps.cli import options
from worldline.apps.cli.out import read_text, refuse_unwritable, write_json
from worldline.apps.cli.progress import elapsed_line
from worldline.apps.cli.streams import console
from worldline.errors import InputError

if TYPE_CHECKING:
    from worldline.flow.summary import PathsSeen

WIDTH = 100
WEIGHINGS = ("frozen", "share")


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
        int,
        typer.Option(
            max=options.MOST,
            help="Paths drawn at random for the agreement of single ones; 0: none.",
        ),
    ] = 100,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    json: options.Json = None,
) -> None:
    """Sum over all paths into the last token: by hops, by source, and the strong ones.

    Weighed by frozen (to a target) unless --by share (no target) is asked for.
    """
    given = read_text(text, file, keep_newline=keep_newline)
    refuse_unwritable(json, reads=[file], models=[model])
    options.refuse_unknown(device=device, dtype=dtype)
    by = by or WEIGHINGS[0]
    if by not in WEIGHINGS:
        accepted = ", ".join(WEIGHINGS)
        raise InputError(f"--by {by}: the edges of paths are weighed by {accepted}")
    if top < 1:
        raise InputError(f"--top {top}: accepted are whole numbers from 1")
    if draws < 0:
        raise InputError(f"--draws {draws}: accepted are whole numbers from 0")
    options.refuse_target(target, versus)
    if by == "share" and target is not None:
        raise InputError("--by share: asks about no target; leave --target out or use --by frozen")
    from worldline.flow.summary import see_paths

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    with elapsed_line(console(stderr=True)) as say:
        seen = see_paths(
            given, model, by=by, target=target, versus=versus, k=top, n_drawn=draws,
            device=device, dtype=dtype, progress=say,
        )  # fmt: skip
    if json != "-":
        typer.echo(shown(seen))
    if json is not None:
        write_json(json, seen.json())


def shown(seen: PathsSeen) -> str:
    """The numbers as text."""
    from worldline.views.labels import visible_text
    from worldline.views.picture import paths_shown
    from worldline.views.spectrum import spectrum_lines

    labels = [visible_text(piece) for piece in seen.tokens]
    return "\n".join(spectrum_lines(paths_shown(seen), labels, WIDTH, len(seen.paths)))
