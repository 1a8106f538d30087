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
from worldline.apps.cli.room_setup import (
    OURS,
    attribute_for,
    beside,
    events_of,
    local_models,
    making,
    models_for,
    new_log,
    reading,
    scenario_for,
    set_threads,
)
from worldline.errors import InputError
from worldline.places import expand_path

if TYPE_CHECKING:
    from worldline.room.events import Event
    from worldline.room.log import Log, Reading
    from worldline.room.providers.catalog import Catalog
    from worldline.room.replay import Replay
    from worldline.room.room import Room, Watch
    from worldline.room.scenarios import Scenario

YOU = "You"
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
    path, with_ = expand_path(log or new_log()), with_ or []
    refuse_unwritable(out, json, path, reads=[*beside(path), scenario, search])
    chosen_scenario = scenario_for(scenario, with_, log)
    events = events_of(path) if out or json or start is not None else ()
    if out or json:
        refuse_unwritable(out, json, models=local_models(events, chosen_scenario, with_, images))
    set_threads(threads)
    n_events = len(events)
    if start is not None and not 0 < start <= n_events:
        accepted_words = (
            f"accepted are 1 to {n_events}" if n_events else "accepted is a log with events"
        )
        raise InputError(f"--branch {start}: {accepted_words}")
    make_room = making(
        chosen_scenario,
        with_,
        path,
        images,
        search,
        attribute_for(flow, cuts),
        _say if headless else _quiet,
    )
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
    refuse_unwritable(out, reads=[log, *beside(log)])
    with reading(log) as log_reading:
        content = _content(log_reading, FORMS[out.suffix.lower()], at)
    typer.echo(str(write_text(out, content)))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A transcript, messages as JSON, or our JSON.")],
    log: NewLog = None,
    json: options.Json = None,
) -> None:
    """Read a transcript of another program, or a room's JSON, into a log."""
    from worldline.apps.cli.output_files import read_text
    from worldline.room.imports import from_elsewhere, from_json, is_room

    if log is None:
        raise InputError("--log: give the new log's name")
    log = expand_path(log)
    if log.exists():
        raise InputError(f"--log {log}: it is there already; accepted is a new file")
    refuse_unwritable(log, json, reads=[file, *beside(log)])
    text = read_text(None, file, keep_newline=True)
    if is_room(text):
        _fill_new_log(log, lambda new: from_json(text, new))
        typer.echo(f"{log}: as it was")
        return
    conversation = from_elsewhere(text)
    _fill_new_log(log, lambda new: new.append(conversation.bodies))
    columns = {name: getattr(conversation.columns, name) for name in conversation.columns.__slots__}
    repair_counts = {
        name: getattr(conversation.repaired_text, name) for name in ("mended", "guessed", "gone")
    }
    if json is not None:
        write_json(
            json,
            {"columns": columns, "mended": repair_counts, "left_out": dict(conversation.left_out)},
        )
    if json != "-":
        for name, counts in columns.items():
            count_words = (
                ", ".join(f"{column_key} {n}" for column_key, n in counts.items()) or "none"
            )
            typer.echo(f"{name:>10}: {count_words}")
        typer.echo(
            f"{'mended':>10}: " + ", ".join(f"{n} {reason}" for reason, n in repair_counts.items())
        )
        left_out_words = (
            ", ".join(f"{n} {repair_kind}" for repair_kind, n in conversation.left_out.items())
            or "nothing"
        )
        typer.echo(f"{'left out':>10}: {left_out_words}")


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
    from worldline.room.log import line_of
    from worldline.room.replay import replay as replay_line
    from worldline.room.scenarios import catalog_of, read_scenario

    set_threads(threads)
    chosen_scenario = None if scenario is None else read_scenario(scenario)
    with reading(log) as log_reading:
        events = log_reading.events()
    _refuse_scripts_unsaid(chosen_scenario, events)
    catalog = catalog_of(chosen_scenario, models_for(chosen_scenario, with_ or [], events))
    result = replay_line(line_of(events), catalog)
    if not result.differs:
        typer.echo(f"{len(result.events)} events, all as they were")
        return
    where = _where(result, line_of(events), catalog)
    typer.echo(f"event {result.differs} comes out different: {result.reason}{where}")
    raise typer.Exit(1)


