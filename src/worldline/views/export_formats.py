"""A Scene as a file for other tools: which ending is which form, in one table."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from worldline.errors import InputError
from worldline.views.frames import COLUMNS, to_csv, to_frame
from worldline.views.optional_packages import refuse_missing
from worldline.views.schema.scene import Scene


@dataclass(frozen=True)
class Export:
    """One form: its media type, what makes it, and the package that this needs, if any."""

    media_type: str
    make: Callable[[Scene], bytes]
    package: str | None = None


def _csv(table: str) -> Export:
    return Export("text/csv; charset=utf-8", lambda scene: to_csv(scene, table).encode())


def _parquet(table: str) -> Export:
    def make(scene: Scene) -> bytes:
        content = io.BytesIO()
        to_frame(scene, table, "polars").write_parquet(content)
        return content.getvalue()

    return Export("application/vnd.apache.parquet", make, "polars")


EXPORTS: dict[str, Export] = {
    ".scene.json": Export("application/json", lambda scene: scene.to_json().encode()),
    ".neuronpedia.json": Export("application/json", lambda scene: scene.to_neuronpedia().encode()),
    ".graphml": Export("application/xml", lambda scene: scene.to_graphml().encode(), "networkx"),
    **{f".{table}.csv": _csv(table) for table in COLUMNS},
    **{f".{table}.parquet": _parquet(table) for table in COLUMNS},
}
"""Every form of a Scene that is a file, by the ending of the file's name."""


def ending_of(path: str | Path) -> str:
    """Find which of ``EXPORTS`` a file's name asks for, before any work.

    Raises:
        InputError: none of them, or the package that it needs is not installed.
    """
    name = Path(path).name.lower()
    for ending, export in EXPORTS.items():
        if name.endswith(ending):
            if export.package is not None:
                refuse_missing(export.package)
            return ending
    raise InputError(f"{path}: unknown ending; accepted are {', '.join(EXPORTS)}")


def export_bytes(scene: Scene, ending: str) -> bytes:
    """Give the content of the file; ``EXPORTS[ending].media_type`` says what it is.

    Raises:
        InputError: an unknown ending, a missing package, or a Scene that has no such part.
    """
    return EXPORTS[ending_of(ending)].make(scene)
