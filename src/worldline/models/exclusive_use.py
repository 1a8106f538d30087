"""Exclusive use of a model: one thread at a time, in the order of asking, stoppable while it waits.

While worldline runs a model it points the model's configuration at a private attention key, hangs
hooks on its modules and takes its weights out of the gradient. Two threads doing so at once would
find each other's changes, so they take turns: over every module, parameter and configuration that
the model reaches, for two models may share any of these. A thread of the user's own that runs the
model meanwhile takes no turn, and needs none: hooks made by `own_hooks` are deaf to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from worldline.errors import RefusedError
from worldline.steps import step

if TYPE_CHECKING:
    import torch

LOOK_S = 0.1  # how often a waiting thread looks whether it is still wanted
MANY_WAYS = (
    "this thread has one model and asks for another, which a thread has that waits for the first: "
    "use one model at a time, or both in the same order in every thread"
)


@dataclass(eq=False)
class _Turn:
    """What one thread asks for or has: the identities of objects, None for everything."""

    thread: int
    keys: frozenset[int] | None
    is_nested: bool  # its thread has a turn already
    is_held: bool = False

    def meets(self, other_turn: _Turn) -> bool:
        """Whether both may not be had at once."""
        if self.keys is None or other_turn.keys is None:
            return True
        return not self.keys.isdisjoint(other_turn.keys)


_changed = threading.Condition()
_turns: list[_Turn] = []  # in the order of asking; under `_turns_changed`
_watchers: WeakKeyDictionary[torch.nn.Module, TurnWatcher] = WeakKeyDictionary()


class TurnWatcher:
    """Who wants to know what happens to a model between two turns."""

    def begins(self) -> None:
        """A turn has begun; nothing has run yet."""

    def ends(self) -> None:
        """A turn ends; nothing more will run."""


@contextmanager
def exclusive(
    module: torch.nn.Module,
    *,
    looks: Callable[[], object] = step,
    waits: Callable[[], object] = lambda: None,
) -> Iterator[None]:
    """Use `module`, and whatever shares a part of it, alone; for a thread that does already, free.

    `waits` is called if it must wait, `looks` from time to time while it does; what that raises
    ends the waiting.

    Raises:
        RefusedError: each of two threads has the model that the other asks for.
    """
    if has(module):
        yield
        return
    parts = list(module.modules())
    with (
        _take_turn(frozenset(map(id, _shared(parts))), looks, waits),
        _notify_watcher(module),
        _buffers_kept(parts),
    ):
        yield


@contextmanager
def exclusive_everywhere(looks: Callable[[], object] = step) -> Iterator[None]:
    """Use torch alone, for what changes the whole process: no other thread has any model."""
    with _take_turn(None, looks, lambda: None):
        yield


def watch_turns(module: torch.nn.Module, watcher: TurnWatcher) -> None:
    """Tell `watcher` of the turns over `module`: from the end of the present one on."""
    _watchers[module] = watcher


def configs_of(module: torch.nn.Module) -> list[Any]:
    """Every configuration in which an attention implementation is named, each once."""
    return _configs(module.modules())


def _configs(parts: Iterable[torch.nn.Module]) -> list[Any]:
    own_configs = {id(config): config for part in parts if (config := vars(part).get("config"))}
    nested_values = (
        value
        for config in own_configs.values()
        for value in getattr(config, "__dict__", {}).values()
    )
    every = own_configs | {id(value): value for value in nested_values}
    return [c for c in every.values() if hasattr(c, "_attn_implementation_internal")]


def _shared(parts: Sequence[torch.nn.Module]) -> Iterator[object]:
    """What is changed while a module runs, or belongs to what is."""
    yield from parts
    for part in parts:
        yield from (weight for weight in part._parameters.values() if weight is not None)
    yield from _configs(parts)


@contextmanager
def _buffers_kept(parts: Sequence[torch.nn.Module]) -> Iterator[None]:
    """Put back the buffers that running registers anew: rotary frequencies that follow the length.

    With them go the plain attributes of the same part, which say for what length they were made.
    """
    before = [(p, dict(vars(p)), dict(p._buffers)) for p in parts if p._buffers]
    try:
        yield
    finally:
        for part, attributes, buffers in before:
            if list(map(id, part._buffers.values())) != list(map(id, buffers.values())):
                vars(part).update(attributes)
                part._buffers.clear()
                part._buffers.update(buffers)


@contextmanager
def _notify_watcher(module: torch.nn.Module) -> Iterator[None]:
    """Tell who watches a module's turns, while the module is still had."""
    if module in _watchers:
        _watchers[module].begins()
    try:
        yield
    finally:
        if module in _watchers:
            _watchers[module].ends()


