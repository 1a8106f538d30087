"""Where a model is read from: its folder or file, those of its base, and what they were made into.

Nothing is loaded, and no transformers.
"""

from __future__ import annotations

from pathlib import Path

from worldline.errors import InputError
from worldline.foreign_json import read_json_file
from worldline.models.adapters import ADAPTER_CONFIG, is_adapter
from worldline.models.cache_folder import models_folder
from worldline.models.hub import cached_folder
from worldline.places import expand_path, is_file, is_folder

_MOST_BASES = 8  # an adapter on an adapter on ...; the loader refuses long before


def model_origins(name: str | None) -> list[Path]:
    """Folders and files that loading a model by its name may read; none that is not there."""
    places = [models_folder()]
    while name and len(places) <= _MOST_BASES:
        place = expand_path(name)
        location = place if is_folder(place) or is_file(place) else cached_folder(name)
        if location is None:
            break
        places.append(location)
        name = _base(location)
    return [place for place in places if place.exists()]


def _base(folder: Path) -> str | None:
    """The name of the model that an adapter is put on, as `load_adapter` reads it."""
    if not is_adapter(folder):
        return None
    try:
        base = read_json_file(folder / ADAPTER_CONFIG).get("base_model_name_or_path")
    except (InputError, AttributeError):
        return None  # which the loader refuses in words
    if not isinstance(base, str) or not base:
        return None
    beside = folder / base
    return str(beside) if is_folder(beside) and not is_folder(Path(base)) else base
