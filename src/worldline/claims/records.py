"""Reads the records, one file a node, strictly: what is wrong is one line that names the file."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from worldline.claims.claim import Claim, Record
from worldline.claims.graph import Graph
from worldline.errors import InputError

RECORDS = Path(__file__).parent / "records"

_WORKS = ("paper", "artifact")
_ENDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "authored": (("thinker",), (*_WORKS, "framework", "method")),
    "introduces": ((*_WORKS, "framework"), ("concept", "method", "framework")),
    "states": (_WORKS, ("claim", "question")),
    "tests": (("experiment",), ("claim",)),
    "answers": (("claim",), ("question",)),
    "supports": ((*_WORKS, "claim"), ("claim", "concept")),
    "opposes": ((*_WORKS, "claim"), ("claim", "concept")),
    "qualifies": ((*_WORKS, "claim"), ("claim", "concept")),
}
"""From which types and to which an edge may go; those left out go from any to any."""


@cache
def load_graph(folder: Path = RECORDS) -> Graph:
    """Read every record below a folder, and check each alone and all together.

    Raises:
        InputError: a record that cannot be read or says what it must not; the line names the file.
    """
    files_by_id: dict[str, tuple[Path, Record]] = {}
    for path in sorted(folder.rglob("*.toml")):
        record = read_record(path, path.relative_to(folder).as_posix())
        if record.id in files_by_id:
            other_name = files_by_id[record.id][0].relative_to(folder).as_posix()
            _refuse(path, folder, f'id "{record.id}" is that of {other_name} too')
        files_by_id[record.id] = path, record
    records = {key: files_by_id[key][1] for key in sorted(files_by_id)}
    for path, record in files_by_id.values():
        if problem := _wrong_edge(record, records) or _experiment_problem(record, records):
            _refuse(path, folder, problem)
    return Graph(
        nodes={key: record.node() for key, record in records.items()},
        edges=tuple(edge for record in records.values() for edge in record.edges_out()),
        claims={key: claim for key, claim in records.items() if isinstance(claim, Claim)},
    )


def read_record(path: Path, name: str) -> Record:
    """Read one record; ``name`` is what the file is called in errors.

    Raises:
        InputError: it is not TOML, has an unknown type or field, or lacks one.
    """
    try:
        fields: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{name}: cannot be read ({_line(error)})") from None
    try:
        record = (Claim if fields.get("type") == "claim" else Record).model_validate(fields)
    except ValidationError as error:
        raise InputError(f"{name}: {_first(error)}") from None
    if record.id != path.stem:
        raise InputError(f'{name}: id "{record.id}" is not the name of its file')
    return record


def _refuse(path: Path, folder: Path, problem: str) -> None:
    raise InputError(f"{path.relative_to(folder).as_posix()}: {problem}")


def _first(error: ValidationError) -> str:
    """The first thing that is wrong, with the field's name where there is one."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = _line(first["msg"].removeprefix("Value error, "))
    input_value = first["input"]
    input_words = (
        f" (given: {_line(str(input_value))[:60]})"
        if where and isinstance(input_value, str | int)
        else ""
    )
    return f"{where}: {message}{input_words}" if where else message


def _line(error: object) -> str:
    return " ".join(str(error).split())


def _wrong_edge(record: Record, records: Mapping[str, Record]) -> str | None:
    """What is wrong with an edge that begins here, or None."""
    edges = record.edges_out()
    for edge in edges:
        target_record = records.get(edge.target)
        if target_record is None:
            return f'{edge.type}: there is no record "{edge.target}"'
        if target_record is record:
            return f"{edge.type}: an edge to itself"
        sources, targets = _ENDS.get(edge.type, ((record.type,), (target_record.type,)))
        if record.type not in sources or target_record.type not in targets:
            return (
                f"{edge.type}: goes from no {record.type} to a {target_record.type} "
                f'("{edge.target}")'
            )
    (twice, count), *_ = Counter(edges).most_common(1) or [(None, 0)]
    return f'{twice.type}: "{twice.target}" is named twice' if twice and count > 1 else None


def _experiment_problem(record: Record, records: Mapping[str, Record]) -> str | None:
    """A claim and its experiment belong together; what is missing, or None."""
    if record.type == "experiment":
        n = len(record.edges.get("tests", []))
        return None if n == 1 else f"an experiment tests one claim, this one {n}"
    if not isinstance(record, Claim):
        return None
    n = sum(record.id in other_record.edges.get("tests", []) for other_record in records.values())
    if record.decides == "not testable":
        return None if not n else f'decides = "not testable", and {n} experiments test it'
    return None if n == 1 else f"a claim has one experiment, this one {n or 'none'}"