def has(module: torch.nn.Module) -> bool:
    """Whether this thread has a module, or everything."""
    me, key = threading.get_ident(), id(module)
    with _changed:
        return any(
            turn.is_held and turn.thread == me and (turn.keys is None or key in turn.keys)
            for turn in _turns
        )


@contextmanager
def _take_turn(
    keys: frozenset[int] | None, looks: Callable[[], object], waits: Callable[[], object]
) -> Iterator[None]:
    me = threading.get_ident()
    with _changed:
        mine = [turn for turn in _turns if turn.is_held and turn.thread == me]
        had = frozenset().union(*(turn.keys for turn in mine if turn.keys is not None))
        missing_keys = None if keys is None else keys - had
        turn = _Turn(me, missing_keys, is_nested=bool(mine))
        _turns.append(turn)
        turn.is_held = not _before(turn)
    try:
        if not turn.is_held:
            waits()
        while not _come(turn):
            looks()
        yield
    finally:
        with _changed:
            _turns.remove(turn)
            _changed.notify_all()


def _come(turn: _Turn) -> bool:
    """Wait a little for a turn; whether it has come."""
    with _changed:
        if not turn.is_held and _circular(turn):
            raise RefusedError(MANY_WAYS)
        turn.is_held = turn.is_held or _changed.wait_for(lambda: not _before(turn), LOOK_S)
        return turn.is_held


def _before(turn: _Turn) -> list[_Turn]:
    """The turns that come first: those held, and those asked for earlier.

    Who has a turn and asks for more overtakes whoever has none: they may be waiting for it.
    """
    earlier = _turns[: _turns.index(turn)]
    return [
        other_turn
        for other_turn in _turns
        if other_turn.thread != turn.thread
        and (other_turn.is_held or (not turn.is_nested and other_turn in earlier))
        and other_turn.meets(turn)
    ]


def _circular(turn: _Turn) -> bool:
    """Whether a turn waits for threads of which one waits for this one."""
    reached_threads: set[int] = set()
    ahead = {blocking_turn.thread for blocking_turn in _before(turn)}
    while ahead - reached_threads:
        reached_threads |= ahead
        waiting = [
            waiting_turn
            for waiting_turn in _turns
            if not waiting_turn.is_held and waiting_turn.thread in reached_threads
        ]
        ahead = {before.thread for waiting_turn in waiting for before in _before(waiting_turn)}
    return turn.thread in reached_threads


class OwnHooks:
    """Forward hooks on a user's modules that hear only the thread that made them."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._handles: list[Any] = []

    def before(self, module: torch.nn.Module, hook: Callable[..., Any], **options: Any) -> None:
        """Call `hook` before `module` runs; options as torch's."""
        self._handles.append(module.register_forward_pre_hook(self._deaf(hook), **options))

    def after(self, module: torch.nn.Module, hook: Callable[..., Any], **options: Any) -> None:
        """Call `hook` after `module` ran; options as torch's."""
        self._handles.append(module.register_forward_hook(self._deaf(hook), **options))

    def remove(self) -> None:
        """Take all of them away."""
        while self._handles:
            self._handles.pop().remove()

    def _deaf(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        def own_thread_hook(*args: Any) -> Any:
            return hook(*args) if threading.get_ident() == self._thread else None

        return own_thread_hook


@contextmanager
def own_hooks() -> Iterator[OwnHooks]:
    """Hooks that are gone afterwards, on every way out."""
    hooks = OwnHooks()
    try:
        yield hooks
    finally:
        hooks.remove()
