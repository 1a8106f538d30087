"""The picture on a terminal: a table of the claims, one record in full, one line a verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from worldline.claims.exports.numbers import number_of
from worldline.claims.graph import Graph, Neighbour
from worldline.views.labels import readable_text
from worldline.views.schema.claims import ClaimsNode, ClaimsPicture, ClaimsVerdict

if TYPE_CHECKING:
    from rich.table import Table

WIDE = 100
"""Terminal cells from which on every row names its model."""

_COLOURS = {"supported": "green", "refuted": "red", "qualified": "yellow", "measured": "cyan"}


def claims_table(picture: ClaimsPicture, width: int) -> Table:
    """One row a claim, a second one where a quick verdict stands beside the full one."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("claim", no_wrap=True)
    table.add_column("verdict", min_width=12)
    table.add_column("number, 95 % interval", min_width=18)
    table.add_column("n", justify="right", no_wrap=True)
    if width >= WIDE:
        table.add_column("model", overflow="fold")
    for node in picture.nodes:
        node_verdicts = [verdict for verdict in picture.verdicts if verdict.claim == node.id]
        for at, verdict in enumerate(node_verdicts):
            word = Text(
                mark(verdict), "dim" if verdict.stale else _COLOURS.get(verdict.verdict, "")
            )
            numbers = (
                _with_unit(verdict),
                f"{verdict.n:,}" if verdict.run else "",
                readable_text(verdict.model),
            )
            cells = [Text(node.id if at == 0 else ""), word, *map(Text, numbers)]
            table.add_row(*cells[: len(table.columns)])
        if not node_verdicts and node.type == "claim":
            table.add_row(node.id, Text("not run yet", "dim"), Text("–", "dim"))
    return table


def _with_unit(one: ClaimsVerdict) -> str:
    """The number with its interval and, where it has one, its unit."""
    number = number_of(one)
    return f"{number} ({one.unit})" if one.value is not None and one.unit else number


def stale_note(picture: ClaimsPicture) -> list[str]:
    """What (stale) in the table means, where it stands there."""
    if not any(one.stale for one in picture.verdicts):
        return []
    return [
        "stale: the experiment or what decides the claim has changed since; claims show ID says "
        "which, claims run ID measures it anew"
    ]


def mark(verdict: ClaimsVerdict) -> str:
    """The word of a verdict, and whether it is quick or stale."""
    marks = [name for name, on in (("quick", verdict.quick), ("stale", verdict.stale)) if on]
    return f"{verdict.verdict} ({', '.join(marks)})" if marks else verdict.verdict


def verdict_line(verdict: ClaimsVerdict) -> str:
    """A verdict in one line."""
    number = number_of(verdict).replace("\u00a0", " ")
    unit = f" {verdict.unit}" if verdict.value is not None and verdict.unit else ""
    return readable_text(
        f"{verdict.claim}: {mark(verdict)}: {number}{unit}, n {verdict.n:,}: {verdict.reason}"
    )


def node_lines(
    graph: Graph,
    node: ClaimsNode,
    verdicts: Sequence[ClaimsVerdict],
    around: Mapping[str, Sequence[Neighbour]],
    width: int,
) -> Iterator[str]:
    """One node in full: what it says, what decides it, its verdicts, what lies around it."""
    yield from _wrap_text(f"{node.type}  {node.id}", width)
    yield from _wrap_text(node.title, width)
    yield ""
    yield from _wrap_text(node.text, width)
    yield from _wrap_text(f"source: {node.source}", width)
    if node.url is not None:
        yield f"url: {node.url}"
    claim = graph.claims.get(node.id)
    if claim is not None:
        yield ""
        if claim.metric is not None:
            yield from _wrap_text(f"metric: {claim.metric}", width)
            yield f"unit: {claim.unit}"
        if claim.support is not None:
            yield f"supported if the whole interval is {claim.support}, refuted if {claim.refute}"
        elif claim.decides == "measurement":
            yield "a measurement: nothing was fixed that it must reach"
        else:
            yield from _wrap_text(f"not testable: {claim.why}", width)
    for verdict in verdicts:
        yield ""
        yield from _verdict_lines(verdict, width)
    for kind, neighbours in around.items():
        yield ""
        yield f"{kind} ({len(neighbours)})"
        for neighbour in neighbours:
            yield from _wrap_text(_neighbour(neighbour), width, "  ", "      ")


def _verdict_lines(verdict: ClaimsVerdict, width: int) -> Iterator[str]:
    number = number_of(verdict).replace("\u00a0", " ")
    unit = f" {verdict.unit}" if verdict.value is not None else ""
    yield from _wrap_text(
        f"{mark(verdict)}: {number}{unit}, n {verdict.n:,} ({verdict.counts})", width
    )
    if verdict.stale is not None:
        yield from _wrap_text(verdict.stale, width, "  ", "  ")
    yield from _wrap_text(verdict.reason, width, "  ", "  ")
    for sentence in verdict.says:
        yield from _wrap_text(sentence, width, "  - ", "    ")
    yield from _wrap_text(
        f"{verdict.model}, seed {verdict.seed}, {verdict.date}, run {verdict.run}", width, "  "
    )
    yield f"  {readable_text(verdict.command)}"


def _neighbour(neighbour: Neighbour) -> str:
    verdict = f" — {neighbour.verdict}" if neighbour.verdict else ""
    edges = "edge" if neighbour.edge_count == 1 else "edges"
    return (
        f"{neighbour.node.id}  {', '.join(neighbour.relations)}  ({neighbour.edge_count} "
        f"{edges}){verdict}: "
        f"{neighbour.node.title}"
    )


def _wrap_text(text: str, width: int, first: str = "", later: str | None = None) -> list[str]:
    return textwrap.wrap(
        readable_text(text), width, initial_indent=first,
        subsequent_indent=first if later is None else later, break_on_hyphens=False,
    )  # fmt: skip
