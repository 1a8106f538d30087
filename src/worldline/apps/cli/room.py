"""``worldline room``: several AIs in one conversation, in the terminal or without anybody there."""

from __future__ import annotations

import json as _json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worldline.apps.cli import options
from worldline.apps.cli.out import refuse_unwritable, write_json, write_text
from worldline.errors import InputError

if TYPE_CHECKING:
    from worldline.apps.cli.room_lines import Lines
    from worldline.room.events import Event
    from worldline.room.log import Log, Reading
    from worldline.room.models.catalog import Catalog
    from worldline.room.models.model import Model
    from worldline.room.replaying import Replay
    from worldline.room.room import Room, Weigh
    from worldline.room.scenarios import Scenario

FORMS = {".md": "md", ".json": "json", ".html": "html"}
OURS = "round_table"

app = typer.Typer(help="Several AIs in one conversation, and what each reply drew on.")

LogFile = Annotated[Path, typer.Argument(help="The room's log.")]


@app.callback(invoke_without_command=True)
def room(
    context: typer.Context,
    scenario: Annotated[
        str | None,
        typer.Option(help=f"A TOML file, or the name of one of ours (default: {OURS})."),
    ] = None,
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            help="MODEL:NAME comes in as well; MODEL as for worldline trace, or NAME@https://HOST "
            "of an OpenAI-compatible endpoint. May be repeated; without --scenario only these.",
        ),
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="The room's log: a new file, or one to go on with.")
    ] = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="Nobody is asked anything: turns are taken.")
    ] = False,
    turns: Annotated[int | None, typer.Option(min=0, help="How many turns at most.")] = None,
    start: Annotated[
        int | None, typer.Option("--from", help="Go on from this event: a branch.")
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            help="Who draws: MODEL@https://HOST, diffusers:MODEL, none; default: portraits of the "
            "flow in the model that wrote the prompt."
        ),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(help="Who searches: a SearXNG address, ddgs, or a JSON file of results."),
    ] = None,
    flow: Annotated[
        bool, typer.Option("--flow/--no-flow", help="Weigh what each local reply drew on.")
    ] = True,
    cuts: Annotated[
        bool, typer.Option("--cuts", help="Cut each message's reads as well: two runs a message.")
    ] = False,
    seed: options.Seed = None,
    threads: options.Threads = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the conversation: .html, .md or .json.")
    ] = None,
    json: options.Json = None,
) -> None:
    """Let a room talk: streamed, every event kept in a log that can be gone on with."""
    if context.invoked_subcommand is not None:
        return
    if out is not None and out.suffix.lower() not in FORMS:
        raise InputError(f"--out {out}: accepted are names that end in {', '.join(FORMS)}")
    if not headless:
        raise InputError("room: needs --headless for now, which takes turns by itself")
    if turns is None and log is None and scenario is None and with_ is None:
        turns = 12
    refuse_unwritable(out, json)
    _set_threads(threads)
    given = _scenario(scenario, with_ or [], log)
    path, with_ = (log or _new_log()).expanduser(), with_ or []
    if start is not None and not 0 < start <= len(_events(path)):
        raise InputError(f"--from {start}: accepted are 1 to {len(_events(path))} of this log")
    weigh = _weigh(flow, cuts)
    quiet, stopped = json == "-", False
    with _opened(given, with_, path, images, search, weigh, quiet) as (running, shown):
        if seed is not None:
            running.set("seed", seed)
        if start is not None:
            running.branch(start)
        try:
            running.play(turns)
        except KeyboardInterrupt:
            shown.broken()
            stopped = True
        if out is not None:
            content = _content(running.log, FORMS[out.suffix.lower()], None)
            typer.echo(str(write_text(out, content)), err=quiet)
        if json is not None:
            write_json(json, _json.loads(_content(running.log, "json", None)))
    typer.echo(f"the log: {path} (worldline room --log goes on with it)", err=quiet)
    if stopped:
        raise typer.Exit(130)


