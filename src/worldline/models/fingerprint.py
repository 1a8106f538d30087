"""Describes what a model computes with beside its weights: code by its bytes, values as they are.

Nothing of the model is called, and no property is asked for: only what lies in dictionaries,
cells and defaults is read.
"""

from __future__ import annotations

import contextvars
import dis
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
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary

SCALARS = frozenset((int, float, bool, str, type(None), complex, bytes))
DEEPEST = 4  # objects within objects
DEEPEST_CALL = 40  # functions that functions call by name
DEEPEST_LIBRARY = 3  # functions of libraries that one of a library calls by name
MOST_ITEMS = 64  # objects of a container; a list that a hook fills is not followed for ever
MOST_NUMBERS = 65_536  # numbers and words of a container that holds nothing else
MOST_VALUES = 20_000  # met on the way through one function
CUT = "…"  # ends what is described no further: what lies behind it may change unseen
SAMPLES = 16  # of a large tensor that tell whether its digest still holds
#: Whose hooks look on: this package's, and those that transformers adds to give hidden states.
_ONLOOKERS = ("worldline.", "transformers.utils.output_capturing")
#: Of a library's classes only what a forward pass runs is code; of those of these all methods.
_FOLLOWED = ("transformers.models.", "peft.", "accelerate.")
_RUN = ("forward", "__call__", "_call_impl", "_wrapped_call_impl")
#: What modules of these hold beside functions, and what their objects hold, is no user's value.
_FOREIGN = frozenset(("torch", "transformers", "numpy", "worldline", "builtins", "logging"))
#: The other libraries that models and adapters come with.
_LIBRARIES = frozenset((
    "peft", "accelerate", "huggingface_hub", "safetensors", "tokenizers", "packaging", "tqdm",
    "regex", "yaml", "filelock", "fsspec", "jinja2", "requests", "httpx", "typing_extensions",
))  # fmt: skip
_WITHOUT_MODELS = _FOREIGN - {"transformers"}  # of torch see `torch_patches`
_WITH_MODELS = frozenset(("transformers", "peft", "accelerate"))
_LISTS = (list, tuple, deque, array, bytearray)
#: Of modules, which stand by the time that they run.
_NOT_RUN = frozenset(("__init__", "_init_weights", "__repr__", "extra_repr"))
_CODE_KINDS = (
    type, types.ModuleType, types.FunctionType, types.MethodType, functools.partial,
    functools._lru_cache_wrapper,
)  # fmt: skip
_FUNCTION = vars(types.FunctionType)
_CODE = _FUNCTION["__code__"].__get__
_DEFAULTS = _FUNCTION["__defaults__"].__get__, _FUNCTION["__kwdefaults__"].__get__
_MRO = vars(type)["__mro__"].__get__
_IMPORT = dis.opmap["IMPORT_NAME"]
_digests: dict[int, tuple[types.CodeType, str]] = {}
_names_of: dict[int, tuple[types.CodeType, frozenset[str], frozenset[str]]] = {}
_codes: dict[type | types.FunctionType, Code] = {}
_tensors: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


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


@dataclass(frozen=True)
class Code:
    """What a class or a function runs, with what that calls and reads by name.

    `text` is its name and a digest of all of it; `held` the values it reads that may move, by name;
    `names` those of the globals and attributes that a user's part of it reads. `spaces` are the
    classes on the way, as namespaces and their members, `lookups` what else led on, as (look, key,
    value): while they give the same, the rest holds.
    """

    text: str
    held: tuple[tuple[str, Any], ...]
    names: frozenset[str]
    spaces: tuple[tuple[Mapping[str, Any], tuple[Any, ...]], ...]
    lookups: tuple[tuple[Callable[[Any], Any], Any, Any], ...]

    def is_current(self) -> bool:
        """Whether the way leads through the same code still."""
        return all(
            len(space) == len(members) and all(map(operator.is_, space.values(), members))
            for space, members in self.spaces
        ) and all(look(key) is value for look, key, value in self.lookups)


