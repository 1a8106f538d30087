"""``worldline capacity``: how wide both highways are, and what a reader finds in K and V."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from worldline.apps.cli import options
from worldline.apps.cli.output_files import refuse_unwritable, write_json
from worldline.apps.cli.progress import elapsed_line
from worldline.apps.cli.streams import console
from worldline.apps.cli.torch_threads import set_threads
from worldline.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

PASSAGES, LEAST = 120, 10
BARS = " ▏▎▍▌▋▊▉█"
BAR_CELLS = 6


def capacity(
    n: Annotated[int, typer.Option("--n", max=options.MOST, help=options.N_HELP)] = PASSAGES,
    model: options.Model = None,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    seed: options.Seed = None,
    json: options.Json = None,
) -> None:
    """Per layer: numbers cached, ranks, and the share of the state that K and V give away.

    States are divided by their norm and standardised, column 0 is left out; readers are linear and
    judged on texts that they were not fitted to.
    """
    refuse_unwritable(json, models=[model])
    options.refuse_unknown(device=device, dtype=dtype)
    if n < LEAST:
        raise InputError(f"--n {n}: accepted are whole numbers from {LEAST}")
    results = _measure_capacity(n, model, device, dtype, threads, seed or 0)
    if json != "-":
        output = console(highlight=False)
        output.print(table_of(results))
        for line in notes_of(results):
            output.print(line, markup=False)
    if json is not None:
        write_json(json, results)


def _measure_capacity(n, model, device, dtype, threads, seed) -> dict[str, Any]:
    from worldline import load_model
    from worldline.experiments import draw_passages, passage_capacity

    draw_passages(n, seed)  # refused before anything is loaded
    set_threads(threads)
    with elapsed_line(console(stderr=True)) as say:
        loaded_model = load_model(model, device=device, dtype=dtype, progress=say)
        return passage_capacity(loaded_model, n, seed, say)


def table_of(results: dict[str, Any]) -> Table:
    """The layers as a table of 80 columns."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("layer", "cached\n/d", "rank\nV", "rank\nK,V", "eff.\nV", "eff.\nK,V", "eff.\nx"):
        table.add_column(name, justify="right")
    for name in ("share of x\nin V", "\nin K and V", "\nin all V"):
        table.add_column(name, no_wrap=True)
    for layer in results["layers"]:
        table.add_row(
            str(layer["layer"]),
            _number(layer["cached"], ".2f"),
            _number(layer["rank_v"]),
            _number(layer["rank_kv"]),
            _number(layer["effective_v"], ".0f"),
            _number(layer["effective_kv"], ".0f"),
            _number(layer["state"]["entropy"], ".0f"),
            *(_share(layer[name]) for name in ("v", "kv", "all_v")),
        )
    return table


def notes_of(results: dict[str, Any]) -> list[str]:
    """What the columns mean, with the levels to compare with."""
    layers = results["layers"]
    first_layer = layers[0]
    chance, random, best = (
        sum(layer[name] for layer in layers) / len(layers) for name in ("chance", "random", "best")
    )
    short = [
        name
        for name in ("v", "kv")
        if first_layer[name] and first_layer[name]["inputs"] < first_layer[name]["given"]
    ]
    lines = [
        "",
        f"{results['model']}, {results['texts']} texts, {results['states']:,} states; d = "
        f"{first_layer['d_model']}, V of layer {first_layer['layer']} has "
        f"{first_layer['width_v']} numbers.",
        "cached/d: numbers of K and V a token, of d. eff.: effective rank by entropy of what is "
        "written, and of the state x that enters the layer. K is taken before positions.",
        f"Shares are of variance, held out. Mean by chance {chance:.3f}, from as many random "
        f"combinations of x {random:.3f}; V's width allows a linear reader at most {best:.3f}.",
        f"In all V: {first_layer['all_v']['inputs']} inputs, principal components of V of every "
        f"layer, "
        f"for {first_layer['all_v']['samples']:,} samples: ten an input.",
    ]
    if short:
        words = " and of ".join({"v": "V", "kv": "K with V"}[name] for name in short)
        lines.append(
            f"Of {words} only {first_layer[short[-1]]['inputs']} components are read, as many as "
            f"ten "
            "samples an input allow; more passages (--n) allow more."
        )
    return lines


def _number(value: float | None, form: str = "d") -> str:
    return "-" if value is None else format(value, form)


def _share(reading: dict[str, Any] | None) -> str:
    if reading is None:
        return "-"
    return f"{reading['share']:5.2f} {bar(reading['share'])}"


def bar(share: float, cells: int = BAR_CELLS) -> str:
    """A share as a bar of `cells` cells, in eighths.

    >>> bar(0.5, 4)
    '██  '
    """
    eighths = round(min(1.0, max(0.0, share)) * cells * 8)
    n_full, remainder = divmod(eighths, 8)
    return ("█" * n_full + (BARS[remainder] if remainder else "")).ljust(cells)
