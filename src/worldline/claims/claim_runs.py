"""Runs claims on a model: item by item into the store, then the finding, then the rule's word."""

from __future__ import annotations

import hashlib
import json
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import Any

import worldline as wl
from worldline.claims.claim import Claim
from worldline.claims.graph import Graph
from worldline.claims.json_numbers import pack, unpack
from worldline.claims.judgement import judge
from worldline.claims.run_database import Store
from worldline.claims.verdict import Run, RunKey, Verdict
from worldline.experiments import registry
from worldline.experiments.experiment import Experiment, Finding
from worldline.places import expand_path
from worldline.steps import StoppedError

Heard = Callable[[str, int, int], None]
"""Told of a claim, of how many of its items are in the store, and of how many there are."""

_PACKAGES = ("worldline", "numpy", "torch", "transformers")
_OF_PLACE = ("_name_or_path", "transformers_version")


@dataclass(frozen=True)
class RunRequest:
    """How much to measure: ``n`` of what the experiment counts, or its quick or full number."""

    n: int | None = None
    seed: int = 0
    quick: bool = False

    def __post_init__(self) -> None:
        if self.n is not None and self.quick:
            raise wl.InputError(f"--n {self.n} --quick: give one of them")
        if self.n is not None and self.n < 1:
            raise wl.InputError(f"--n {self.n}: accepted is 1 or more")
        if self.seed < 0:
            raise wl.InputError(f"--seed {self.seed}: accepted is 0 or more")

    def number(self, experiment: Experiment) -> int:
        """How many this experiment is asked for."""
        return self.n or (experiment.quick if self.quick else experiment.n)


@dataclass(frozen=True)
class Outcome:
    """What became of one claim: a verdict, or the error that kept it from one.

    ``n_stored`` of the run's items were in the store before. A claim that nothing can test has
    neither: ``untestable_reason`` says why.
    """

    claim: str
    verdict: Verdict | None = None
    n_stored: int = 0
    error: str | None = None
    untestable_reason: str | None = None


def run_claims(
    graph: Graph,
    store: Store,
    model: wl.LoadedModel,
    claims: Iterable[str],
    request: RunRequest,
    on_progress: Heard = lambda *_: None,
) -> Iterator[Outcome]:
    """Run several claims, one after the other; an error in one is its outcome, the rest go on.

    KeyboardInterrupt and StoppedError go through: what was measured stays in the store.

    Raises:
        InputError: an unknown claim, or a number of items that one of them does not take, before
            anything is run.
    """
    claim_records = [graph.claim(name) for name in claims]
    _refuse_number(claim_records, model, request)
    for claim in claim_records:
        try:
            yield run_claim(claim, store, model, request, on_progress)
        except StoppedError:
            raise
        except Exception as error:
            yield Outcome(claim.id, error=_error_line(error))


def run_claim(
    claim: Claim,
    store: Store,
    model: wl.LoadedModel,
    request: RunRequest,
    on_progress: Heard = lambda *_: None,
) -> Outcome:
    """Run one claim's experiment on a model, or go on with the same run where it was stopped.

    An item that is in the store is not measured again, and a finished run is only read. A model
    that is refused is not testable here, with the refusal's reason.
    """
    if claim.decides == "not testable":
        return Outcome(claim.id, untestable_reason=claim.why)
    experiment = registry.find_experiment(claim.id)
    run = store.start(_new_run(claim, experiment, model, request))
    with store.alone(run.id, lambda: on_progress(claim.id, 0, 0)):
        stored_items, stored_verdict = store.items(run.id), store.verdict(run.id)
        n_stored = len(stored_items)
        if stored_verdict is not None and stored_verdict.word != "not testable here":
            return Outcome(claim.id, stored_verdict, n_stored)
        try:
            finding = _measure_and_conclude(
                experiment, store, run, model, stored_items, on_progress
            )
        except wl.RefusedError as error:
            finding = Finding(None, None, None, 0, untestable=" ".join(str(error).split()))
        word, reason = judge(claim, finding, experiment.least)
        verdict = Verdict(run, word, finding, reason, _utc_now())
        store.conclude(verdict)
        return Outcome(claim.id, verdict, n_stored)


def _refuse_number(claims: Iterable[Claim], model: wl.LoadedModel, request: RunRequest) -> None:
    """List the items of all claims, where a number was given that an experiment may not take."""
    if request.n is None:
        return
    for claim in claims:
        if claim.decides == "not testable":
            continue
        try:
            registry.find_experiment(claim.id).items(model, request.n, request.seed)
        except wl.InputError as error:
            raise wl.InputError(f"--n {request.n}: {claim.id}: {error}") from None
        except Exception:  # said when the claim's turn comes
            continue


def _measure_and_conclude(
    experiment: Experiment,
    store: Store,
    run: Run,
    model: wl.LoadedModel,
    stored_items: dict[str, Any],
    on_progress: Heard,
) -> Finding:
    items = experiment.items(model, run.key.n, run.key.seed)
    keys = [item["key"] for item in items]
    if len(set(keys)) < len(keys):
        raise ValueError(f"{run.claim}: two items have the same key")
    pairs, n_done = [], sum(key in stored_items for key in keys)
    on_progress(run.claim, n_done, len(items))
    for item in items:
        if item["key"] not in stored_items:
            measurement = experiment.measure(model, item)
            store.keep_item(run.id, item["key"], measurement)
            stored_items[item["key"]] = unpack(
                pack(measurement)
            )  # as it would be read from the store
            n_done += 1
            on_progress(run.claim, n_done, len(items))
        pairs.append((item, stored_items[item["key"]]))
    return experiment.conclude(pairs, run.key.seed)


def _new_run(
    claim: Claim, experiment: Experiment, model: wl.LoadedModel, request: RunRequest
) -> Run:
    n = request.number(experiment)
    key = RunKey(
        claim=claim.id,
        weights_hash=model.weights_hash,
        config_hash=_config_hash(model),
        code_hash=registry.code_hash(claim.id),
        record_hash=claim.decision_hash(),
        seed=request.seed,
        n=n,
    )
    return Run(
        key=key,
        model=bare_name(model.name),
        quick=n < experiment.n,
        counts=experiment.counts,
        versions=_versions() | {"dtype": model.dtype},
        started=_utc_now(),
    )


def bare_name(name: str) -> str:
    """A model's name without the folders of the machine that it lies on.

    >>> bare_name("/models/mine/tiny"), bare_name("owner/name"), bare_name("tiny:llama")
    ('tiny', 'owner/name', 'tiny:llama')
    """
    path = expand_path(name)
    is_place = name.startswith((".", "/", "~")) or "\\" in name or path.exists()
    return path.resolve().name if is_place else name


def _config_hash(model: wl.LoadedModel) -> str:
    """Of the configuration; and of what else makes it another model than its weights tell."""
    config = {key: value for key, value in model.config.items() if key not in _OF_PLACE}
    parts: list[Any] = [model.dtype, config]
    identity = model.identity
    has_patched_code = any("hook" in place or place.endswith("|forward") for place in identity.code)
    if has_patched_code or (model.loaded_as is not None and model.source is None):
        parts.append(identity.key())
    json_text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(json_text.encode()).hexdigest()


def _versions() -> dict[str, str]:
    versions = {"python": python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _error_line(error: Exception) -> str:
    """One line: what was raised, and where in an experiment if it was there."""
    line = " ".join(str(error).split()) or "no message"
    if isinstance(error, wl.InputError):
        return line
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "experiments" in Path(frame.filename).parts
    ]
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {line}{where}"
