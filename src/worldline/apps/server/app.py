"""The routes: the page, questions, what happens to them, answers, exports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, NonNegativeInt, StringConstraints, create_model
from starlette.exceptions import HTTPException

from worldline import Scene
from worldline.apps.server.access import Guard, Rate
from worldline.apps.server.responses import error_response, event_of
from worldline.apps.server.rooms import room_routes
from worldline.field_errors import fault_line
from worldline.room import Desk
from worldline.service.answers import Answer
from worldline.service.questions import Question
from worldline.service.worker import BusyError, Job, Worker
from worldline.views import (
    STATIC,
    ClaimsPicture,
    SceneAltered,
    ScenePaths,
    claims_json,
    render_html,
    render_page,
    with_altered,
    with_meanings,
)

LISTEN_S = 0.04  # between looks at what a job has said
KEEPALIVE_S = 10.0
BINARY = "application/octet-stream"
FILES = {"worldline.js": "text/javascript", "worldline.css": "text/css"}
ClaimsSource = Callable[[], ClaimsPicture]
Client = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{8,64}$")]


class Asking(BaseModel):
    """A question and who asks it: a page's own random name, so that it supersedes its own only."""

    model_config = ConfigDict(extra="forbid")

    client: Client
    question: Question


class Refusal(BaseModel):
    """Why something was not done, in one line."""

    message: str


class QuestionId(BaseModel):
    """The name under which a question is kept."""

    id: str


class PathsAnswer(BaseModel):
    """The paths to a target, or why there are none."""

    paths: ScenePaths | None
    paths_left_out: str | None


class TraceAnswer(BaseModel):
    """How large the file of a trace is."""

    bytes: NonNegativeInt


class About(BaseModel):
    """Which model answers, and what the page shows first."""

    model: str
    example: str
    version: str
    rooms: bool = False


# One part of what altered runs may say, the others left out.
AlteredAnswer = create_model(
    "AlteredAnswer",
    __config__=ConfigDict(extra="forbid"),
    **{name: (one.annotation, None) for name, one in SceneAltered.model_fields.items()},  # pyright: ignore
)
REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": Refusal}
    for code in (400, 401, 403, 404, 405, 408, 409, 413, 421, 422, 429, 503)
}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "What was and will be said, `data` as JSON; the last three end it",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "event": {"enum": ["queued", "progress", "done", "failed", "cancelled"]},
                        "data": {"type": "string"},
                    },
                    "required": ["event", "data"],
                }
            }
        },
    }
}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"model": Scene | AlteredAnswer | PathsAnswer | TraceAnswer}
}
TRACES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}
}
PAGES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {"schema": {"type": "string"}}}}
}


def make_app(
    worker: Worker,
    about: dict[str, Any],
    *,
    hosts: frozenset[str],
    forwarded_hosts: frozenset[str] = frozenset(),
    token: str | None = None,
    rate: Rate | None = None,
    claims: ClaimsSource | None = None,
    desk: Desk | None = None,
) -> Guard:
    """The ASGI application over a worker; `about` says which model answers, and the example.

    `claims` gives the claims and the verdicts on this model as they are now, each time it is
    asked; without it the page has none. `desk` is where rooms are opened; without it there are
    none.
    """
    app = FastAPI(
        title="worldline", docs_url=None, redoc_url=None, openapi_url="/api/openapi.json",
        responses=REFUSALS,
    )  # fmt: skip

    _answer_errors(app)
    app.include_router(_page_routes(about, claims, rooms=desk is not None))
    app.include_router(_question_routes(worker))
    app.include_router(_answer_routes(worker, claims))
    if desk is not None:
        app.include_router(room_routes(desk))
    return Guard(app, hosts, token, rate or Rate(), forwarded_hosts)


def _answer_errors(app: FastAPI) -> None:
    """Whatever goes wrong is answered in one line."""

    @app.exception_handler(RequestValidationError)
    async def refused(_request: Request, error: RequestValidationError) -> Response:
        return error_response(422, "; ".join(_in_words(problem) for problem in error.errors()[:3]))

    @app.exception_handler(HTTPException)
    async def unmet(request: Request, error: HTTPException) -> Response:
        request_line = f"{request.method} {request.url.path[:100]}"
        return error_response(error.status_code, f"{request_line}: {error.detail}", error.headers)

    @app.exception_handler(Exception)
    async def broken(_request: Request, error: Exception) -> Response:
        return error_response(500, f"an error of worldline's own: {type(error).__name__}")


def _page_routes(about: dict[str, Any], claims: ClaimsSource | None, rooms: bool) -> APIRouter:
    """The page, its files, and what it shows first."""
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(render_page(), media_type="text/html")

    @router.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in FILES:
            return error_response(404, f"{name[:100]!r}: accepted are {', '.join(FILES)}")
        return FileResponse(STATIC / name, media_type=FILES[name])

    @router.get("/api/about")
    async def about_() -> About:
        """Which model answers, and what the page shows first."""
        return About(**about, rooms=rooms)

    @router.get("/api/claims", response_model=ClaimsPicture | None)
    async def claims_() -> Response:
        """The claims and the verdicts on this model; null where this server has none."""
        claims_picture = None if claims is None else await asyncio.to_thread(claims)
        wire = "null" if claims_picture is None else claims_json(claims_picture)
        return Response(wire, media_type="application/json")

    return router


