"""The command line: one file per command, loaded only when it is called."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from worldline.apps.cli import (
    cache,
    capacity,
    claims,
    cone,
    count,
    cutting,
    faithfulness,
    hops,
    models,
    orders,
    paths,
    room,
    serve,
    trace,
)
from worldline.errors import InputError, RefusedError
from worldline.extras import naming_extra

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Shows, counts, weighs and cuts the flow of information in transformers.",
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"worldline {installed('worldline')}")
        raise typer.Exit


app.command("trace")(trace.trace)
app.command("count")(count.count)
app.command("paths")(paths.paths)
app.command("cut")(cutting.cut)
app.command("hops")(hops.hops)
app.command("orders")(orders.orders)
app.command("cone")(cone.cone)
app.command("capacity")(capacity.capacity)
app.command("faithfulness")(faithfulness.faithfulness)
app.command("serve")(serve.serve)
app.command("models")(models.models)
app.add_typer(cache.app, name="cache")
app.add_typer(claims.app, name="claims")
app.add_typer(room.app, name="room")


def main() -> None:
    """Run the command line; what the user gave wrong is one line and exit code 2."""
    try:
        with naming_extra():
            app()
    except (InputError, RefusedError) as error:
        line = " ".join(str(error).split())
        typer.echo(f"worldline: {line}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("worldline: stopped", err=True)
        sys.exit(130)
    except BrokenPipeError:
        _drop_output()
        sys.exit(0)
    except OSError as error:  # standard output took no more; files are refused where written
        _drop_output()
        typer.echo(f"worldline: cannot be written ({error.strerror or error})", err=True)
        sys.exit(2)


def _drop_output() -> None:
    """Send what is left in the buffer nowhere, or Python complains of it at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
