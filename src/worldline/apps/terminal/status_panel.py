"""How the room stands, for the panel at the side and for the one line at the top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.content import Content

from worldline.apps.terminal.entries import QUIET, Telling
from worldline.tokens import cover_unseen

UNITS = (("messages", "replies"), ("tokens", "tokens"), ("dollars", "dollars"))


def panel(status: Mapping[str, Any], most: str, telling: Telling) -> Content:
    """Everything at the side: who is here, how turns are taken, what was spent."""
    parts: list[Any] = [("Here\n", "bold")]
    for participant in status["present"]:
        parts += _participant_lines(participant, status["next"], telling)
    if not status["present"]:
        parts.append(("nobody\n", QUIET))
    parts += ["\n", ("Turns  ", QUIET), f"{status['settings']['mode']}\n"]
    parts += [("Now    ", QUIET), f"{doing(status)}\n"]
    parts += [("\nSpent\n", "bold"), *_spending_lines(status)]
    if most:
        colour = telling.colours.get(most, "")
        parts += [("\nMost read by the others\n", "bold"), (f"{cover_unseen(most)}\n", colour)]
    return Content.assemble(*parts)


def headline(status: Mapping[str, Any], wide: bool) -> Content:
    """The title; where there is no panel, also what is most wanted of it."""
    title = (cover_unseen(status["title"]), "bold")
    if wide:
        return Content.assemble(title, (f"   {doing(status)}", QUIET))
    limit = status["limits"]["messages"]
    replies_text = f"{status['spent']['messages']}" + ("" if limit is None else f"/{limit}")
    following = f", next {cover_unseen(status['next'])}" if status["next"] else ""
    return Content.assemble(
        (
            f"{doing(status)}{following} · {replies_text} replies · {len(status['present'])} "
            "here · ",
            QUIET,
        ),
        title,
    )


def doing(status: Mapping[str, Any]) -> str:
    """What the room does at this moment, in a word or two."""
    if not status["talking"]:
        return "waits"
    return "talks" if status["playing"] == "playing" else "ends this turn"


def _participant_lines(
    participant: Mapping[str, Any], following: str | None, telling: Telling
) -> list[Any]:
    name, model = cover_unseen(participant["name"]), cover_unseen(participant["model"])
    mark = "▸ " if participant["name"] == following else "  "
    about = "scripted" if participant["scripted"] else model
    replies_text = (
        f"{participant['replies']} {'reply' if participant['replies'] == 1 else 'replies'}"
    )
    mute_mark = [(" silent", "italic #ffaf00")] if participant["muted"] else []
    return [
        mark,
        (name, f"bold {telling.colour(participant['name'])}"),
        *mute_mark,
        (f"\n  {about}\n  t {participant['temperature']:g}, {replies_text}\n", QUIET),
    ]


def _spending_lines(status: Mapping[str, Any]) -> list[Any]:
    lines: list[Any] = []
    for key, unit in UNITS:
        limit, amount = status["limits"][key], status["spent"][key]
        if key == "dollars" and not amount and limit is None:
            continue
        of = "" if limit is None else f" of {limit:g}"
        lines.append(
            f"  {amount:.4g}{of} {unit}\n" if key == "dollars" else f"  {amount}{of} {unit}\n"
        )
    if status["spent"]["unpriced"]:
        lines.append((f"  {status['spent']['unpriced']} replies without a known price\n", QUIET))
    return lines
