"""Numbers as JSON and back: floats that JSON has no word for keep their value, tagged."""

from __future__ import annotations

import json
import math
from typing import Any

_TAG = "$float"


def pack(value: Any) -> str:
    """Write plain JSON; nan, inf and -inf become {"$float": "nan"} and so on.

    Raises:
        TypeError: something is no plain JSON: a tensor, a set, a key that is no string.
    """
    return json.dumps(_tagged(value), ensure_ascii=False, allow_nan=False)


def unpack(written: str) -> Any:
    """Read what ``pack`` wrote; tuples come back as lists.

    >>> unpack(pack({"x": (1.5, float("inf"))}))
    {'x': [1.5, inf]}
    """
    return json.loads(written, object_hook=_untagged)


def _tagged(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_TAG: str(float(value))}
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"key {key!r} of {type(key).__name__}: keys of plain JSON are text")
        return {str(key): _tagged(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_tagged(one) for one in value]
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"{type(value).__name__}: plain JSON has numbers, text, lists and objects")


def _untagged(found: dict[str, Any]) -> Any:
    return float(found[_TAG]) if found.keys() == {_TAG} else found


def finite(value: Any) -> Any:
    """The same for readers that know no tag: what is not finite becomes null.

    >>> finite({"x": (1.5, float("nan"))})
    {'x': [1.5, None]}
    """
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return value
