"""JSON Schemas of what travels to the front end, whose TypeScript types are generated from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

STATIC = Path(__file__).parents[1] / "static"
"""Where the built front end and the JSON Schemas lie."""


class _WithoutFieldTitles(GenerateJsonSchema):
    """Titles of fields only repeat their names, and would each become a TypeScript type."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of what a model writes."""
    return model.model_json_schema(
        by_alias=True, mode="serialization", schema_generator=_WithoutFieldTitles
    )
