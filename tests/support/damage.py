"""Ways to damage files, drawn from a seed, and what may come of reading one."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from worldline.errors import InputError, RefusedError

REFUSED = "refused"
ABSURD: tuple[Any, ...] = (
    -1, 0, 1, 2, 3, 7, 10**9, 2**31, 2**63, 10**30, 1.5, -0.5, 1e308, float("nan"), float("inf"),
    True, False, None, "", "x", "../../x", "/dev/zero", "\ud83d", "\0", "a\nb", "x" * 5000,
    [], {}, [[]], [0], [10**9] * 3, {"x": 1}, "lambda: 1", "float64", "os.system",
)  # fmt: skip
SIZES = (0, 1, 2, 3, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
_SECONDS = 20.0
_MOST_BYTES = 400 << 20


def examples(usual: int) -> int:
    """How many trials of a kind: `WORLDLINE_FUZZ` of them where that is set."""
    return int(os.environ.get("WORLDLINE_FUZZ", usual))


@contextmanager
def bounded() -> Iterator[None]:
    """What is inside ends in seconds of CPU and in some hundred MB."""

    def late(*_: Any) -> None:
        raise AssertionError(f"still at work after {_SECONDS} s of CPU")

    before, _ = (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        signal.signal(signal.SIGPROF, late),
    )
    signal.setitimer(signal.ITIMER_PROF, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < _MOST_BYTES, f"{grown >> 20} MB were taken"


def outcome(read: Callable[[], Any]) -> Any:
    """What was read, or `REFUSED` where that is said in one line; anything else is raised."""
    with bounded():
        try:
            return read()
        except (InputError, RefusedError) as error:
            said = str(error)
    in_one_line(said)
    return REFUSED


def in_one_line(said: str) -> None:
    """What is said to people fits a line of theirs and can be written."""
    assert said.strip()
    assert len(said.splitlines()) == 1, said
    assert len(said) < 1500, said
    said.encode()


def damaged_bytes(content: bytes, draw: random.Random, first: int | None = None) -> bytes:
    """Bits turned, a piece missing, doubled or zero, an absurd number; within the `first` bytes."""
    most = min(first or len(content), len(content))
    at = draw.randrange(max(1, most))
    kind = draw.randrange(7)
    if kind == 0:
        return content[:at]
    if kind == 1:
        n = draw.choice((4, 8))
        size = draw.choice(SIZES) % 256**n
        return content[:at] + size.to_bytes(n, "little") + content[at + n :]
    end = min(len(content), at + draw.choice((1, 2, 8, 64, 1000)))
    if kind == 2:
        return content[:at] + content[end:]
    if kind == 3:
        return content[:end] + content[at:]
    if kind == 4:
        return content[:at] + bytes(end - at) + content[end:]
    changed = bytearray(content)
    for _ in range(1 if kind == 5 else 8):
        changed[draw.randrange(max(1, most))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def damaged_json(value: Any, draw: random.Random) -> Any:
    """A copy of which a value, anywhere, is absurd, another's, or gone."""
    copy = json.loads(json.dumps(value))
    places = list(_places(copy))
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        inside, key = draw.choice(places)
        if (isinstance(inside, dict) and key not in inside) or (
            isinstance(inside, list) and key >= len(inside)
        ):
            continue
        kind = draw.randrange(5)
        if kind == 0:
            del inside[key]
        elif kind == 1:
            other, its = draw.choice(places)
            try:
                inside[key] = json.loads(json.dumps(other[its]))
            except (KeyError, IndexError, ValueError):
                continue
        elif kind == 2 and isinstance(inside[key], (int, float)):
            inside[key] = inside[key] * draw.choice((-1, 2, 1000, 10**6)) + draw.choice((0, 1))
        else:
            inside[key] = draw.choice(ABSURD)
    return copy


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in inner:
        yield value, key
        if isinstance(one, (dict, list)):
            yield from _places(one)


def damaged_text(text: str, draw: random.Random) -> bytes:
    """The text of a JSON file: a value absurd, or its bytes damaged, or nested deep."""
    kind = draw.randrange(8)
    if kind == 0:
        return damaged_bytes(text.encode(), draw)
    if kind == 1:
        return (b"[" * 100_000) + (b"]" * 100_000 if draw.random() < 0.5 else b"")
    return json.dumps(damaged_json(json.loads(text), draw)).encode()


def damaged_safetensors(content: bytes, draw: random.Random) -> bytes:
    """Its header says something absurd, or bytes anywhere are damaged."""
    size = int.from_bytes(content[:8], "little")
    kind = draw.randrange(4)
    if kind == 0:
        return damaged_bytes(content, draw)
    if kind == 1:
        return damaged_bytes(content, draw, 8 + size)
    header = json.dumps(damaged_json(json.loads(content[8 : 8 + size]), draw)).encode()
    said = draw.choice(SIZES) if draw.random() < 0.1 else len(header)
    return said.to_bytes(8, "little") + header + content[8 + size :]


# --- GGUF ----------------------------------------------------------------------------------------

_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


def gguf_numbers(content: bytes) -> list[tuple[str, int, int]]:
    """(What it is, its place, its bytes) of every number in a GGUF file's head."""
    found: list[tuple[str, int, int]] = []
    at = 0

    def number(what: str, n: int) -> int:
        nonlocal at
        found.append((what, at, n))
        value = int.from_bytes(content[at : at + n], "little")
        at += n
        return value

    def skip(what: str) -> None:
        nonlocal at
        n_bytes = number(f"length of {what}", 8)
        at += n_bytes

    def value(kind: int, what: str) -> None:
        if kind == 8:
            skip(what)
        elif kind == 9:
            inner, n = number(f"type in {what}", 4), number(f"count of {what}", 8)
            for _ in range(n):
                value(inner, what)
        else:
            number(what, _WIDTHS[kind])

    number("magic", 4), number("version", 4)
    n_tensors, n_keys = number("tensors", 8), number("keys", 8)
    for _ in range(n_keys):
        skip("a key")
        value(number("type", 4), "value")
    for _ in range(n_tensors):
        skip("a tensor's name")
        for _ in range(number("dimensions", 4)):
            number("dimension", 8)
        number("tensor type", 4), number("offset", 8)
    return found


def damaged_gguf(content: bytes, draw: random.Random) -> bytes:
    """A number of its head, each kind as likely as another, is absurd, or its bytes are damaged."""
    numbers = gguf_numbers(content)
    head = numbers[-1][1] + 8
    kind = draw.randrange(6)
    if kind == 0:
        return damaged_bytes(content, draw, head)
    if kind == 1:
        return damaged_bytes(content, draw)
    what = draw.choice(sorted({one[0] for one in numbers}))
    _, at, n = draw.choice([one for one in numbers if one[0] == what])
    old = int.from_bytes(content[at : at + n], "little")
    new = draw.choice((draw.choice(SIZES), old + 1, old - 1, old * 2, draw.randrange(40), old ^ 32))
    if n == 4 and what == "value" and draw.random() < 0.3:
        new = int.from_bytes(struct.pack("<f", draw.choice((0, -1, float("nan"), 1e30))), "little")
    return content[:at] + (new % 256**n).to_bytes(n, "little") + content[at + n :]
