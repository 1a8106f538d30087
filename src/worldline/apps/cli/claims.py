"""``worldline claims``: the claims and their verdicts; shown, run, and written for others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worldline.apps.cli import options
from worldline.apps.cli.output_files import refuse_unwritable, write_json, write_text
from worldline.apps.cli.progress import Pace
from worldline.apps.cli.streams import console
from worldline.apps.cli.torch_threads import set_threads
from worldline.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from worldline.claims import Heard, Outcome

MOST = 100  # cells of a line of text, on however wide a terminal

app = typer.Typer(help="The claims, what was measured of them, and the verdicts.")


@app.callback(invoke_without_command=True)
def claims(context: typer.Context, model: options.Model = None, json: options.Json = None) -> None:
    """Show every claim with the verdict on one model: word, number with interval, items."""
    if context.invoked_subcommand is not None:
        if model is not None or json is not None:
            raise InputError("claims: options go behind the command, as in claims show ID --json -")
        return
    from worldline.claims import ModelClaims, claims_table, stale_note

    model_claims = ModelClaims(model)
    refuse_unwritable(json, reads=[model_claims.store.path])
    picture = model_claims.picture()
    if json is not None:
        write_json(json, picture.model_dump(mode="json", by_alias=True))
    if json == "-":
        return
    output = console(highlight=False)
    output.print(f"{len(model_claims.graph.claims)} claims on {model_claims.model}", markup=False)
    output.print(claims_table(picture, output.width))
    for line in stale_note(picture):
        output.print(line, markup=False)
    if model_claims.n_weights > 1:
        output.print(
            f"{model_claims.n_weights} weights were run under this name: these are those run last"
        )
    if model_claims.other_models:
        output.print(f"also run: {', '.join(model_claims.other_models)} (--model)", markup=False)


@app.command()
def show(
    node: Annotated[str, typer.Argument(help="The id of a claim, or of any other record.")],
    model: options.Model = None,
    json: options.Json = None,
) -> None:
    """Show one record in full: text, source, what decides it, verdicts, what lies around it."""
    from worldline.claims import ModelClaims

    model_claims = ModelClaims(model)
    report = model_claims.report(node)
    refuse_unwritable(json, reads=[model_claims.store.path])
    if json is not None:
        write_json(json, report.json())
    if json != "-":
        typer.echo("\n".join(report.lines(min(console().width, MOST))))


@app.command()
def run(
    claims: Annotated[list[str] | None, typer.Argument(help="The claims' ids.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Run every claim.")] = False,
    n: Annotated[int | None, typer.Option("--n", max=options.MOST, help=options.N_HELP)] = None,
    seed: options.Seed = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Measure the few items of a quick run.")
    ] = False,
    model: options.Model = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    json: options.Json = None,
) -> None:
    """Run claims on a model, item by item; a run that was stopped goes on where it was.

    The exit code is 1 where an experiment failed; the other claims are run all the same.
    """
    from worldline import load_model
    from worldline.claims import (
        CurrentVerdict,
        RunRequest,
        Store,
        in_order,
        load_graph,
        run_claims,
        verdict_line,
        verdict_part,
    )

    graph = load_graph()
    if every == bool(claims):
        raise InputError("claims run: give the ids of claims, or --all")
    claim_ids = in_order(graph) if every else [graph.claim(name).id for name in claims or ()]
    request = RunRequest(n, seed or 0, quick)
    options.refuse_unknown(device=device, dtype=dtype)
    refuse_unwritable(json, reads=[Store().path], models=[model])
    set_threads(threads)
    errors, parts = console(stderr=True), []
    has_failed = False
    try:
        with _bar(errors) as (say, on_progress):
            loaded_model = load_model(model, device=device, dtype=dtype, progress=say)
            for outcome in run_claims(
                graph, Store(), loaded_model, claim_ids, request, on_progress
            ):
                has_failed |= outcome.error is not None
                if outcome.verdict is not None:
                    part = verdict_part(graph, CurrentVerdict(outcome.verdict, None))
                    parts.append(part)
                    line = verdict_line(part) + _stored_note(outcome)
                else:
                    line = _without(outcome)
                typer.echo(line, err=json == "-" or outcome.error is not None)
    except KeyboardInterrupt:
        typer.echo(
            "worldline: stopped; what was measured is kept, and the same command goes on from it",
            err=True,
        )
        raise typer.Exit(130) from None
    if json is not None:
        write_json(
            json, {"verdicts": [claim_verdict.model_dump(mode="json") for claim_verdict in parts]}
        )
    if has_failed:
        raise typer.Exit(1)


@app.command()
def export(
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="json-ld, graphml, html, json (the picture), or verdicts (runs and verdicts, as "
            "they come with worldline).",
        ),
    ],
    model: options.Model = None,
    out: Annotated[
        Path | None,
        typer.Option(help=f"The file to write, in the form of --format; {options.FOLDERS}."),
    ] = None,
) -> None:
    """Write the graph with the verdicts on one model for other tools."""
    from worldline.claims import FORMATS, ModelClaims, Store

    if format_ not in FORMATS:
        raise InputError(f"--format {format_}: accepted are {', '.join(FORMATS)}")
    refuse_unwritable(out, reads=[Store().path])
    content = ModelClaims(model).export(format_)
    if out is None:
        typer.echo(content, nl=False)
    else:
        typer.echo(str(write_text(out, content)))


def _stored_note(outcome: Outcome) -> str:
    return f" ({outcome.n_stored} items were kept before)" if outcome.n_stored else ""


def _without(outcome: Outcome) -> str:
    if outcome.error is not None:
        return f"{outcome.claim}: failed: {outcome.error}"
    return f"{outcome.claim}: not testable here: {outcome.untestable_reason}"


@contextmanager
def _bar(output: Console) -> Iterator[tuple[Any, Heard]]:
    """(What is said, items done): a bar on a terminal, elsewhere a line when a claim begins."""
    if not output.is_terminal:
        yield (lambda line: output.print(f"{line} …", markup=False, highlight=False),
               _lines(output))  # fmt: skip
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=output, transient=True) as bar:
        task = bar.add_task("", total=None)
        last = [""]

        def show_progress(claim: str, n_done: int, of: int) -> None:
            if claim != last[0]:
                last[0] = claim
                bar.reset(task)
            words = claim if of else f"{claim}: another process runs it"
            bar.update(task, description=words, completed=n_done, total=of or None)

        yield lambda line: bar.update(task, description=line), show_progress


def _lines(output: Console) -> Heard:
    reported_pairs: set[tuple[str, bool]] = set()
    pace = Pace()

    def show_progress(claim: str, n_done: int, of: int) -> None:
        if not pace.due((claim, of > 0) not in reported_pairs):
            return
        reported_pairs.add((claim, of > 0))
        words = f"{n_done} of {of} items" if of else "waiting: another process runs it"
        output.print(f"{claim}: {words} …", markup=False, highlight=False)

    return show_progress
