"""Writes the JSON Schemas of what Python sends and takes; `npm run types` makes TypeScript of them.

    python web/scripts/schemas.py
"""

from __future__ import annotations

import json

from worldline.service.questions import Question
from worldline.views.schema.claims import ClaimsPicture
from worldline.views.schema.json_schemas import STATIC, schema_of, schema_of_union
from worldline.views.schema.scene import Scene

SCHEMAS = {
    STATIC / f"{name}.schema.json": json.dumps(schema, indent=2) + "\n"
    for name, schema in (
        ("scene", schema_of(Scene)),
        ("claims", schema_of(ClaimsPicture)),
        ("question", schema_of_union(Question, "ask")),
    )
}

if __name__ == "__main__":
    for path, schema in SCHEMAS.items():
        path.write_text(schema, encoding="utf-8")
