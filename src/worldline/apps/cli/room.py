"""``worldline room``: several AIs in one conversation, in the terminal or without anybody there."""

from __future__ import annotations

import json as _json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worldline.apps.cli import options
from worldline.apps.cli.output_files import refuse_unwritable, write_bytes, write_json, write_text
from worldline.apps.cli.torch_threads import set_threads
from worldline.errors import InputError
from worldline.places import expand_path

if TYPE_CHECKING:
    from worldline.room import Log, Reading, Room, RoomRequest, Watch

YOU = "You"
OURS = "round_table"
FORMS = {".md": "md", ".json": "json", ".html": "html"}

app = typer.Typer(help="Several AIs in one conversation, and what each reply drew on.")

LogFile = Annotated[Path, typer.Argument(help="The room's log.")]
ScenarioName = Annotated[
    str | None, typer.Option(help=f"A TOML file, or the name of one of ours (default: {OURS}).")
]
With = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        help="MODEL:NAME comes in as well; MODEL as for worldline trace, or NAME@https://HOST "
        "of an OpenAI-compatible endpoint. May be repeated; without --scenario only these.",
    ),
]
NewLog = Annotated[
    Path | None,
    typer.Option(
        "--log", help=f"The room's log: a new file ({options.FOLDERS}), or one to go on with."
    ),
]


@app.callback(invoke_without_command=True)
def room(
    context: typer.Context,
    scenario: ScenarioName = None,
    with_: With = None,
    log: NewLog = None,
    headless: Annotated[
        bool, typer.Option("--headless", help="Nobody sits there: turns are taken.")
    ] = False,
    name: Annotated[str, typer.Option(help="The name under which you speak.")] = YOU,
    turns: Annotated[
        int | None,
        typer.Option(min=0, max=options.MOST, help="How many turns at most; they begin at once."),
    ] = None,
    start: Annotated[
        int | None, typer.Option("--branch", min=0, max=options.MOST, help="Go on from this event.")
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
        bool, typer.Option("--flow/--no-flow", help="Attribute what each local reply drew on.")
    ] = True,
    cuts: Annotated[
        bool, typer.Option("--cuts", help="Cut each message's reads as well: two runs a message.")
    ] = False,
    seed: options.Seed = None,
    threads: options.Threads = None,
    out: Annotated[
        Path | None, typer.Option(help=f"Write the room as one HTML file; {options.FOLDERS}.")
    ] = None,
    json: options.Json = None,
) -> None:
    """Let a room talk: streamed, every event kept in a log that can be gone on with."""
    if context.invoked_subcommand is not None:
        return
    if out is not None and out.suffix.lower() not in FORMS:
        raise InputError(f"--out {out}: accepted are names that end in {', '.join(FORMS)}")
    if cuts and not flow:
        raise InputError("--cuts: cuts what the flow is measured of; leave --no-flow out")
    if headless and name != YOU:
        raise InputError(f"--name {name[:60]}: with --headless nobody sits there; leave one out")
    if not headless:
        _refuse_no_terminal(name)
    elif turns is None and log is None and scenario is None and with_ is None:
        turns = 12
    from worldline.room import attribute_for, events_of, files_beside, new_log

    path = expand_path(log or new_log())
    refuse_unwritable(out, json, path, reads=[*files_beside(path), scenario, search])
    if scenario is None and not with_ and (log is None or not log.exists()):
        scenario = OURS
    request = _request(scenario, with_, images, search)
    events = events_of(path, _warn)
    if out or json:
        refuse_unwritable(out, json, models=request.local_models(events))
    set_threads(threads)
    if start is not None and not 0 < start <= len(events):
        accepted = f"accepted are 1 to {len(events)}" if events else "accepted is a log with events"
        raise InputError(f"--branch {start}: {accepted}")
    attribute = attribute_for(cuts) if flow else None
    make_room = request.maker(path, events, attribute, _say if headless else _quiet)
    quiet = json == "-"

    def prepare(new_room: Room) -> None:
        if seed is not None:
            new_room.set("seed", seed)
        if start is not None:
            new_room.branch(start)

    if headless:
        code = _run_headless(make_room, prepare, turns, quiet)
    else:
        from worldline.apps.terminal.session_start import sit_in

        code = sit_in(path.stem, make_room, prepare, name, _save, turns)
    if out or json:
        _write_both(path, out, json)
    typer.echo(f"the log: {path} (worldline room --log goes on with it)", err=quiet)
    if code:
        raise typer.Exit(code)


