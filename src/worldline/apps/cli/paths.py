"""``worldline paths``: what arrives by how many hops, from where, and along which paths."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worldline.apps.cli import options
from worldline.apps.cli.out import read_text, refuse_unwritable, write_json
from worldline.apps.cli.progress import elapsed_line
from worldline.errors import InputError

if TYPE_CHECKING:
    from worldline.flow.summary import PathsSeen

BAR = 30
WEIGHINGS = ("frozen", "share")


def paths(
    text: Annotated[str | None, typer.Argument(help="The text; - reads standard input.")] = None,
    file: options.File = None,
    model: options.Model = None,
    target: options.Target = None,
    versus: options.Versus = None,
    by: options.By = None,
    top: Annotated[int, typer.Option(help="How many paths to show.")] = 10,
    device: options.Device = "cpu",
    dtype: options.Dtype = None,
    threads: options.Threads = None,
    json: options.Json = None,
) -> None:
    """Sum over all paths into the last token: by hops, by source, and the strong ones.

    Weighed by frozen (to a target) unless --by share (no target) is asked for.
    """
    given = read_text(text, file)
    refuse_unwritable(json)
    by = by or WEIGHINGS[0]
    if by not in WEIGHINGS:
        accepted = ", ".join(WEIGHINGS)
        raise InputError(f"--by {by}: the edges of paths are weighed by {accepted}")
    if top < 1:
        raise InputError(f"--top {top}: accepted are whole numbers from 1")
    if versus is not None and target is None:
        raise InputError("--versus: needs --target, the token it is compared with")
    if by == "share" and target is not None:
        raise InputError("--by share: asks about no target; leave --target out or use --by frozen")
    from rich.console import Console

    from worldline.flow.summary import see_paths

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    with elapsed_line(Console(stderr=True)) as say:
        seen = see_paths(
            given, model, by=by, target=target, versus=versus, k=top, device=device, dtype=dtype,
            progress=say,
        )  # fmt: skip
    if json != "-":
        typer.echo(shown(seen))
    if json is not None:
        write_json(json, seen.json())


def shown(seen: PathsSeen) -> str:
    """The numbers as text."""
    lines = [seen.title, ""]
    lines += ["hops   contribution", *_bars(seen.by_hops)]
    if seen.beyond:
        lines.append(f"more   {seen.beyond:+.3f}")
    lines += [f"all    {sum(seen.by_hops) + seen.beyond:+.3f}   {seen.closing}", ""]
    lines += ["from   contribution, all paths", *_sources(seen), ""]
    lines += [_agreement(one) for one in seen.agreement]
    lines += ["", seen.found_as, _table(seen)]
    return "\n".join([*lines, "", f"Caution: {seen.caution}."])


def _bars(values: list[float]) -> list[str]:
    most = max((abs(value) for value in values), default=0.0) or 1.0
    last = max((h for h, value in enumerate(values) if abs(value) > most / 1e4), default=0)
    return [
        f"{hops:4}   {value:+8.3f}  {_bar(value, most)}".rstrip()
        for hops, value in enumerate(values[: last + 1])
    ]


def _bar(value: float, most: float) -> str:
    return ("█" if value > 0 else "▒") * round(BAR * abs(value) / most)


def _sources(seen: PathsSeen) -> list[str]:
    ranked = sorted(enumerate(seen.by_source), key=lambda pair: -abs(pair[1]))[:8]
    return [f"{pos:4}   {value:+8.3f}  {seen.tokens[pos]}" for pos, value in ranked if value]


def _agreement(one: dict[str, Any]) -> str:
    coherence, interval = one["coherence"], one["shuffled"]
    if coherence is None:
        return f"coherence over {one['grouping']}: none (nothing flows)"
    chance = (
        "" if interval is None else f"; random signs give {interval[0]:.2f} to {interval[1]:.2f}"
    )
    return (
        f"coherence over {one['grouping']}: {coherence:.2f} "
        f"(constructive {one['constructive']:.3g}, "
        f"destructive {abs(one['destructive']):.3g}{chance})"
    )


def _table(seen: PathsSeen) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for name, side in (("#", "right"), ("weight", "right"), ("hops", "right"), ("path", "left")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for rank, path in enumerate(seen.paths, 1):
        table.add_row(str(rank), f"{path['weight']:+.3g}", str(path["hops"]), path["words"])
    page = StringIO()
    Console(file=page, width=100).print(table)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())
