"""Lets a model through once it has passed the checks, and remembers what it was like."""

from __future__ import annotations

import functools
import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

from worldline.atomic_file import write_text
from worldline.errors import InputError, RefusedError
from worldline.model.anatomy import Anatomy, find_anatomy
from worldline.model.cache import cache_root
from worldline.model.check import (
    PROBE_POSITIONS,
    Report,
    check_model,
    implementation_of,
    probe_of,
)

if TYPE_CHECKING:
    from worldline.model.load import LoadedModel

SCHEMA = 6  # raise when the checks change: older results no longer count

_passed: dict[Path, Report] = {}
_anatomies: WeakKeyDictionary[torch.nn.Module, Anatomy] = WeakKeyDictionary()


def checked(model: LoadedModel, weights: str, *, again: bool = False) -> Report:
    """The report of the checks on `model`, from the cache where they ran before.

    `weights` is the model's `weights_hash`, asked for once by whoever needs it too. What is kept
    belongs to one type, weights, dtype, device, attention implementation and set of versions.

    Raises:
        RefusedError: the model failed a check: which one, where and by how much.
    """
    place = _place(model, weights)
    report = None if again else _passed.get(place)
    if report is None or (report.status != "refused" and model.module not in _anatomies):
        report = None if again else _read(place, model.module)
    if report is None:
        twin = _twin(model)
        keyed = twin is None or twin.anatomy is None or twin.anatomy.keys
        report = check_model(model.module, with_keys=keyed)
        if twin is not None and twin.status == "refused":
            report.refuse(f"a tiny model of its type fails: {twin.reason}")
        if report.anatomy is not None:
            _anatomies[model.module] = report.anatomy
        _write(place, report, None if report.status == "refused" else model.module)
    _passed[place] = report
    if report.status == "refused":
        raise RefusedError(f"{model.name}: {report.reason}")
    return report


def _twin(model: LoadedModel) -> Report | None:
    """Checks on a tiny random model of the same type, where the probe is no longer than a window.

    What a type does past its window (or past the keys that an index leaves) shows there; None
    where the probe itself is longer, and where transformers has no such type.
    """
    from worldline.model.tiny import UNRUNNABLE, causal_types, tiny_model
    from worldline.model.tiny_fit import WINDOW_FIELDS

    lengths = [model.config.get(name) for name in WINDOW_FIELDS.split()]
    if not any(isinstance(n, int) and n >= PROBE_POSITIONS for n in lengths):
        return None
    name = str(model.config.get("model_type"))
    if name not in causal_types() or name in UNRUNNABLE:
        return None
    return check_model(tiny_model(name, attn_implementation=implementation_of(model.module)))


def anatomy_of(module: torch.nn.Module) -> Anatomy:
    """The model's blocks, as the checks found them or a text as long as theirs shows them."""
    known = _anatomies.get(module)
    if known is None:
        known = _anatomies[module] = find_anatomy(module, probe_of(module))
    return known


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


def _read(place: Path, module: torch.nn.Module) -> Report | None:
    """What was kept: the report; the anatomy goes to the module. None if it is not usable."""
    try:
        kept = json.loads(place.read_text())
        report = Report(**kept["report"])
        if kept["anatomy"] is not None:
            _anatomies[module] = _anatomy(kept["anatomy"], module)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return report


def _anatomy(kept: dict[str, Any], module: torch.nn.Module) -> Anatomy:
    end = kept["end"]
    return Anatomy(
        kept["order"],
        [module.get_submodule(name) for name in kept["order"]],
        kept["keys"],
        kept["expected_calls"],
        kept["late"],
        None if end is None else module.get_submodule(end),
    )


def _write(place: Path, report: Report, module: torch.nn.Module | None) -> None:
    """Keep what was found; a cache that cannot be written only costs the next check."""
    kept = None
    if module is not None:
        anatomy = anatomy_of(module)
        names = {part: name for name, part in module.named_modules()}
        kept = {key: getattr(anatomy, key) for key in ("order", "keys", "expected_calls", "late")}
        kept["end"] = None if anatomy.end is None else names[anatomy.end]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_text(place, json.dumps({"report": report.as_dict(), "anatomy": kept}))
    except (OSError, InputError):
        pass
