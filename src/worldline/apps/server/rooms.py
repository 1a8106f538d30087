"""The routes of the room: what stands, what happens, what people do, pictures, exports."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, StringConstraints

from worldline.apps.server.responses import error_response, event_of
from worldline.errors import InputError
from worldline.room.events import Event, encode
from worldline.room.export_files import as_html, as_json, as_markdown
from worldline.room.host import LIMITS, Desk, HostedRoom
from worldline.room.log import line_of

LISTEN_S = 0.04
KEEPALIVE_S = 10.0
MOST_TURNS = 1000
ALONE = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
PAGE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
Name = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Opening(_StrictModel):
    """Which room: a new one of a scenario, or a log that is there."""

    scenario: Name | None = None
    log: Name | None = None


class Say(_StrictModel):
    """A person speaks."""

    do: Literal["say"]
    who: Name
    text: Text


class Play(_StrictModel):
    """Turns are taken, until paused or so many."""

    do: Literal["play"]
    turns: int | None = Field(default=None, ge=1, le=MOST_TURNS)


class Quiet(_StrictModel):
    """No further turns: after the reply that is being written, or at once."""

    do: Literal["pause", "stop"]


class Branch(_StrictModel):
    """Go on from an earlier event."""

    do: Literal["branch"]
    number: NonNegativeInt


class Set(_StrictModel):
    """A setting, of the room or of one participant."""

    do: Literal["set"]
    what: Name
    value: str | int | float | bool
    who: Annotated[str, StringConstraints(max_length=80)] = ""


class Join(_StrictModel):
    """A participant comes in."""

    do: Literal["join"]
    name: Name
    model: Name
    persona: Annotated[str, StringConstraints(max_length=2000)] = ""
    temperature: float = Field(default=1.0, ge=0, le=2)


class Remove(_StrictModel):
    """A participant is shown out."""

    do: Literal["remove"]
    name: Name


class Limit(_StrictModel):
    """A budget, counted from the beginning; null: no limit, left out: as it was."""

    do: Literal["limit"]
    messages: NonNegativeInt | None = None
    tokens: NonNegativeInt | None = None
    dollars: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


Deed = Annotated[
    Say | Play | Quiet | Branch | Set | Join | Remove | Limit, Field(discriminator="do")
]


class ScenarioLine(BaseModel):
    """A scenario that can be opened."""

    name: str
    title: str
    about: str


class SeatStatus(BaseModel):
    """A participant as it is now."""

    name: str
    model: str
    persona: str
    temperature: float
    muted: bool
    scripted: bool
    replies: NonNegativeInt


class SpentTotals(BaseModel):
    """What replies took; `unpriced` counts those whose price nobody knows."""

    messages: NonNegativeInt
    tokens: NonNegativeInt
    dollars: float
    unpriced: NonNegativeInt


class Limits(BaseModel):
    """The budget; null: no limit."""

    messages: int | None
    tokens: int | None
    dollars: float | None


class RoomStatus(BaseModel):
    """How the open room stands."""

    name: str
    title: str
    tip: NonNegativeInt
    playing: Literal["playing", "paused", "stopped"]
    talking: bool
    present: list[SeatStatus]
    next: str | None
    settings: dict[str, str | int | float | bool]
    spent: SpentTotals
    limits: Limits


class Rooms(BaseModel):
    """What can be opened, and what is open."""

    scenarios: list[ScenarioLine]
    logs: list[str]
    models: list[str]
    open: RoomStatus | None


ROOM_EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events of the log as they happen, what is being written, how it stands",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "event": {"enum": ["event", "piece", "standing", "closed"]},
                        "data": {"type": "string"},
                    },
                    "required": ["event", "data"],
                }
            }
        },
    }
}
Form = Literal["md", "json", "html"]
FORMS: dict[Form, str] = {"md": "text/markdown", "json": "application/json", "html": "text/html"}
PICTURES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
}
EXPORTS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            kind: {"schema": {"type": "object" if form == "json" else "string"}}
            for form, kind in FORMS.items()
        }
    }
}


def room_routes(desk: Desk) -> APIRouter:
    """The routes over a desk; what cannot be done is 409 with the reason."""
    router = APIRouter(prefix="/api/room")

    @router.get("")
    async def list_rooms() -> Rooms:
        """What can be opened, and how the open room stands."""
        return await asyncio.to_thread(_rooms, desk)

    @router.post("", response_model=Rooms)
    async def open_(opening: Annotated[Opening, Body()]) -> Any:
        """Open a room; what was open is closed."""
        try:
            await asyncio.to_thread(desk.open, opening.scenario, opening.log)
        except InputError as error:
            return error_response(409, str(error))
        return await asyncio.to_thread(_rooms, desk)

    @router.post("/deeds", response_model=RoomStatus)
    async def do(deed: Annotated[Deed, Body()]) -> Any:
        """What a person does in the open room."""
        open_room = desk.open_room
        if open_room is None:
            return error_response(409, "no room is open")
        try:
            await asyncio.to_thread(_do_deed, open_room, deed)
        except InputError as error:
            return error_response(409, str(error))
        return RoomStatus(**open_room.status())

    @router.get("/events", response_class=Response, responses=ROOM_EVENTS)
    async def events(after: Annotated[int, Query(ge=0)] = 0) -> Any:
        """What happens in the open room, as server-sent events; `after` is the last one known."""
        open_room = desk.open_room
        if open_room is None:
            return error_response(409, "no room is open")
        return StreamingResponse(_events(desk, open_room, after), media_type="text/event-stream")

    @router.get("/pictures/{name}", response_class=Response, responses=PICTURES)
    async def picture(name: str) -> Response:
        """A picture that an outcome names."""
        open_room = desk.open_room
        if open_room is None:
            return error_response(409, "no room is open")
        try:
            kind, content = await asyncio.to_thread(open_room.room.log.content, name)
        except InputError as error:
            return error_response(404, str(error))
        if not kind.startswith("image/"):
            return error_response(404, f"{name[:16]!r}: is no picture")
        return Response(content, media_type=kind, headers={"Content-Security-Policy": ALONE})

    @router.get("/export.{form}", response_class=Response, responses=EXPORTS)
    async def export(form: Form, at: Annotated[int | None, Query(ge=0)] = None) -> Response:
        """The open room as Markdown, JSON (every branch) or one HTML file; `at` ends a branch."""
        open_room = desk.open_room
        if open_room is None:
            return error_response(409, "no room is open")
        try:
            content = await asyncio.to_thread(_export_text, open_room, form, at)
        except InputError as error:
            return error_response(404, str(error))
        headers = {"Content-Disposition": f'attachment; filename="{open_room.name}.{form}"'}
        if form == "html":
            headers["Content-Security-Policy"] = PAGE
        return Response(content, media_type=FORMS[form], headers=headers)

    return router


def _rooms(desk: Desk) -> Rooms:
    open_room = desk.open_room
    status = None if open_room is None or open_room.is_closed else open_room.status()
    return Rooms.model_validate(
        {
            "scenarios": desk.scenarios(),
            "logs": desk.logs(),
            "models": list(desk.models),
            "open": status,
        }
    )


def _do_deed(open_room: HostedRoom, deed: Any) -> None:
    room = open_room.room
    match deed:
        case Play(turns=turns):
            open_room.play(turns)
        case Quiet(do="pause"):
            room.pause("by a person")
        case Quiet():
            room.stop("by a person")
        case Branch(number=number):
            open_room.branch(number)
        case Say(who=who, text=text):
            room.say(who, text)
        case Set(what=what, value=value, who=who):
            room.set(what, value, who)
        case Join():
            room.join(deed.name, deed.model, deed.persona, deed.temperature)
        case Remove(name=name):
            room.remove(name)
        case Limit():
            was = open_room.status()["limits"]
            new_limits = deed.model_dump(include=deed.model_fields_set & set(LIMITS))
            room.limit(**(was | new_limits))


def _export_text(open_room: HostedRoom, form: Form, at: int | None) -> str:
    log = open_room.room.log
    events = log.events()
    if form == "json":
        return as_json(events, log.content)
    line = open_room.room.line if at is None else line_of(events, at)
    title = str(open_room.status()["title"])
    return as_markdown(line, log.content) if form == "md" else as_html(line, log.content, title)


async def _events(desk: Desk, open_room: HostedRoom, after: int) -> AsyncIterator[str]:
    """Everything that was and will be; many may listen, and none of them is waited for."""
    serial, quiet, stood = -1, 0.0, ""
    while True:
        is_closed = open_room.is_closed or desk.closing
        fresh, piece = open_room.after(after), open_room.piece
        for event in fresh:
            yield event_of("event", _plain(event))
        after += len(fresh)
        if piece.serial != serial:
            serial = piece.serial
            yield event_of("piece", {"who": piece.speaker, "text": piece.text})
        if is_closed:
            yield event_of("closed", {})
            return
        status = open_room.status()
        wire = json.dumps(status)
        if wire != stood:
            stood = wire
            yield event_of("standing", status)
            quiet = 0.0
        quiet = 0.0 if fresh else quiet + LISTEN_S
        if quiet > KEEPALIVE_S:
            quiet = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(LISTEN_S)


def _plain(event: Event) -> dict[str, Any]:
    return {
        "number": event.number,
        "parent": event.parent,
        "time": event.time,
        "body": json.loads(encode(event.body)),
    }
