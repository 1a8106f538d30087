"""Refusals of a validator are in our own words: field, what was given, what is accepted."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worldline.field_errors import fault_line, field_of


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")

    n: Annotated[int, Field(ge=0, le=9)] = 0
    edges: tuple[str, ...] = ()
    how: Literal["mask", "zero"] = "mask"
    text: str = Field(default="x", min_length=1)
    ratio: float = 0.5
    own: bool = False


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"n": "x"}, ("n x:", "a whole number")),
        ({"n": 1.5}, ("n 1.5:", "a whole number")),
        ({"n": -1}, ("n -1:", "from 0")),
        ({"n": 12}, ("n 12:", "up to 9")),
        ({"edges": "0.0:1>2"}, ("edges 0.0:1>2:", "a list")),
        ({"edges": [{"layer": 1}]}, ('edges.0 {"layer": 1}:', "a text")),
        ({"how": "snip"}, ("how snip:", "mask, zero")),
        ({"text": ""}, ('text "":', "at least 1")),
        ({"ratio": "much"}, ("ratio much:", "a number")),
        ({"own": "perhaps"}, ("own perhaps:", "true or false")),
        ({"other": 3}, ("other:", "no such field")),
        ([], ("the body []:", "an object")),
    ],
)
def test_field_given_and_accepted(given, parts):
    with pytest.raises(ValidationError) as raised:
        Form.model_validate(given)
    fault = raised.value.errors()[0]
    line = fault_line(fault, field_of(fault))
    assert line.startswith(parts[0])
    assert parts[1] in line
    assert "nput should" not in line
    assert "\n" not in line
