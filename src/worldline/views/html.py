"""The Scene as one HTML file: the front end and the data inside, no request to any other place."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from typing import Any

from worldline.views.labels import readable_text
from worldline.views.lattice_text import render_text
from worldline.views.schema.claims import ClaimsPicture
from worldline.views.schema.json_schemas import STATIC
from worldline.views.schema.scene import Scene

MATRIX_DIGITS = 6
"""Significant digits of the matrices in the file; the page shows three. Edges keep all."""

_TEXT_WIDTH = 110
# Besides what JSON asks for: whatever could end the element, open another or break a line.
_ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})
_PAGE_STYLE = "#worldline>pre{padding:1em;overflow:auto}"


def render_html(scene: Scene, claims: ClaimsPicture | None = None) -> str:
    """Write one HTML file that shows the Scene anywhere, with the network off.

    Its Content-Security-Policy forbids every request and admits the script and the styles inside
    by their hashes. Where scripts do not run, or the built front end is missing, the picture as
    text stands in its place. With `claims` they are a panel of it.
    """
    parts = {"worldline-scene": scene_json(scene)}
    if claims is not None:
        parts["worldline-claims"] = claims_json(claims)
    text = render_text(scene, width=_TEXT_WIDTH, color=False)
    return one_file(readable_text(scene.title), text, parts)


def one_file(title: str, text: str, parts: dict[str, str]) -> str:
    """One HTML file: `text` for who reads it without scripts, `parts` as JSON by their ids."""
    script, style = static_text("worldline.js"), _PAGE_STYLE + static_text("worldline.css")
    policy = "; ".join(
        [
            "default-src 'none'",
            f"script-src {_csp_hash(script)}",
            f"style-src {_csp_hash(style)}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    inside = "".join(
        f'<script type="application/json" id="{name}">{json_}</script>\n'
        for name, json_ in parts.items()
    )
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(title or 'worldline')} · worldline</title>\n"
        f'<style>{style}</style>\n</head>\n<body class="wl-body">\n'
        f'<main id="worldline"><pre>{html.escape(text)}</pre></main>\n'
        f"{inside}"
        f'<script type="module">{script}</script>\n'
        "</body>\n</html>\n"
    )


def render_page() -> str:
    """The empty page of `worldline serve`: everything in it is asked for from the same server."""
    return (
        "<!doctype html>\n"
        '<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        "<title>worldline</title>\n"
        '<link rel="stylesheet" href="static/worldline.css">\n</head>\n'
        '<body class="wl-body">\n<main id="worldline" data-live>\n'
        "<noscript>This page draws with its own script; please let it run.</noscript>\n"
        '</main>\n<script type="module" src="static/worldline.js"></script>\n</body>\n</html>\n'
    )


def scene_json(scene: Scene) -> str:
    """Give the Scene as JSON that can stand inside a script element, whatever its texts hold."""
    wire = scene.model_dump(mode="json", by_alias=True)
    for part in (wire, *wire["groupings"]):
        part["flow"] = _round_floats(part["flow"])
    wire["nodes"] = _round_floats(wire["nodes"])
    if scene.altered is not None and scene.altered.cone is not None:
        cone = wire["altered"]["cone"]
        cone["responses"] = _round_floats(cone["responses"])
    return json.dumps(wire, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)


def claims_json(claims: ClaimsPicture) -> str:
    """Give the claims as JSON that can stand inside a script element, whatever they say."""
    wire = claims.model_dump(mode="json", by_alias=True)
    return json.dumps(wire, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)


def _round_floats(value: Any) -> Any:
    """Round every float inside to ``MATRIX_DIGITS`` significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{MATRIX_DIGITS}g}")
    if isinstance(value, list):
        return [_round_floats(item) for item in value]
    if isinstance(value, dict):
        return {name: _round_floats(item) for name, item in value.items()}
    return value


def static_text(name: str) -> str:
    """Read a part of the built front end; empty where it is missing, and text stands in."""
    path = STATIC / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _csp_hash(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