@app.command()
def export(
    log: LogFile,
    out: Annotated[Path, typer.Option(help="The file to write: .html, .md or .json.")],
    at: Annotated[
        int | None, typer.Option("--at", help="The branch that ends here (default: the newest).")
    ] = None,
) -> None:
    """Write a room's log as a page, as Markdown, or as JSON (every branch, to be read back)."""
    if out.suffix.lower() not in FORMS:
        raise InputError(f"--out {out}: accepted are names that end in {', '.join(FORMS)}")
    refuse_unwritable(out)
    with _reading(log) as found:
        content = _content(found, FORMS[out.suffix.lower()], at)
    typer.echo(str(write_text(out, content)))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A printed transcript, or our own JSON.")],
    log: Annotated[Path, typer.Option(help="The new log.")],
    json: options.Json = None,
) -> None:
    """Read a transcript of another program, or a room's JSON, into a log."""
    from worldline.apps.cli.out import read_text
    from worldline.room.importing import from_json, from_transcript

    text = read_text(None, file)
    refuse_unwritable(json)
    if log.exists():
        raise InputError(f"--log {log}: it is there already; accepted is a new file")
    if text.lstrip().startswith("{"):
        _filled(log, lambda new: from_json(text, new))
        typer.echo(f"{log}: as it was")
        return
    found = from_transcript(text)
    _filled(log, lambda new: new.append(found.bodies))
    columns = {name: getattr(found.columns, name) for name in found.columns.__slots__}
    mended = {name: getattr(found.mended, name) for name in ("mended", "guessed", "gone")}
    if json is not None:
        write_json(json, {"columns": columns, "mended": mended})
    if json != "-":
        for name, counted in columns.items():
            listed = ", ".join(f"{what} {n}" for what, n in counted.items()) or "none"
            typer.echo(f"{name:>10}: {listed}")
        typer.echo(f"{'mended':>10}: " + ", ".join(f"{n} {what}" for what, n in mended.items()))


@app.command()
def replay(
    log: LogFile,
    scenario: Annotated[
        str | None, typer.Option(help="The scenario that it began with, for its scripts.")
    ] = None,
    with_: Annotated[
        list[str] | None, typer.Option("--with", help="MODEL:NAME, as it was run with.")
    ] = None,
    threads: options.Threads = None,
) -> None:
    """Run a room again from its log, and name the first event that comes out different.

    The exit code is 1 where one does.
    """
    from worldline.room.log import line_of
    from worldline.room.replaying import replay as replay_line
    from worldline.room.scenarios import catalog_of, read_scenario

    _set_threads(threads)
    given = None if scenario is None else read_scenario(scenario)
    with _reading(log) as found:
        events = found.events()
    catalog = catalog_of(given, _models(given, with_ or [], events))
    result = replay_line(line_of(events), catalog)
    if not result.differs:
        typer.echo(f"{len(result.events)} events, all as they were")
        return
    where = _where(result, line_of(events), catalog)
    typer.echo(f"event {result.differs} comes out different: {result.reason}{where}")
    raise typer.Exit(1)


def _where(result: Replay, line: Sequence[Event], catalog: Catalog) -> str:
    """The first character that differs, and the first token, where a model here wrote the text."""
    if result.at is None:
        return ""
    from worldline.room.events import Message
    from worldline.room.models.local import Local

    body = line[result.differs - 1].body
    model = catalog.model(body.model) if isinstance(body, Message) else None
    said = f", from character {result.at} on"
    if not isinstance(body, Message) or not isinstance(model, Local):
        return said
    from worldline import tokenize

    tokens = tokenize(model.model.tokenizer, body.text)
    at = next((n for n, (_, end) in enumerate(tokens.char_spans) if end > result.at), None)
    return said + (", its end" if at is None else f", token {at} ({tokens.pieces[at]!r})")


