"""The commands and their names: one file each, which loads what it needs when it is called."""

from __future__ import annotations

from typing import Annotated

import typer

from worldline.apps.cli import (
    altered_runs,
    cache,
    capacity,
    claims,
    count,
    faithfulness,
    models,
    paths,
    room,
    serve,
    trace,
)
from worldline.apps.cli.request_options import with_request_options

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Shows, counts, measures and cuts the flow of information in transformers.",
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"worldline {installed('worldline')}")
        raise typer.Exit


for command in (
    trace.trace,
    paths.paths,
    altered_runs.cut,
    altered_runs.hops,
    altered_runs.orders,
    altered_runs.cone,
):
    app.command(command.__name__)(with_request_options(command))
app.command("count")(count.count)
app.command("capacity")(capacity.capacity)
app.command("faithfulness")(faithfulness.faithfulness)
app.command("serve")(serve.serve)
app.command("models")(models.models)
app.add_typer(cache.app, name="cache")
app.add_typer(claims.app, name="claims")
app.add_typer(room.app, name="room")
