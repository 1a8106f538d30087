"""The claims alone as one HTML file, and as text for who reads it without its script."""

from __future__ import annotations

from worldline.views.html import claims_json, one_file
from worldline.views.labels import readable_text
from worldline.views.schema.claims import ClaimsPicture, ClaimsVerdict

"""The committed JSON Schema, from which the front end's TypeScript types are generated."""


def render_claims_html(picture: ClaimsPicture) -> str:
    """Write one HTML file that shows the claims anywhere, with the network off.

    As with a Scene's file, its Content-Security-Policy forbids every request and admits the
    script and the styles inside by their hashes.
    """
    title = f"Claims, as tested on {readable_text(picture.model)}"
    return one_file(title, claims_text(picture), {"worldline-claims": claims_json(picture)})


def claims_text(picture: ClaimsPicture) -> str:
    """Every claim with its verdicts, one paragraph each."""
    lines = [f"Claims, as tested on {readable_text(picture.model)}"]
    for node in picture.nodes:
        if node.type != "claim":
            continue
        lines += ["", f"{readable_text(node.title)} ({node.id})", f"  {readable_text(node.text)}"]
        claim_verdicts = [verdict for verdict in picture.verdicts if verdict.claim == node.id]
        lines += [f"  {_verdict_line(verdict)}" for verdict in claim_verdicts] or [
            "  not tested on this model yet"
        ]
    return "\n".join(lines)


def _verdict_line(verdict: ClaimsVerdict) -> str:
    parts = [verdict.verdict]
    if verdict.value is not None:
        ends = (verdict.low, verdict.high)
        interval = "" if None in ends else " [{:.4g}, {:.4g}]".format(*ends)
        parts.append(f"{verdict.value:.4g}{interval} {verdict.unit} ({verdict.metric})")
    parts.append(f"n = {verdict.n} {verdict.counts}")
    if verdict.quick:
        parts.append("quick")
    if verdict.stale is not None:
        parts.append(f"stale: {verdict.stale}")
    return readable_text("; ".join(parts))
