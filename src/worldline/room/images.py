"""Pictures for a room: an endpoint's, a diffusion model's, or a portrait of the flow itself."""

from __future__ import annotations

import base64
import binascii
import importlib
import importlib.util
import inspect
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from worldline.errors import InputError
from worldline.room.actions import ActionRequest, Picture
from worldline.room.portrait import portrait
from worldline.room.providers.error_replies import leave_out
from worldline.room.providers.exchange import Request
from worldline.room.providers.failures import GarbledError, RejectedError, StoppedError
from worldline.room.providers.http_requests import fetch, json_of
from worldline.room.providers.stop_signal import refuse_stopped, wait
from worldline.room.providers.transport import (
    Patience,
    Sleep,
    addressless,
    base_url,
    keyless,
    plain,
)
from worldline.tokens.sanitize import one_line

if TYPE_CHECKING:
    from worldline import LoadedModel

LARGEST_PICTURE_BYTES = 24 << 20
LONGEST_ABOUT = 200
KINDS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)


@dataclass(eq=False)
class EndpointImages:
    """Any OpenAI-compatible `/images/generations`."""

    url: str
    model: str
    size: str = "1024x1024"
    patience: Patience = field(default_factory=lambda: Patience(first=180.0, total=300.0))
    sleep: Sleep = field(default=wait, repr=False)
    _refused_fields: set[str] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        self.url = base_url(self.url)

    def __call__(self, request: ActionRequest) -> Picture:
        """The picture; raises ReplyError where none came."""
        answer = json_of(self._answer(request), self.url)
        rows = answer.get("data") if isinstance(answer, dict) else None
        row = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
        content = self._content(row)
        about = f"made by {self.model}"
        if isinstance(row.get("revised_prompt"), str):
            drew = addressless(keyless(row["revised_prompt"], self.url), self.url)
            about += f"; it drew: {one_line(drew, LONGEST_ABOUT)}"
        return Picture(content, kind_of(content), about)

    def _answer(self, request: ActionRequest) -> bytes:
        while True:
            body = {"model": self.model, "prompt": request.text, "n": 1, "size": self.size}
            body |= {"response_format": "b64_json"}
            payload = {
                name: value for name, value in body.items() if name not in self._refused_fields
            }
            try:
                return fetch(
                    Request(self.url, "POST", "/images/generations", payload),
                    self.patience,
                    sleep=self.sleep,
                    largest=2 * LARGEST_PICTURE_BYTES,
                )
            except RejectedError as error:
                if not leave_out(error, payload, self._refused_fields):
                    raise

    def _content(self, row: dict[str, Any]) -> bytes:
        encoded_picture, link = row.get("b64_json"), row.get("url")
        if isinstance(encoded_picture, str):
            try:
                return base64.b64decode(encoded_picture, validate=True)
            except (binascii.Error, ValueError):
                raise GarbledError("its picture is not base64") from None
        if not isinstance(link, str):
            raise GarbledError("its answer has no picture")
        place = _origin(link)
        is_same_origin = place == _origin(self.url)
        if place is None or not (is_same_origin or place[0] == "https"):
            raise GarbledError("its picture lies where none is fetched from")
        parts = urlsplit(link)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        host = f"{parts.scheme}://{parts.netloc}"
        request = Request(host, "GET", path, keyed=False, public=not is_same_origin)
        return fetch(request, self.patience, sleep=self.sleep, largest=LARGEST_PICTURE_BYTES)


def _origin(link: str) -> tuple[str, str, int] | None:
    """The scheme, host and port of an address; None where it has none, or names a user."""
    try:
        parts = urlsplit(link)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or "@" in parts.netloc:
        return None
    return parts.scheme, parts.hostname, port or {"http": 80}.get(parts.scheme, 443)


def kind_of(content: bytes) -> str:
    """The media type by the first bytes, whatever was claimed.

    Raises GarbledError for anything but PNG, JPEG, GIF and WebP: a drawing could hold a script.
    """
    for start, kind in KINDS:
        if content.startswith(start):
            return kind
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    raise GarbledError("what it sent is no PNG, JPEG, GIF or WebP")


@dataclass(eq=False)
class DiffusersImages:
    """A diffusion model in this process, by its hub id or folder; needs the package `diffusers`.

    Not reproducible: no seed is fixed.
    """

    model: str
    _pipeline: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if importlib.util.find_spec("diffusers") is None:
            raise InputError(
                'diffusers is not installed; pip install "worldline[images]" brings it'
            )

    def __call__(self, request: ActionRequest) -> Picture:
        """The picture, as PNG; raises GarbledError where the model gives none."""
        failure = ""
        out = io.BytesIO()
        try:
            if self._pipeline is None:
                library = importlib.import_module("diffusers")
                self._pipeline = library.AutoPipelineForText2Image.from_pretrained(
                    self.model, use_safetensors=True
                )
            output = self._pipeline(request.text, **stopping_options(self._pipeline))
            output.images[0].save(out, format="PNG")
        except StoppedError:
            raise
        except Exception as error:  # a pipeline raises whatever its parts raise
            failure = plain(error) or type(error).__name__
        if failure:
            raise GarbledError(f"{self.model}: {failure}")
        return Picture(out.getvalue(), "image/png", f"made by {self.model} in this process")


def stopping_options(pipeline: Any) -> dict[str, Any]:
    """What makes a pipeline end between two of its steps when it is stopped, where it can."""

    def look(_pipeline: Any, _step: int, _time: Any, values: dict[str, Any]) -> dict[str, Any]:
        refuse_stopped()
        return values

    name = "callback_on_step_end"
    takes = name in inspect.signature(type(pipeline).__call__).parameters
    return {name: look} if takes else {}


@dataclass(eq=False)
class Portraits:
    """Without anything that draws: the flow in the model that wrote the prompt, as it reads it.

    `model_by_name` finds the asking participant's model where it runs in this process;
    `fallback_model` is read instead where it does not (a script, an endpoint), and the caption says
    so.
    """

    model_by_name: Callable[[str], LoadedModel | None]
    fallback_model: Callable[[], LoadedModel]

    def __call__(self, request: ActionRequest) -> Picture:
        """The portrait, as SVG. Raises: InputError, RefusedError as `worldline.record`."""
        model = self.model_by_name(request.model)
        drawing = portrait(model or self.fallback_model(), request.text)
        about = drawing.about
        if model is None:
            about += f"; {request.asker}'s own model ({request.model}) cannot be looked into"
        return Picture(drawing.svg.encode(), "image/svg+xml", about)
