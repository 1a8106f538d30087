"""A model by the name that a user gives it: one in this process, or one at an address."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import worldline as wl
from worldline.errors import InputError
from worldline.room.providers.chat_model import Model
from worldline.room.providers.endpoint import Endpoint, Prices
from worldline.room.providers.local_model import Local
from worldline.room.providers.transport import base_url

if TYPE_CHECKING:
    from worldline import LoadedModel

BUNDLED = "bundled"
Say = Callable[[str], None]
AT = "@http"  # MODEL@http://HOST or MODEL@https://HOST


_LOADED: dict[str, LoadedModel] = {}


def _shared_model(name: str, say: Say | None) -> LoadedModel:
    """Participants of one model share it; `say` hears that it is loaded."""
    if name not in _LOADED:
        _LOADED[name] = wl.load_model(name, progress=say)
    return _LOADED[name]


def model_named(
    spec: str, prices: Prices | None = None, say: Say | None = None
) -> tuple[str, Callable[[], Model]]:
    """(The name in the room, what makes the model when it is first needed).

    "NAME@https://HOST" is a model of an OpenAI-compatible endpoint; anything else is what
    `worldline.load_model` takes. For what users write only: no participant may name an address.

    Raises: InputError for an empty name, or an address that is none.

    >>> model_named("bundled")[0]
    'bundled'
    """
    name, url = place_of(spec)
    if not url:
        return name, lambda: Local(_shared_model(name, say), name)
    return name, lambda: Endpoint(url, name, prices=prices or {})


def models_named(specs: Iterable[str], say: Say | None = None) -> dict[str, Callable[[], Model]]:
    """The models that users name, by their names in the room.

    Raises: InputError as `model_named`, and where one name stands for models at two places: a
    participant would be asked at the wrong one.
    """
    places: dict[str, str] = {}
    for spec in specs:
        name, url = place_of(spec)
        if places.setdefault(name, url) != url:
            two = " and ".join(place or "this process" for place in (places[name], url))
            raise InputError(f"model {name!r}: at {two}; accepted is one place for one name")
    return dict(
        model_named(f"{name}@{url}" if url else name, say=say) for name, url in places.items()
    )


def place_of(spec: str) -> tuple[str, str]:
    """(A model's name in the room, the address of its endpoint or "") of what a user writes.

    Raises: InputError for an empty name, or an address that is none.

    >>> place_of("qwen3@http://localhost:11434"), place_of("bundled")
    (('qwen3', 'http://localhost:11434/v1'), ('bundled', ''))
    """
    spec = spec.strip()
    name, separator, address_tail = spec.rpartition(AT)
    if not separator:
        if not spec:
            raise InputError(f"model: it is empty; accepted are {BUNDLED}, and NAME@https://HOST")
        return spec, ""
    if not name:
        raise InputError(f"model {spec!r}: give its name before the @")
    return name, base_url("http" + address_tail)


def with_name(spec: str) -> tuple[str, str]:
    """(Model, participant's name) of "MODEL:NAME"; the name is empty where there is none.

    A colon that belongs to an address or a folder is no such mark: a name has no / and is not a
    number alone.

    >>> with_name("qwen3@http://localhost:11434:Ada"), with_name("qwen3@http://localhost:11434")
    (('qwen3@http://localhost:11434', 'Ada'), ('qwen3@http://localhost:11434', ''))
    """
    model, mark, name = spec.rpartition(":")
    if mark and name.strip() and "/" not in name and not name.strip().isdigit():
        if model.endswith(("http", "https", "tiny")) or not model.strip():
            return spec.strip(), ""
        return model.strip(), name.strip()
    return spec.strip(), ""
