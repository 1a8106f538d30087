"""``worldline cache``: what is in the cache folder, and clearing it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from worldline.errors import InputError
from worldline.models import CachedModel, clear_cache, list_cache, models_folder

app = typer.Typer(help="Show what is in the cache of converted models, or clear it.")


@app.callback(invoke_without_command=True)
def cache(context: typer.Context) -> None:
    """Show what is in the cache: name, bytes, path."""
    if context.invoked_subcommand is None:
        entries = list_cache()
        for entry in entries:
            typer.echo(_line(entry))
        if not entries:
            typer.echo(f"nothing in {models_folder()}")


@app.command()
def clear(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before removing.")] = False,
) -> None:
    """Remove every model in the cache; the next use makes it anew."""
    entries = list_cache()
    if not entries:
        typer.echo(f"nothing in {models_folder()}")
        return
    total = sum(entry.n_bytes for entry in entries)
    if not yes:
        if not sys.stdin.isatty():
            raise InputError(f"nothing removed: {total:,} bytes are in the cache; add --yes")
        typer.confirm(f"Remove {total:,} bytes in {models_folder()}?", abort=True)
    for entry, reason in clear_cache():
        if reason:
            typer.echo(f"stays    {_line(entry)}: {reason}")
            continue
        stays = "  (the folder stays: other files are in it)" if entry.path.exists() else ""
        typer.echo(f"removed  {_line(entry)}{stays}")


def _line(entry: CachedModel) -> str:
    state = "" if entry.complete else "  (unfinished)"
    return f"{entry.name}  {entry.n_bytes:,} bytes  {entry.path}{state}"
