"""What an experiment is: items to measure one by one, and a finding that all of them give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import worldline as wl

Item = dict[str, Any]
"""What is measured in one go, as plain JSON: `key` names it, the rest says how (seeds included)."""

Measurement = dict[str, Any]
"""What came out for one item, as plain JSON: numbers, strings, lists; never a tensor."""


@dataclass(frozen=True)
class Series:
    """One line, set of points or set of bars; `low` and `high`: its interval where it has one."""

    name: str
    x: tuple[float | str, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Figure:
    """A small chart; `mark` says how its series are drawn; `rule` is a level to compare with."""

    title: str
    mark: Literal["line", "bar", "point"]
    x: str
    y: str
    series: tuple[Series, ...]
    rule: float | None = None
    rule_name: str | None = None


@dataclass(frozen=True)
class Picture:
    """What to show of a finding in the lattice: a text, what is asked of it, what is cut.

    `cuts` are written as the command line takes them, "LAYERS.HEADS:SRC>DST".
    """

    text: str
    says: str
    target: str | None = None
    versus: str | None = None
    cuts: tuple[str, ...] = ()
    how: str = "mask"


@dataclass(frozen=True)
class Finding:
    """What an experiment found on one model: a number with its interval, and what goes with it.

    `value` is in the unit that the claim's record names; `low` and `high` are its 95 % interval,
    equal to it where it is exact. `n` is how many items it stands on. `numbers` is everything else
    (tables, controls, chance levels), `says` the sentences to read with it. At most one of three
    reasons takes the decision from the number: `broken`, a law that did not hold (refuted),
    `bounds`, where it holds and where not (qualified instead of supported), and `untestable`.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    numbers: dict[str, Any] = field(default_factory=dict)
    says: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    picture: Picture | None = None
    broken: str | None = None
    bounds: str | None = None
    untestable: str | None = None

    def __post_init__(self) -> None:
        if sum(reason is not None for reason in (self.broken, self.bounds, self.untestable)) > 1:
            raise ValueError("a finding is broken, bounded or untestable, one of them")
        if self.value is None and self.untestable is None:
            raise ValueError("a finding has a value, or says why it is untestable")

    def json(self) -> dict[str, Any]:
        """As plain words and numbers."""
        return asdict(self)


@dataclass(frozen=True)
class Experiment:
    """One experiment, registered under the id of the claim that it tests.

    `items(model, n, seed)` lists what to measure, the same at every call: a run that was stopped
    goes on at the first item that is not in the store. `measure(model, item)` measures one, in at
    most about a minute, and leaves the model as it was. `conclude(measured, seed)` gets all pairs
    in the order of `items`, and computes nothing that needs the model.

    `n` is the number that a full run is asked for and `quick` that of a quick one; what they count
    is said in `counts`. `least` items are needed for a verdict.
    """

    claim: str
    counts: str
    n: int
    quick: int
    least: int
    items: Callable[[wl.LoadedModel, int, int], list[Item]]
    measure: Callable[[wl.LoadedModel, Item], Measurement]
    conclude: Callable[[Sequence[tuple[Item, Measurement]], int], Finding]
