"""Describes what a model computes with beside its weights: code by its bytes, values as they are.

Nothing of the model is called, and no property is asked for: only what lies in dictionaries,
cells and defaults is read.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import types
from collections.abc import Callable, Mapping
from typing import Any

import torch

SCALARS = frozenset((int, float, bool, str, type(None), complex, bytes))
DEEPEST = 4  # objects within objects
DEEPEST_CALL = 2  # functions that functions call by name
MOST_ITEMS = 64  # of a container; a list that a hook fills is not followed for ever
SAMPLES = 16  # of a tensor that belongs to a hook or an attribute
#: Whose hooks look on: this package's, and those that transformers adds to give hidden states.
_ONLOOKERS = ("worldline.", "transformers.utils.output_capturing")
#: Of the classes of these, which are many methods long, only what a forward pass runs is code;
#: of a model's own file all methods.
_LIBRARIES, _MODELS = ("torch.", "transformers."), "transformers.models."
_RUN = ("forward", "__call__", "_call_impl", "_wrapped_call_impl")
_NOT_RUN = frozenset(("__init__", "_init_weights", "__repr__", "extra_repr", "__module__"))
_CODE, _CELL = (vars(types.FunctionType)["__code__"], vars(types.CellType)["cell_contents"])
_digests: dict[int, tuple[types.CodeType, str]] = {}
_classes: dict[type, tuple[tuple[Any, ...], list[tuple[Any, ...]], str]] = {}


def looks_on(function: object) -> bool:
    """Whether a hook is known to change nothing."""
    while isinstance(function, functools.partial):
        function = function.func
    home = getattr(getattr(function, "__func__", function), "__module__", None)
    return str(home).startswith(_ONLOOKERS)


def sampled(tensor: torch.Tensor) -> str:
    """Type, shape and a digest of a few values of a tensor, all where they are few."""
    head = f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"
    try:
        flat = tensor.detach().reshape(-1)
        some = flat[:: max(1, flat.numel() // SAMPLES)] if flat.numel() > 4096 else flat
        raw = some.cpu().contiguous().view(torch.uint8).numpy().tobytes()
    except (RuntimeError, TypeError, NotImplementedError):
        return head  # a kind that cannot be looked into
    return f"{head} {hashlib.blake2b(raw, digest_size=6).hexdigest()}"


def named(thing: Any) -> str:
    """The qualified name of a function or a class."""
    name = getattr(thing, "__qualname__", None) or type(thing).__qualname__
    return str(name).rpartition("<locals>.")[2]


class Described:
    """What has been met on the way through one function or one value: code, and values."""

    def __init__(self, deps: list[tuple[Any, ...]] | None = None):
        self.code: list[str] = []
        self.values: list[tuple[str, Any]] = []
        self.seen: set[int] = set()
        self.deps = (
            deps  # where the way led through, for those who want to see whether it still does
        )

    def plain(self, value: Any, depth: int = 0) -> Any:
        """A value as numbers, words and tuples, which do not change when it does."""
        kind = type(value)
        if kind in SCALARS:
            return value
        if isinstance(value, torch.Tensor):
            return sampled(value)
        if isinstance(value, (torch.dtype, torch.device, torch.Size, enum.Enum)):
            return str(value)
        if depth > DEEPEST or id(value) in self.seen:
            return kind.__qualname__
        if isinstance(value, (list, tuple, set, frozenset, Mapping)):
            return self._container(value, depth)
        if isinstance(value, type):
            return f"{value.__module__}.{value.__qualname__}"
        if callable(value) and not isinstance(value, torch.nn.Module):
            return self.function(value, depth)
        return self._object(value, depth)

    def _container(self, value: Any, depth: int) -> Any:
        self.seen.add(id(value))
        if isinstance(value, Mapping):
            some = list(value.items())[:MOST_ITEMS]
            found: Any = tuple((str(k), self.plain(v, depth + 1)) for k, v in some)
        elif isinstance(value, (set, frozenset)):
            found = tuple(sorted(str(self.plain(one, depth + 1)) for one in value))
        else:
            found = tuple(self.plain(one, depth + 1) for one in value[:MOST_ITEMS])
        self.seen.discard(id(value))
        return found

    def _object(self, value: Any, depth: int) -> Any:
        """Class and simple values of an object that is no container."""
        numpy = getattr(value, "tobytes", None)
        if numpy is not None and type(value).__module__ == "numpy":
            raw = value.tobytes()
            return f"{value.dtype}{list(value.shape)} {hashlib.blake2b(raw).hexdigest()[:12]}"
        self.seen.add(id(value))
        own = getattr(value, "__dict__", None) or {}
        return (
            ("class", type(value).__qualname__),
            *((name, self.plain(v, depth + 1)) for name, v in list(own.items())[:MOST_ITEMS]),
        )

    def function(self, function: Any, depth: int = 0) -> str:
        """The name of a function; its code and its values are noted."""
        if isinstance(function, functools.partial):
            self.values.append(
                ("partial", self.plain((function.args, function.keywords), depth + 1))
            )
            return self.function(function.func, depth)
        if isinstance(function, (staticmethod, classmethod)):
            return self.function(function.__func__, depth)
        if isinstance(function, types.MethodType):
            self.values.append(("self", self.plain(function.__self__, depth + 1)))
            return self.function(function.__func__, depth)
        if isinstance(function, types.FunctionType):
            self._walk(function, depth)
        elif not isinstance(function, (types.BuiltinFunctionType, type)):
            called = getattr(type(function), "__call__", None)  # noqa: B004 (the class's)
            for code in (called, getattr(function, "__wrapped__", None)):
                if isinstance(code, types.FunctionType):
                    self._walk(code, depth)
            self.values.append((named(function), self._object(function, depth + 1)))
        return named(function)

    def _walk(self, function: types.FunctionType, depth: int) -> None:
        if id(function) in self.seen or depth > DEEPEST:
            return
        self.seen.add(id(function))
        code = function.__code__
        self.code.append(f"{named(function)}#{_digest(code)}")
        defaults = (function.__defaults__, function.__kwdefaults__)
        if self.deps is not None:
            self.deps.append((_CODE.__get__, function, code))
        elif any(defaults):
            self.values.append((f"{named(function)}()", self.plain(defaults, depth + 1)))
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                held = cell.cell_contents
            except ValueError:
                continue  # nothing is there yet
            if self.deps is not None:
                self.deps.append((_CELL.__get__, cell, held))
            self._used(name, held, depth)
        for name in code.co_names:
            used = function.__globals__.get(name)
            if used is None or name.startswith("__"):
                continue
            if self.deps is not None:
                self.deps.append((function.__globals__.get, name, used))
            if type(used) in SCALARS or (type(used) is types.FunctionType and depth < DEEPEST_CALL):
                self._used(name, used, depth + 1)

    def _used(self, name: str, value: Any, depth: int) -> None:
        if isinstance(value, torch.nn.Module):
            return  # described where it stands; one that stands nowhere is no part of the model
        if isinstance(value, types.FunctionType):
            self._walk(value, depth)
        elif self.deps is None:
            self.values.append((name, self.plain(value, depth + 1)))
        elif type(value) in SCALARS:
            self.code.append(f"{name}={value!r}")


def class_code(kind: type) -> str:
    """Name and digest of the code that a class, its bases and what they call consist of."""
    known = _classes.get(kind)
    members = tuple(one for base in kind.__mro__[:-1] for one in vars(base).values())
    if known is not None and len(known[0]) == len(members):
        same = all(a is b for a, b in zip(known[0], members, strict=True))
        if same and all(look(key) is there for look, key, there in known[1]):
            return known[2]
    deps: list[tuple[Any, ...]] = []
    seen = Described(deps)
    for base in kind.__mro__[:-1]:
        home = base.__module__
        long = home.startswith(_LIBRARIES) and not home.startswith(_MODELS)
        for name, member in list(vars(base).items()):
            if name in _NOT_RUN or (long and name not in _RUN):
                continue
            function = member.fget if isinstance(member, property) else member
            if isinstance(function, (types.FunctionType, staticmethod, classmethod)):
                seen.function(function)
            elif type(member) in SCALARS and not long and not name.startswith("_"):
                seen.code.append(f"{name}={member!r}")
    digest = hashlib.sha256("\n".join(seen.code).encode()).hexdigest()[:12]
    found = f"{kind.__module__}.{kind.__qualname__}#{digest}"
    _classes[kind] = members, deps, found
    return found


def _digest(code: types.CodeType) -> str:
    known = _digests.get(id(code))
    if known is None or known[0] is not code:
        total = hashlib.sha256()
        _add(total, code)
        known = _digests[id(code)] = code, total.hexdigest()[:12]
    return known[1]


def _add(total: Any, code: types.CodeType) -> None:
    """Bytes, constants and names; not where the code stands."""
    total.update(code.co_code)
    total.update(repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _add(total, constant)
        else:
            kind = type(constant)
            shown = sorted(map(repr, constant)) if kind is frozenset else repr(constant)
            total.update(f"{kind.__name__} {shown}\n".encode())


def code_of(function: Callable[..., Any]) -> tuple[str, tuple[Any, ...]]:
    """(Name and digest of a function's code, the values that it holds)."""
    seen = Described()
    name = seen.function(function)
    digest = hashlib.sha256("\n".join(seen.code).encode()).hexdigest()[:12]
    return f"{name}#{digest}", tuple(seen.values)
