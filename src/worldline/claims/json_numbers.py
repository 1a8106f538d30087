"""Numbers as JSON and back: floats that JSON has no word for keep their value, tagged."""

from __future__ import annotations

import json
import math
from typing import Any

from worldline.errors import InputError
from worldline.foreign_json import read_json

_TAG = "$float"


def pack(value: Any) -> str:
    """Write plain JSON; nan, inf and -inf become {"$float": "nan"} and so on.

    Raises:
        TypeError: something is no plain JSON: a tensor, a set, a key that is no string.
    """
    return json.dumps(_tag_floats(value), ensure_ascii=False, allow_nan=False)


def unpack(json_text: str) -> Any:
    """Read what ``pack`` wrote; tuples come back as lists.

    Raises:
        InputError: it is not JSON, or not what ``pack`` can have written.

    >>> unpack(pack({"x": (1.5, float("inf"))}))
    {'x': [1.5, inf]}
    """
    return read_json(json_text, "numbers", most_bits=1 << 12, replace_object=_untag_float)


def _tag_floats(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_TAG: str(float(value))}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} of {type(key).__name__}: keys of plain JSON are text")
        return {str(key): _tag_floats(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [_tag_floats(element) for element in value]
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"{type(value).__name__}: plain JSON has numbers, text, lists and objects")


def _untag_float(json_object: dict[str, Any]) -> Any:
    if json_object.keys() != {_TAG}:
        return json_object
    if json_object[_TAG] not in ("nan", "inf", "-inf"):
        raise InputError(f"{_TAG} {str(json_object[_TAG])[:24]!r}: accepted are nan, inf, -inf")
    return float(json_object[_TAG])


def finite(value: Any) -> Any:
    """The same for readers that know no tag: what is not finite becomes null.

    >>> finite({"x": (1.5, float("nan"))})
    {'x': [1.5, None]}
    """
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [finite(element) for element in value]
    return value
