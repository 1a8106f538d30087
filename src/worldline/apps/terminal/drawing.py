"""Events of a room as styled text; foreign words are never read as markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from worldline.apps.cli.room_lines import plain
from worldline.room.claims import BADGES
from worldline.room.drawn import readings_of, who_reads_whom
from worldline.room.events import Command, Drawn, Event, Message, Outcome
from worldline.room.strands import hues_of
from worldline.room.strip import strip
from worldline.room.telling import told

PALE = "grey62"
ENDS = {"done": "green", "refused": "red", "failed": "red", "expired": PALE}


def lines_of(
    event: Event, commands: Mapping[int, Command], speakers: Mapping[int, str], hue: str
) -> list[Text]:
    """What is shown of one event; nothing for a command, which stands in its message."""
    body = event.body
    if isinstance(body, Message):
        return _message(event.number, body, hue)
    if isinstance(body, Drawn):
        who = speakers.get(body.message, "")
        return [Text("  " + plain(strip(body.flow, who) if body.flow else body.reason), PALE)]
    text = told(event, commands)
    if not text:
        return []
    style = ENDS[body.end] if isinstance(body, Outcome) else PALE
    return [Text(f"  [{plain(one)}]", style) for one in text.splitlines()]


def _message(number: int, body: Message, hue: str) -> list[Text]:
    marks = f"#{number}"
    if body.model:
        marks += ", scripted" if body.scripted else f", {body.model}"
    head = Text.assemble((plain(body.who), f"bold {hue}"), (f"  {plain(marks)}", PALE))
    text = Text(plain(body.shown))
    for span in body.borrowed:
        text.stylize("reverse", span.start, span.end)
    badges = [Text(f"  ({BADGES.get(one.name, one.name)})", "yellow") for one in body.claims]
    return [Text(), head, text, *badges]


def side_of(standing: Mapping[str, Any], line: Sequence[Event]) -> Text:
    """Who is here, whose turn it is, the budget, and who is read most."""
    hues = hues_of(line)
    found = Text()
    found.append(plain(standing["title"]) + "\n\n", "bold")
    for one in standing["present"]:
        marks = ["scripted" if one["scripted"] else one["model"], f"{one['temperature']:g}"]
        marks += ["silent"] if one["muted"] else []
        next_one = "> " if one["name"] == standing["next"] else "  "
        found.append(next_one + plain(one["name"]), hues.get(one["name"], ""))
        found.append(f"\n    {plain(', '.join(marks))}\n", PALE)
    spent, most = standing["spent"], standing["limits"]["messages"]
    found.append(f"\n{standing['settings']['mode'].replace('_', ' ')}, ", PALE)
    found.append("talking" if standing["talking"] else standing["playing"], "bold")
    found.append(f"\n{spent['messages']} of {most or 'any number of'} replies", PALE)
    found.append(f"\n{spent['tokens']} tokens\n", PALE)
    read = who_reads_whom((speakers_of(line)[n], flow) for n, flow in readings_of(line).items())
    if read["most_read"]:
        found.append(f"\nmost read: {plain(read['most_read'])}\n", PALE)
    return found


def speakers_of(line: Sequence[Event]) -> dict[int, str]:
    """Who wrote each message."""
    return {one.number: one.body.who for one in line if isinstance(one.body, Message)}
