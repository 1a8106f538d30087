"""The flow between speakers as markup for a page: strands between messages, bars, a table.

Nothing here measures; it draws what the log's `Drawn` events hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from worldline.resolution import Precision, of_sum, told, under_words
from worldline.room.events import Event, FlowRecord, Message
from worldline.room.flow_strip import percent
from worldline.room.html_text import escape
from worldline.room.reply_flow import readings_of, who_reads_whom

ROW, LEFT, TOP, WIDTH, FIRST_WORDS = 22, 130, 10, 720, 84
BEND, MOST_BEND = 12.0, 105.0  # how far a strand swings out for each message that it passes
FEWEST_NATS = 0.05  # a strand thinner than this says nothing
MOST_STRANDS = 1000  # the strongest; a long room would be a grey wall, and a heavy one
HUES = ("#7a6ff0", "#d9822b", "#2a9d8f", "#d1495b", "#4f86c6", "#8d6a9f", "#6a994e", "#b08900")

STYLE = (
    ".flow{margin:.4rem 0;font-size:.85em;color:#5a5a6e}.bar{display:flex;height:.7rem;"
    "border-radius:.2rem;overflow:hidden;background:#d8d8e2;max-width:30rem}"
    ".bar i{display:block;height:100%}.flow summary{cursor:pointer}.flow table{border-collapse:"
    "collapse;font-size:inherit}.flow td,.flow th{padding:.1rem .6rem .1rem 0;text-align:right;"
    "font-weight:400}.flow th:first-child,.flow td:first-child{text-align:left}"
    "svg.strands{width:100%;height:auto;margin:1rem 0}svg.strands text{fill:currentColor;"
    "font:12px system-ui,sans-serif}.chip{display:inline-block;width:.7em;height:.7em;"
    "border-radius:50%;margin-right:.3em}"
    "@media(prefers-color-scheme:dark){.flow{color:#a6a6ba}.bar{background:#33333f}}"
)


def strands(line: Sequence[Event]) -> str:
    """An SVG of the branch: a row per message, from each reply a strand to what it read.

    As wide as the loss without it (square root), full where the message spoke for the reply,
    dashed where against; of very many the strongest. "" where no reply has a flow.
    """
    flows = readings_of(line)
    if not flows:
        return ""
    message_events = [entry for entry in line if isinstance(entry.body, Message)]
    row_of = {event.number: row for row, event in enumerate(message_events)}
    hues = hues_of(line)
    height = TOP * 2 + ROW * len(message_events)
    pulls = [
        (abs(entry["lost_nats"]), row_of[read], row_of[reply], entry)
        for reply, flow in flows.items()
        for entry in flow["messages"]
        if (read := entry["event"]) is not None
        and read in row_of
        and entry["speaker"]
        and abs(entry["lost_nats"]) >= FEWEST_NATS
    ]
    pulls.sort(key=lambda pull: pull[0])
    most = pulls[-1][0] if pulls else 1.0
    n_left_out = len(pulls) - MOST_STRANDS
    few = f": the {MOST_STRANDS:,} strongest of {len(pulls):,}" if n_left_out > 0 else ""
    parts = [
        f'<svg class="strands" viewBox="0 0 {WIDTH} {height}" role="img">'
        f"<title>Strands from each reply to the messages that it drew on{few}</title>"
    ]
    for size, read_row, reply_row, entry in pulls[max(0, n_left_out) :]:
        parts.append(_strand(size / most, read_row, reply_row, entry, hues))
    for event in message_events:
        parts.append(_label(event, row_of[event.number], hues, flows))
    return "".join([*parts, "</svg>"])


def table(line: Sequence[Event]) -> str:
    """Who reads whom, as a table: mean attention and mean loss of a reader's replies."""
    flows = readings_of(line)
    speakers = {event.number: event.body.who for event in line if isinstance(event.body, Message)}
    whom = who_reads_whom((speakers[reply], flow) for reply, flow in flows.items())
    if not whom["pairs"]:
        return ""
    readers = list(whom["replies"])
    read_names = list(dict.fromkeys(pair["read"] for pair in whom["pairs"] if pair["read"]))
    cells = {(pair["reader"], pair["read"]): pair for pair in whom["pairs"]}
    head = "".join(f"<th>{escape(name)}</th>" for name in read_names)
    rows = "".join(
        f"<tr><th>{escape(reader)} ({whom['replies'][reader]})</th>"
        + "".join(_cell(cells.get((reader, name))) for name in read_names)
        + "</tr>"
        for reader in readers
    )
    most = whom["most_read"]
    most_read_line = f"<p>Most read by the others: {escape(most)}.</p>" if most else ""
    return (
        f'<section class="flow"><h2>Who reads whom</h2><table><tr><th>reader (replies)</th>{head}'
        f"</tr>{rows}</table>{most_read_line}<p>Of a reply's attention, the share on that "
        f"speaker's "
        "messages, and what its log-probability would lose without these reads (nats, first "
        "order); means over the reader's replies.</p></section>"
    )


def beside(line: Sequence[Event]) -> Callable[[Event], str]:
    """For each message, the markup of its flow: a bar by speaker, and each message in numbers."""
    flow_bodies = {
        entry.body.message: entry.body for entry in line if isinstance(entry.body, FlowRecord)
    }
    hues = hues_of(line)

    def markup(event: Event) -> str:
        flow_body = flow_bodies.get(event.number)
        if flow_body is None:
            return ""
        if "messages" not in flow_body.flow:
            return f'<p class="flow">{escape(flow_body.reason)}</p>'
        return _flow(flow_body.flow, hues)

    return markup


