"""How a room is opened: which scenario, which models, whose log, who draws and who searches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldline.errors import InputError, RefusedError
from worldline.places import data_folder
from worldline.room.events import Arrival, Event
from worldline.room.host import Desk
from worldline.room.image_and_search import deeds_named
from worldline.room.log import Log
from worldline.room.providers.catalog import Catalog
from worldline.room.providers.chat_model import Model
from worldline.room.providers.local_model import Local
from worldline.room.providers.model_names import (
    AT,
    BUNDLED,
    model_named,
    models_named,
    place_of,
    with_name,
)
from worldline.room.providers.transport import refuse_shared
from worldline.room.room import Attribute, Room, Watch
from worldline.room.scenarios import Scenario, catalog_of, seat_all

if TYPE_CHECKING:
    from worldline import LoadedModel

Say = Callable[[str], None]


def _unheard(_line: str) -> None: ...


@dataclass(frozen=True)
class RoomRequest:
    """What a user asks of a room: a scenario, guests as MODEL:NAME, who draws, who searches."""

    scenario: Scenario | None = None
    guests: tuple[str, ...] = ()
    images: str | None = None
    search: str | None = None

    def maker(
        self,
        path: Path,
        events: Sequence[Event],
        attribute: Attribute | None,
        say: Say = _unheard,
    ) -> Callable[[Watch], Room]:
        """What opens the room of a log for whoever watches, with everybody seated.

        `events` are those that the log has already; `say` is told when a model is loaded.

        Raises: InputError, before anything is written, for whatever cannot be used.
        """
        refuse_shared(self._endpoints())
        catalog = self.catalog(events, say)
        guests = [(model_named(model)[0], name) for model, name in map(with_name, self.guests)]
        for model, _ in guests:
            catalog.model(model)
        deeds = deeds_named(self.images, self.search, catalog)

        def make_room(watch: Watch) -> Room:
            path.parent.mkdir(parents=True, exist_ok=True)
            log = Log(path)
            try:
                room = Room(log, catalog, deeds, watch, attribute)
                if self.scenario is not None:
                    seat_all(self.scenario, room)
                for model, name in guests:
                    if room.state.find(name or model) is None:
                        room.join(name or model, model)
            except BaseException:
                log.close()
                raise
            return room

        return make_room

    def catalog(self, events: Sequence[Event], say: Say = _unheard) -> Catalog:
        """Every model that may be called, those that the events of a log tell of among them."""
        makers = models_named([*self._guest_models(), *self._seat_models(), BUNDLED], say)
        for event in events:
            body = event.body
            if isinstance(body, Arrival) and not body.scripted and body.model not in makers:
                makers[body.model] = _of_the_log(body.model, say)
        return catalog_of(self.scenario, makers)

    def local_models(self, events: Sequence[Event]) -> list[str]:
        """The models of this machine that the room may load, those of its log among them."""
        names = [*self._guest_models(), *self._seat_models()]
        names += [(self.images or "").removeprefix("diffusers:")]
        names += [event.body.model for event in events if isinstance(event.body, Arrival)]
        return [name for name in dict.fromkeys(names) if name and AT not in name]

    def _guest_models(self) -> list[str]:
        return [with_name(guest)[0] for guest in self.guests]

    def _seat_models(self) -> list[str]:
        seats = self.scenario.participants if self.scenario is not None else ()
        return [seat.model for seat in seats if seat.model]

    def _endpoints(self) -> Iterator[str]:
        """The addresses that a key may be sent to."""
        seats = self.scenario.participants if self.scenario is not None else ()
        specs = [*self._guest_models(), *(seat.model for seat in seats if seat.endpoint)]
        specs += [self.images] if self.images and AT in self.images else []
        yield from (url for spec in specs if (url := place_of(spec)[1]))


def _of_the_log(name: str, say: Say) -> Callable[[], Model]:
    """What makes a model of which only the log tells: it may have answered at an endpoint."""

    def make_model() -> Model:
        try:
            return model_named(name, say=say)[1]()
        except (InputError, RefusedError) as error:
            raise InputError(
                f"a log keeps no addresses: if {name} answered at an endpoint, name it again with "
                f"--with {name}@https://HOST, or --scenario FILE; here: {error}"
            ) from None

    return make_model


def attribute_for(cuts: bool) -> Attribute:
    """What is asked of each reply's flow; with `cuts` each message's reads are cut as well."""
    from worldline.room.reply_reads import reply_flow_json

    return partial(reply_flow_json, exact=cuts)


def desk_on(
    model: LoadedModel, is_bundled: bool, hold: Callable[[], AbstractContextManager[Any]]
) -> Desk:
    """Where rooms are opened on a model that is loaded, and on the bundled one.

    Args:
        model: The loaded model.
        is_bundled: Whether it is the bundled one, which is then not loaded a second time.
        hold: Entered for each turn, so that the model is not run from two sides at once.
    """
    models: dict[str, Model | Callable[[], Model]] = dict([model_named(BUNDLED)])
    name = BUNDLED if is_bundled else model.name
    models[name] = Local(model, name)
    return Desk(
        data_folder() / "rooms",
        models,
        lambda catalog: deeds_named(None, None, catalog),
        attribute_for(cuts=False),
        hold,
    )
