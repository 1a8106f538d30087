"""``worldline faithfulness``: every measure of an edge against what cutting the edge does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worldline.apps.cli import options
from worldline.apps.cli.output_files import refuse_unwritable, write_json
from worldline.apps.cli.progress import Pace
from worldline.apps.cli.streams import console
from worldline.apps.cli.torch_threads import set_threads
from worldline.errors import InputError

if TYPE_CHECKING:
    from worldline.experiments import FaithfulnessRequest, ProgressCallback


def faithfulness(
    data: Annotated[
        str,
        typer.Option(
            help="indirect-object, greater-than, agreement, facts, function-vectors, circuits, "
            "all, or a file of pairs, one JSON object a line."
        ),
    ] = "all",
    measures: Annotated[
        str | None, typer.Option(help="Measures by name, with commas between (default: all).")
    ] = None,
    how: options.How = None,
    n: Annotated[int | None, typer.Option("--n", max=options.MOST, help=options.N_HELP)] = None,
    split: Annotated[
        str, typer.Option(help="report or choose: which half of the prompts the table is of.")
    ] = "report",
    raw: Annotated[
        Path | None,
        typer.Option(
            help="The folder where each part is kept, to go on from (default: in the cache); a "
            ".zip of one is read as it is, without the model."
        ),
    ] = None,
    model: options.Model = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    json: options.Json = None,
) -> None:
    """Cut edges one at a time and together, and score every measure by what that did.

    A run that was stopped goes on where it was; nothing that was measured is measured again.
    """
    from worldline.experiments import FaithfulnessRequest, table_lines

    zipped = raw is not None and raw.suffix == ".zip"
    if zipped:
        beside = {"--n": n, "--model": model, "--dtype": dtype, "--threads": threads}
        beside["--device"] = None if device == "cpu" else device
        _refuse_beside_zip([f"{name} {value}" for name, value in beside.items() if value])
    if raw is not None and raw.suffix == ".json":
        raise InputError(
            f"--raw {raw}: accepted are a folder, where each part is kept, or a .zip of one; "
            "--json FILE writes the numbers"
        )
    request = FaithfulnessRequest(data, how, measures, n, split)
    refuse_unwritable(json, reads=[data, *_raw_files(raw)], models=[model])
    options.refuse_unknown(device=device, dtype=dtype)
    if zipped and raw is not None:
        table = request.packed_table(raw)
    else:
        set_threads(threads)
        table = _measured_table(request, raw, model, device, dtype)
    if json != "-":
        typer.echo("\n".join(table_lines(table)))
    if json is not None:
        write_json(json, table)


def _refuse_beside_zip(options_given: list[str]) -> None:
    if options_given:
        raise InputError(
            f"{options_given[0]}: --raw with a .zip is read without a model; accepted beside it "
            "are --data, --measures, --how, --split and --json"
        )


def _raw_files(raw: Path | None) -> list[Path]:
    """What `--raw` names: a .zip, or the parts in a folder, in which a table may lie as well."""
    if raw is None:
        return []
    place = raw.expanduser()
    return [place] if not place.is_dir() else sorted(place.glob("*.npz"))


def _measured_table(
    request: FaithfulnessRequest,
    raw: Path | None,
    model: str | None,
    device: str,
    dtype: str | None,
) -> dict[str, Any]:
    from worldline import load_model
    from worldline.experiments import parts_folder
    from worldline.models import cache_root

    request.refuse_unreadable(raw)
    with bar(console(stderr=True)) as on_progress:
        loaded_model = load_model(
            model, device=device, dtype=dtype, progress=lambda line: on_progress(0, 1, line)
        )
        folder = raw or parts_folder(cache_root(), loaded_model)
        return request.measured_table(
            loaded_model, model, folder, on_progress, lambda line: typer.echo(line, err=True)
        )


@contextmanager
def bar(console) -> Iterator[ProgressCallback]:
    """Prompts done of all, with the line of what happens; elsewhere a line now and then."""
    if not console.is_terminal:
        last, pace = [-1], Pace()

        def say(n_done: int, of: int, line: str) -> None:
            if pace.due(n_done != last[0]):
                last[0] = n_done
                console.print(f"{n_done} of {of}: {line} …", markup=False, highlight=False)

        yield say
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda done, of, line: progress.update(
            task, completed=done, total=of, description=line
        )
