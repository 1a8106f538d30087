"""``worldline trace``: where the next token came from."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from worldline.apps.cli.options import FOLDERS, Export
from worldline.apps.cli.output_files import make_folder, write_bytes, write_json, write_text
from worldline.apps.cli.progress import elapsed_line
from worldline.apps.cli.run_options import ModelOptions, PictureOptions
from worldline.apps.cli.streams import console, wants_color
from worldline.atomic_file import written_directly
from worldline.requests import TraceRequest

NARROW, WIDE = 40, 160


def trace(
    request: TraceRequest,
    options: ModelOptions,
    picture: PictureOptions,
    export: Export = None,
    save: Annotated[
        Path | None, typer.Option(help=f"Save the trace as safetensors; {FOLDERS}.")
    ] = None,
) -> None:
    """Record a run, attribute it, and write what was asked for."""
    from worldline.views import ending_of, export_bytes

    forms = [(place, ending_of(place)) for place in export or ()]
    input_text = options.written(picture.out, save, *(export or ()))
    from worldline import load_model, save_trace
    from worldline.session import observe_written
    from worldline.tokens import STRIPPED

    _set_up(options.threads, request.seed)
    with elapsed_line(console(stderr=True)) as say:
        model = load_model(options.model, device=options.device, dtype=options.dtype, progress=say)
        observation = observe_written(
            input_text, model, threads=options.threads, progress=say, **request.arguments()
        )
    if STRIPPED in observation.scene.left_out:
        typer.echo(f"left out: {STRIPPED}", err=True)
    if options.json != "-":
        width = min(WIDE, max(NARROW, shutil.get_terminal_size((100, 24)).columns))
        typer.echo(observation.show(width, color=wants_color(sys.stdout)))
    if options.json is not None:
        write_json(options.json, observation.json())
    if save is not None:
        make_folder(save)
        saved = save_trace(observation.trace, save)
        if not written_directly(saved):
            typer.echo(f"saved {saved.stat().st_size:,} bytes to {save}", err=True)
    if picture.out is not None:
        typer.echo(str(write_text(picture.out, observation.html())), err=options.json == "-")
    for place, ending in forms:
        written_path = write_bytes(place, export_bytes(observation.scene, ending))
        typer.echo(str(written_path), err=options.json == "-")


def _set_up(threads: int | None, seed: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    if seed is not None:
        torch.manual_seed(seed)
