"""The models that a room can call by name, opened when they are first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from worldline.errors import InputError
from worldline.room.providers.chat_model import Model
from worldline.room.reply_commands import closest, find_model


class Catalog:
    """Names to models; the `hidden_models`, a participant's own script, cannot be invited.

    Raises: InputError where a name is asked for that is not there.
    """

    def __init__(
        self,
        models: Mapping[str, Model | Callable[[], Model]],
        hidden_models: Mapping[str, Model | Callable[[], Model]] | None = None,
    ) -> None:
        self._makers = {**models, **(hidden_models or {})}
        self._open = tuple(models)
        self._opened_models: dict[str, Model] = {}

    def names(self) -> tuple[str, ...]:
        """The models that may be invited."""
        return self._open

    def find(self, name: str) -> str | None:
        """The model that may be invited under this name, case and signs aside."""
        return find_model(name, self._open)

    def model(self, name: str) -> Model:
        """The model of this name, made on the first call."""
        if name not in self._makers:
            near = ", ".join(closest(name, self._open)) or ", ".join(self._open) or "none"
            raise InputError(f"model {name!r}: accepted are {near}")
        if name not in self._opened_models:
            maker = self._makers[name]
            self._opened_models[name] = maker() if not isinstance(maker, Model) else maker
        return self._opened_models[name]