def _question_routes(worker: Worker) -> APIRouter:
    """Questions, what happens to them, and their end."""
    router = APIRouter()

    @router.post("/api/questions", status_code=202, response_model=QuestionId)
    async def ask(asking: Annotated[Asking, Body()]) -> Any:
        """Put a question in the queue; what this client asked before is stopped."""
        try:
            return QuestionId(id=worker.submit(asking.client, asking.question).id)
        except BusyError as error:
            return error_response(503, str(error))

    @router.get("/api/questions/{name}/events", response_class=Response, responses=EVENTS)
    async def events(name: str) -> Any:
        """What happens to a question, as server-sent events, until it has ended."""
        job = worker.get(name)
        if job is None:
            return _unknown(name)
        return StreamingResponse(_events(worker, job), media_type="text/event-stream")

    @router.delete("/api/questions/{name}", status_code=204, response_class=Response)
    async def cancel(name: str) -> Response:
        """Stop a question; it ends between two layers."""
        job = worker.get(name)
        if job is None:
            return _unknown(name)
        worker.cancel(job)
        return Response(status_code=204)

    return router


def _answer_routes(worker: Worker, claims: ClaimsSource | None) -> APIRouter:
    """Answers as JSON, as the file of a trace, and as a page."""
    router = APIRouter()

    @router.get("/api/questions/{name}/answer", responses=ANSWERS)
    async def answer(name: str) -> Response:
        """The answer, once it is done: a Scene, or a part of one."""
        job = worker.get(name)
        if job is None:
            return _unknown(name)
        if job.answer is None:
            return error_response(409, f"the question is {job.state}: it has no answer")
        return Response(job.answer.wire, media_type="application/json")

    @router.get(
        "/api/questions/{name}/trace.safetensors", response_class=Response, responses=TRACES
    )
    async def trace(name: str) -> Response:
        """The file of a question that asked for the trace."""
        job = worker.get(name)
        place = job.answer.file if job is not None and job.answer is not None else None
        if place is None or not place.exists():
            return _unknown(name)
        return FileResponse(place, filename="trace.safetensors", media_type=BINARY)

    @router.get("/api/questions/{name}/page.html", response_class=Response, responses=PAGES)
    async def saved(
        name: str, with_: Annotated[list[str] | None, Query(alias="with", max_length=8)] = None
    ) -> Response:
        """One HTML file of an answered Scene, with what altered runs said of it."""
        job = worker.get(name)
        if job is None or job.answer is None or job.answer.scene is None:
            return _unknown(name)
        altered_answers = _answers_beside(job, [worker.get(job_name) for job_name in with_ or ()])
        if isinstance(altered_answers, Response):
            return altered_answers
        content = await asyncio.to_thread(_page_of, job.answer.scene, altered_answers, claims)
        disposition = {"Content-Disposition": 'attachment; filename="worldline.html"'}
        return Response(content, media_type="text/html", headers=disposition)

    return router


def _answers_beside(job: Job, altered_jobs: list[Job | None]) -> list[Answer] | Response:
    """The answers of altered runs of the same text as the job's, or why one is not to be had."""
    altered_answers: list[Answer] = []
    for altered_job in altered_jobs:
        if altered_job is None or altered_job.answer is None:
            return error_response(404, "a run that is gone: ask again")
        if (altered_job.question.text, altered_job.question.chat) != (
            job.question.text,
            job.question.chat,
        ):
            return error_response(409, "a run of another text")
        altered_answers.append(altered_job.answer)
    return altered_answers


def _page_of(scene: Scene, altered_answers: list[Answer], claims: ClaimsSource | None) -> str:
    """The exported file: a Scene, what altered runs of the same text said, and the claims."""
    altered_parts: dict[str, Any] = {}
    for answer in altered_answers:
        altered_parts |= answer.scene_parts or {}
        if answer.paths is not None:
            update = {"paths": answer.paths, "paths_left_out": None}
            scene = scene.model_copy(update=update)
    full_scene = with_altered(scene, **altered_parts) if altered_parts else with_meanings(scene)
    return render_html(full_scene, None if claims is None else claims())


async def _events(worker: Worker, job: Job) -> AsyncIterator[str]:
    """Everything that was and will be said of a job; whoever hangs up stops it."""
    n_sent, quiet = 0, 0.0
    try:
        while True:
            has_ended, fresh = job.has_ended, job.events[n_sent:]
            for event, details in fresh:
                yield event_of(event, details)
            n_sent += len(fresh)
            if has_ended:
                return
            if worker.closing:
                yield event_of("cancelled", {"why": "the server ends"})
                return
            quiet = 0.0 if fresh else quiet + LISTEN_S
            if quiet > KEEPALIVE_S:
                quiet = 0.0
                yield ": still here\n\n"
            await asyncio.sleep(LISTEN_S)
    finally:
        if not job.has_ended:
            worker.cancel(job)


def _unknown(name: str) -> Response:
    return error_response(404, f"question {name[:40]!r}: it is not known, or forgotten: ask again")


def _in_words(error: dict[str, Any]) -> str:
    where = list(error["loc"])[1:] if error["loc"][:1] == ("body",) else list(error["loc"])
    if error["type"] == "json_invalid":  # its place is a number of characters
        why = error.get("ctx", {}).get("error", "")
        return f"the body is no JSON, from character {where[-1]} on: {why}; accepted is JSON"
    if not where and isinstance(error["input"], (str, bytes)) and error["input"]:
        return "the body was not read as JSON; accepted is JSON, with Content-Type application/json"
    if where[:1] == ["question"] and len(where) > 2:
        where = where[2:]  # under the kind of question, which the asker knows
    return fault_line(error, ".".join(map(str, where)))