@contextmanager
def _opened(
    scenario: Scenario | None,
    with_: Sequence[str],
    path: Path,
    images: str | None,
    search: str | None,
    weigh: Weigh | None,
    quiet: bool,
) -> Iterator[tuple[Room, Lines]]:
    """The room, with everybody seated, and what writes it out."""
    from worldline.apps.cli.room_lines import Lines
    from worldline.room.log import Log
    from worldline.room.models.naming import model_named, with_name
    from worldline.room.outside import deeds_named
    from worldline.room.room import Room
    from worldline.room.scenarios import catalog_of, seat_all

    catalog = catalog_of(scenario, _models(scenario, with_, _events(path)))
    called = [(model_named(model)[0], name) for model, name in map(with_name, with_)]
    for model, _ in called:  # whatever cannot be used is refused before anything is written
        catalog.model(model)
    deeds = deeds_named(images, search, catalog)
    path.parent.mkdir(parents=True, exist_ok=True)
    log = Log(path)
    try:
        shown = Lines(sys.stderr if quiet else sys.stdout)
        room = Room(log, catalog, deeds, shown, weigh)
        if scenario is not None:
            seat_all(scenario, room)
        for model, name in called:
            if room.state.find(name or model) is None:
                room.join(name or model, model)
        yield room, shown
    finally:
        log.close()


def _models(
    scenario: Scenario | None, with_: Sequence[str], events: Sequence[Event]
) -> dict[str, Callable[[], Model]]:
    """Every model that may be called, by its name in the room."""
    from worldline.room.events import Joined
    from worldline.room.models.naming import BUNDLED, model_named, with_name

    names = [with_name(one)[0] for one in with_]
    if scenario is not None:
        names += [seat.model for seat in scenario.participants if seat.model]
    made = dict(model_named(one) for one in dict.fromkeys([*names, BUNDLED]))
    joined = [one.body for one in events if isinstance(one.body, Joined)]
    for body in joined:
        if not body.scripted and body.model not in made:
            made |= dict([model_named(body.model)])
    return made


def _scenario(name: str | None, with_: Sequence[str], log: Path | None) -> Scenario | None:
    """The scenario that is asked for; ours where nothing is; None for a log, or guests alone."""
    from worldline.room.scenarios import read_scenario

    if name is None and (with_ or (log is not None and log.exists())):
        return None
    return read_scenario(name or OURS)


def _events(path: Path) -> list[Event]:
    """What is in a log already; nothing where there is none."""
    if not path.exists():
        return []
    with _reading(path) as found:
        return found.events()


@contextmanager
def _reading(path: Path) -> Iterator[Reading]:
    from worldline.room.log import Reading

    found = Reading(path.expanduser())
    try:
        yield found
    finally:
        found.close()


def _content(found: Reading | Log, form: str, at: int | None) -> str:
    """A log's branch as Markdown or HTML, or the whole log as JSON."""
    from worldline.room.exporting import as_html, as_json, as_markdown
    from worldline.room.log import line_of
    from worldline.room.state import state_of

    events = found.events()
    if form == "json":
        return as_json(events, found.content)
    line = line_of(events, at)
    title = state_of(line).settings["topic"] or Path(found.path).stem
    return as_markdown(line) if form == "md" else as_html(line, found.content, title)


def _filled(path: Path, fill: Callable[[Log], object]) -> None:
    """A new log that is filled, or is not there."""
    from worldline.room.log import Log

    log, whole = Log(path), False
    try:
        fill(log)
        whole = True
    finally:
        log.close()
        if not whole:
            for one in path.parent.glob(f"{path.name}*"):
                one.unlink()


def _new_log() -> Path:
    """A place among the user's own data, named by the time."""
    from worldline.places import data_folder

    named = time.strftime("%Y-%m-%d-%H%M%S")
    return data_folder() / "rooms" / f"{named}-{os.getpid()}.room"


def _weigh(flow: bool, cuts: bool) -> Weigh | None:
    """What is asked of each reply's flow; nothing is imported where nothing is asked."""
    if not flow:
        return None
    from functools import partial

    from worldline.room.flow import weighed

    return partial(weighed, exact=cuts)


def _set_threads(threads: int | None) -> None:
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
