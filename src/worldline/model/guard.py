"""Lets a model through once it has passed the checks, and remembers what it was like.

What is remembered belongs to one identity (`identity.py`) and to one set of versions.
"""

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
from worldline.model.identity import Identity, differences, identify

if TYPE_CHECKING:
    from worldline.model.load import LoadedModel

SCHEMA = 7  # raise when the checks change: older results no longer count

_passed: dict[Path, Report] = {}
_anatomies: WeakKeyDictionary[torch.nn.Module, tuple[Path | None, Anatomy]] = WeakKeyDictionary()
_moving: WeakKeyDictionary[torch.nn.Module, frozenset[str]] = WeakKeyDictionary()


def checked(model: LoadedModel, identity: Identity | None = None, *, again: bool = False) -> Report:
    """The report of the checks on `model` as it is now, from the cache where they ran before.

    `identity` is that of the model at this moment, for those who need it too. Only findings about
    the model are kept: a refusal if a second look says the same, nothing if the model was changed
    meanwhile, and no exception of whatever kind.

    Raises:
        RefusedError: the model failed a check: which one, where and by how much.
    """
    identity = identity or identify(model)
    place = _place(model, identity)
    report = None if again else _passed.get(place)
    known = report is not None
    at_hand = _anatomies.get(model.module, NONE)[0] == place
    if report is None or (report.status != "refused" and not at_hand):
        report = None if again else _read(place, model.module)
        known = report is not None
    if report is None:
        report, place = _checked_now(model, identity)
    if report.status == "refused":
        kept = f" (found before, of this {_in_words(identity)})" if known else ""
        raise RefusedError(f"{model.name}: {report.reason}{kept}")
    return report


NONE: tuple[Path | None, Anatomy | None] = (None, None)


def _checked_now(model: LoadedModel, identity: Identity) -> tuple[Report, Path]:
    """The report of checks that run now, and the place at which it was kept, if it was."""
    _anatomies.pop(model.module, None)
    report = _look(model)
    if report.status == "refused" and report.is_finding:
        report.is_finding = _look(model).reason == report.reason
    place, now = _place(model, identity), identify(model)
    found = differences(identity, now)
    if any(one.certain for one in found):
        return report, place
    if found:  # what moves where the model merely runs does not make another model of it
        was, held = identity.state, now.state
        names = {name for name in {*was, *held} if was.get(name) != held.get(name)}
        _moving[model.module] = _moving.get(model.module, frozenset()) | names
        place = _place(model, now)
    if report.anatomy is not None and report.status != "refused":
        _anatomies[model.module] = place, report.anatomy
    if report.is_finding:
        _write(place, report, None if report.status == "refused" else model.module)
        _passed[place] = report
    return report, place


def _look(model: LoadedModel) -> Report:
    twin = _twin(model)
    keyed = twin is None or twin.anatomy is None or twin.anatomy.keys
    report = check_model(model.module, with_keys=keyed)
    if twin is not None and twin.status == "refused":
        report.refuse(f"a tiny model of its type fails: {twin.reason}", is_finding=twin.is_finding)
    return report


def _in_words(identity: Identity) -> str:
    """What a kept refusal depends on."""
    mode = "train" if "|train mode" in identity.code else "eval"
    return (
        f"model with weights {identity.weights_hash[:12]}, {identity.dtype} on {identity.device}, "
        f"{identity.implementation} attention, {mode} mode; any change is checked anew"
    )


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
    if known is None or not _stands(known[1], module):
        known = _anatomies[module] = None, find_anatomy(module, probe_of(module))
    return known[1]


def _stands(anatomy: Anatomy, module: torch.nn.Module) -> bool:
    """Whether the blocks that were found are still those of the model."""
    try:
        return all(
            module.get_submodule(name) is block
            for name, block in zip(anatomy.order, anatomy.blocks, strict=True)
        )
    except AttributeError:
        return False


def _place(model: LoadedModel, identity: Identity) -> Path:
    moving = _moving.get(model.module, frozenset())
    parts = SCHEMA, identity.key(moving), *_versions()
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
            _anatomies[module] = place, _anatomy(kept["anatomy"], module)
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
