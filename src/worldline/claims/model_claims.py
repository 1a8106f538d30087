"""The claims with what was found of them on one model: the picture, one record in full, exports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import worldline as wl
from worldline.claims import records
from worldline.claims.claim_runs import bare_name
from worldline.claims.exports.lines import node_lines
from worldline.claims.graph import Graph, Neighbour, neighbourhood
from worldline.claims.json_numbers import finite
from worldline.claims.picture import (
    BUNDLED,
    claims_picture,
    current_picture,
    known_models,
    model_verdicts,
    shown_words,
    verdict_part,
    weights_of,
    with_runs,
)
from worldline.claims.run_database import Store
from worldline.claims.verdict import pick
from worldline.views.schema.claims import ClaimsNode, ClaimsPicture, ClaimsVerdict

FORMATS = ("json-ld", "graphml", "html", "json", "verdicts")
_DECISION = ("metric", "unit", "support", "refute", "decides", "why")


@dataclass(frozen=True)
class RecordReport:
    """One record in full: the verdicts on it, those shown first, and what lies around it.

    `numbers` are those of each verdict's finding, by the run's id.
    """

    graph: Graph
    node: ClaimsNode
    verdicts: Sequence[ClaimsVerdict]
    around: Mapping[str, Sequence[Neighbour]]
    numbers: Mapping[str, Any]

    def lines(self, width: int) -> Iterator[str]:
        """The record as text, in lines of so many cells at most."""
        return node_lines(self.graph, self.node, self.verdicts, self.around, width)

    def json(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        claim = self.graph.claims.get(self.node.id)
        return {
            "node": self.node.model_dump(mode="json"),
            "decision": claim and {name: getattr(claim, name) for name in _DECISION},
            "verdicts": [verdict.model_dump(mode="json") for verdict in self.verdicts],
            "neighbourhood": {
                kind: [
                    {"id": neighbour.node.id, "title": neighbour.node.title,
                     "relations": list(neighbour.relations),
                     "edge_count": neighbour.edge_count, "verdict": neighbour.verdict}
                    for neighbour in neighbours
                ]
                for kind, neighbours in self.around.items()
            },
            "numbers": self.numbers,
        }  # fmt: skip


class ModelClaims:
    """The records and the user's store, with the verdicts on one model; nothing is loaded.

    Args:
        model: A model's name or folder; None for the bundled one.

    Raises:
        InputError: no claim was run on a model of this name.
    """

    def __init__(self, model: str | None) -> None:
        self.graph, self.store = records.load_graph(), Store()
        self.model = self._name(model)

    @property
    def other_models(self) -> list[str]:
        """The other models that have verdicts."""
        return [name for name in known_models(self.graph, self.store) if name != self.model]

    @property
    def n_weights(self) -> int:
        """How many weights were run under the model's name."""
        return len(weights_of(self.graph, self.store, self.model))

    def picture(self) -> ClaimsPicture:
        """The whole graph, with the verdicts that are shown."""
        return claims_picture(self.graph, self.store, self.model)

    def report(self, name: str) -> RecordReport:
        """The record of an id, in full.

        Raises:
            InputError: there is none.
        """
        verdicts_by_claim = model_verdicts(self.graph, self.store, self.model)
        shown_verdicts = [
            verdict for verdicts in verdicts_by_claim.values() for verdict in pick(verdicts)
        ]
        graph = with_runs(self.graph, shown_verdicts)
        node = graph.find(name)
        verdicts = verdicts_by_claim.get(name, [])
        first = pick(verdicts)
        in_order = [*first, *(verdict for verdict in verdicts if verdict not in first)]
        return RecordReport(
            self.graph,
            node,
            [verdict_part(self.graph, verdict) for verdict in in_order],
            neighbourhood(graph, name, shown_words(verdicts_by_claim)),
            {
                current.verdict.run.id: finite(current.verdict.finding.numbers)
                for current in verdicts
            },
        )

    def export(self, form: str) -> str:
        """The picture in one of `FORMATS`, or the runs and verdicts as they come with worldline.

        Raises:
            InputError: "verdicts", and there are none.
        """
        if form == "verdicts":
            return self._shipped_form()
        picture = self.picture()
        if form == "json":
            return picture.model_dump_json(by_alias=True, indent=1) + "\n"
        if form == "json-ld":
            from worldline.claims.exports.jsonld import claims_jsonld

            return claims_jsonld(picture)
        if form == "graphml":
            from worldline.claims.exports.graphml import claims_graphml

            return claims_graphml(picture)
        from worldline.views.claims_html import render_claims_html

        return render_claims_html(picture)

    def _shipped_form(self) -> str:
        from worldline.claims.shipped_verdicts import write_verdicts

        verdict_lists = model_verdicts(self.graph, self.store, self.model).values()
        if not verdict_lists:
            raise wl.InputError(
                f"--format verdicts: there are none on {self.model}; claims run makes them"
            )
        return write_verdicts(
            current.verdict for verdicts in verdict_lists for current in pick(verdicts)
        )

    def _name(self, model: str | None) -> str:
        """The name that a model's verdicts are kept under."""
        if model is None or model.lower() in ("bundled", BUNDLED):
            return BUNDLED
        name, known_names = bare_name(model), known_models(self.graph, self.store)
        if name not in known_names:
            others = [known_name for known_name in known_names if known_name != BUNDLED]
            raise wl.InputError(
                f"--model {model}: there are none on {name}: no claim was run on it; known are "
                f"{', '.join([BUNDLED, *others])}"
            )
        return name


def picture_source(model: wl.LoadedModel) -> Callable[[], ClaimsPicture]:
    """What gives the picture on a loaded model: read anew each time, as a run may end meanwhile."""

    @cache
    def weights_hash() -> str:
        return model.weights_hash

    return lambda: current_picture(bare_name(model.name), weights_hash())
