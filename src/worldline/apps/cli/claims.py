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
from worldline.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from worldline.claims.claim_runs import Heard, Outcome
    from worldline.claims.graph import Graph
    from worldline.claims.run_database import Store

FORMATS = ("json-ld", "graphml", "html", "json", "verdicts")
MOST = 100  # cells of a line of text, on however wide a terminal

app = typer.Typer(help="The claims, what was measured of them, and the verdicts.")


@app.callback(invoke_without_command=True)
def claims(context: typer.Context, model: options.Model = None, json: options.Json = None) -> None:
    """Show every claim with the verdict on one model: word, number with interval, items."""
    if context.invoked_subcommand is not None:
        if model is not None or json is not None:
            raise InputError("claims: options go behind the command, as in claims show ID --json -")
        return
    from worldline.claims.exports.lines import claims_table, stale_note
    from worldline.claims.picture import claims_picture, known_models, weights_of
    from worldline.claims.records import load_graph
    from worldline.claims.run_database import Store

    graph, store = load_graph(), Store()
    refuse_unwritable(json, reads=[store.path])
    name = _name(model, graph, store)
    picture = claims_picture(graph, store, name)
    if json is not None:
        write_json(json, picture.model_dump(mode="json", by_alias=True))
    if json == "-":
        return
    output = console(highlight=False)
    output.print(f"{len(graph.claims)} claims on {name}", markup=False)
    output.print(claims_table(picture, output.width))
    for line in stale_note(picture):
        output.print(line, markup=False)
    several = len(weights_of(graph, store, name))
    if several > 1:
        output.print(f"{several} weights were run under this name: these are those run last")
    other_models = [model_name for model_name in known_models(graph, store) if model_name != name]
    if other_models:
        output.print(f"also run: {', '.join(other_models)} (--model)", markup=False)


@app.command()
def show(
    node: Annotated[str, typer.Argument(help="The id of a claim, or of any other record.")],
    model: options.Model = None,
    json: options.Json = None,
) -> None:
    """Show one record in full: text, source, what decides it, verdicts, what lies around it."""
    from worldline.claims.exports.lines import node_lines
    from worldline.claims.graph import neighbourhood
    from worldline.claims.json_numbers import finite
    from worldline.claims.picture import model_verdicts, shown_words, verdict_part, with_runs
    from worldline.claims.records import load_graph
    from worldline.claims.run_database import Store
    from worldline.claims.verdict import pick

    graph, store = load_graph(), Store()
    name = _name(model, graph, store)
    verdicts = model_verdicts(graph, store, name)
    full_graph = with_runs(
        graph,
        [
            current_verdict
            for claim_verdicts in verdicts.values()
            for current_verdict in pick(claim_verdicts)
        ],
    )
    record = full_graph.find(node)
    refuse_unwritable(json, reads=[store.path])
    around = neighbourhood(full_graph, node, shown_words(verdicts))
    stood = verdicts.get(node, [])
    first = pick(stood)
    other_verdicts = [current_verdict for current_verdict in stood if current_verdict not in first]
    parts = [verdict_part(graph, current_verdict) for current_verdict in (*first, *other_verdicts)]
    if json is not None:
        numbers = {
            current_verdict.verdict.run.id: finite(current_verdict.verdict.finding.numbers)
            for current_verdict in stood
        }
        write_json(json, _node_json(graph, record, parts, around) | {"numbers": numbers})
    if json != "-":
        width = min(console().width, MOST)
        typer.echo("\n".join(node_lines(graph, record, parts, around, width)))


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
    from worldline.claims.claim_runs import RunRequest, run_claims
    from worldline.claims.exports.lines import verdict_line
    from worldline.claims.picture import in_order, verdict_part
    from worldline.claims.records import load_graph
    from worldline.claims.run_database import Store
    from worldline.claims.verdict import CurrentVerdict
    from worldline.models.loader import load_model

    graph = load_graph()
    if every == bool(claims):
        raise InputError("claims run: give the ids of claims, or --all")
    claim_ids = in_order(graph) if every else [graph.claim(name).id for name in claims or ()]
    request = RunRequest(n, seed or 0, quick)
    options.refuse_unknown(device=device, dtype=dtype)
    refuse_unwritable(json, reads=[Store().path], models=[model])
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
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
    if format_ not in FORMATS:
        raise InputError(f"--format {format_}: accepted are {', '.join(FORMATS)}")
    from worldline.claims.run_database import Store

    refuse_unwritable(out, reads=[Store().path])
    content = _export_text(format_, model)
    if out is None:
        typer.echo(content, nl=False)
    else:
        typer.echo(str(write_text(out, content)))


def _export_text(format_: str, model: str | None) -> str:
    from worldline.claims.picture import claims_picture, model_verdicts
    from worldline.claims.records import load_graph
    from worldline.claims.run_database import Store
    from worldline.claims.verdict import pick

    graph, store = load_graph(), Store()
    name = _name(model, graph, store)
    if format_ == "verdicts":
        from worldline.claims.shipped_verdicts import write_verdicts

        verdict_lists = model_verdicts(graph, store, name).values()
        if not verdict_lists:
            raise InputError(f"--format verdicts: there are none on {name}; claims run makes them")
        return write_verdicts(
            current_verdict.verdict
            for claim_verdicts in verdict_lists
            for current_verdict in pick(claim_verdicts)
        )
    picture = claims_picture(graph, store, name)
    if format_ == "json":
        return picture.model_dump_json(by_alias=True, indent=1) + "\n"
    if format_ == "json-ld":
        from worldline.claims.exports.jsonld import claims_jsonld

        return claims_jsonld(picture)
    if format_ == "graphml":
        from worldline.claims.exports.graphml import claims_graphml

        return claims_graphml(picture)
    from worldline.views.claims_html import render_claims_html

    return render_claims_html(picture)


def _name(model: str | None, graph: Graph, store: Store) -> str:
    """The name that a model's verdicts are kept under; nothing is loaded.

    Raises:
        InputError: no claim was run on a model of this name.
    """
    from worldline.claims.claim_runs import bare_name
    from worldline.claims.picture import BUNDLED, known_models

    if model is None or model.lower() in ("bundled", BUNDLED):
        return BUNDLED
    name, known_names = bare_name(model), known_models(graph, store)
    if name not in known_names:
        others = [known_name for known_name in known_names if known_name != BUNDLED]
        raise InputError(
            f"--model {model}: there are none on {name}: no claim was run on it; known are "
            f"{', '.join([BUNDLED, *others])}"
        )
    return name


def _node_json(graph, node, verdicts, around) -> dict[str, Any]:
    claim = graph.claims.get(node.id)
    return {
        "node": node.model_dump(mode="json"),
        "decision": claim and {
            name: getattr(claim, name)
            for name in ("metric", "unit", "support", "refute", "decides", "why")
        },
        "verdicts": [verdict.model_dump(mode="json") for verdict in verdicts],
        "neighbourhood": {
            kind: [
                {"id": neighbour.node.id, "title": neighbour.node.title,
                 "relations": list(neighbour.relations),
                 "edge_count": neighbour.edge_count, "verdict": neighbour.verdict}
                for neighbour in neighbours
            ]
            for kind, neighbours in around.items()
        },
    }  # fmt: skip


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
