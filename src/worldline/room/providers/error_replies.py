"""Why an endpoint says no, in its many ways of saying it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from worldline.room.providers.failures import RejectedError
from worldline.room.providers.transport import plain

FIELDS = (  # those that an endpoint may do without; the longer names first
    "max_completion_tokens", "max_tokens", "stream_options", "stream", "seed", "temperature",
    "response_format", "size",
)  # fmt: skip
ROLES = re.compile(
    r"\broles?\b|\balternat|\bsystem\W{0,3}(?:message|prompt|instruction|turn|is not|not)\b"
    r"|\bsupport\w*\W{1,3}(?:the )?system\b|\bdeveloper instruction|\bconsecutive\b|\bin a row\b"
    r"|\b(?:first|last) message\b|\bend with a user\b|\btemplate\b|templateerror|\bjinja",
    re.IGNORECASE,
)
TITLE = re.compile(r"<title[^<>]{0,100}>([^<]{1,200})", re.IGNORECASE)
REFUSING = frozenset((0, 400, 422, 501))  # 0: among the events of an answer
TOO_LONG = re.compile(r"\bcontext\b|\btoo (?:large|long|many)\b", re.IGNORECASE)
MOST_REASONS = 5


@dataclass(frozen=True, slots=True)
class Complaint:
    """The reason, for an error; which fields of the request it names; whether it is about roles."""

    reason: str
    fields: tuple[str, ...]
    roles: bool


def complaint_of(raw: bytes, url: str) -> Complaint:
    """What an error's body says: JSON of several kinds, a page, or plain text."""
    text = raw.decode("utf-8-sig", "replace")
    try:
        return complaint(json.loads(text), url)
    except (ValueError, RecursionError):
        if text.lstrip()[:1] == "<":
            title = TITLE.search(text[:10_000])
            text = title[1] if title else "a page of HTML"
        return Complaint(plain(text, url), named_fields(text)[:1], bool(ROLES.search(text)))


def complaint(payload: Any, url: str) -> Complaint:
    """The same of what JSON held. Raises: RecursionError where it is nested too deep."""
    text = "; ".join(list(_reasons(payload))[:MOST_REASONS])
    exact = tuple(
        field_name for field_name in dict.fromkeys(_places(payload)) if field_name in FIELDS
    )
    return Complaint(plain(text, url), exact or named_fields(text)[:1], bool(ROLES.search(text)))


def named_fields(text: str) -> tuple[str, ...]:
    """The fields that a text names, the first one first; none where it is about a length."""
    if TOO_LONG.search(text):
        return ()
    places = {field_name: re.search(rf"\b{field_name}\b", text) for field_name in FIELDS}
    by_position = sorted((at.start(), found_field) for found_field, at in places.items() if at)
    return tuple(ordered_field for _, ordered_field in by_position)


def leave_out(error: RejectedError, payload: dict[str, Any], refused_fields: set[str]) -> bool:
    """Note the fields that an endpoint does not take; whether asking without them may help."""
    newly_refused = [
        field_name
        for field_name in error.fields
        if field_name in payload and field_name not in refused_fields
    ]
    if error.status not in REFUSING or not newly_refused:
        return False
    refused_fields.update(newly_refused)
    return True


def _reasons(payload: Any) -> Iterator[str]:
    if isinstance(payload, str):
        yield payload
    elif isinstance(payload, list):
        for item in payload[:MOST_REASONS]:
            yield from _reasons(item)
    elif isinstance(payload, dict):
        place = payload.get("loc") or payload.get("param")
        steps = place if isinstance(place, list) else [place]
        where = ".".join(
            str(step) for step in steps if isinstance(step, (str, int)) and step != "body"
        )
        for name in ("error", "detail", "errors", "message", "msg", "error_description", "title"):
            reasons = list(_reasons(payload.get(name)))
            if reasons:
                yield from (f"{reason} ({where})" if where else reason for reason in reasons)
                return


def _places(payload: Any, depth: int = 0) -> Iterator[str]:
    """The fields that an error points at: `param`, or the last name of a `loc`."""
    if depth > 4:
        return
    if isinstance(payload, list):
        for item in payload[:20]:
            yield from _places(item, depth + 1)
    elif isinstance(payload, dict):
        if isinstance(payload.get("param"), str):
            yield payload["param"].removeprefix("body.")
        place = payload.get("loc")
        if isinstance(place, list) and 1 <= len(names := [p for p in place if p != "body"]) <= 2:
            yield str(names[0])
        for name in ("error", "detail", "errors"):
            yield from _places(payload.get(name), depth + 1)
