"""Writes the verdicts of docs/claims.md from those that come with worldline.

python docs/make_claims.py
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from worldline.claims.exports.lines import mark
from worldline.claims.exports.numbers import number_of
from worldline.claims.picture import BUNDLED, claims_picture, in_order
from worldline.claims.records import load_graph
from worldline.claims.run_database import Store
from worldline.views.schema.claims import ClaimsVerdict

PAGE = Path(__file__).parent / "claims.md"


def verdicts() -> dict[str, list[ClaimsVerdict]]:
    """What comes with worldline, by claim: the full verdict, and a quick one beside it."""
    with tempfile.TemporaryDirectory() as empty:
        picture = claims_picture(load_graph(), Store(Path(empty)), BUNDLED)
    found: dict[str, list[ClaimsVerdict]] = {}
    for one in picture.verdicts:
        if one.run:  # what nothing can test has a verdict without any run
            found.setdefault(one.claim, []).append(one)
    return found


def table() -> str:
    """One row a claim."""
    graph, found = load_graph(), verdicts()
    rows = ["| claim | verdict | number, 95 % interval | supported where | refuted where | n |"]
    rows.append("|---|---|---|---|---|--:|")
    for claim in in_order(graph):
        record = graph.claims[claim]
        for one in found.get(claim, ()):
            word = mark(one)
            levels = f"{one.support or '–'} | {one.refute or '–'}"
            rows.append(f"| [{claim}](#{claim}) | {word} | {number_of(one)} | {levels} | {one.n} |")
        if claim not in found:
            word = "not run yet" if record.why is None else "not testable here"
            rows.append(f"| [{claim}](#{claim}) | {word} | – | – | – | – |")
    return "\n".join(rows)


def sections() -> str:
    """Every claim with its wording, what was measured, and what came out."""
    graph, found = load_graph(), verdicts()
    parts = []
    for claim in in_order(graph):
        record = graph.claims[claim]
        lines = [f"### {claim}", "", f"**{record.title}.** {_one_line(record.text)}", ""]
        if record.why is not None:
            lines += [f"Not testable here: {_one_line(record.why)}", ""]
        for one in found.get(claim, ()):
            word = mark(one)
            lines += [
                f"*Measured:* {one.metric}: **{number_of(one)} {one.unit}**, n = {one.n} "
                f"({one.counts}), seed {one.seed}. **{word[0].upper()}{word[1:]}**: "
                f"{_one_line(one.reason)}.",
                "",
            ]
            lines += [f"- {_one_line(said)}" for said in one.says] + [""]
        parts.append("\n".join(lines))
    return "\n".join(parts).rstrip()


def written() -> str:
    """The page with its computed parts as they are now."""
    page = PAGE.read_text(encoding="utf-8")
    for name, content in (("table", table()), ("sections", sections())):
        marks = rf"(<!-- {name} -->\n).*?(\n<!-- end -->)"
        page, n = re.subn(
            marks, lambda found, new=content: f"{found[1]}\n{new}\n{found[2]}", page, flags=re.S
        )
        assert n == 1, name
    return page


def _one_line(text: str) -> str:
    """Without breaks, and with nothing that markdown would take for its own."""
    return re.sub(r"([<>|*_`])", r"\\\1", " ".join(text.split())).rstrip(".") + (
        "." if text.rstrip().endswith(".") else ""
    )


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
