"""Who draws and who searches in a room, by the names that a user gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from worldline.errors import InputError
from worldline.room.actions import ActionRequest, Deeds, Hit, Picture
from worldline.room.providers.catalog import Catalog

if TYPE_CHECKING:
    from worldline import LoadedModel

NONE = "none"
AT = "@http"
DIFFUSERS = "diffusers:"


def deeds_named(images: str | None, search: str | None, catalog: Catalog) -> Deeds:
    """The deeds of a room: `images` as `images_named` takes it, `search` as `search_named` does.

    Raises: InputError as these.
    """
    declining = Deeds()
    draw = images_named(images, catalog)
    return Deeds(draw or declining.draw, search_named(search) or declining.search)


def images_named(spec: str | None, catalog: Catalog) -> Callable[[ActionRequest], Picture] | None:
    """Who draws: "MODEL@https://HOST", "diffusers:MODEL", "none" for nobody, None for portraits.

    Raises: InputError for anything else, or a package that is not installed.
    """
    if spec == NONE:
        return None
    from worldline.room.images import DiffusersImages, EndpointImages, Portraits

    if spec is None:
        return Portraits(lambda name: _local(catalog, name), lambda: _bundled_model(catalog))
    if spec.startswith(DIFFUSERS):
        return DiffusersImages(spec.removeprefix(DIFFUSERS))
    model, separator, address_tail = spec.rpartition(AT)
    if not separator or not model:
        raise InputError(
            f"images {spec!r}: accepted are MODEL@https://HOST, diffusers:MODEL, and none"
        )
    return EndpointImages("http" + address_tail, model)


def search_named(spec: str | None) -> Callable[[ActionRequest], Sequence[Hit]] | None:
    """Who searches: a SearXNG address, "ddgs", or a JSON file of results; None for nobody.

    Raises: InputError for anything else, or a package that is not installed.
    """
    if spec is None or spec == NONE:
        return None
    from worldline.room.search import DdgsSearch, RecordedSearch, SearxngSearch

    if spec == "ddgs":
        return DdgsSearch()
    if spec.startswith(("http://", "https://")):
        return SearxngSearch(spec)
    if Path(spec).suffix != ".json":
        raise InputError(
            f"search {spec!r}: accepted are a SearXNG address, ddgs, a .json file of results, "
            "and none"
        )
    return RecordedSearch.from_file(Path(spec))


def _local(catalog: Catalog, name: str) -> LoadedModel | None:
    """The model of this name, where it runs in this process."""
    from worldline.room.providers.local_model import Local

    model = catalog.model(name)
    return model.model if isinstance(model, Local) else None


def _bundled_model(catalog: Catalog) -> LoadedModel:
    from worldline.room.providers.model_names import BUNDLED

    model = _local(catalog, BUNDLED)
    if model is None:
        raise InputError("no model of this room runs in this process")
    return model
