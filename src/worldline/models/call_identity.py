"""Whether a model stays what it was while one call of worldline's makes several runs of it.

The first identity that a call asks for is remembered, and compared with that at its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from worldline.errors import RefusedError

if TYPE_CHECKING:
    import torch

    from worldline.models.identity import Identity
    from worldline.models.loader import LoadedModel

    EndCheck = Callable[[LoadedModel, Identity], None]


class _Calls(threading.local):
    """The calls of this thread: by module the model and its identity as first asked for."""

    def __init__(self) -> None:
        self.first: dict[torch.nn.Module, tuple[LoadedModel, Identity] | None] = {}
        self.witnessed: set[torch.nn.Module] = set()


_calls = _Calls()
_end_checks: list[EndCheck] = []


def at_end_of_call(check: EndCheck) -> EndCheck:
    """The check that a call ends with: validation hands it down, whose own runs are such calls."""
    _end_checks.append(check)
    return check


def note_first(model: LoadedModel, identity: Identity) -> None:
    """Say what a model is: the call that goes on must leave it so."""
    if _calls.first.get(model.module, model) is None:
        _calls.first[model.module] = model, identity


@contextmanager
def unchanged(module: torch.nn.Module) -> Iterator[None]:
    """Refuse, at the end of the outermost call, a model that is no longer what it was.

    Raises:
        RefusedError: what was changed while the call ran, by another thread or by a hook.
    """
    if module in _calls.first:
        yield
        return
    _calls.first[module] = None
    try:
        yield
    except RefusedError as error:  # of two models in one call, perhaps
        _refuse_changed(module, error)
        raise
    else:
        _refuse_changed(module)
    finally:
        del _calls.first[module]
        _calls.witnessed.discard(module)


def first_time(module: torch.nn.Module) -> bool:
    """Whether the call that goes on asks for the first time; outside of one, always."""
    if module in _calls.witnessed:
        return False
    if module in _calls.first:
        _calls.witnessed.add(module)
    return True


def _refuse_changed(module: torch.nn.Module, error: RefusedError | None = None) -> None:
    first = _calls.first[module]
    if first is not None:
        (check,) = _end_checks  # a call that asks for an identity has validated the model
        try:
            check(*first)
        except RefusedError as changed:
            raise changed from error
