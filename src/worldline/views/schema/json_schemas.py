"""JSON Schemas of what travels to the front end, whose TypeScript types are generated from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter
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


def schema_of_union(union: Any, tag: str) -> dict[str, Any]:
    """The JSON Schema of what is one of several models, told apart by its field `tag`."""
    schema = TypeAdapter(union).json_schema(
        by_alias=True, mode="validation", schema_generator=_WithoutFieldTitles
    )
    for part in schema["$defs"].values():
        if tag in part["properties"]:
            part["required"] = [*part.get("required", ()), tag]
    return schema
