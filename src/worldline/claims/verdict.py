"""A run and the verdict that it gave, and which of several verdicts is shown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from pydantic import TypeAdapter

from worldline.claims.json_numbers import pack, unpack
from worldline.experiments.experiment import Figure, Finding, Picture, Series
from worldline.views.schema.claims import Word


@dataclass(frozen=True)
class RunKey:
    """What makes two runs the same: one goes on where the other was stopped."""

    claim: str
    weights_hash: str
    config_hash: str
    code_hash: str
    record_hash: str
    seed: int
    n: int

    @property
    def run(self) -> str:
        """The run's id: 16 hex digits of SHA-256 over all of it."""
        json_text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(json_text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Run:
    """One run of an experiment; ``quick``: fewer items were asked for than a full run measures.

    ``model`` is a name without any path of a machine. ``started`` and ``finished`` are UTC.
    """

    key: RunKey
    model: str
    quick: bool
    counts: str
    versions: Mapping[str, str]
    started: str
    finished: str | None = None

    @property
    def id(self) -> str:
        """The run's id."""
        return self.key.run

    @property
    def claim(self) -> str:
        """The claim that was tested."""
        return self.key.claim


@dataclass(frozen=True)
class Verdict:
    """The word that the rule gave for a run's finding, and its reason; ``date`` is UTC."""

    run: Run
    word: Word
    finding: Finding
    reason: str
    date: str


@dataclass(frozen=True)
class CurrentVerdict:
    """A verdict as it stands now: ``stale`` says what changed since, or is None."""

    verdict: Verdict
    stale: str | None


_FINDING = TypeAdapter(Finding)


def read_finding(finding_json: Mapping[str, Any]) -> Finding:
    """A finding from its JSON. Raises ValueError where a field is missing or of another kind."""
    _FINDING.validate_json(json.dumps(finding_json), strict=True)
    fields = dict(finding_json)
    fields["says"] = tuple(finding_json.get("says", ()))
    fields["figures"] = tuple(
        Figure(**{**figure, "series": tuple(_series(line) for line in figure["series"])})
        for figure in finding_json.get("figures", ())
    )
    picture = finding_json.get("picture")
    if picture is not None:
        fields["picture"] = Picture(**{**picture, "cuts": tuple(picture["cuts"])})
    return Finding(**fields)


def pack_finding(finding: Finding) -> str:
    """A finding as JSON text."""
    return pack(finding.json())


def unpack_finding(json_text: str) -> Finding:
    """A finding from its JSON text."""
    return read_finding(unpack(json_text))


def _series(line: Mapping[str, Any]) -> Series:
    fields = {
        key: tuple(value) if isinstance(value, list) else value for key, value in line.items()
    }
    return Series(**cast("dict[str, Any]", fields))


def stale_reason(key: RunKey, code_hash: str | None, record_hash: str) -> str | None:
    """Which of the two that a verdict is bound to changed since, or None."""
    changed_parts = []
    if key.code_hash != code_hash:
        changed_parts.append("the experiment's code")
    if key.record_hash != record_hash:
        changed_parts.append("what the record says of the decision")
    return f"stale: {' and '.join(changed_parts)} changed since" if changed_parts else None


def pick(verdicts: Iterable[CurrentVerdict]) -> tuple[CurrentVerdict, ...]:
    """The verdict on one claim that is shown, and a quick one beside it where there is one.

    Of full ones and of quick ones alike: what stands before what is stale, then that of most
    items, of the lowest seed, the latest; so that no other seed takes a verdict's place. A full
    one is shown before a quick one, unless it alone is stale.
    """
    ranked_verdicts = sorted(verdicts, key=_rank, reverse=True)
    full = next(
        (
            current_verdict
            for current_verdict in ranked_verdicts
            if not current_verdict.verdict.run.quick
        ),
        None,
    )
    quick = next(
        (
            current_verdict
            for current_verdict in ranked_verdicts
            if current_verdict.verdict.run.quick
        ),
        None,
    )
    shown_verdicts = tuple(
        current_verdict for current_verdict in (full, quick) if current_verdict is not None
    )
    if full is not None and quick is not None and full.stale and not quick.stale:
        return quick, full
    return shown_verdicts


def _rank(current_verdict: CurrentVerdict) -> tuple[bool, int, int, str]:
    key = current_verdict.verdict.run.key
    return current_verdict.stale is None, key.n, -key.seed, current_verdict.verdict.date