class _Walk:
    """The way through a class or a function, and what is met on it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.held: list[tuple[str, Any]] = []
        self.names: set[str] = set()
        self.spaces: list[tuple[Mapping[str, Any], tuple[Any, ...]]] = []
        self.lookups: list[tuple[Callable[[Any], Any], Any, Any]] = []
        self.visited: set[object] = set(torch.Tensor.__mro__)  # as `torch_patches` has it
        self.n_library: dict[int, int] = {}
        self.n_calls = 0
        self.is_cut = False

    def code(self, name: str) -> Code:
        digest = hashlib.sha256("\n".join(self.lines).encode()).hexdigest()[:12]
        return Code(
            f"{name}#{digest}{CUT if self.is_cut else ''}",
            tuple(self.held), frozenset(self.names), tuple(self.spaces), tuple(self.lookups),
        )  # fmt: skip

    def follow_class(self, kind: type, n_library: int = 0, unrun: Collection[str] = ()) -> None:
        """All members of a user's class; of a library's those that may run, or are not its own."""
        self.lookups.append((_MRO, kind, kind.__mro__))
        for base in kind.__mro__[:-1]:
            if base in self.visited:
                continue
            self.visited.add(base)
            home, space = base.__module__, vars(base)
            self.spaces.append((space, tuple(space.values())))
            self.lines.append(f"{home}.{base.__qualname__}")
            n_own = max(1, n_library) if _is_known(home) else 0
            is_followed = not n_own or _is_followed(base)
            runs = _RUN if issubclass(base, torch.nn.Module) else ()
            for name, member in list(space.items()):
                if name in unrun or isinstance(member, _DESCRIPTORS):
                    continue
                functions = _functions_in(member)
                for function in functions:
                    if is_followed or name in runs or not _is_known(_home(function)):
                        self._follow(function, n_library)
                if is_followed and not functions and _is_read(name, member, is_known=n_own > 0):
                    self._use(f"{base.__name__}.{name}", member, n_own)

    def follow_function(self, function: types.FunctionType) -> None:
        """A function, what it calls by name, and what it reads of what is no library's."""
        self._follow(function, 0)

    def _follow(self, function: types.FunctionType, n_library: int) -> None:
        """The same; `n_library` functions of libraries led there, one by the other."""
        is_known = _is_known(_home(function))
        n_library = max(1, n_library) if is_known else 0
        if self.n_library.get(id(function), DEEPEST_LIBRARY + 2) <= n_library:
            return
        if self.n_calls > DEEPEST_CALL:
            self.is_cut |= not is_known
            return
        self.n_library[id(function)] = n_library
        self.n_calls += 1
        name, code = qualified_name(function), function.__code__
        names, imports = _names_read(code)
        self.lines.append(f"{name}#{_digest(code)}")
        self.lookups.append((_CODE, function, code))
        if not is_known:
            self.names |= names
            self.is_cut |= not all(map(_is_known, imports))  # what is not there before it runs
            self.lookups.append((len, function.__dict__, len(function.__dict__)))
        for look in _DEFAULTS:
            if (defaults := look(function)) is not None:
                self.lookups.append((look, function, defaults))
                self._use_defaults(f"{name}()", defaults, n_library)
        for key, value in function.__dict__.items():
            if not is_known or key in names:
                self.lookups.append((function.__dict__.get, key, value))
                self._use(f"{name}.{key}", value, n_library, names)
        for key, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self.lookups.append((_content, cell, _content(cell)))
            self._use(key, _content(cell), n_library, names)
        self._read(function.__globals__, "", n_library, names)
        self.n_calls -= 1

    def _use_defaults(self, name: str, defaults: Any, n_library: int) -> None:
        if not n_library:
            self.held.append((name, defaults))
            return
        for value in defaults.values() if isinstance(defaults, dict) else defaults:
            if _is_code(value):
                self._use(name, value, n_library)

    def _read(
        self, space: dict[str, Any], prefix: str, n_library: int, names: frozenset[str]
    ) -> None:
        """What code finds by `names` in a module of Python; a library's, what is code of it."""
        for name in sorted(names & space.keys() if n_library else names):
            if _is_dunder(name):
                continue
            value = space.get(name)
            self.lookups.append((space.get, name, value))
            if value is not None and (not n_library or _is_code(value)):
                self._use(f"{prefix}{name}", value, n_library and n_library + 1, names)

    def _use(
        self, name: str, value: Any, n_library: int, names: frozenset[str] = frozenset()
    ) -> None:
        """A value that code knows by `name`; it reads `names`, some of them of a module's."""
        value = _inner_of(value) if n_library else value
        if isinstance(value, types.FunctionType):
            self._follow(value, n_library)
        elif isinstance(value, type):
            self.follow_class(value, n_library)
        elif isinstance(value, types.ModuleType):
            top = value.__name__.partition(".")[0]
            is_followed = top in _WITH_MODELS if n_library else top not in _WITHOUT_MODELS
            if is_followed and (id(value), names) not in self.visited:
                self.visited.add((id(value), names))
                self._read(vars(value), f"{name}.", max(n_library, top in _FOREIGN), names)
        elif n_library and type(value) in SCALARS:
            self.lines.append(f"{name}={value!r}")
        else:
            self.held.append((name, value))


