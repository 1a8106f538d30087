"""What a chat endpoint sends, read leniently: whatever is not what it should be is left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from worldline.room.providers.error_replies import complaint
from worldline.room.providers.failures import GarbledError, RejectedError
from worldline.room.providers.transport import plain

NO_REASON = frozenset(("", "null", "none"))  # what some send until a reply ends


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a reply: words, thoughts, a refusal, why it ended, what it took.

    `text` and `reasoning` may begin or end with half a character. `is_whole` where it is the reply
    from its beginning, `broken` where the endpoint says that it went wrong.
    """

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    reason: str | None = None
    model: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    price: float | None = None
    done: bool = False
    is_whole: bool = False


def chunk_of(payload: Any, url: str, wrong: bool = False) -> Chunk:
    """One event of a stream; `wrong` where the event is called an error.

    Raises: RejectedError for an error among the events, GarbledError for what is no chunk.
    """
    return _chunk(payload, url, ("delta", "message"), wrong)


def whole_of(payload: Any, url: str) -> Chunk:
    """A whole answer of an endpoint that does not stream. Raises: as `chunk_of`."""
    if (
        isinstance(payload, dict)
        and not _is_error(payload)
        and not isinstance(payload.get("choices"), list)
    ):
        raise GarbledError("an answer without choices")
    chunk = _chunk(payload, url, ("message", "delta"), False)
    return chunk if chunk.reason else replace(chunk, done=True)


def _chunk(payload: Any, url: str, holders: tuple[str, str], wrong: bool) -> Chunk:
    if wrong or (isinstance(payload, dict) and _is_error(payload)):
        raise _error(payload, url)
    if not isinstance(payload, dict) or not payload:
        raise GarbledError(f"this is no piece of a reply: {plain(payload, url)}")
    choices = payload.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else {}
    choice = choice if isinstance(choice, dict) else {}
    holder = next((key for key in holders if isinstance(choice.get(key), dict)), "")
    message = choice[holder] if holder else {}
    usage = payload.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    reason = choice.get("finish_reason")
    reason = reason if isinstance(reason, str) and reason.lower() not in NO_REASON else None
    if reason == "error":
        raise RejectedError("the reply ended with an error", 0)
    text, reasoning = _words_and_thoughts(message.get("content"))
    return Chunk(
        text=text or (_text(choice.get("text")) if not holder else ""),
        reasoning=reasoning
        or next(
            filter(None, (_text(message.get(reasoning_key)) for reasoning_key in THOUGHTS)), ""
        ),
        refusal=_text(message.get("refusal")),
        reason=reason,
        model=_text(payload.get("model")),
        tokens_in=_count(usage.get("prompt_tokens")),
        tokens_out=_count(usage.get("completion_tokens")),
        price=_price(usage.get("cost")),
        is_whole=holder == "message",
    )


# More than anybody can count or pay is no number: sums of it, and files, would not hold it.
MOST_TOKENS, MOST_DOLLARS = 10**12, 1e9
THOUGHTS = ("reasoning_content", "reasoning", "thinking")


def _is_error(payload: dict[str, Any]) -> bool:
    return bool(payload.get("error")) or payload.get("object") == "error" or (
        "detail" in payload and "choices" not in payload
    )  # fmt: skip


def _error(payload: Any, url: str) -> RejectedError:
    details = complaint(payload, url)
    error = payload.get("error") if isinstance(payload, dict) else None
    error_fields = (
        error if isinstance(error, dict) else payload if isinstance(payload, dict) else {}
    )
    code = error_fields.get("code")
    status = code if isinstance(code, int) and not isinstance(code, bool) else 0
    reason = details.reason or plain(payload, url)
    return RejectedError(f"{reason}", status, details.fields, details.roles)


def _words_and_thoughts(content: Any) -> tuple[str, str]:
    """(Words, thoughts) of a text, or of a list of parts."""
    if not isinstance(content, list):
        return _text(content), ""
    words, thoughts = "", ""
    for part in content:
        if isinstance(part, str):
            words += part
        elif isinstance(part, dict):
            kind = _text(part.get("type"))
            if "think" in kind or "reason" in kind:
                thinking = next(
                    (part[k] for k in ("thinking", "reasoning", "text") if k in part), ""
                )
                thoughts += "".join(_words_and_thoughts(thinking))
            else:
                words += _text(part.get("text"))
    return words, thoughts


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return value if is_integer and 0 <= value <= MOST_TOKENS else None


def _price(value: Any) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and 0 <= value <= MOST_DOLLARS else None
