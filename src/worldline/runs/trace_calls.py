"""What every public function of a trace does first: its argument, its turn, torch's modes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from worldline.arguments import bound_to, refuse_other_kinds
from worldline.errors import InputError
from worldline.models.model_calls import model_call, model_of
from worldline.runs.trace import Trace

P = ParamSpec("P")
R = TypeVar("R")


def on_trace(function: Callable[P, R]) -> Callable[P, R]:
    """A function whose first argument is a Trace, alone with the model that it runs.

    That is the trace's, or the one that is given as `model` for a trace that was loaded. Raises
    InputError for what is no trace, no model, and no argument of its kind.
    """
    signature = inspect.signature(function)
    first = next(iter(signature.parameters))

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        bound_arguments = bound_to(function, signature, args, kwargs)
        trace, model = bound_arguments.arguments[first], bound_arguments.arguments.get("model")
        refuse_no_trace(trace, function.__name__)
        if model is not None:
            model = bound_arguments.arguments["model"] = model_of(model, function.__name__)
        refuse_other_kinds(function, bound_arguments.arguments)
        runs = model if trace.model is None else trace.model
        with model_call(None if runs is None else runs.module):
            return function(*bound_arguments.args, **bound_arguments.kwargs)

    return wrapper


def refuse_no_trace(value: object, caller: str) -> None:
    """Raise InputError for what is no trace."""
    if not isinstance(value, Trace):
        raise InputError(
            f"{caller}: trace is of type {type(value).__name__}; accepted is what "
            "wl.record(model, text) or wl.load_trace(path) returns"
        )
