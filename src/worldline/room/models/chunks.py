"""What a chat endpoint sends, read leniently: whatever is not what it should be is left out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from worldline.room.models.failures import GarbledError, RejectedError
from worldline.room.models.wire import plain


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a reply: words, thoughts, a refusal, why it ended, what it took."""

    text: str = ""
    thought: str = ""
    refusal: str = ""
    reason: str | None = None
    model: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    price: float | None = None
    done: bool = False


def chunk_of(sent: Any, url: str) -> Chunk:
    """One event of a stream.

    Raises: RejectedError for an error among the events, GarbledError for what is no chunk.
    """
    return _chunk(sent, url, "delta")


def whole_of(sent: Any, url: str) -> Chunk:
    """A whole answer of an endpoint that does not stream. Raises: as `chunk_of`."""
    found = _chunk(sent, url, "message")
    return found if found.reason else replace(found, done=True)


def _chunk(sent: Any, url: str, holder: str) -> Chunk:
    if not isinstance(sent, dict):
        raise GarbledError(f"{url}: this is no piece of a reply: {plain(sent, url)}")
    if sent.get("error"):
        error = sent["error"]
        message = error.get("message") if isinstance(error, dict) else error
        code = error.get("code") if isinstance(error, dict) else None
        raise RejectedError(f"{url}: {plain(message, url)}", code if isinstance(code, int) else 0)
    choices = sent.get("choices")
    if not isinstance(choices, list):
        raise GarbledError(f"{url}: a piece of a reply without choices")
    choice = choices[0] if choices and isinstance(choices[0], dict) else {}
    said = choice.get(holder)
    said = said if isinstance(said, dict) else {}
    usage = sent.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    reason = choice.get("finish_reason")
    return Chunk(
        text=_text(said.get("content")),
        thought=_text(said.get("reasoning_content")) or _text(said.get("reasoning")),
        refusal=_text(said.get("refusal")),
        reason=reason if isinstance(reason, str) else None,
        model=_text(sent.get("model")),
        tokens_in=_count(usage.get("prompt_tokens")),
        tokens_out=_count(usage.get("completion_tokens")),
        price=_price(usage.get("cost")),
    )


def _text(value: Any) -> str:
    """Text, or the text parts of a list of parts; a lone surrogate becomes a question mark."""
    if isinstance(value, list):
        value = "".join(_text(one.get("text")) for one in value if isinstance(one, dict))
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _price(value: Any) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) and value >= 0 else None