@app.command()
def export(
    log: LogFile,
    out: Annotated[
        Path | None,
        typer.Option(
            help=f"The file to write, by its ending: .md, .html or .json; {options.FOLDERS}."
        ),
    ] = None,
    at: Annotated[
        int | None,
        typer.Option(
            "--until",
            min=0,
            max=options.MOST,
            help="The branch that ends here (default: the newest).",
        ),
    ] = None,
) -> None:
    """Write a room's log as a page, as Markdown, or as JSON (every branch, to be read back)."""
    if out is None or out.suffix.lower() not in FORMS:
        raise InputError(f"--out {out}: accepted are names that end in {', '.join(FORMS)}")
    from worldline.room import files_beside, log_text, open_log

    refuse_unwritable(out, reads=[log, *files_beside(log)])
    with open_log(log, _warn) as log_reading:
        content = log_text(log_reading, FORMS[out.suffix.lower()], at)
    typer.echo(str(write_text(out, content)))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A transcript, messages as JSON, or our JSON.")],
    log: NewLog = None,
    json: options.Json = None,
) -> None:
    """Read a transcript of another program, or a room's JSON, into a log."""
    from worldline.apps.cli.output_files import read_text
    from worldline.room import files_beside, imported_log

    if log is None:
        raise InputError("--log: give the new log's name")
    log = expand_path(log)
    if log.exists():
        raise InputError(f"--log {log}: it is there already; accepted is a new file")
    refuse_unwritable(log, json, reads=[file, *files_beside(log)])
    text = read_text(None, file, keep_newline=True)
    content, conversation = imported_log(text)
    write_bytes(log, content, exclusive=True)
    if conversation is None:
        typer.echo(f"{log}: as it was")
        return
    counts = conversation.json()
    if json is not None:
        write_json(json, counts)
    if json != "-":
        for name, tally in counts["columns"].items():
            words = ", ".join(f"{key} {n}" for key, n in tally.items()) or "none"
            typer.echo(f"{name:>10}: {words}")
        for title, part in (("mended", "mended"), ("left out", "left_out")):
            words = ", ".join(f"{n} {kind}" for kind, n in counts[part].items()) or "nothing"
            typer.echo(f"{title:>10}: {words}")


@app.command()
def replay(
    log: LogFile,
    scenario: ScenarioName = None,
    with_: With = None,
    threads: options.Threads = None,
) -> None:
    """Run a room again from its log, and name the first event that comes out different.

    The exit code is 1 where one does.
    """
    from worldline.room import open_log, replay_log

    set_threads(threads)
    request = _request(scenario, with_)
    with open_log(log, _warn) as log_reading:
        events = log_reading.events()
    n_events, difference = replay_log(events, request)
    if difference:
        typer.echo(difference)
        raise typer.Exit(1)
    typer.echo(f"{n_events} events, all as they were")


def _request(
    scenario: str | None,
    guests: Sequence[str] | None,
    images: str | None = None,
    search: str | None = None,
) -> RoomRequest:
    from worldline.room import RoomRequest, read_scenario

    chosen_scenario = None if scenario is None else read_scenario(scenario)
    return RoomRequest(chosen_scenario, tuple(guests or ()), images, search)


def _warn(line: str) -> None:
    typer.echo(f"worldline: {line}", err=True)


def _say(line: str) -> None:
    typer.echo(f"{line} …", err=True)


def _quiet(_line: str) -> None: ...


def _run_headless(
    make_room: Callable[[Watch], Room],
    prepare: Callable[[Room], None],
    turns: int | None,
    quiet: bool,
) -> int:
    """Turns taken without anybody there; the exit code."""
    from worldline.apps.cli.room_output import Lines
    from worldline.room import ended_badly

    line_writer = Lines(sys.stderr if quiet else sys.stdout)
    running = make_room(line_writer)
    try:
        prepare(running)
        before = running.log.last
        running.play(turns)
        return 1 if ended_badly(running.log.events(before)) else 0
    except KeyboardInterrupt:
        line_writer.mark_cut_off()
        return 130
    finally:
        running.close()


def _refuse_no_terminal(name: str) -> None:
    """Raise InputError, before anything is written, where nobody can sit in the room."""
    from worldline.room import checked_name

    checked_name(name)
    for stream_name, stream in (("input", sys.stdin), ("output", sys.stdout)):
        if not stream.isatty():
            raise InputError(f"room: standard {stream_name} is no terminal; accepted is --headless")
    try:
        import textual  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(f'{error.name} is not installed: pip install "worldline[room]"') from None


def _write_both(path: Path, out: Path | None, json: str | None) -> None:
    """Write what was asked for, once the room is closed."""
    from worldline.room import log_text, open_log

    with open_log(path, _warn) as log:
        if out is not None:
            typer.echo(str(_write(log, out)), err=json == "-")
        if json is not None:
            write_json(json, _json.loads(log_text(log, "json")))


def _save(room: Room, place: Path) -> Path:
    """Write an open room; the form is the name's ending."""
    from worldline.room import RoomRequest, files_beside

    if place.suffix.lower() not in FORMS:
        raise InputError(f"{place}: accepted are names that end in {', '.join(FORMS)}")
    log = Path(room.log.path)
    models = RoomRequest().local_models(room.log.events())
    refuse_unwritable(place, reads=[log, *files_beside(log)], models=models)
    return _write(room.log, place)


def _write(log: Reading | Log, place: Path) -> Path:
    from worldline.room import log_text

    return write_text(place, log_text(log, FORMS[place.suffix.lower()]))
