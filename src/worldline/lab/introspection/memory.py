"""What several items need, made once for a model and forgotten with it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import worldline as wl

Made = TypeVar("Made")
_MADE: WeakKeyDictionary[wl.LoadedModel, dict[Hashable, Any]] = WeakKeyDictionary()


def once(model: wl.LoadedModel, key: tuple[Hashable, ...], make: Callable[[], Made]) -> Made:
    """What `make` gives, made at the first call for the model as it is and this key."""
    known = _MADE.setdefault(model, {})
    whole = (model.identity.key(), *key)
    if whole not in known:
        known[whole] = make()
    return known[whole]
