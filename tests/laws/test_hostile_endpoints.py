"""What an endpoint sends was damaged on its way, anywhere: words, or one line, in time."""

from __future__ import annotations

import gzip
import json
import random
import time
from typing import Any

import pytest

from damage import damaged_bytes, damaged_json, examples, in_one_line
from stub_endpoint import Plan, answer, stub_endpoint
from worldline.room.providers.chat_model import ChatMessage, Delta, ReplyError, Settings, Usage
from worldline.room.providers.endpoint import Endpoint
from worldline.room.providers.transport import KEY, Patience

SHORT = Patience(connect=0.5, first=0.5, between=0.5, total=0.5, tries=1, wait=0.01)
LATE = 1.0  # seconds beyond what was allowed, on a machine that has other work
EVENTS: tuple[dict[str, Any], ...] = (
    {"id": "a", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant"}}]},
    {"choices": [{"index": 0, "delta": {"reasoning_content": "hm", "content": None}}]},
    {"choices": [{"index": 0, "delta": {"content": "hello 😀"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {"content": [{"type": "text", "text": " you"}]}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "cost": 0.1}},
)
WHOLE = {
    "model": "m",
    "choices": [{"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}
PLACE = {"loc": ["body", "seed"], "msg": "Extra inputs are not allowed", "type": "extra"}
REFUSAL = {
    "error": {"message": "no", "type": "x", "param": "seed", "code": 400},
    "detail": [PLACE],
}
JSON = "application/json"


def sent(seed: int | str) -> bytes:
    """All that a server sends, of which something is damaged."""
    draw = random.Random(seed)
    kind = draw.randrange(6)
    if kind == 0:  # values inside the events
        events = [json.dumps(damaged_json(one, draw) if draw.random() < 0.4 else one)
                  for one in EVENTS]  # fmt: skip
        return b"".join(answer("".join(f"data: {one}\n\n" for one in events).encode()))
    if kind == 1:
        return b"".join(answer(json.dumps(damaged_json(WHOLE, draw)).encode(), type=JSON))
    if kind == 2:
        status = draw.choice((400, 401, 404, 422, 429, 500, 503))
        body = json.dumps(damaged_json(REFUSAL, draw)).encode()
        return b"".join(answer(body, status=status, type=JSON))
    stream = b"".join(f"data: {json.dumps(one)}\n\n".encode() for one in EVENTS)
    if kind == 3:  # its bytes, the head as it should be
        return b"".join(answer(damaged_bytes(stream, draw)))
    if kind == 4:
        packed = damaged_bytes(gzip.compress(stream), draw)
        return b"".join(answer(packed, more="Content-Encoding: gzip\r\n"))
    return damaged_bytes(b"".join(answer(stream)), draw)  # the head too


def survived(seed: int | str) -> None:
    """The room hears words and what they took, or one line, before the deadline."""
    with stub_endpoint(Plan(raw=[sent(seed)])) as stub:
        began = time.monotonic()
        try:
            *deltas, usage = Endpoint(stub.url, "m", patience=SHORT).reply(
                (ChatMessage("user", "Bob: a"),), Settings()
            )
        except ReplyError as error:
            in_one_line(str(error))
        else:
            assert isinstance(usage, Usage)
            words = [one for one in deltas if isinstance(one, Delta)]
            json.dumps([one.text for one in words], ensure_ascii=False).encode()
            for n in (usage.tokens_in, usage.tokens_out):
                assert n is None or 0 <= n < 2**53
        assert time.monotonic() - began < SHORT.total + LATE


@pytest.fixture(autouse=True)
def _no_keys_or_proxies(monkeypatch):
    for name in (KEY, "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_what_comes_was_damaged():
    for seed in range(examples(60)):
        survived(seed)
