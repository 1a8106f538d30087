"""``worldline faithfulness``: every measure of an edge against what cutting the edge does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worldline import atomic_file
from worldline.apps.cli import options
from worldline.apps.cli.output_files import refuse_unwritable, write_json
from worldline.apps.cli.progress import Pace
from worldline.apps.cli.streams import console
from worldline.errors import InputError

if TYPE_CHECKING:
    from worldline.experiments.faithfulness.benchmark import ProgressCallback
    from worldline.models.loader import LoadedModel

PROMPTS = 16


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
    from worldline.experiments.faithfulness.benchmark import refuse_unknown, settings
    from worldline.experiments.faithfulness.edge_choice import HOWS
    from worldline.experiments.faithfulness.families import SPLITS
    from worldline.experiments.faithfulness.table import make_table
    from worldline.experiments.faithfulness.table_text import table_lines

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
    n = PROMPTS if n is None else n
    hows = HOWS if how in (None, "all") else tuple(how.split(","))
    measure_names = (
        [measure.strip() for measure in _parts(measures)] if measures is not None else None
    )
    refuse_unknown(measure_names, hows, n)
    if split not in SPLITS:
        raise InputError(f"--split {split}: accepted are {', '.join(SPLITS)}")
    refuse_unwritable(json, reads=[data, *_raw_files(raw)], models=[model])
    options.refuse_unknown(device=device, dtype=dtype)
    if zipped and raw is not None:
        from worldline.experiments.faithfulness.part_files import Store

        store, families, prompts = Store(raw), None if data == "all" else [Path(data).stem], None
        if data == "circuits":
            families = [name for name in _families(store) if name.startswith("circuit ")]
    else:
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        store, prompts = _run(data, hows, measure_names, n, split, raw, model, device, dtype)
        families = None
    table = make_table(store, hows, measure_names, families, split, prompts)
    table["settings"] = settings(data, hows, None if prompts is None else n, model)
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


def _run(data, hows, measure_names, n, split, raw, model, device, dtype):
    """(The store, family and number of every prompt that was run)."""
    from worldline.experiments.faithfulness.benchmark import cases_of, names_of, run
    from worldline.experiments.faithfulness.families import CIRCUITS, load_pairs
    from worldline.experiments.faithfulness.part_files import Store
    from worldline.models.loader import load_model

    names = names_of(data)
    for name in names:
        if name != CIRCUITS:
            load_pairs(name)  # refused before anything is loaded
    if raw is not None:
        atomic_file.refuse_unwritable(raw / "part.npz")
    with bar(console(stderr=True)) as on_progress:
        loaded_model = load_model(
            model, device=device, dtype=dtype, progress=lambda line: on_progress(0, 1, line)
        )
        cases = cases_of(loaded_model, names, n)
        _refuse_empty_half(data, split, [case.prompt for case in cases])
        store = Store(raw or _cache_folder(loaded_model))
        typer.echo(f"each part is kept in {store.path}", err=True)
        run(cases, hows, measure_names, store, on_progress)
    return store, [(case.prompt.family, case.prompt.number) for case in cases]


def _refuse_empty_half(data: str, split: str, prompts: list[Any]) -> None:
    if not any(prompt.split == split for prompt in prompts):
        passing_words = "1 prompt passes" if len(prompts) == 1 else f"{len(prompts)} prompts pass"
        raise InputError(
            f"--data {data}: {passing_words} the filter, none in the half that --split {split} "
            f"shows; odd "
            "lines are to choose by, even ones are reported: give two pairs or more, or the other "
            "--split"
        )


def _cache_folder(model: LoadedModel) -> Path:
    from worldline.experiments.faithfulness.part_files import SCHEMA
    from worldline.models.cache_folder import cache_root

    schema = SCHEMA.rpartition(".")[2].replace("/", "")  # parts of another one are not read
    return cache_root() / "faithfulness" / schema / model.identity.key()[:12]


def _families(store) -> list[str]:
    family_names = {
        store.read(name)[0]["family"] for name in sorted(store.names()) if "circuit" in name
    }
    return sorted(family_names)


def _parts(measures: str) -> list[str]:
    """Names at the commas, but for those with a comma inside."""
    from worldline import edge_measures

    remaining_text, measure_names = measures, []
    known_measures = sorted(edge_measures(), key=len, reverse=True)
    while remaining_text:
        name = next(
            (measure for measure in known_measures if remaining_text.startswith(measure)),
            remaining_text.split(",")[0],
        )
        measure_names.append(name)
        remaining_text = remaining_text[len(name) :].lstrip(", ")
    return measure_names


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