def _refuse_scripts_unsaid(scenario: Scenario | None, events: Sequence[Event]) -> None:
    """Raise InputError where a script spoke in the log and its scenario is not given.

    A log says who spoke from a script, not what stands in it further on.
    """
    from worldline.room.events import Arrival

    spoke = [
        event.body.name
        for event in events
        if isinstance(event.body, Arrival) and event.body.scripted
    ]
    if spoke and scenario is None:
        raise InputError(
            f"this room has a script, that of {spoke[0]}, which stands in its scenario: give it "
            "with --scenario"
        )


def _where(result: Replay, line: Sequence[Event], catalog: Catalog) -> str:
    """The first character that differs, and the first token, where a model here wrote the text."""
    if result.at is None:
        return ""
    from worldline.room.events import Message
    from worldline.room.providers.local_model import Local

    body = line[result.differs - 1].body
    model = catalog.model(body.model) if isinstance(body, Message) else None
    position_words = f", from character {result.at} on"
    if not isinstance(body, Message) or not isinstance(model, Local):
        return position_words
    from worldline import tokenize

    tokens = tokenize(model.model.tokenizer, body.text)
    at = next((n for n, (_, end) in enumerate(tokens.char_spans) if end > result.at), None)
    return position_words + (", its end" if at is None else f", token {at} ({tokens.pieces[at]!r})")


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

    line_writer = Lines(sys.stderr if quiet else sys.stdout)
    running = make_room(line_writer)
    try:
        prepare(running)
        before = running.log.last
        running.play(turns)
        return 1 if _has_failed(running.log.events(before)) else 0
    except KeyboardInterrupt:
        line_writer.mark_cut_off()
        return 130
    finally:
        running.close()


def _has_failed(events: Sequence[Event]) -> bool:
    """Whether a turn ended in a fault, or replies were asked for and not one came."""
    from worldline.room.events import Message, Notice

    codes = {event.body.code for event in events if isinstance(event.body, Notice)}
    has_reply = any(isinstance(event.body, Message) for event in events)
    return "broken" in codes or ("no_reply" in codes and not has_reply)


def _refuse_no_terminal(name: str) -> None:
    """Raise InputError, before anything is written, where nobody can sit in the room."""
    from worldline.room.participants import checked_name

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
    with reading(path) as log:
        if out is not None:
            typer.echo(str(_write(log, out)), err=json == "-")
        if json is not None:
            write_json(json, _json.loads(_content(log, "json", None)))


def _save(room: Room, place: Path) -> Path:
    """Write an open room; the form is the name's ending."""
    if place.suffix.lower() not in FORMS:
        raise InputError(f"{place}: accepted are names that end in {', '.join(FORMS)}")
    log = Path(room.log.path)
    models = local_models(room.log.events())
    refuse_unwritable(place, reads=[log, *beside(log)], models=models)
    return _write(room.log, place)


def _write(log: Reading | Log, place: Path) -> Path:
    return write_text(place, _content(log, FORMS[place.suffix.lower()], None))


def _content(log: Reading | Log, form: str, at: int | None) -> str:
    """A log's branch as Markdown or HTML, or the whole log as JSON."""
    from worldline.room.export_files import as_html, as_json, as_markdown
    from worldline.room.log import line_of
    from worldline.room.state import state_of

    events = log.events()
    if form == "json":
        return as_json(events, log.content)
    line = line_of(events, at)
    title = state_of(line).settings["topic"] or Path(log.path).stem
    return as_markdown(line) if form == "md" else as_html(line, log.content, title)


def _fill_new_log(path: Path, fill: Callable[[Log], object]) -> None:
    """A new log that is filled, or is not there: it is filled in memory, and written whole."""
    from worldline.room.log import Log

    log = Log()
    try:
        fill(log)
        write_bytes(path, log.content_of_file(), exclusive=True)
    finally:
        log.close()
