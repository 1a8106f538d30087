"""Describes what a model computes with beside its weights: code by its bytes, values as they are.

Nothing of the model is called, and no property is asked for: only what lies in dictionaries,
cells and defaults is read.
"""

from __future__ import annotations

import contextvars
import enum
import functools
import hashlib
import itertools
import logging
import operator
import os
import sys
import types
from array import array
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary

SCALARS = frozenset((int, float, bool, str, type(None), complex, bytes))
DEEPEST = 4  # objects within objects
DEEPEST_CALL = 2  # functions that functions call by name
MOST_ITEMS = 64  # objects of a container; a list that a hook fills is not followed for ever
MOST_NUMBERS = 65_536  # numbers and words of a container that holds nothing else
MOST_VALUES = 20_000  # met on the way through one function
CUT = "…"  # ends what is described no further: what lies behind it may change unseen
SAMPLES = 16  # of a large tensor that tell whether its digest still holds
#: Whose hooks look on: this package's, and those that transformers adds to give hidden states.
_ONLOOKERS = ("worldline.", "transformers.utils.output_capturing")
#: Of the classes of these, which are many methods long, only what a forward pass runs is code;
#: of a model's own file all methods.
_LIBRARIES, _MODELS = ("torch.", "transformers."), "transformers.models."
_RUN = ("forward", "__call__", "_call_impl", "_wrapped_call_impl")
#: What modules of these hold beside functions, and what their objects hold, is no user's value.
_FOREIGN = frozenset(("torch", "transformers", "numpy", "worldline", "builtins", "logging"))
_LISTS = (list, tuple, deque, array, bytearray)
_NOT_RUN = frozenset(("__init__", "_init_weights", "__repr__", "extra_repr", "__module__"))
_CODE, _CELL = (vars(types.FunctionType)["__code__"], vars(types.CellType)["cell_contents"])
_digests: dict[int, tuple[types.CodeType, str]] = {}
_names_of: dict[int, tuple[types.CodeType, frozenset[str]]] = {}
_classes: dict[type, _Class] = {}
_tensors: WeakTensorKeyDictionary = WeakTensorKeyDictionary()
_Class = tuple[tuple[Any, ...], list[tuple[Any, ...]], str, list[tuple[str, Any]]]


def looks_on(function: object) -> bool:
    """Whether a hook is known to change nothing."""
    while isinstance(function, functools.partial):
        function = function.func
    home = getattr(getattr(function, "__func__", function), "__module__", None)
    return str(home).startswith(_ONLOOKERS)