def code_of(source: type | types.FunctionType) -> Code:
    """The code of a class of modules or of objects, or of a function: from before if it holds."""
    code = _codes.get(source)
    if code is not None and code.is_current():
        return code
    walk = _Walk()
    if isinstance(source, type):
        walk.follow_class(source, unrun=_NOT_RUN if issubclass(source, torch.nn.Module) else ())
        code = _codes[source] = walk.code(f"{source.__module__}.{source.__qualname__}")
    else:
        walk.follow_function(source)
        code = walk.code(qualified_name(source))
        if _is_known(_home(source)) and not source.__closure__:  # a user's holds what is to go
            _codes[source] = code
    return code


class Describer:
    """What values are: numbers, words, and the code of functions and classes among them.

    `within`: by id the names of modules that are described elsewhere.
    """

    def __init__(self, within: Mapping[int, str] | None = None):
        self.visited: dict[int, int] = {}
        self.within = within or {}
        self.n_visited = itertools.count()
        self.n_remaining = MOST_VALUES

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
        if id(value) in self.within:
            return f"the module {self.within[id(value)]}"
        is_code = kind is types.FunctionType or isinstance(value, type)
        if id(value) in self.visited and not is_code:
            return f"{kind.__qualname__} {self.visited[id(value)]}"  # which of those before
        if depth > DEEPEST or self.n_remaining < 0:
            return f"{kind.__qualname__} {CUT}"
        if isinstance(value, torch.nn.Module):
            return self._module(value, depth)
        if value is os.environ:  # may hold secrets, and goes into files
            return hashlib.sha256(repr(sorted(value.items())).encode()).hexdigest()[:12]
        if isinstance(value, (*_LISTS, set, frozenset, Mapping)):
            items = self._container(value, depth)
            own_kind = not _is_known(kind.__module__)
            return (*self._object(value, depth), ("items", items)) if own_kind else items
        if isinstance(value, type) or callable(value):
            name, values = self.code(value, depth)
            return (("", name), *values) if values else name
        return self._object(value, depth)

    def _visit(self, value: Any) -> None:
        self.visited[id(value)] = next(self.n_visited)

    def _container(self, value: Any, depth: int) -> Any:
        self._visit(value)
        description: Any
        if isinstance(value, Mapping):
            pairs = list(value.items())
            first_items = pairs[: self._most([held for _, held in pairs])]
            description = tuple((_key(k), self.plain(v, depth + 1)) for k, v in first_items)
            description += ((CUT, f"{len(value)} {CUT}"),) * (len(first_items) < len(value))
        elif isinstance(value, (set, frozenset)):
            description = tuple(sorted(str(self.plain(item, depth + 1)) for item in value))
        else:
            first_items = list(value)[: self._most(value)]
            description = tuple(self.plain(item, depth + 1) for item in first_items)
            description += (f"{len(value)} {CUT}",) * (len(first_items) < len(value))
        del self.visited[id(value)]
        return description

    def _most(self, items: Collection[Any]) -> int:
        if len(items) <= MOST_ITEMS or not all(type(item) in SCALARS for item in items):
            return MOST_ITEMS
        return MOST_NUMBERS

    def _object(self, value: Any, depth: int) -> Any:
        """Class and values of an object."""
        kind = type(value)
        numpy = getattr(value, "tobytes", None)
        if numpy is not None and kind.__module__ == "numpy":
            raw = value.tobytes()
            return f"{value.dtype}{list(value.shape)} {hashlib.blake2b(raw).hexdigest()[:12]}"
        if isinstance(value, (logging.Logger, types.ModuleType)):
            return kind.__qualname__
        if isinstance(value, contextvars.ContextVar):
            return self.plain(value.get(None), depth + 1)
        self._visit(value)
        attributes = dict(getattr(value, "__dict__", None) or {})
        for base in kind.__mro__:
            for name in _slots(base):
                if name not in attributes and hasattr(value, name):
                    attributes[name] = getattr(value, name)
        simple = () if attributes else _in_words(value)
        some = list(attributes.items())[:MOST_ITEMS]
        text, values = self.code(kind, depth)
        return (
            ("class", text),
            *values,
            *simple,
            *((name, self.plain(attribute, depth + 1)) for name, attribute in some),
            *(((CUT, f"{len(attributes)} {CUT}"),) if len(some) < len(attributes) else ()),
        )

    def _module(self, module: torch.nn.Module, depth: int) -> Any:
        """A module that stands nowhere in the model, yet is used: classes, values and weights."""
        part_descriptions = []
        for name, part in module.named_modules():
            self._visit(part)
            attributes = {k: v for k, v in vars(part).items() if k not in _OF_MODULES}
            tensors = part._parameters | part._buffers
            text, values = self.code(type(part), depth)
            part_descriptions.append((
                name,
                (
                    ("class", text),
                    *values,
                    *((k, self.plain(v, depth + 1)) for k, v in attributes.items()),
                    *((k, tensor_summary(v)) for k, v in tensors.items() if v is not None),
                ),
            ))  # fmt: skip
        return tuple(part_descriptions)

    def code(self, value: Any, depth: int = 0) -> tuple[str, tuple[tuple[str, Any], ...]]:
        """(Name and digest of the code of a function or a class, the values that it holds)."""
        if isinstance(value, functools.partial):
            text, values = self.code(value.func, depth)
            return text, (("partial", self.plain((value.args, value.keywords), depth + 1)), *values)
        if isinstance(value, (staticmethod, classmethod)):
            return self.code(value.__func__, depth)
        if isinstance(value, types.MethodType):
            text, values = self.code(value.__func__, depth)
            return text, (("self", self.plain(value.__self__, depth + 1)), *values)
        if isinstance(value, types.BuiltinFunctionType):
            owner = value.__self__
            is_free = owner is None or isinstance(owner, (types.ModuleType, type))
            values = () if is_free else (("self", self.plain(owner, depth + 1)),)
            return f"{qualified_name(value)}#", values
        if not isinstance(value, (types.FunctionType, type)):
            name, digest = qualified_name(value), code_of(type(value)).text.rpartition("#")[2]
            return f"{name}#{digest}", ((name, self._object(value, depth + 1)),)
        code = code_of(value)
        if id(value) in self.visited:
            is_told = isinstance(value, type) or not code.held  # by its code, from others
            return code.text if is_told else f"{code.text} {self.visited[id(value)]}", ()
        self._visit(value)
        return code.text, tuple((name, self.plain(held, depth)) for name, held in code.held)


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


