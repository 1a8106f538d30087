"""``worldline trace``: where the next token came from."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from worldline.apps.cli import options
from worldline.apps.cli.output_files import (
    make_folder,
    read_written,
    refuse_unwritable,
    write_bytes,
    write_json,
    write_text,
)
from worldline.apps.cli.progress import elapsed_line
from worldline.apps.cli.streams import console, wants_color
from worldline.atomic_file import written_directly
from worldline.errors import InputError

NARROW, WIDE = 40, 160
GRADIENT_HOW = ("zero", "mask")


def trace(
    text: Annotated[str | None, typer.Argument(help="The text; - reads standard input.")] = None,
    file: options.File = None,
    keep_newline: options.KeepNewline = False,
    model: options.Model = None,
    target: options.Target = None,
    versus: options.Versus = None,
    by: options.By = None,
    how: Annotated[
        str | None,
        typer.Option(help="zero or mask: the cut that a gradient stands for (default: zero)."),
    ] = None,
    chat: Annotated[
        bool, typer.Option("--chat", help="Set the text as a user's turn of a chat.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare this very run with a plain one.")
    ] = False,
    paths: Annotated[
        bool | None,
        typer.Option(
            "--paths/--no-paths", help="Sum and follow whole paths (default: up to 32 tokens)."
        ),
    ] = None,
    top: Annotated[
        int, typer.Option("--edges", min=0, help="Edges to list, the strongest of all.")
    ] = 2000,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    seed: options.Seed = None,
    threads: options.Threads = None,
    out: options.Out = None,
    export: options.Export = None,
    json: options.Json = None,
    save: Annotated[
        Path | None, typer.Option(help=f"Save the trace as safetensors; {options.FOLDERS}.")
    ] = None,
) -> None:
    """Record one run, attribute every K/V edge, and show where the next token came from."""
    from worldline.views import ending_of, export_bytes

    input_text = read_written(text, file, keep_newline=keep_newline)
    forms = [(place, ending_of(place)) for place in export or ()]
    refuse_unwritable(out, save, json, *(export or ()), reads=[file], models=[model])
    options.refuse_unknown(device=device, dtype=dtype, by=by)
    options.refuse_target(target, versus)
    if by == "contribution" and how is not None:
        raise InputError(f"--how {how}: --by contribution cuts nothing; leave --how out")
    how = "zero" if how is None else how
    if how not in GRADIENT_HOW:
        raise InputError(f"--how {how}: accepted are {', '.join(GRADIENT_HOW)}")
    if by == "frozen" and how != "zero":
        raise InputError(f"--how {how}: --by frozen holds the patterns; accepted is zero")
    if by == "contribution" and target is not None:
        raise InputError(
            "--by contribution asks about no target; leave --target out or use --by gradient"
        )
    from worldline import load_model, save_trace
    from worldline.session import observe_written
    from worldline.tokens import STRIPPED

    _set_up(threads, seed)
    with elapsed_line(console(stderr=True)) as say:
        loaded = load_model(model, device=device, dtype=dtype, progress=say)
        observation = observe_written(
            input_text, loaded, by=by, target=target, versus=versus, how=how, chat=chat,
            verify=verify,
            seed=seed, top=top, paths=paths, threads=threads, progress=say,
        )  # fmt: skip
    if STRIPPED in observation.scene.left_out:
        typer.echo(f"left out: {STRIPPED}", err=True)
    if json != "-":
        width = min(WIDE, max(NARROW, shutil.get_terminal_size((100, 24)).columns))
        typer.echo(observation.show(width, color=wants_color(sys.stdout)))
    if json is not None:
        write_json(json, observation.json())
    if save is not None:
        make_folder(save)
        saved = save_trace(observation.trace, save)
        if not written_directly(saved):
            typer.echo(f"saved {saved.stat().st_size:,} bytes to {save}", err=True)
    if out is not None:
        typer.echo(str(write_text(out, observation.html())), err=json == "-")
    for place, ending in forms:
        written_path = write_bytes(place, export_bytes(observation.scene, ending))
        typer.echo(str(written_path), err=json == "-")


def _set_up(threads: int | None, seed: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    if seed is not None:
        torch.manual_seed(seed)
