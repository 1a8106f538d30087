"""Every causal language model type of the installed transformers, tiny and random, checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from worldline.models.laws import Report, check_model
from worldline.models.tiny_models import UNRUNNABLE, kind, reason, tiny_model

DECODER = "softmax decoder"


def census(types: Iterable[str]) -> Iterator[dict[str, Any]]:
    """One row per type: the report of the checks, and what kind of model it is and why."""
    for name in types:
        report = _report(name)
        row = {"type": name, "kind": kind(name), "kind_reason": reason(name)}
        yield row | report.as_dict()


def _report(name: str) -> Report:
    if name in UNRUNNABLE:
        return Report().refuse(UNRUNNABLE[name])
    return check_model(tiny_model(name))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts over the rows; the denominator of `share_exact` is the causal softmax decoders."""
    decoders = [row for row in rows if row["kind"] == DECODER]
    exact = [row for row in decoders if row["status"] == "exact"]
    counts = Counter(row["status"] for row in rows)
    share = len(exact) / len(decoders) if decoders else 0.0
    sentence = (
        f"{len(rows)} types: {counts['exact']} exact, {counts['partly']} partly, "
        f"{counts['refused']} refused; of {len(decoders)} causal softmax decoders "
        f"{len(exact)} are exact ({share:.1%})"
    )
    return {
        "types": len(rows),
        **{status: counts[status] for status in ("exact", "partly", "refused")},
        "decoders": len(decoders),
        "decoders_exact": len(exact),
        "share_exact": share,
        "sentence": sentence,
    }
