"""How a room is opened: which scenario, which models, whose log, who draws and who searches."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from worldline.errors import InputError, RefusedError
from worldline.places import expand_path

if TYPE_CHECKING:
    from worldline.room.events import Event
    from worldline.room.log import Reading
    from worldline.room.providers.chat_model import Model
    from worldline.room.room import Attribute, Room, Watch
    from worldline.room.scenarios import Scenario

OURS = "round_table"


def making(
    scenario: Scenario | None,
    with_: Sequence[str],
    path: Path,
    images: str | None,
    search: str | None,
    attribute: Attribute | None,
    say: Callable[[str], None] = lambda _line: None,
) -> Callable[[Watch], Room]:
    """What opens the room for whoever watches, with everybody seated.

    `say` is told when a model is loaded.

    Raises: InputError, before anything is written, for whatever cannot be used.
    """
    from worldline.room.image_and_search import deeds_named
    from worldline.room.log import Log
    from worldline.room.providers.model_names import model_named, with_name
    from worldline.room.providers.transport import refuse_shared
    from worldline.room.room import Room
    from worldline.room.scenarios import catalog_of, seat_all

    refuse_shared(endpoints(scenario, with_, images))
    catalog = catalog_of(scenario, models_for(scenario, with_, events_of(path), say))
    named_models = [(model_named(model)[0], name) for model, name in map(with_name, with_)]
    for model, _ in named_models:
        catalog.model(model)
    deeds = deeds_named(images, search, catalog)

    def make_room(watch: Watch) -> Room:
        path.parent.mkdir(parents=True, exist_ok=True)
        log = Log(path)
        try:
            room = Room(log, catalog, deeds, watch, attribute)
            if scenario is not None:
                seat_all(scenario, room)
            for model, name in named_models:
                if room.state.find(name or model) is None:
                    room.join(name or model, model)
        except BaseException:
            log.close()
            raise
        return room

    return make_room


def models_for(
    scenario: Scenario | None,
    with_: Sequence[str],
    events: Sequence[Event],
    say: Callable[[str], None] = lambda _line: None,
) -> dict[str, Callable[[], Model]]:
    """Every model that may be called, by its name in the room; `say` hears which is loaded."""
    from worldline.room.events import Arrival
    from worldline.room.providers.model_names import BUNDLED, models_named, with_name

    names = [with_name(with_spec)[0] for with_spec in with_]
    if scenario is not None:
        names += [seat.model for seat in scenario.participants if seat.model]
    model_makers = models_named([*names, BUNDLED], say)
    arrivals = [event.body for event in events if isinstance(event.body, Arrival)]
    for body in arrivals:
        if not body.scripted and body.model not in model_makers:
            model_makers[body.model] = _of_the_log(body.model, say)
    return model_makers


def _of_the_log(name: str, say: Callable[[str], None]) -> Callable[[], Model]:
    """What makes a model of which only the log tells: it may have answered at an endpoint."""
    from worldline.room.providers.model_names import model_named

    def make_model() -> Model:
        try:
            return model_named(name, say=say)[1]()
        except (InputError, RefusedError) as error:
            raise InputError(
                f"a log keeps no addresses: if {name} answered at an endpoint, name it again with "
                f"--with {name}@https://HOST, or --scenario FILE; here: {error}"
            ) from None

    return make_model


def endpoints(scenario: Scenario | None, with_: Sequence[str], images: str | None) -> Iterator[str]:
    """The addresses that a key may be sent to."""
    from worldline.room.providers.model_names import AT, place_of, with_name

    model_specs = [with_name(with_spec)[0] for with_spec in with_]
    model_specs += (
        [seat.model for seat in scenario.participants if seat.endpoint] if scenario else []
    )
    model_specs += [images] if images and AT in images else []
    yield from (url for model_spec in model_specs if (url := place_of(model_spec)[1]))


def local_models(
    events: Sequence[Event],
    scenario: Scenario | None = None,
    with_: Sequence[str] = (),
    images: str | None = None,
) -> list[str]:
    """The models of this machine that a room may load, those that its log tells of among them."""
    from worldline.room.events import Arrival
    from worldline.room.providers.model_names import AT, with_name

    names = [with_name(with_spec)[0] for with_spec in with_]
    names += [seat.model for seat in scenario.participants if seat.model] if scenario else []
    names += [(images or "").removeprefix("diffusers:")]
    names += [event.body.model for event in events if isinstance(event.body, Arrival)]
    return [name for name in dict.fromkeys(names) if name and AT not in name]


def beside(log: Path) -> list[Path]:
    """What its database, and whoever writes it, keep beside a log."""
    file = os.path.realpath(expand_path(log))
    return [Path(f"{file}{ending}") for ending in ("-wal", "-shm", "-journal", ".writer")]


def scenario_for(name: str | None, with_: Sequence[str], log: Path | None) -> Scenario | None:
    """The scenario that is asked for; ours where nothing is; None for a log, or guests alone."""
    from worldline.room.scenarios import read_scenario

    if name is None and (with_ or (log is not None and log.exists())):
        return None
    return read_scenario(name or OURS)


def events_of(path: Path) -> list[Event]:
    """What is in a log already; nothing where there is none."""
    if not path.exists():
        return []
    with reading(path) as log_reading:
        return log_reading.events()


@contextmanager
def reading(path: Path) -> Iterator[Reading]:
    """A log to look into, let go afterwards."""
    from worldline.room.log import Reading

    log_reading = Reading(expand_path(path))
    try:
        yield log_reading
        if log_reading.damage:
            typer.echo(f"worldline: {log_reading.damage}", err=True)
    finally:
        log_reading.close()


def new_log() -> Path:
    """A place among the user's own data, named by the time."""
    from worldline.places import data_folder

    timestamp = time.strftime("%Y-%m-%d-%H%M%S")
    return data_folder() / "rooms" / f"{timestamp}-{os.getpid()}.room"


def attribute_for(flow: bool, cuts: bool) -> Attribute | None:
    """What is asked of each reply's flow; nothing is imported where nothing is asked."""
    if not flow:
        return None
    from functools import partial

    from worldline.room.reply_reads import reply_flow_json

    return partial(reply_flow_json, exact=cuts)


def set_threads(threads: int | None) -> None:
    """How many threads of the processor; torch is imported only where it is asked."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
