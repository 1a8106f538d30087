"""Lets a model through once it has passed the checks, and remembers what it was like.

What is remembered belongs to one identity (`identity.py`) and to one set of versions. Where
values move as the model merely runs, as a hook's counter does, they tell nothing of who moved them:
there a report holds for as long as they are what a call of worldline's left them.
"""

from __future__ import annotations

import functools
import hashlib
import json
import weakref
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch

from worldline.atomic_file import write_text
from worldline.errors import InputError, RefusedError
from worldline.models.architecture import Anatomy, find_anatomy
from worldline.models.attention import implementation_of
from worldline.models.cache_folder import cache_root
from worldline.models.call_identity import at_end_of_call, first_time
from worldline.models.exclusive_use import TurnWatcher, has, watch_turns
from worldline.models.identity import Identity, differences, identify, in_one_line, state_of
from worldline.models.laws import PROBE_POSITIONS, Report, check_model, probe_of, witness_now
from worldline.models.probe_runs import Witness
from worldline.models.torch_patches import around

if TYPE_CHECKING:
    from worldline.models.loader import LoadedModel

SCHEMA = 10  # raise when the checks change: older results no longer count

_reports: WeakKeyDictionary[torch.nn.Module, dict[Path, Report]] = WeakKeyDictionary()
_anatomies: WeakKeyDictionary[torch.nn.Module, Anatomy] = WeakKeyDictionary()
_movers: WeakKeyDictionary[torch.nn.Module, _Mover] = WeakKeyDictionary()


def checked_report(
    model: LoadedModel, identity: Identity | None = None, *, recheck: bool = False
) -> Report:
    """The report of the checks on `model` as it is now, from the cache where they ran before.

    `identity` is that of the model at this moment, for those who need it too. Only findings about
    the model are kept: a refusal if a second look says the same, nothing if the model was changed
    meanwhile, and no exception of whatever kind.

    Raises:
        RefusedError: the model failed a check: which one, where and by how much.
    """
    identity = identity or identify(model)
    report = None if recheck else _known(model.module, identity)
    was_cached = report is not None
    if report is None:
        report = _checked_now(model, identity)
    if report.status == "refused":
        cached_note = f" (found before, of this {_in_words(identity)})" if was_cached else ""
        raise RefusedError(f"{model.name}: {report.reason}{around()}{cached_note}")
    return report


def refuse_other_derivative(model: LoadedModel, *, but: str | None = None) -> None:
    """Raise RefusedError where gradients of a model are not of what it computes, with what is.

    `but`: words for which the caller has an answer of its own.
    """
    if (words := checked_report(model).gradient) and words != but:
        raise RefusedError(
            f"{model.name}: {words}; what needs no gradient: by contribution, and cuts"
        )


def _known(module: torch.nn.Module, identity: Identity) -> Report | None:
    """The report of the model as it is; where others' code takes part, as the probe has it now."""
    mover = _movers.get(module)
    report = _cached_report(identity, module) if mover is None else mover.report_on(identity)
    if report is not None and not identity.all_told and first_time(module):
        return report if _witnessed(report, module) else None
    return report


@at_end_of_call
def refuse_changed_meanwhile(model: LoadedModel, before: Identity) -> None:
    """Raise RefusedError where a model is no longer what it was when a call began.

    Where only held values or torch's settings moved, and not by the model's mere running, the probe
    must give what it gave.
    """
    now = identify(model)
    found = differences(before, now)
    if not any(difference.certain for difference in found):
        mover, names = _movers.get(model.module), moving_of(model.module)
        if now.complete and (not found or _place(before, names) == _place(now, names)):
            return
        reports = _reports.get(model.module, {})
        report = reports.get(_place(before)) if mover is None else mover.report
        if report is None or _witnessed(report, model.module):
            return
    words = in_one_line(found) if found else "it computes something else"
    raise RefusedError(
        f"{model.name} changed while this call ran: {words}; nothing is given, for "
        "some of its runs were of another model than others"
    )


@dataclass(eq=False)
class _Mover(TurnWatcher):
    """A model of which some values move as it merely runs: the last report, and what it is of.

    `last_values` are those values as worldline's last call left them; where the next call finds
    others, the report is forgotten.
    """

    module: weakref.ref[torch.nn.Module]
    names: frozenset[str]
    place: Path | None
    report: Report | None
    last_values: dict[str, str] = field(default_factory=dict)

    def report_on(self, identity: Identity) -> Report | None:
        """The last report, if it is of the model as it is now."""
        module = self.module()
        if module is None or not has(module):
            self._forget_moved(self._some_of(identity.state))
        return self.report if self.place == _place(identity, self.names) else None

    def begins(self) -> None:
        """Somebody else may have moved the values."""
        self._forget_moved(self._current_values())

    def ends(self) -> None:
        """As they are now they are left."""
        self.last_values = self._current_values()

    def _forget_moved(self, current_values: dict[str, str]) -> None:
        if self.last_values != current_values:
            self.report = None

    def _current_values(self) -> dict[str, str]:
        module = self.module()
        return {} if module is None else self._some_of(state_of(module))

    def _some_of(self, state: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in state.items() if name in self.names}


def moving_of(module: torch.nn.Module) -> frozenset[str]:
    """The names of state that was seen to move as the model merely ran."""
    mover = _movers.get(module)
    return frozenset() if mover is None else mover.names


def _cached_report(identity: Identity, module: torch.nn.Module) -> Report | None:
    """The report that was kept, and with it the anatomy of the module.

    One that another process or another model in memory left counts where the probe gives here what
    it gave there: no identity tells everything.
    """
    reports, place = _reports.setdefault(module, {}), _place(identity)
    report = reports.get(place)
    if report is None and identity.complete:
        report = _read_report(place, module)
        if report is None or not _witnessed(report, module):
            return None
        reports[place] = report
    if report is not None and report.anatomy is not None and report.status != "refused":
        _anatomies[module] = report.anatomy
    return report