def hues_of(line: Sequence[Event]) -> dict[str, str]:
    """A colour for each speaker, in the order of their first words."""
    names = dict.fromkeys(event.body.who for event in line if isinstance(event.body, Message))
    return {name: HUES[at % len(HUES)] for at, name in enumerate(names)}


def _strand(
    size: float,
    read_index: int,
    reply: int,
    message_flow: Mapping[str, Any],
    hues: Mapping[str, str],
) -> str:
    y1, y2 = TOP + ROW * (read_index + 0.5), TOP + ROW * (reply + 0.5)
    bend = LEFT - 14 - min(MOST_BEND, BEND * (reply - read_index + 1))
    dash_markup = "" if message_flow["lost_nats"] > 0 else ' stroke-dasharray="4 4"'
    title = (
        f"{message_flow['speaker']}'s message: {message_flow['lost_nats']:+.2f} nats, "
        f"{percent(message_flow['attention'])}"
    )
    return (
        f'<path d="M{LEFT - 14} {y1:.1f}C{bend:.0f} {y1:.1f} {bend:.0f} {y2:.1f} {LEFT - 14} '
        f'{y2:.1f}" fill="none" stroke="{hues.get(message_flow["speaker"], "#888")}" '
        f'stroke-width="{0.6 + 7 * size**0.5:.2f}" stroke-opacity="{0.25 + 0.6 * size:.2f}"'
        f"{dash_markup}><title>{escape(title)}</title></path>"
    )


def _label(
    event: Event, row: int, hues: Mapping[str, str], flows: Mapping[int, Mapping[str, Any]]
) -> str:
    body = event.body
    assert isinstance(body, Message)
    y = TOP + ROW * (row + 0.5)
    words = " ".join(body.shown.split())
    words = words if len(words) <= FIRST_WORDS else words[: FIRST_WORDS - 1] + "…"
    ring = "" if event.number in flows else ' fill-opacity=".25"'
    return (
        f'<circle cx="{LEFT - 10}" cy="{y:.1f}" r="5" fill="{hues[body.who]}"{ring}/>'
        f'<a href="#e{event.number}"><text x="{LEFT}" y="{y + 4:.1f}">'
        f'<tspan font-weight="600">{escape(body.who)}</tspan> {escape(words)}</text></a>'
    )


def _flow(flow: Mapping[str, Any], hues: Mapping[str, str]) -> str:
    speakers = sorted(flow["speakers"].items(), key=lambda one: -one[1]["attention"])
    speakers = [(name, one) for name, one in speakers if name]
    total_attention = sum(one["attention"] for _, one in speakers) or 1.0
    bar = "".join(
        f'<i style="width:{100 * one["attention"] / total_attention:.1f}%;background:'
        f'{hues.get(name, "#999")}" title="{escape(name)}: {percent(one["attention"])}"></i>'
        for name, one in speakers
    )
    speaker_summary = ", ".join(f"{name} {percent(one['attention'])}" for name, one in speakers[:4])
    rows = "".join(
        f"<tr><td>{_link(one)}</td><td>{percent(one['attention'])}</td>"
        f"<td>{one['lost_nats']:+.3f}</td>{_cuts(one, flow)}</tr>"
        for one in sorted(flow["messages"], key=lambda one: -abs(one["lost_nats"]))
    )
    exact = any(one.get("cut_nats") is not None for one in flow["messages"])
    cut = "<th>cut, nats</th><th>by way of others, nats</th>" if exact else ""
    return (
        f'<details class="flow"><summary>drew on {escape(speaker_summary) or "nobody"}; itself '
        f'{percent(flow["own_attention"])}<div class="bar">{bar}</div></summary><table><tr>'
        f"<th>message</th><th>attention</th><th>loss without, nats</th>{cut}</tr>{rows}</table>"
        f"</details>"
    )


def _link(message_flow: Mapping[str, Any]) -> str:
    if message_flow["event"] is None:
        return "the instructions"
    name = f"{message_flow['speaker']}, event" if message_flow["speaker"] else "the room, event"
    return f'<a href="#e{message_flow["event"]}">{escape(name)} {message_flow["event"]}</a>'


def _cuts(message_flow: Mapping[str, Any], flow: Mapping[str, Any]) -> str:
    cut_nats, whole_nats = message_flow.get("cut_nats"), message_flow.get("whole_nats")
    if cut_nats is None or whole_nats is None:
        return ""
    known = flow.get("cut_precision")
    precision = Precision(**known) if known else None
    of_difference = precision and of_sum([precision, precision])
    return (
        f"<td>{_lost(cut_nats, precision)}</td>"
        f"<td>{_lost(whole_nats - cut_nats, of_difference)}</td>"
    )


def _lost(nats: float, precision: Precision | None) -> str:
    """What a cut took away, or that it is no more than rounding."""
    if precision is None or told(nats, precision):
        return f"{nats:+.3f}"
    return escape(under_words(precision))


def _cell(pair: Mapping[str, Any] | None) -> str:
    if pair is None:
        return "<td>–</td>"
    return f"<td>{percent(pair['attention'])}, {pair['lost_nats']:+.2f}</td>"
