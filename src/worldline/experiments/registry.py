"""The experiments by the claim that each tests, loaded when asked for."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
from pathlib import Path

import worldline as wl
from worldline.experiments.experiment import Experiment

_IDS = (
    "two-highways",
    "block-order",
    "keys-face-future",
    "queries-choose",
    "values-wide",
    "width-bottleneck",
    "path-count",
    "beyond-atoms",
    "skips-not-counted",
    "few-paths-carry",
    "redundancy",
    "interference",
    "deltas",
    "foliations",
    "cache-is-memory",
    "mlp-lossy",
    "depth-bound",
    "introspection-permitted",
    "introspection-used",
    "introspection-reported",
)
"""Each is a module of this folder, with underscores, that holds its `EXPERIMENT`."""


def experiment_ids() -> list[str]:
    """The claims that have an experiment, in the order in which they are run."""
    return list(_IDS)


def find_experiment(claim: str) -> Experiment:
    """The experiment of a claim.

    Raises:
        InputError: no such experiment.
    """
    return importlib.import_module(_module(claim)).EXPERIMENT


def code_hash(claim: str) -> str:
    """SHA-256 of what makes this experiment: its file, and the files of this folder it imports."""
    waiting, hashed_modules = [_module(claim)], set()
    while waiting:
        name = waiting.pop()
        if name not in hashed_modules:
            hashed_modules.add(name)
            waiting += _imported_experiments(_source(name))
    digest = hashlib.sha256()
    for name in sorted(hashed_modules):
        digest.update(name.encode() + b"\0" + _source(name).read_bytes() + b"\0")
    return digest.hexdigest()


def _module(claim: str) -> str:
    if claim not in _IDS:
        raise wl.InputError(f"experiment {claim}: accepted are {', '.join(_IDS)}")
    return f"worldline.experiments.{claim.replace('-', '_')}"


def _source(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)


def _imported_experiments(source: Path) -> list[str]:
    """Modules of this folder that a source imports; all of them import from, at the top."""
    return [
        node.module
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.startswith("worldline.experiments.")
    ]
