"""Lets a model through once it has passed the checks, and remembers that it has."""

from __future__ import annotations

import functools
import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from worldline.errors import RefusedError
from worldline.model.cache import cache_root
from worldline.model.check import Report, check_model, implementation_of

if TYPE_CHECKING:
    from worldline.model.load import LoadedModel

_PASSED: dict[Path, Report] = {}
SCHEMA = 1  # raise when the checks change: older results no longer count


def checked(model: LoadedModel, weights: str, *, again: bool = False) -> Report:
    """The report of the checks on `model`, from the cache where they ran before.

    `weights` is the model's `weights_hash`, asked for once by whoever needs it too.

    The result is kept per type, weights, dtype, device, attention implementation and versions.

    Raises:
        RefusedError: the model failed a check: which one, where and by how much.
    """
    place = _place(model, weights)
    report = None if again else _PASSED.get(place) or _read(place)
    if report is None:
        report = check_model(model.module)
        _write(place, report)
    _PASSED[place] = report
    if report.status == "refused":
        raise RefusedError(f"{model.name}: {report.reason}")
    return report


def _place(model: LoadedModel, weights: str) -> Path:
    parts = (
        SCHEMA,
        type(model.module).__name__,
        model.config.get("model_type"),
        weights,
        model.dtype,
        model.device,
        implementation_of(model.module),
        *_versions(),
    )
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    return cache_root() / "checks" / f"{key}.json"


@functools.cache
def _versions() -> tuple[str, ...]:
    return version("torch"), version("transformers"), version("worldline")


def _read(place: Path) -> Report | None:
    try:
        return Report(**json.loads(place.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _write(place: Path, report: Report) -> None:
    """Keep the report; a cache that cannot be written only costs the next check."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part = place.with_suffix(".part")
        part.write_text(json.dumps(report.as_dict()))
        part.replace(place)
    except OSError:
        pass
