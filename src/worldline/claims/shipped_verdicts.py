"""Verdicts in files: those that come with worldline, and what is written to become one of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from worldline.claims.json_numbers import pack, unpack
from worldline.claims.verdict import Run, RunKey, Verdict, read_finding
from worldline.errors import InputError
from worldline.experiments.experiment import Finding
from worldline.views.schema.claims import Word

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
    for verdict in sorted(verdicts, key=lambda verdict: (verdict.run.claim, verdict.run.id)):
        run = verdict.run
        runs.append(
            {"id": run.id, **asdict(run.key), "model": run.model, "quick": run.quick,
             "counts": run.counts, "versions": dict(run.versions), "started": run.started,
             "finished": verdict.date}
        )  # fmt: skip
        words.append(
            {"run": run.id, "word": verdict.word, "finding": verdict.finding.json(),
             "reason": verdict.reason,
             "date": verdict.date}
        )  # fmt: skip
    document = unpack(pack({"schema": SCHEMA, "runs": runs, "verdicts": words}))
    return json.dumps(json.loads(pack(document)), ensure_ascii=False, indent=1) + "\n"


def read_verdicts(path: Path) -> list[Verdict]:
    """Read such a file.

    Raises:
        InputError: it is no such file, or holds a verdict without its run; the line names it.
    """
    try:
        document = unpack(path.read_text(encoding="utf-8"))
        file = _File.model_validate(document)
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name}: {_first(error)}") from None
    runs = {record.id: _read_run(path, record) for record in file.runs}
    if len(runs) < len(file.runs):
        raise InputError(f"{path.name}: two runs have one id")
    verdicts = []
    for record in file.verdicts:
        if record.run not in runs:
            raise InputError(f'{path.name}: a verdict without its run "{record.run}"')
        finding = _read_finding(path, record.finding)
        verdicts.append(Verdict(runs[record.run], record.word, finding, record.reason, record.date))
    return verdicts


def shipped_verdicts(claims: Iterable[str], folder: Path = SHIPPED) -> list[Verdict]:
    """All verdicts that come with worldline.

    Raises:
        InputError: a file that is none, or a verdict on a claim that has no record.
    """
    claim_ids, verdicts = set(claims), []
    for path in sorted(folder.glob("*.json")):
        for verdict in read_verdicts(path):
            if verdict.run.claim not in claim_ids:
                raise InputError(f'{path.name}: there is no claim "{verdict.run.claim}"')
            verdicts.append(verdict)
    return verdicts


def with_shipped(
    own_verdicts: Sequence[Verdict], packaged_verdicts: Iterable[Verdict]
) -> list[Verdict]:
    """The user's own, and of the shipped ones those that are of no run of the user's."""
    own_run_ids = {verdict.run.id for verdict in own_verdicts}
    return [
        *own_verdicts,
        *(verdict for verdict in packaged_verdicts if verdict.run.id not in own_run_ids),
    ]


def _read_run(path: Path, record: _Run) -> Run:
    fields = record.model_dump()
    key = RunKey(**{name: fields.pop(name) for name in RunKey.__dataclass_fields__})
    if key.run != fields.pop("id"):
        raise InputError(f'{path.name}: run "{record.id}" has not the id of what it says')
    return Run(key=key, **fields)


def _read_finding(path: Path, fields: dict[str, Any]) -> Finding:
    try:
        return read_finding(fields)
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{path.name}: a finding that is none ({_first(error)})") from None


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return " ".join(str(error).split())
