"""What parts of a Scene are made of, and those that several share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt

NonNegativeFloat = Annotated[FiniteFloat, Field(ge=0)]
Row = tuple[FiniteFloat, ...]
Matrix = tuple[Row, ...]


class Part(BaseModel):
    """What all parts share: frozen, and no field that the schema does not name."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        protected_namespaces=(),
        json_schema_serialization_defaults_required=True,
    )


class ScenePrediction(Part):
    """One candidate for the token after the last column; ``logprob`` in nats."""

    token: str
    id: NonNegativeInt
    logprob: FiniteFloat


class ScenePrecision(Part):
    """What a difference of two runs has to exceed, the larger of both, to be more than rounding.

    ``floor`` is how far equivalent plain runs lie apart, ``resolution`` what the rounding to
    ``dtype`` leaves open; both in the unit of the number they belong to.
    """

    floor: NonNegativeFloat
    resolution: NonNegativeFloat
    dtype: str


class SceneNode(Part):
    """A node: row ``layer`` at column ``pos``."""

    layer: NonNegativeInt
    pos: NonNegativeInt


class SceneMeaning(Part):
    """What a number means: ``formula``, ``unit``, ``exactness``, and how to make it again.

    ``cli`` is empty where no command line can say it, and ``note`` says why, or what must be there
    first; ``source`` is a paper, where there is one. Written by ``number_records.py`` only; the
    page shows it and adds nothing.
    """

    title: str
    formula: str
    unit: str
    exactness: str
    source: str | None
    cli: str
    python: str
    note: str = ""
