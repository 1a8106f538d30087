"""``worldline models``: which architectures the instrument reads exactly."""

from __future__ import annotations

from typing import Annotated

import typer

from worldline.apps.cli import options
from worldline.apps.cli.output_files import refuse_unwritable, write_json
from worldline.errors import InputError


def models(
    names: Annotated[list[str] | None, typer.Argument(help="Model types; default: all.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Run every check on a tiny random model of each type.")
    ] = False,
    json: options.Json = None,
) -> None:
    """List the causal language model types of the installed transformers, or check them all."""
    refuse_unwritable(json)
    from worldline.models import causal_types, census, summary

    known_types = causal_types()
    unknown = [name for name in names or [] if name not in known_types]
    if unknown:
        raise InputError(
            f"model type {unknown[0]!r}: not among the {len(known_types)} that are installed"
        )
    model_types = names or known_types
    if not check:
        typer.echo("\n".join(model_types))
        return
    rows = []
    for row in census(model_types):
        rows.append(row)
        if json != "-":
            typer.echo(_line(row))
    counts = summary(rows)
    if json != "-":
        typer.echo(counts["sentence"])
    if json is not None:
        write_json(json, {"schema": "worldline.models/1", "types": rows, "summary": counts})


def _line(row: dict) -> str:
    reads = f"{row['calls']}/{row['expected_calls']}"
    note = row["reason"] or f"by {row['reached_by']}, closed to {row['closure_error']:.0e}"
    return f"{row['type']:<26} {row['status']:<8} {reads:>6}  {row['kind']:<16} {note}"
