"""Events as one line each, as everyone in the room is told of them."""

from __future__ import annotations

from collections.abc import Mapping

from worldline.room.events import (
    Arrival,
    Budget,
    Command,
    Departure,
    Event,
    FlowRecord,
    Message,
    Notice,
    Outcome,
    PlayState,
    Setting,
)

_SHOWN = 300  # characters of an argument that a line repeats


def event_line(event: Event, commands: Mapping[int, Command]) -> str:
    """What the room says of an event; "" for what speaks for itself (messages, commands, flows).

    `commands` by their numbers, for the outcomes.
    """
    match event.body:
        case Arrival(name=name, model=model, invited_by=inviter, scripted=scripted):
            by = f", invited by {inviter}" if inviter else ""
            model_label = f"{model}, scripted" if scripted else model
            return f"{name} ({model_label}) joined{by}"
        case Departure(name=name, reason=reason):
            return f"{name} left" + (f": {reason}" if reason else "")
        case Outcome() as body:
            return _outcome_line(body, commands.get(body.command))
        case Notice(text=text):
            return text
        case Setting() as body:
            return _set(body)
        case Budget() as body:
            return _limits(body)
        case PlayState(state=state, reason=reason):
            return f"the room is {state}" + (f": {reason}" if reason else "")
        case Message() | Command() | FlowRecord():
            return ""


def command_text(command: Command) -> str:
    """A command as it would be typed.

    >>> command_text(Command(1, "Ada", 0, 9, "image", ("a cat",)))
    '!image "a cat"'
    """
    if command.name == "temperature":
        return f"!temperature {command.arguments[0]}"
    quoted_arguments = [f'"{argument[:_SHOWN]}"' for argument in command.arguments]
    return " ".join([f"!{command.name}", *quoted_arguments])


def _outcome_line(outcome: Outcome, command: Command | None) -> str:
    subject = (
        f"{command.who}'s {command_text(command)}" if command else f"command {outcome.command}"
    )
    line = f"{subject}: {outcome.end}" + (f", {outcome.reason}" if outcome.reason else "")
    hits = outcome.result.get("hits", [])
    hit_lines = [
        f"    {place}. {hit['title']} | {hit['text']} | {hit['url']}"
        for place, hit in enumerate(hits, 1)
    ]
    return "\n".join([line, *hit_lines])


def _set(setting: Setting) -> str:
    if setting.what == "muted":
        return f"{setting.who} {'is silent' if setting.value else 'may speak again'}"
    whose = f"{setting.who}'s {setting.what}" if setting.who else f"the room's {setting.what}"
    return f"{whose} is now {setting.value}"


def _limits(budget: Budget) -> str:
    parts = [
        f"{value:g} {unit}"
        for value, unit in (
            (budget.messages, "replies"),
            (budget.tokens, "tokens"),
            (budget.dollars, "dollars"),
        )
        if value is not None
    ]
    return f"the budget is {', '.join(parts)}" if parts else "there is no budget"