def _is_of_another(place: Path, report: Report, module: torch.nn.Module) -> bool:
    """Whether another computation's report is kept there: no identity tells the two apart."""
    other = _read_report(place, module)
    if other is None or other.witness is None or report.witness is None:
        return False
    return not other.witness.agrees(report.witness)


def _witnessed(report: Report, module: torch.nn.Module) -> bool:
    """Whether the model computes what it computed when the report was made."""
    if report.witness is None:  # it draws, or fails: nothing that two runs could agree on
        return report.status == "refused"
    now = witness_now(module)
    return now is not None and report.witness.agrees(now)


def _checked_now(model: LoadedModel, identity: Identity) -> Report:
    """The report of checks that run now; kept if it is a finding about the model."""
    _anatomies.pop(model.module, None)
    _reports.setdefault(model.module, {}).pop(_place(identity), None)
    report = _look(model)
    if report.status == "refused" and report.is_finding:
        report.is_finding = _look(model).reason == report.reason
    current_identity = identify(model)
    changes = differences(identity, current_identity)
    if any(difference.certain for difference in changes):
        return report
    mover = _movers.get(model.module)
    if changes or mover is not None:  # what moves as the model runs does not make another model
        names = frozenset() if mover is None else mover.names
        was, current_state = identity.state, current_identity.state
        names |= {
            name for name in {*was, *current_state} if was.get(name) != current_state.get(name)
        }
        place = _place(current_identity, names)
        mover = _Mover(
            weakref.ref(model.module), names, place, report if report.is_finding else None
        )
        mover.ends()
        _movers[model.module] = mover
        watch_turns(model.module, mover)
    else:
        place = _place(identity)
        if report.is_finding:
            _reports[model.module][place] = report
    if report.anatomy is not None and report.status != "refused":
        _anatomies[model.module] = report.anatomy
    keeps = report.is_finding and mover is None and current_identity.complete
    if keeps and not _is_of_another(place, report, model.module):
        _write(place, report, None if report.status == "refused" else model.module)
    return report


def _look(model: LoadedModel) -> Report:
    twin = _twin(model)
    with_keys = twin is None or twin.anatomy is None or twin.anatomy.keys
    report = check_model(model.module, with_keys=with_keys)
    if twin is not None and twin.choosing_layers and report.status != "refused":
        report.choosing_layers = sorted({*range(report.n_layers)} - {*report.opaque_layers})
        report.become_partly()
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
    from worldline.models.tiny_configs import WINDOW_FIELDS
    from worldline.models.tiny_models import UNRUNNABLE, causal_types, tiny_model

    lengths = [model.config.get(name) for name in WINDOW_FIELDS.split()]
    if not any(isinstance(n, int) and n >= PROBE_POSITIONS for n in lengths):
        return None
    name = str(model.config.get("model_type"))
    if name not in causal_types() or name in UNRUNNABLE:
        return None
    return check_model(tiny_model(name, attn_implementation=implementation_of(model.module)))


def anatomy_of(module: torch.nn.Module) -> Anatomy:
    """The model's blocks, as the checks found them or a text as long as theirs shows them."""
    cached_entry = _anatomies.get(module)
    if cached_entry is None or not _stands(cached_entry, module):
        cached_entry = _anatomies[module] = find_anatomy(module, probe_of(module))
    return cached_entry


def _stands(anatomy: Anatomy, module: torch.nn.Module) -> bool:
    """Whether the blocks that were found are still those of the model."""
    try:
        return all(
            module.get_submodule(name) is block
            for name, block in zip(anatomy.order, anatomy.blocks, strict=True)
        )
    except AttributeError:
        return False


def _place(identity: Identity, moving: frozenset[str] = frozenset()) -> Path:
    parts = SCHEMA, identity.key(moving), *_versions()
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    return cache_root() / "checks" / f"{key}.json"


@functools.cache
def _versions() -> tuple[str, ...]:
    return version("torch"), version("transformers"), version("worldline")


def _read_report(place: Path, module: torch.nn.Module) -> Report | None:
    """What was kept: the report, with its anatomy and witness. None if it is not usable."""
    try:
        record = json.loads(place.read_text())
        report = Report(**record["report"])
        if record["anatomy"] is not None:
            report.anatomy = _anatomy(record["anatomy"], module)
        if record["witness"] is not None:
            report.witness = Witness(**record["witness"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return report


def _anatomy(anatomy_record: dict[str, Any], module: torch.nn.Module) -> Anatomy:
    end = anatomy_record["end"]
    return Anatomy(
        anatomy_record["order"],
        [module.get_submodule(name) for name in anatomy_record["order"]],
        anatomy_record["keys"],
        anatomy_record["expected_calls"],
        anatomy_record["late"],
        None if end is None else module.get_submodule(end),
    )


def _write(place: Path, report: Report, module: torch.nn.Module | None) -> None:
    """Keep what was found; a cache that cannot be written only costs the next check."""
    anatomy_record = None
    if module is not None:
        anatomy = anatomy_of(module)
        names = {part: name for name, part in module.named_modules()}
        anatomy_record = {
            key: getattr(anatomy, key) for key in ("order", "keys", "expected_calls", "late")
        }
        anatomy_record["end"] = None if anatomy.end is None else names[anatomy.end]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        witness = None if report.witness is None else report.witness.as_dict()
        whole = {"report": report.as_dict(), "anatomy": anatomy_record, "witness": witness}
        write_text(place, json.dumps(whole))
    except (OSError, InputError):
        pass
