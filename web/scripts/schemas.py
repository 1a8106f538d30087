"""Writes the JSON Schemas of what Python sends; `npm run types` makes TypeScript of them.

    python web/scripts/schemas.py
"""

from __future__ import annotations

import json

from worldline.views.schema.claims import ClaimsPicture
from worldline.views.schema.json_schemas import STATIC, schema_of
from worldline.views.schema.scene import Scene

SCHEMAS = {
    STATIC / f"{name}.schema.json": json.dumps(schema_of(model), indent=2) + "\n"
    for name, model in (("scene", Scene), ("claims", ClaimsPicture))
}

if __name__ == "__main__":
    for path, schema in SCHEMAS.items():
        path.write_text(schema, encoding="utf-8")
