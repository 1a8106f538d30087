"""The options of a command, made from its request: what is asked is written down once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from functools import partial
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer

from worldline.requests import Request

Command = Callable[..., Any]


def with_request_options(command: Command) -> Command:
    """A command that takes a request, and dataclasses of options, as one that typer can read.

    Each parameter of `command` that is a `Request` becomes one option for each of its fields, each
    that is a dataclass one for each of its fields; all others stay as they are. The request is
    made, and refused in a line, before the command is called; where a parameter is a function that
    returns a request, the command calls it itself, with the fields that it knows better. The
    request's docstring is the command's help.

    Args:
        command: A function with annotated parameters.

    Returns:
        The function to register.
    """
    types = get_type_hints(command, include_extras=True)
    parameters = inspect.signature(command).parameters
    options: dict[str, inspect.Parameter] = {}
    for name, parameter in parameters.items():
        bundle = _request_type(types[name]) or types[name]
        if isinstance(bundle, type) and (issubclass(bundle, Request) or is_dataclass(bundle)):
            options |= {option.name: option for option in _options_of(bundle)}
        else:
            options[name] = _parameter(name, types[name], parameter.default)

    def run(**values: Any) -> Any:
        arguments: dict[str, Any] = {}
        for name in parameters:
            request_type = _request_type(types[name])
            if name in options:
                arguments[name] = values[name]
            elif request_type is None:
                arguments[name] = types[name](
                    **{f.name: values[f.name] for f in fields(types[name])}
                )
            else:
                make = partial(
                    request_type.of_options, **{n: values[n] for n in request_type.flags()}
                )
                arguments[name] = make() if request_type is types[name] else make
        return command(**arguments)

    requests = filter(None, map(_request_type, types.values()))
    run.__name__, run.__module__ = command.__name__, command.__module__
    run.__doc__ = next(requests).__doc__
    run.__annotations__ = {name: option.annotation for name, option in options.items()}
    signature = inspect.Signature(list(options.values()))
    run.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
    return run


def _request_type(annotation: Any) -> type[Request] | None:
    """The request that a parameter is, or that it returns."""
    if get_origin(annotation) is Callable:
        annotation = get_args(annotation)[1]
    is_request = isinstance(annotation, type) and issubclass(annotation, Request)
    return annotation if is_request else None


def _options_of(bundle: type[Any]) -> Iterator[inspect.Parameter]:
    """One keyword parameter for each option of a request, or of a dataclass of options."""
    if not issubclass(bundle, Request):
        types = get_type_hints(bundle, include_extras=True)
        for field in fields(bundle):
            default = inspect.Parameter.empty if field.default is MISSING else field.default
            yield _parameter(field.name, types[field.name], default)
        return
    for name, flag in bundle.flags().items():
        field = bundle.model_fields[name]
        declaration = f"{flag.name}/{flag.off}" if flag.off else flag.name
        is_list = isinstance(field.default, tuple)
        option = typer.Option(declaration, help=field.description, show_default=not is_list)
        plain_type = _plain_type(field.annotation)
        default = None if is_list else field.default
        if default is None:
            plain_type = plain_type | None
        yield _parameter(name, Annotated[plain_type, option], default)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _plain_type(annotation: Any) -> Any:
    """What the parser of the command line makes of a word: the request checks all else."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _plain_type(arguments[0])
    if origin in (Union, UnionType):
        return _plain_type(next(entry for entry in arguments if entry is not NoneType))
    if origin is Literal:
        return type(arguments[0])
    if origin is tuple:
        return list[_plain_type(arguments[0])]
    return annotation
