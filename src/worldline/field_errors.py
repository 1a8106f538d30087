"""What a validator found wrong, in one line of our own: field, what was given, what is accepted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from worldline.errors import InputError

MOST_SHOWN = 60  # characters of what was given
_BOUNDS = {
    "greater_than_equal": ("ge", "numbers from {}"),
    "greater_than": ("gt", "numbers above {}"),
    "less_than_equal": ("le", "numbers up to {}"),
    "less_than": ("lt", "numbers below {}"),
    "string_too_short": ("min_length", "at least {} characters"),
    "string_too_long": ("max_length", "at most {} characters"),
    "too_short": ("min_length", "at least {} entries"),
    "too_long": ("max_length", "at most {} entries"),
    "literal_error": ("expected", "{}"),
    "string_pattern_mismatch": ("pattern", "what fits {}"),
}
_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "finite": "a finite number",
    "string": "a text",
    "tuple": "a list",
    "list": "a list",
    "dict": "an object of named fields",
    "model": "an object of named fields",
}


def fault_line(fault: Mapping[str, Any], place: str) -> str:
    """One fault of pydantic's `errors()` at a field that is called `place`.

    >>> fault_line({"type": "int_parsing", "input": "x", "msg": "", "loc": ()}, "--turns")
    '--turns x: accepted is a whole number'
    """
    kind, where = fault["type"], place or "the body"
    error = (fault.get("ctx") or {}).get("error")
    if isinstance(error, InputError):  # a line already
        return str(error)
    if kind == "missing":
        return f"{where}: it is missing and must be given"
    if kind == "extra_forbidden":
        return f"{where}: there is no such field"
    context = fault.get("ctx") or {}
    tag = str(context.get("discriminator", "")).strip("'")
    if kind == "union_tag_not_found":
        return f"{where}: it has no {tag!r}, which says what kind it is of"
    if kind == "union_tag_invalid":
        named = f"{where}.{tag} {given(str(context['tag']))}"
        return f"{named}: accepted are {context['expected_tags']}"
    words = accepted(fault)
    if words is None:
        message = str(fault["msg"])
        return f"{where}: {message if message[:2].isupper() else message[:1].lower() + message[1:]}"
    verb = "is" if words.startswith(("a ", "an ")) else "are"
    return f"{where} {given(fault['input'])}: accepted {verb} {words}"


def accepted(fault: Mapping[str, Any]) -> str | None:
    """What would do in place of what was given; None where the kind of fault is not known."""
    kind, context = fault["type"], fault.get("ctx") or {}
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        bound = context.get(name)
        if kind == "literal_error":  # 'a', 'b' or 'c'
            bound = str(bound).replace("'", "").replace(" or ", ", ")
        return words.format(bound)
    if kind.endswith(("_type", "_parsing", "_number", "_from_float")):
        return _KINDS.get(kind.partition("_")[0])
    return None


def given(value: Any) -> str:
    """What was given, short, in one line."""
    if isinstance(value, str):
        shown = value if value.isprintable() and value else json.dumps(value)
    elif isinstance(value, Mapping | Sequence):
        shown = json.dumps(value, ensure_ascii=False, default=repr)
    else:
        shown = repr(value)
    return shown if len(shown) <= MOST_SHOWN else f"{shown[: MOST_SHOWN - 1]}…"


def field_of(fault: Mapping[str, Any]) -> str:
    """The field with the entries on its way: `edges.0`."""
    return ".".join(str(step) for step in fault["loc"])
