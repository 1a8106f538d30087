"""Verdicts in files: those that come with worldline, and what is written to become one of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from worldline.claims.plain import pack, unpack
from worldline.claims.verdict import Run, RunKey, Verdict, read_finding
from worldline.errors import InputError
from worldline.lab.experiment import Finding
from worldline.views.claims_parts import Word

SHIPPED = Path(__file__).parent / "shipped"
SCHEMA = "worldline.verdicts/1"
_Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Time = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())


class _Run(_Strict):
    """A run as it is written; ``id`` is that of its key."""

    id: str
    claim: str
    model: str
    weights_hash: _Hash
    config_hash: _Hash
    code_hash: _Hash
    record_hash: _Hash
    seed: Annotated[int, Field(ge=0)]
    n: Annotated[int, Field(ge=1)]
    quick: bool
    counts: str
    versions: dict[str, str]
    started: _Time
    finished: _Time


class _Verdict(_Strict):
    run: str
    word: Word
    finding: dict[str, Any]
    reason: str
    date: _Time


class _File(_Strict):
    schema_: Annotated[Literal["worldline.verdicts/1"], Field(alias="schema")]
    runs: list[_Run]
    verdicts: list[_Verdict]


def write_verdicts(verdicts: Iterable[Verdict]) -> str:
    """Write runs and their verdicts as one JSON file, by claim."""
    runs: list[dict[str, Any]] = []
    words: list[dict[str, Any]] = []
    for one in sorted(verdicts, key=lambda one: (one.run.claim, one.run.id)):
        run = one.run
        runs.append(
            {"id": run.id, **asdict(run.key), "model": run.model, "quick": run.quick,
             "counts": run.counts, "versions": dict(run.versions), "started": run.started,
             "finished": one.date}
        )  # fmt: skip
        words.append(
            {"run": run.id, "word": one.word, "finding": one.finding.json(), "reason": one.reason,
             "date": one.date}
        )  # fmt: skip
    said = unpack(pack({"schema": SCHEMA, "runs": runs, "verdicts": words}))
    return json.dumps(json.loads(pack(said)), ensure_ascii=False, indent=1) + "\n"


def read_verdicts(path: Path) -> list[Verdict]:
    """Read such a file.

    Raises:
        InputError: it is no such file, or holds a verdict without its run; the line names it.
    """
    try:
        said = unpack(path.read_text(encoding="utf-8"))
        file = _File.model_validate(said)
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name}: {_first(error)}") from None
    runs = {one.id: _read_run(path, one) for one in file.runs}
    if len(runs) < len(file.runs):
        raise InputError(f"{path.name}: two runs have one id")
    found = []
    for one in file.verdicts:
        if one.run not in runs:
            raise InputError(f'{path.name}: a verdict without its run "{one.run}"')
        finding = _read_finding(path, one.finding)
        found.append(Verdict(runs[one.run], one.word, finding, one.reason, one.date))
    return found


def shipped_verdicts(claims: Iterable[str], folder: Path = SHIPPED) -> list[Verdict]:
    """All verdicts that come with worldline.

    Raises:
        InputError: a file that is none, or a verdict on a claim that has no record.
    """
    known, found = set(claims), []
    for path in sorted(folder.glob("*.json")):
        for verdict in read_verdicts(path):
            if verdict.run.claim not in known:
                raise InputError(f'{path.name}: there is no claim "{verdict.run.claim}"')
            found.append(verdict)
    return found


def with_shipped(kept: Sequence[Verdict], shipped: Iterable[Verdict]) -> list[Verdict]:
    """The user's own, and of the shipped ones those that are of no run of the user's."""
    own = {one.run.id for one in kept}
    return [*kept, *(one for one in shipped if one.run.id not in own)]


def _read_run(path: Path, said: _Run) -> Run:
    fields = said.model_dump()
    key = RunKey(**{name: fields.pop(name) for name in RunKey.__dataclass_fields__})
    if key.run != fields.pop("id"):
        raise InputError(f'{path.name}: run "{said.id}" has not the id of what it says')
    return Run(key=key, **fields)


def _read_finding(path: Path, said: dict[str, Any]) -> Finding:
    try:
        return read_finding(said)
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{path.name}: a finding that is none ({error})") from None


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return " ".join(str(error).split())
