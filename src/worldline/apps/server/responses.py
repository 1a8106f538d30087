"""How the server says things: a reason in one line, an event of a stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi.responses import Response

MOST_SAID = 400  # characters of a reason: it may repeat what was asked


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """A reason as ASCII: what was asked may hold half a character, which nothing else can carry."""
    short = message if len(message) <= MOST_SAID else message[: MOST_SAID - 1] + "…"
    body = json.dumps({"message": short})
    return Response(body, status, dict(headers or {}), media_type="application/json")


def event_of(name: str, data: Mapping[str, Any]) -> str:
    """A server-sent event."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
