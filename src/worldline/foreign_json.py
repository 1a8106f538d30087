"""JSON that somebody else wrote, or that was damaged since: bounded, and refused in one line."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from worldline.errors import InputError
from worldline.places import expand_path

MOST_BYTES = 1 << 28  # of one document
DEEPEST = 64  # lists and objects in one another: what comes after reads them by recursion
_HALF = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
MOST_BITS = 64  # of a whole number: as many as arrays and databases can hold


def read_json_file(path: str | Path, *, most_bytes: int = MOST_BYTES) -> Any:
    """What a JSON file says.

    Raises:
        InputError: as of `read_json`, or the file cannot be read; the line names it.
    """
    try:
        with expand_path(path).open("rb") as file:
            content = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return read_json(content, str(path), most_bytes=most_bytes)


def read_json(
    content: str | bytes,
    name: str,
    *,
    most_bytes: int = MOST_BYTES,
    most_bits: int = MOST_BITS,
    finite: bool = True,
    replace_object: Callable[[dict[str, Any]], Any] = lambda found: found,
    repair_text: Callable[[str], str] | None = None,
) -> Any:
    """What a JSON text says; `name` is what it is called in errors.

    `replace_object` is given every object, and gives what stands in its place. With `finite=False`
    the words NaN and Infinity are numbers. `repair_text` is given every text with half of a pair of
    characters, and gives what stands in its place; without it they are refused.

    Raises:
        InputError: not JSON, longer than `most_bytes`, lists in one another over 64 deep, a
            number that is not finite or has over `most_bits` bits, half of a pair of characters,
            a key twice.
    """
    if len(content) > most_bytes:
        raise InputError(f"{name}: over {most_bytes:,} bytes of JSON; accepted are at most as many")

    def whole_object(pairs: list[tuple[str, Any]]) -> Any:
        members = dict(pairs)
        if len(members) != len(pairs):
            seen_keys: set[str] = set()
            key = next(key for key, _ in pairs if key in seen_keys or seen_keys.add(key))
            raise InputError(f"key {key[:40]!r} twice")
        return replace_object(members)

    try:
        if isinstance(content, bytes):
            content = content.removeprefix(codecs.BOM_UTF8).decode("utf-8")
        found = json.loads(
            content,
            object_pairs_hook=whole_object,
            parse_int=lambda written: _bounded_integer(written, most_bits),
            parse_float=_finite,
            parse_constant=_refuse_number if finite else float,
        )
        _refuse_deep(found)
        if _HALF.search(content):
            if repair_text is not None:
                found = _repair_texts(found, repair_text)
            json.dumps(found, ensure_ascii=False, default=str).encode()
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8 at byte {error.start}") from None
    except UnicodeEncodeError:
        raise InputError(f"{name}: half of a pair of characters, such as \\ud83d") from None
    except RecursionError:
        raise InputError(f"{name}: over {DEEPEST} lists and objects in one another") from None
    except json.JSONDecodeError as error:
        fault = f"{error.msg}, line {error.lineno}, column {error.colno}"
        raise InputError(f"{name}: not JSON ({fault})") from None
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    return found


def _bounded_integer(number_text: str, most_bits: int) -> int:
    if len(number_text) > most_bits or (number := int(number_text)).bit_length() > most_bits:
        raise InputError(
            f"number {number_text[:24]}: accepted are whole numbers of {most_bits} bits"
        )
    return number


def _finite(number_text: str) -> float:
    number = float(number_text)
    if not math.isfinite(number):
        _refuse_number(number_text)
    return number


def _repair_texts(value: Any, repair_text: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return repair_text(value) if _HALF.search(value) else value
    if isinstance(value, list):
        return [_repair_texts(inner, repair_text) for inner in value]
    if isinstance(value, dict):
        return {
            _repair_texts(key, repair_text): _repair_texts(inner, repair_text)
            for key, inner in value.items()
        }
    return value


def _refuse_number(number_text: str) -> None:
    raise InputError(f"number {number_text[:24]}: accepted are finite ones")


def _refuse_deep(value: Any) -> None:
    level, depth = [value], 0
    while level := [container for container in level if isinstance(container, (list, dict))]:
        depth += 1
        if depth > DEEPEST:
            raise InputError(f"over {DEEPEST} lists and objects in one another")
        level = [
            inner
            for container in level
            for inner in (container if isinstance(container, list) else container.values())
        ]
