"""Arguments of public functions: of the kind that their annotations name, or refused in a line."""

from __future__ import annotations

import builtins
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from operator import index
from typing import Any, ParamSpec, TypeVar

from worldline.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")
#: What a whole number of this name is at least, in every function that refuses no more by itself.
LEAST = {"seed": 0, "top": 0, "longest": 0, "at_once": 1}
LARGEST_SEED = 2**64 - 1  # what torch's generators take
_WORDS: dict[Any, str] = {
    int: "a whole number", float: "a number", bool: "True or False", str: "a text",
    Callable: "a function", Iterable: "a list or a tuple",
}  # fmt: skip


def whole_number(name: str, value: Any, least: int | None = 0) -> int:
    """A whole number, of Python or of an array, from `least` on; nothing is rounded to one.

    >>> whole_number("pos", 3)
    3

    Raises InputError for anything else: 0.7, "3" and True are none.
    """
    try:
        if isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool"):
            raise TypeError
        number = index(value)
    except TypeError:
        low = "" if least is None else f" from {least}"
        raise InputError(
            f"{_argument_text(name, value)}: accepted are whole numbers{low}"
        ) from None
    if least is not None and number < least:
        raise InputError(f"{name} {number}: accepted are whole numbers from {least}")
    return number


def whole_numbers(name: str, values: Any, least: int | None = 0) -> tuple[int, ...]:
    """Several whole numbers in their order; a single one stands for itself.

    >>> whole_numbers("layers", range(2)), whole_numbers("layers", 3)
    ((0, 1), (3,))

    Raises InputError for what is not that.
    """
    if isinstance(values, (str, bytes, Mapping)) or not _is_listing(values):
        return (whole_number(name, values, least),)
    return tuple(whole_number(name, value, least) for value in values)


def with_checked_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """A function that refuses arguments of another kind than its annotations name."""
    signature = inspect.signature(function)

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        bound_arguments = bound_to(function, signature, args, kwargs)
        refuse_other_kinds(function, bound_arguments.arguments)
        return function(*bound_arguments.args, **bound_arguments.kwargs)

    return wrapper


def bound_to(
    function: Callable[..., Any], signature: inspect.Signature, args: Any, kwargs: Any
) -> inspect.BoundArguments:
    """The arguments of a call by name.

    Raises TypeError, as Python does and with the function's name, for one too many or too few.
    """
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{getattr(function, '__name__', '?')}() {error}") from None


def refuse_other_kinds(function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """Raise InputError for an argument of another kind than its annotation names.

    Whole numbers of arrays become Python's, and are refused below what their name accepts in every
    function (`LEAST`), as NaN is. Annotations that name more than plain classes are not looked at,
    nor are those of a token, which may be a text or an id.
    """
    for name, kinds in _kinds_of(function).items():
        if name not in arguments:
            continue
        value = arguments[name]
        if int in kinds and set(kinds) <= {int, type(None)}:
            if value is not None or type(None) not in kinds:
                caller = f"{function.__name__}: {name}"
                arguments[name] = whole_number(caller, value, least=LEAST.get(name))
                if name == "seed" and arguments[name] > LARGEST_SEED:
                    raise InputError(f"{caller} {value}: accepted are whole numbers of 64 bits")
        elif float in kinds and value != value:
            raise InputError(f"{function.__name__}: {name}={value}: accepted are numbers")
        elif not any(_is(kind, value) for kind in kinds):
            accepted_kinds = " or ".join(
                _kind_words(kind) for kind in kinds if kind is not type(None)
            )
            raise InputError(
                f"{_argument_text(f'{function.__name__}: {name}', value)}: accepted is "
                f"{accepted_kinds}"
            )


@functools.cache
def _kinds_of(function: Callable[..., Any]) -> dict[str, tuple[Any, ...]]:
    kinds_by_name = {}
    for name, annotation in inspect.get_annotations(function).items():
        parts = re.split(r" \| (?![^\[]*\])", str(annotation))
        kinds = [_kind(part, function.__globals__) for part in parts]
        if name != "return" and None not in kinds and not {int, str} <= set(kinds):
            kinds_by_name[name] = tuple(kinds)
    return kinds_by_name


def _kind(word: str, names: dict[str, Any]) -> Any:
    """The class that a part of an annotation names; None where it is no plain one."""
    if word == "None":
        return type(None)
    if word.startswith("Callable["):
        return Callable
    if word.startswith(("Sequence[", "Iterable[")):
        return Iterable
    kind = names.get(word, getattr(builtins, word, None))
    plain = isinstance(kind, type) and kind is not Any and not getattr(kind, "_is_protocol", False)
    return kind if plain else None


def _is(kind: Any, value: Any) -> bool:
    if kind is Callable:
        return callable(value)
    if kind is Iterable:
        return _is_listing(value) and not isinstance(value, (str, bytes))
    if kind in (int, float):
        number = Integral if kind is int else Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, kind)


def _kind_words(kind: Any) -> str:
    return _WORDS.get(kind) or f"a {kind.__name__}"


def _is_listing(values: Any) -> bool:
    return isinstance(values, Iterable) and getattr(values, "ndim", 1) != 0


def _argument_text(name: str, value: Any) -> str:
    """A value in few words, in one line."""
    if isinstance(value, (str, bytes, int, float, bool)):
        return f"{name}={repr(value)[:40]}"
    return f"{name} of type {type(value).__name__}"
