"""What several items need, made once for a model and forgotten with it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import worldline as wl

CachedValue = TypeVar("CachedValue")
_CACHES: WeakKeyDictionary[wl.LoadedModel, dict[Hashable, Any]] = WeakKeyDictionary()


def once(
    model: wl.LoadedModel, key: tuple[Hashable, ...], make: Callable[[], CachedValue]
) -> CachedValue:
    """What `make` gives, made at the first call for the model as it is and this key."""
    cache = _CACHES.setdefault(model, {})
    cache_key = (model.identity.key(), *key)
    if cache_key not in cache:
        cache[cache_key] = make()
    return cache[cache_key]
