"""Scenarios: who is there, how they talk and how the conversation opens, out of a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from worldline.errors import InputError
from worldline.field_errors import fault_line, field_of
from worldline.places import expand_path
from worldline.room.events import Budget
from worldline.room.participants import alike, checked_name
from worldline.room.providers.catalog import Catalog
from worldline.room.providers.chat_model import Model
from worldline.room.providers.model_names import models_named, place_of
from worldline.room.providers.scripted_model import ScriptedModel
from worldline.room.room import Room
from worldline.room.state import MAX_PARTICIPANTS
from worldline.room.turns import checked_mode

MOST = 10**9  # of whatever is counted
MOST_LETTERS = 1 << 20  # of a scenario's file


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Seat(_Table):
    """A participant: `model` by name, or `script`, the lines that it will say.

    A model is what `worldline.load_model` takes, or "NAME@https://HOST" at an endpoint.
    """

    name: str
    model: str = ""
    persona: str = ""
    temperature: float = Field(default=1.0, ge=0, le=2)
    script: tuple[str, ...] = ()
    loops: bool = False

    @property
    def model_name(self) -> str:
        """The model's name in the roster; a script's is its speaker's."""
        return f"script of {self.name}" if self.script else place_of(self.model)[0]

    @property
    def endpoint(self) -> str:
        """The address of its model; empty for one in this process."""
        return "" if self.script else place_of(self.model)[1]


class Opening(_Table):
    """The first message, by a person."""

    who: str
    text: str


class Limits(_Table):
    """A budget; what is left out has no limit."""

    messages: int | None = Field(default=None, ge=0, le=MOST)
    tokens: int | None = Field(default=None, ge=0, le=MOST)
    dollars: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class Rules(_Table):
    """The room's settings; what is left out is as it always is."""

    mode: str = "round_robin"
    seed: int = Field(default=0, ge=0, lt=1 << 63)
    max_tokens: int = Field(default=400, ge=1, le=MOST)
    max_participants: int = Field(default=MAX_PARTICIPANTS, ge=1, le=MOST)
    quota_message: int = Field(default=4, ge=0, le=MOST)
    quota_room: int = Field(default=200, ge=0, le=MOST)


class Scenario(_Table):
    """A conversation before it begins."""

    title: str
    about: str = ""
    opening: Opening
    rules: Rules = Rules()
    budget: Limits = Limits()
    participants: tuple[Seat, ...] = Field(alias="participant", min_length=1)


def read_scenario(path: str | Path) -> Scenario:
    """A scenario out of a file, or one of ours by its name.

    Raises: InputError naming the entry that cannot be used.
    """
    file = expand_path(path)
    if not file.suffix and str(path) in our_scenarios():
        return scenario_of(_folder().joinpath(f"{path}.toml").read_text("utf-8"), str(path))
    try:
        with file.open(encoding="utf-8") as stream:
            return scenario_of(stream.read(MOST_LETTERS + 1), str(path))
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        ours = ", ".join(our_scenarios())
        raise InputError(f"scenario {path}: accepted are a TOML file, or {ours}") from None


def our_scenarios() -> tuple[str, ...]:
    """The scenarios that come with the program, by name."""
    names = (entry.name for entry in _folder().iterdir())
    return tuple(sorted(entry.removesuffix(".toml") for entry in names if entry.endswith(".toml")))


def scenario_of(text: str, name: str) -> Scenario:
    """A scenario out of TOML; `name` is what an error calls it.

    Raises: InputError naming the entry that cannot be used.
    """
    if len(text) > MOST_LETTERS:
        raise InputError(f"scenario {name}: over {MOST_LETTERS:,} letters; accepted are as many")
    try:
        scenario = Scenario.model_validate(tomllib.loads(text))
    except RecursionError:
        raise InputError(f"scenario {name}: no TOML: too many lists in one another") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"scenario {name}: {fault_line(first, field_of(first))}") from None
    except ValueError as error:  # of TOML, or a number of 5,000 digits
        raise InputError(f"scenario {name}: no TOML: {error}") from None
    _refuse_unusable(scenario, name)
    return scenario


def catalog_of(
    scenario: Scenario | None, models: Mapping[str, Model | Callable[[], Model]]
) -> Catalog:
    """The models that may be called, and the scenario's scripts, which nobody can invite.

    Raises: InputError if a participant's model is not among them, and at no address.
    """
    seats = scenario.participants if scenario is not None else ()
    catalog = Catalog(
        {**models_named(seat.model for seat in seats if seat.endpoint), **models},
        hidden_models={
            seat.model_name: ScriptedModel(seat.model_name, seat.script, seat.loops)
            for seat in seats
            if seat.script
        },
    )
    for seat in seats:
        catalog.model(seat.model_name)
    return catalog


def seat_all(scenario: Scenario, room: Room) -> None:
    """Whatever of the beginning is not in the log yet, so that a start that died is made up."""
    state = room.state
    if state.last_message:
        return
    for setting, value in {"topic": scenario.title, **scenario.rules.model_dump()}.items():
        if state.settings[setting] != value:
            room.set(setting, value)
    for seat in scenario.participants:
        if seat.name not in state.names:
            room.join(seat.name, seat.model_name, seat.persona, seat.temperature)
    limits = scenario.budget.model_dump()
    has_limits = any(limit is not None for limit in limits.values())
    if has_limits and state.limits == Budget():
        room.limit(**limits)
    room.say(scenario.opening.who, scenario.opening.text)


def _refuse_unusable(scenario: Scenario, name: str) -> None:
    try:
        checked_mode(scenario.rules.mode)
        names = [checked_name(seat.name) for seat in scenario.participants]
        names.append(checked_name(scenario.opening.who))
    except InputError as error:
        raise InputError(f"scenario {name}: {error}") from None
    for place, speaker_name in enumerate(names):
        if similar_name := alike(speaker_name, names[:place]):
            two = (
                f"{similar_name!r} twice"
                if speaker_name == similar_name
                else f"{similar_name!r} and {speaker_name!r}, which look alike"
            )
            raise InputError(f"scenario {name}: {two}; accepted are names that differ")
    n, most = len(scenario.participants), scenario.rules.max_participants
    if n > most:
        raise InputError(f"scenario {name}: {n} participants; accepted are {most} at most")
    for seat in scenario.participants:
        if bool(seat.model) == bool(seat.script):
            raise InputError(f"scenario {name}: {seat.name}: accepted is a model or a script")
        try:
            place_of(seat.model or "a script")
        except InputError as error:
            raise InputError(f"scenario {name}: {seat.name}: {error}") from None


def _folder() -> Traversable:
    return resources.files("worldline.room") / "scenarios"
