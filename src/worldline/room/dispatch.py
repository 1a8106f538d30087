"""Running one command: what it changes, and the one way in which it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from worldline.errors import InputError
from worldline.room.actions import ActionRequest, DeclinedError, Deeds
from worldline.room.event_records import ActionResult, HitRecord
from worldline.room.events import Arrival, Body, Command, Departure, Outcome, Setting
from worldline.room.participants import checked_newcomer, free_name
from worldline.room.providers.catalog import Catalog
from worldline.room.reply_commands import closest
from worldline.room.search_results import sanitize_hits
from worldline.room.state import Participant, State

_LINE = 300  # characters of a reason


@dataclass(frozen=True, slots=True)
class Means:
    """What commands may use: models to invite, deeds, and a place for pictures."""

    catalog: Catalog
    deeds: Deeds
    keep: Callable[[bytes, str], str]


def run(number: int, command: Command, state: State, place: int, means: Means) -> list[Body]:
    """The events that a command brings, its outcome last; never raises for what it asks.

    `place` counts the commands of the same message, from 0.
    """
    giver = state.find(command.who)
    refusal = _refusal(state, giver, place)
    if refusal or giver is None:
        return [Outcome(number, "refused", refusal)]
    try:
        changes, outcome = _RUNS[command.name](number, command, giver, state, means)
    except (DeclinedError, InputError) as error:
        return [Outcome(number, "refused", _line(error))]
    except Exception as error:  # whatever a deed raises, the command ends and the room goes on
        return [Outcome(number, "failed", _line(error))]
    return [*changes, outcome]


def _refusal(state: State, giver: Participant | None, place: int) -> str:
    per_message, per_room = state.settings["quota_message"], state.settings["quota_room"]
    if giver is None:
        return "its author is not in the room"
    if place >= per_message:
        return f"a message may give {per_message} commands"
    if state.commands - len(state.pending) >= per_room:
        return f"a room may see {per_room} commands"
    return ""


_Ran = tuple[Sequence[Body], Outcome]


def _image(number: int, command: Command, giver: Participant, _state: State, means: Means) -> _Ran:
    picture = means.deeds.draw(_request_of(command, giver))
    name = picture.name or means.keep(picture.content, picture.type)
    result: ActionResult = {"picture": name, "type": picture.type, "about": picture.about}
    return [], Outcome(number, "done", picture.about, result)


def _search(number: int, command: Command, giver: Participant, _state: State, means: Means) -> _Ran:
    raw_hits = means.deeds.search(_request_of(command, giver))
    hits = [
        HitRecord(title=hit.title, text=hit.text, url=hit.url) for hit in sanitize_hits(raw_hits)
    ]
    return [], Outcome(number, "done", f"{len(hits)} found", {"hits": hits})


def _add_ai(number: int, command: Command, _giver: Participant, state: State, means: Means) -> _Ran:
    model_name, greeting = command.arguments
    model = means.catalog.find(model_name)
    if model is None:
        near = ", ".join(closest(model_name, means.catalog.names())) or "!list_models names them"
        raise DeclinedError(f"no model {model_name!r} here; close to it: {near}")
    is_scripted = means.catalog.model(model).scripted
    newcomer = Arrival(free_name(state, model), model, invited_by=command.who, scripted=is_scripted)
    arrival = checked_newcomer(state, newcomer)
    reason = f"{arrival.name} is here"
    result: ActionResult = {"name": arrival.name, "model": model, "greeting": greeting}
    return [arrival], Outcome(number, "done", reason, result)


def _temperature(
    number: int, command: Command, giver: Participant, _state: State, _means: Means
) -> _Ran:
    value = float(command.arguments[0])
    reason = f"from {giver.temperature:g} to {value:g}"
    result: ActionResult = {"before": giver.temperature, "after": value}
    return [Setting("temperature", value, giver.name)], Outcome(number, "done", reason, result)


def _prompt(
    number: int, command: Command, giver: Participant, _state: State, _means: Means
) -> _Ran:
    prompt = "\n".join(part for part in (giver.prompt, command.arguments[0]) if part)
    return [Setting("prompt", prompt, giver.name)], Outcome(number, "done")


def _mute_self(
    number: int, _command: Command, giver: Participant, _state: State, _means: Means
) -> _Ran:
    reason = "silent until somebody addresses it with @"
    return [Setting("muted", True, giver.name)], Outcome(number, "done", reason)


def _leave(
    number: int, _command: Command, giver: Participant, _state: State, _means: Means
) -> _Ran:
    return [Departure(giver.name, "of its own accord")], Outcome(number, "done")


def _list_models(
    number: int, _command: Command, _giver: Participant, _state: State, means: Means
) -> _Ran:
    names = list(means.catalog.names())
    return [], Outcome(number, "done", ", ".join(names) or "none", {"models": names})


_RUNS: dict[str, Callable[[int, Command, Participant, State, Means], _Ran]] = {
    "image": _image,
    "add_ai": _add_ai,
    "temperature": _temperature,
    "search": _search,
    "prompt": _prompt,
    "mute_self": _mute_self,
    "leave": _leave,
    "list_models": _list_models,
}


def _request_of(command: Command, giver: Participant) -> ActionRequest:
    return ActionRequest(command.arguments[0], giver.name, giver.model, command.message)


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:_LINE]
