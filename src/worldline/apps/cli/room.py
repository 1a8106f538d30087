"""``worldline room``: several AIs in one conversation, in the terminal or without anybody there."""

from __future__ import annotations

import json as _json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worldline.apps.cli import options
from worldline.apps.cli.out import refuse_unwritable, write_json, write_text
from worldline.apps.cli.room_opening import (
    OURS,
    content_of,
    events_in,
    fill_log,
    made_room,
    models_of,
    new_log,
    reading_log,
    scenario_named,
    set_threads,
    weigh_of,
)
from worldline.errors import InputError

if TYPE_CHECKING:
    from worldline.room.events import Event
    from worldline.room.models.catalog import Catalog
    from worldline.room.replaying import Replay
    from worldline.room.room import Room, Watch

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
    Path | None, typer.Option("--log", help="The room's log: a new file, or one to go on with.")
]


@app.callback(invoke_without_command=True)
def room(
    context: typer.Context,
    scenario: ScenarioName = None,
    with_: With = None,
    log: NewLog = None,
    name: Annotated[
        str, typer.Option(help="The name under which you speak in the terminal.")
    ] = "You",
    headless: Annotated[
        bool, typer.Option("--headless", help="Nobody is asked anything: turns are taken.")
    ] = False,
    turns: Annotated[int | None, typer.Option(min=0, help="How many turns at most.")] = None,
    start: Annotated[int | None, typer.Option("--branch", help="Go on from this event.")] = None,
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
    out: options.Out = None,
    json: options.Json = None,
) -> None:
    """Let a room talk: streamed, every event kept in a log that can be gone on with."""
    if context.invoked_subcommand is not None:
        return
    if out is not None and out.suffix.lower() not in FORMS:
        raise InputError(f"--out {out}: accepted are names that end in {', '.join(FORMS)}")
    if not headless:
        _refuse_no_terminal(json)
    elif turns is None and log is None and scenario is None and with_ is None:
        turns = 12
    refuse_unwritable(out, json)
    set_threads(threads)
    given = scenario_named(scenario, with_ or [], log)
    path, with_ = (log or new_log()).expanduser(), with_ or []
    if start is not None and not 0 < start <= len(events_in(path)):
        raise InputError(f"--branch {start}: accepted are 1 to {len(events_in(path))} of this log")
    made = made_room(given, with_, path, images, search, weigh_of(flow, cuts))
    begun = _Beginning(seed, start, turns)
    quiet = json == "-"
    if headless:
        stopped = _headless(made, begun, quiet, lambda running: _write_all(running, out, json))
    else:
        stopped = _terminal(made, begun, path, name, lambda running: _write_all(running, out, json))
    typer.echo(f"the log: {path} (worldline room --log goes on with it)", err=quiet)
    if stopped:
        raise typer.Exit(130)


@dataclass(frozen=True)
class _Beginning:
    """What is done to a room before it talks, and for how many turns it does."""

    seed: int | None
    start: int | None
    turns: int | None

    def of(self, room: Room) -> None:
        """Do it."""
        if self.seed is not None:
            room.set("seed", self.seed)
        if self.start is not None:
            room.branch(self.start)


def _headless(
    made: Callable[[Watch], Room], begun: _Beginning, quiet: bool, then: Callable[[Room], None]
) -> bool:
    """Take turns; whether somebody stopped it."""
    from worldline.apps.cli.room_lines import Lines

    shown, stopped = Lines(sys.stderr if quiet else sys.stdout), False
    room = made(shown)
    try:
        begun.of(room)
        try:
            room.play(begun.turns)
        except KeyboardInterrupt:
            shown.broken()
            stopped = True
        then(room)
    finally:
        room.close()
    return stopped


def _terminal(
    made: Callable[[Watch], Room],
    begun: _Beginning,
    path: Path,
    name: str,
    then: Callable[[Room], None],
) -> bool:
    """Open the room in the terminal until it is left."""
    from worldline.apps.terminal.app import RoomApp
    from worldline.room.hosting import Hosted

    hosted = Hosted(path.stem, made)
    try:
        begun.of(hosted.room)

        def save(place: Path) -> Path:
            form = FORMS.get(place.suffix.lower())
            if form is None:
                raise InputError(
                    f"/save {place}: accepted are names that end in {', '.join(FORMS)}"
                )
            return write_text(place, content_of(hosted.room.log, form, None))

        RoomApp(hosted, save, name, begun.turns).run()
        hosted.quiet("the room was left")
        then(hosted.room)
    finally:
        hosted.close("the room was left")
    return False


def _refuse_no_terminal(json: str | None) -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or json == "-":
        raise InputError("room: no terminal to show it in; give --headless, which takes turns")
    if find_spec("textual") is None:
        raise InputError('textual is not installed: pip install "worldline[room]", or --headless')


def _write_all(room: Room, out: Path | None, json: str | None) -> None:
    if out is not None:
        content = content_of(room.log, FORMS[out.suffix.lower()], None)
        typer.echo(str(write_text(out, content)), err=json == "-")
    if json is not None:
        write_json(json, _json.loads(content_of(room.log, "json", None)))


@app.command()
def export(
    log: LogFile,
    out: options.Out = None,
    at: Annotated[
        int | None, typer.Option("--until", help="The branch that ends here (default: the newest).")
    ] = None,
) -> None:
    """Write a room's log as a page, as Markdown, or as JSON (every branch, to be read back)."""
    if out is None or out.suffix.lower() not in FORMS:
        raise InputError(f"--out {out}: accepted are names that end in {', '.join(FORMS)}")
    refuse_unwritable(out)
    with reading_log(log) as found:
        content = content_of(found, FORMS[out.suffix.lower()], at)
    typer.echo(str(write_text(out, content)))


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A printed transcript, or our own JSON.")],
    log: NewLog = None,
    json: options.Json = None,
) -> None:
    """Read a transcript of another program, or a room's JSON, into a log."""
    from worldline.apps.cli.out import read_text
    from worldline.room.importing import from_json, from_transcript

    text = read_text(None, file)
    refuse_unwritable(json)
    if log is None:
        raise InputError("--log: give the new log's name")
    if log.exists():
        raise InputError(f"--log {log}: it is there already; accepted is a new file")
    if text.lstrip().startswith("{"):
        fill_log(log, lambda new: from_json(text, new))
        typer.echo(f"{log}: as it was")
        return
    found = from_transcript(text)
    fill_log(log, lambda new: new.append(found.bodies))
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
    scenario: ScenarioName = None,
    with_: With = None,
    threads: options.Threads = None,
) -> None:
    """Run a room again from its log, and name the first event that comes out different.

    The exit code is 1 where one does.
    """
    from worldline.room.log import line_of
    from worldline.room.replaying import replay as replay_line
    from worldline.room.scenarios import catalog_of, read_scenario

    set_threads(threads)
    given = None if scenario is None else read_scenario(scenario)
    with reading_log(log) as found:
        events = found.events()
    catalog = catalog_of(given, models_of(given, with_ or [], events))
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