def _home(function: types.FunctionType) -> str | None:
    """The module that a function's code is in: a wrapper may bear the name of what it wraps."""
    return function.__globals__.get("__name__")


def _is_known(home: str | None) -> bool:
    """Whether what a module holds is no user's value: one of a library."""
    top = str(home).partition(".")[0]
    return top in _FOREIGN or top in _LIBRARIES or top in sys.stdlib_module_names


def _is_code(value: Any) -> bool:
    """Whether a library's name stands for code or a word, or for what is not a library's."""
    is_code = type(value) in SCALARS or isinstance(value, _CODE_KINDS)
    return is_code or not _is_known(type(value).__module__)


def _is_read(name: str, member: Any, is_known: bool) -> bool:
    """Whether a member of a class that is no function may be read as a model runs."""
    if is_known:
        return type(member) in SCALARS and not name.startswith("_")
    return name != "_abc_impl" and (callable(member) or not _is_dunder(name))


def _is_followed(kind: type) -> bool:
    """Whether all of a library's class is code of a model: a layer, a function of autograd."""
    is_layer = kind.__module__.startswith(_FOLLOWED) and issubclass(kind, torch.nn.Module)
    function = torch.autograd.Function
    return is_layer or (issubclass(kind, function) and kind is not function)


def _inner_of(value: Any) -> Any:
    """The function behind one that keeps results, or that a library's object is bound to."""
    if isinstance(value, functools._lru_cache_wrapper):
        return value.__wrapped__
    is_bound = isinstance(value, types.MethodType) and _is_known(type(value.__self__).__module__)
    return value.__func__ if is_bound else value


def _is_dunder(name: str) -> bool:
    """Whether a name is one of Python's own."""
    return name.startswith("__") and name.endswith("__")


def _functions_in(member: Any) -> list[types.FunctionType]:
    """The functions that a member of a class is, or consists of."""
    if isinstance(member, property):
        parts: tuple[Any, ...] = (member.fget, member.fset, member.fdel)
    else:
        parts = (member.__func__ if isinstance(member, (staticmethod, classmethod)) else member,)
    return [part for part in parts if isinstance(part, types.FunctionType)]


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing is there yet
        return None


def _names_read(code: types.CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Names of globals and attributes in a function and those inside it; modules imported there."""
    cached_entry = _names_of.get(id(code))
    if cached_entry is None or cached_entry[0] is not code:
        inside = [
            _names_read(constant)
            for constant in code.co_consts
            if isinstance(constant, types.CodeType)
        ]
        steps = list(dis.get_instructions(code)) if _IMPORT in code.co_code[::2] else []
        imports = [  # two steps before stands 0, or how many packages up
            f"{'' if level.argval == 0 else '.'}{step.argval}"
            for level, step in zip(steps, steps[2:], strict=False)
            if step.opname == "IMPORT_NAME"
        ]
        cached_entry = _names_of[id(code)] = (
            code,
            frozenset(code.co_names).union(*(names for names, _ in inside)),
            frozenset(imports).union(*(modules for _, modules in inside)),
        )
    return cached_entry[1:]


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


def is_cut(value: Any) -> bool:
    """Whether a description ends somewhere before what it describes."""
    if type(value) is tuple:
        return any(map(is_cut, value))
    return type(value) is str and value.endswith(CUT)
