"""What is to be run, as an explicit value: tokens, edits, a hop budget, an order."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from worldline.arguments import whole_numbers
from worldline.errors import InputError
from worldline.graph.edits import (
    EdgeCut,
    HopBudget,
    Intervention,
    edits_of,
    intervention_of,
    interventions_json,
    refuse_conflicts,
)
from worldline.graph.order import Order, Slice

SCHEMA = "worldline.plan/2"
PREFILL = Order("prefill")


@dataclass(frozen=True)
class Plan:
    """The tokens of a run and the set of what is changed in it. Printable, comparable.

    Whatever depends on positions (rotary angles, learned ones) is that of the whole text.

    Args:
        ids: The tokens.
        edits: EdgeCut and NodeCut values, a set, so that listing order is irrelevant.
        budget: A limit of hops; None for none.
        order: That in which the blocks run.

    Raises:
        InputError: edits outside the text, and two that change one thing in two ways.

    >>> Plan((1, 2, 3)).edits
    frozenset()
    """

    ids: tuple[int, ...]
    edits: frozenset[Intervention] = frozenset()
    budget: HopBudget | None = None
    order: Order = PREFILL

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", whole_numbers("ids", self.ids, least=None))
        object.__setattr__(self, "edits", edits_of(self.edits))
        refuse_conflicts(self.edits, len(self.ids))
        has_patch = any(isinstance(e, EdgeCut) and e.how == "patch" for e in self.edits)
        if self.budget is not None and has_patch:
            raise InputError("a patch of K/V under a hop budget: both say whose K/V is read")
        if self.order != PREFILL and (self.edits or self.budget is not None):
            raise InputError(
                f"order {self.order.name} with edits or a hop budget: accepted is prefill; in any "
                "other order only the run as it is can be executed"
            )

    @property
    def plain(self) -> bool:
        """Whether nothing is changed."""
        return not self.edits and self.budget is None and self.order == PREFILL

    def with_edits(self, *edits: Intervention) -> Plan:
        """The same plan with more edits."""
        return replace(self, edits=self.edits | set(edits))

    def json(self) -> dict[str, Any]:
        """As plain numbers and words; edits in an order of their own."""
        budget = None if self.budget is None else asdict(self.budget)
        document = {
            "schema": SCHEMA,
            "ids": self.ids,
            "edits": interventions_json(self.edits),
            "budget": budget,
            "order": asdict(self.order),
        }
        return json.loads(json.dumps(document))  # tuples as lists, as they come back

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> Plan:
        """The plan that `json` wrote.

        Raises:
            InputError: not such a plan.
        """
        if not isinstance(given, dict) or given.get("schema") != SCHEMA:
            raise InputError(f"a plan: accepted is schema {SCHEMA}")
        try:
            edits = frozenset(map(intervention_of, given["edits"]))
            budget = (
                None
                if given["budget"] is None
                else HopBudget(**{name: _tuple(value) for name, value in given["budget"].items()})
            )
            return cls(tuple(given["ids"]), edits, budget, _order(given["order"]))
        except (KeyError, TypeError) as error:
            raise InputError(f"a plan: damaged ({error})") from None


def _order(order_data: dict[str, Any]) -> Order:
    if order_data["slices"] is None:
        return Order.parse(order_data["name"])
    slices = (
        Slice(*(tuple(tuple(cell) for cell in slice_data[name]) for name in ("cells", "only_kv")))
        for slice_data in order_data["slices"]
    )
    return Order(order_data["name"], tuple(slices))


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