def tensor_summary(tensor: torch.Tensor) -> str:
    """Type, shape and a digest of the values of a tensor.

    Of a large one the digest is taken again once its address, its version or one of a few values
    differ: so an edit behind autograd's back of less than 1/16 of it is not seen.
    """
    head = f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)}"
    try:
        flat = tensor.detach().reshape(-1)
        if flat.numel() <= 4096:
            return f"{head} {_digest_of(flat)}"
        version = -1 if tensor.is_inference() else tensor._version
        sample_digest = _digest_of(flat[:: flat.numel() // SAMPLES])
        marks = tensor.data_ptr(), version, sample_digest
        cached_entry = _tensors.get(tensor)
        if cached_entry is None or cached_entry[0] != marks:
            cached_entry = _tensors[tensor] = marks, _digest_of(flat)
    except (RuntimeError, TypeError, NotImplementedError):
        return head  # a kind that cannot be looked into
    return f"{head} {cached_entry[1]}"


def _digest_of(flat: torch.Tensor) -> str:
    raw: Any = flat.cpu().contiguous().view(torch.uint8).numpy()
    return hashlib.blake2b(memoryview(raw), digest_size=6).hexdigest()


def qualified_name(value: Any) -> str:
    """The qualified name of a function or a class."""
    name = getattr(value, "__qualname__", None) or type(value).__qualname__
    return str(name).rpartition("<locals>.")[2]


class Describer:
    """What has been met on the way through one function or one value: code, and values.

    `deps`: where the way led through, for those who want to see whether it still does; what can
    change in place is then noted in `held_values`. `within`: ids of modules that are described
    elsewhere.
    """

    def __init__(
        self, deps: list[tuple[Any, ...]] | None = None, within: Collection[int] = frozenset()
    ):
        self.code: list[str] = []
        self.values: list[tuple[str, Any]] = []
        self.held_values: list[tuple[str, Any]] = []
        self.visited_ids: set[int] = set()
        self.deps, self.within = deps, within
        self.n_remaining = MOST_VALUES
        self.cut = False  # whether functions call others that were not followed

    def mark(self) -> str:
        """A digest of all code that was met."""
        digest = hashlib.sha256("\n".join(self.code).encode()).hexdigest()[:12]
        return f"#{digest}{CUT}" if self.cut else f"#{digest}"

    def plain(self, value: Any, depth: int = 0) -> Any:
        """A value as numbers, words and tuples, which do not change when it does."""
        kind = type(value)
        if kind in SCALARS:
            return value
        self.n_remaining -= 1
        if isinstance(value, torch.Tensor):
            return tensor_summary(value)
        if isinstance(value, (torch.dtype, torch.device, torch.Size, enum.Enum)):
            return str(value)
        if id(value) in self.visited_ids:
            return kind.__qualname__
        if depth > DEEPEST or self.n_remaining < 0:
            return f"{kind.__qualname__} {CUT}"
        if isinstance(value, torch.nn.Module):
            return kind.__qualname__ if id(value) in self.within else self._module(value, depth)
        if value is os.environ:  # may hold secrets, and goes into files
            return hashlib.sha256(repr(sorted(value.items())).encode()).hexdigest()[:12]
        if isinstance(value, (*_LISTS, set, frozenset, Mapping)):
            return self._container(value, depth)
        if isinstance(value, type):
            return f"{value.__module__}.{value.__qualname__}"
        if callable(value):
            return self.function(value, depth)
        return self._object(value, depth)

    def _container(self, value: Any, depth: int) -> Any:
        self.visited_ids.add(id(value))
        description: Any
        if isinstance(value, Mapping):
            first_items = list(value.items())[: self._most(value.values())]
            description = tuple((_key(k), self.plain(v, depth + 1)) for k, v in first_items)
            description += ((CUT, f"{len(value)} {CUT}"),) * (len(first_items) < len(value))
        elif isinstance(value, (set, frozenset)):
            description = tuple(sorted(str(self.plain(item, depth + 1)) for item in value))
        else:
            first_items = list(value)[: self._most(value)]
            description = tuple(self.plain(item, depth + 1) for item in first_items)
            description += (f"{len(value)} {CUT}",) * (len(first_items) < len(value))
        self.visited_ids.discard(id(value))
        return description

    def _most(self, items: Collection[Any]) -> int:
        if len(items) <= MOST_ITEMS or not all(type(item) in SCALARS for item in items):
            return MOST_ITEMS
        return MOST_NUMBERS

    def _object(self, value: Any, depth: int) -> Any:
        """Class and values of an object that is no container."""
        kind = type(value)
        numpy = getattr(value, "tobytes", None)
        if numpy is not None and kind.__module__ == "numpy":
            raw = value.tobytes()
            return f"{value.dtype}{list(value.shape)} {hashlib.blake2b(raw).hexdigest()[:12]}"
        if isinstance(value, (logging.Logger, types.ModuleType)):
            return kind.__qualname__
        if isinstance(value, contextvars.ContextVar):
            return self.plain(value.get(None), depth + 1)
        self.visited_ids.add(id(value))
        attributes = dict(getattr(value, "__dict__", None) or {})
        for base in kind.__mro__:
            for name in _slots(base):
                if name not in attributes and hasattr(value, name):
                    attributes[name] = getattr(value, name)
        simple = () if attributes else _in_words(value)
        some = list(attributes.items())[:MOST_ITEMS]
        return (
            ("class", kind.__qualname__),
            *simple,
            *((name, self.plain(attribute, depth + 1)) for name, attribute in some),
            *(((CUT, f"{len(attributes)} {CUT}"),) if len(some) < len(attributes) else ()),
        )

    def _module(self, module: torch.nn.Module, depth: int) -> Any:
        """A module that stands nowhere in the model, yet is used: classes, values and weights."""
        part_descriptions = []
        for name, part in module.named_modules():
            self.visited_ids.add(id(part))
            attributes = {k: v for k, v in vars(part).items() if k not in _OF_MODULES}
            tensors = part._parameters | part._buffers
            part_descriptions.append((
                name,
                (
                    ("class", class_code(type(part))),
                    *((k, self.plain(v, depth + 1)) for k, v in attributes.items()),
                    *((k, tensor_summary(v)) for k, v in tensors.items() if v is not None),
                ),
            ))  # fmt: skip
        return tuple(part_descriptions)

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
            call_method = getattr(type(function), "__call__", None)  # noqa: B004 (the class's)
            for code in (call_method, getattr(function, "__wrapped__", None)):
                if isinstance(code, types.FunctionType):
                    self._walk(code, depth)
            self.values.append((qualified_name(function), self._object(function, depth + 1)))
        return qualified_name(function)

    def _walk(self, function: types.FunctionType, depth: int) -> None:
        if id(function) in self.visited_ids:
            return
        if depth > DEEPEST:
            self._cut_at(function.__module__)
            return
        self.visited_ids.add(id(function))
        code = function.__code__
        self.code.append(f"{qualified_name(function)}#{_digest(code)}")
        defaults = (function.__defaults__, function.__kwdefaults__)
        if self.deps is not None:
            self.deps.append((_CODE.__get__, function, code))
        elif any(defaults):
            self.values.append((f"{qualified_name(function)}()", self.plain(defaults, depth + 1)))
        names = _names_read(code)
        for name, value in function.__dict__.items():
            if name in names:
                self._used(name, value, depth, names)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                cell_value = cell.cell_contents
            except ValueError:
                continue  # nothing is there yet
            if self.deps is not None:
                self.deps.append((_CELL.__get__, cell, cell_value))
            self._used(name, cell_value, depth, names)
        foreign = _is_foreign(function.__module__)
        for name in sorted(names):
            used = function.__globals__.get(name)
            if used is None or name.startswith("__"):
                continue
            if self.deps is not None:
                self.deps.append((function.__globals__.get, name, used))
            if type(used) is types.FunctionType:
                if depth < DEEPEST_CALL:
                    self._used(name, used, depth + 1, names)
                elif id(used) not in self.visited_ids:
                    self._cut_at(used.__module__)
            elif type(used) in SCALARS or not foreign:
                self._used(name, used, depth + 1, names)

    def _cut_at(self, home: str | None) -> None:
        """Code of this module is not followed; of a library nothing that it holds is a value."""
        self.cut = self.cut or not _is_known(home)

    def _used(self, name: str, value: Any, depth: int, names: Collection[str]) -> None:
        """A value that a function knows by `name`; it reads `names`, some of them of the value."""
        if isinstance(value, types.FunctionType):
            self._walk(value, depth)
        elif isinstance(value, (types.ModuleType, type)):
            self._members(name, value, depth, names)
        elif type(value) in SCALARS and self.deps is not None:
            self.code.append(f"{name}={value!r}")
        elif isinstance(value, torch.nn.Module) and id(value) in self.within:
            return  # described where it stands
        else:
            if self.deps is None:
                self.values.append((name, self.plain(value, depth + 1)))
            else:
                self.held_values.append((name, value))
            self._members(name, type(value), depth, names)

    def _members(self, name: str, holder: Any, depth: int, names: Collection[str]) -> None:
        """What a function reads of a module of Python or of a class that is the user's."""
        home = holder.__name__ if isinstance(holder, types.ModuleType) else holder.__module__
        if _is_foreign(home) or id(holder) in self.visited_ids:
            return
        if depth > DEEPEST_CALL:
            self._cut_at(home)
            return
        spaces = [vars(base) for base in getattr(holder, "__mro__", ())] or [vars(holder)]
        for member in sorted(names):
            space = next((namespace for namespace in spaces if member in namespace), None)
            if space is None or member.startswith("__"):
                continue
            value = space[member]
            if self.deps is not None:
                self.deps.append((space.get, member, value))
            value = value.fget if isinstance(value, property) else value
            if isinstance(value, (staticmethod, classmethod)):
                value = value.__func__
            if isinstance(value, _DESCRIPTORS):
                continue  # where an object's own value lies
            self._used(f"{name}.{member}", value, depth + 1, names)


def _key(key: Any) -> str:
    return (
        str(key)
        if type(key) in SCALARS or isinstance(key, (tuple, enum.Enum))
        else qualified_name(key)
    )


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _in_words(value: Any) -> tuple[tuple[str, str], ...]:
    """What an object of Python's own kinds shows: a number, a date, a count."""
    bare = isinstance(value, (int, float, complex, str, bytes, range))
    text = repr(value) if bare or type(value).__module__ in _SIMPLE else ""
    return () if not text or " at 0x" in text else (("value", text),)


_SIMPLE = ("decimal", "fractions", "datetime", "itertools")
_DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType)
_OF_MODULES = frozenset(vars(torch.nn.Module())) - {"training"}


def _is_foreign(home: str | None) -> bool:
    return str(home).partition(".")[0] in _FOREIGN


def _is_known(home: str | None) -> bool:
    """Whether what a module holds is no user's value: one of a library."""
    top = str(home).partition(".")[0]
    return top in _FOREIGN or top in sys.stdlib_module_names or top in ("peft", "accelerate")


def _names_read(code: types.CodeType) -> frozenset[str]:
    """Names of globals and attributes in a function and in the functions inside it."""
    cached_entry = _names_of.get(id(code))
    if cached_entry is None or cached_entry[0] is not code:
        inside = [
            _names_read(constant)
            for constant in code.co_consts
            if isinstance(constant, types.CodeType)
        ]
        cached_entry = _names_of[id(code)] = code, frozenset(code.co_names).union(*inside)
    return cached_entry[1]


def class_code(kind: type) -> str:
    """Name and digest of the code that a class, its bases and what they call consist of."""
    return _class_of(kind)[2]


def class_values(kind: type, within: Collection[int]) -> tuple[tuple[str, Any], ...]:
    """What lies in the modules of a class's code and is read there: tables, tensors, objects."""
    held_values = _class_of(kind)[3]
    return tuple((name, Describer(within=within).plain(value)) for name, value in held_values)


def _class_of(kind: type) -> _Class:
    cached_class = _classes.get(kind)
    members = tuple(itertools.chain(*(vars(base).values() for base in kind.__mro__[:-1])))
    if cached_class is not None and len(cached_class[0]) == len(members):
        same_members = all(map(operator.is_, cached_class[0], members))
        if same_members and all(
            look(key) is expected_value for look, key, expected_value in cached_class[1]
        ):
            return cached_class
    deps: list[tuple[Any, ...]] = []
    describer = Describer(deps)
    for base in kind.__mro__[:-1]:
        home = base.__module__
        long = home.startswith(_LIBRARIES) and not home.startswith(_MODELS)
        for name, member in list(vars(base).items()):
            if name in _NOT_RUN or (long and name not in _RUN):
                continue
            function = member.fget if isinstance(member, property) else member
            if isinstance(function, (types.FunctionType, staticmethod, classmethod)):
                describer.function(function)
            elif type(member) in SCALARS and not long and not name.startswith("_"):
                describer.code.append(f"{name}={member!r}")
    name_and_digest = f"{kind.__module__}.{kind.__qualname__}{describer.mark()}"
    _classes[kind] = cached_class = members, deps, name_and_digest, describer.held_values
    return cached_class


def _digest(code: types.CodeType) -> str:
    cached_entry = _digests.get(id(code))
    if cached_entry is None or cached_entry[0] is not code:
        total = hashlib.sha256()
        _add(total, code)
        cached_entry = _digests[id(code)] = code, total.hexdigest()[:12]
    return cached_entry[1]


def _add(total: Any, code: types.CodeType) -> None:
    """Bytes, constants and names; not where the code stands."""
    total.update(code.co_code)
    total.update(repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _add(total, constant)
        else:
            kind = type(constant)
            constant_text = sorted(map(repr, constant)) if kind is frozenset else repr(constant)
            total.update(f"{kind.__name__} {constant_text}\n".encode())


def code_of(
    function: Callable[..., Any], within: Collection[int] = frozenset()
) -> tuple[str, tuple[Any, ...]]:
    """(Name and digest of a function's code, the values that it holds)."""
    describer = Describer(within=within)
    name = describer.function(function)
    return f"{name}{describer.mark()}", tuple(describer.values)


def is_cut(value: Any) -> bool:
    """Whether a description ends somewhere before what it describes."""
    if type(value) is tuple:
        return any(map(is_cut, value))
    return type(value) is str and value.endswith(CUT)
