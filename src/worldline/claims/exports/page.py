"""The picture as one plain HTML file: a table of verdicts, then every node; no script at all."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from worldline.claims.exports.numbers import number_of
from worldline.views.claims_parts import ClaimsNode, ClaimsPicture, ClaimsVerdict
from worldline.views.labels import readable_text

_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;"
    "margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;"
    "border-bottom:1px solid color-mix(in srgb,currentColor 25%,transparent)}"
    "code{overflow-wrap:anywhere}section{margin-top:2rem}"
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def render_claims_html(picture: ClaimsPicture) -> str:
    """Write the picture as HTML that asks nothing of any other place; all text is escaped."""
    claims = [node for node in picture.nodes if node.type == "claim"]
    title = f"{len(claims)} claims on {picture.model}"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_text(title)}</h1>\n{_table(picture)}\n"
        + "\n".join(_section(picture, node) for node in picture.nodes)
        + "\n</body>\n</html>\n"
    )


def _table(picture: ClaimsPicture) -> str:
    heads = ("claim", "verdict", "number, 95 % interval", "n", "model", "why")
    rows = [_row(one) for one in picture.verdicts]
    known = {one.claim for one in picture.verdicts}
    for node in picture.nodes:
        if node.type == "claim" and node.id not in known:
            rows.append(_cells("td", (_link(node.id), "no verdict", "", "", "", "")))
    return (
        f"<table>\n<thead>{_cells('th', heads)}</thead>\n<tbody>{''.join(rows)}</tbody>\n</table>"
    )


def _row(one: ClaimsVerdict) -> str:
    marks = [name for name, on in (("quick", one.quick), ("stale", one.stale)) if on]
    word = " ".join((one.verdict, *(f"({mark})" for mark in marks)))
    why = one.reason if one.stale is None else f"{one.stale}. {one.reason}"
    n = f"{one.n:,} ({one.counts})" if one.run else ""
    texts = (word, number_of(one), n, one.model, why)
    return _cells("td", (_link(one.claim), *map(_text, texts)))


def _section(picture: ClaimsPicture, node: ClaimsNode) -> str:
    lines = [f"<p>{_text(node.text)}</p>", f"<p>{node.type}; source: {_text(node.source)}</p>"]
    if node.url is not None:
        lines.append(f'<p><a href="{escape(node.url)}">{_text(node.url)}</a></p>')
    for one in picture.verdicts:
        if one.claim == node.id:
            lines += _said(one)
    around = [f"{edge.type} {_link(edge.target)}" for edge in picture.edges
              if edge.source == node.id]  # fmt: skip
    if around:
        lines.append(f"<p>{'; '.join(around)}</p>")
    return (
        f'<section id="{escape(node.id)}">\n<h2>{_text(node.title)}</h2>\n'
        + "\n".join(lines)
        + "\n</section>"
    )


def _said(one: ClaimsVerdict) -> list[str]:
    decides = "; ".join(
        f"{name} {value}" for name in ("support", "refute") if (value := getattr(one, name))
    )
    says = "".join(f"<li>{_text(line)}</li>" for line in one.says)
    metric = f"{one.metric} ({one.unit}). {decides}" if one.metric else one.reason
    lines = [f"<p>{_text(metric)}</p>", f"<ul>{says}</ul>" if says else ""]
    return [*filter(None, lines), f"<p><code>{_text(one.command)}</code></p>"]


def _cells(tag: str, texts: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{text}</{tag}>' for text in texts)}</tr>"


def _link(node: str) -> str:
    return f'<a href="#{escape(node)}">{escape(node)}</a>'


def _text(text: str) -> str:
    return escape(readable_text(text))
