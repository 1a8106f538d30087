"""What of torch itself is somebody else's: functions in place of its own, modes that are entered.

Models look functions up in torch's modules as they run, and a mode hears of every operation.
"""

from __future__ import annotations

import functools
import types
from typing import Any

import torch
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

#: Where models find functions. What is in place as this is imported is known by where it is from.
_SPACES: dict[str, Any] = {
    "torch.nn.functional": torch.nn.functional,
    "torch.Tensor": torch.Tensor,
    "torch": torch,
    "torch.special": torch.special,
    "torch.linalg": torch.linalg,
    "torch.fft": torch.fft,
}
_OF_TORCH = ("torch", "typing", "typing_extensions", "functools")
_FIRST = {name: dict(vars(space)) for name, space in _SPACES.items()}
_INHERITED = vars(torch.Tensor.__base__)  # methods that one of torch.Tensor's own would hide
_last: tuple[list[list[Any]], dict[str, Any]] | None = None


def replaced_functions() -> dict[str, Any]:
    """Functions in place of torch's, by name: others', and torch's own under other names."""
    global _last
    current_functions = [list(vars(space).values()) for space in _SPACES.values()]
    last = _last
    if last is None or last[0] != current_functions:  # functions are equal to themselves alone
        foreign_functions = {
            f"{name}.{key}": value
            for name, space in _SPACES.items()
            for key, value in list(vars(space).items())
            if _is_replaced(name, key, value)
        }
        last = _last = current_functions, foreign_functions
    return last[1]


def _is_replaced(space: str, key: str, value: Any) -> bool:
    if isinstance(value, (type, types.ModuleType)) or not callable(value):
        return False
    if _home(value).partition(".")[0] not in _OF_TORCH:
        return True
    if getattr(value, "__name__", key) == key:  # torch itself wraps some as it comes to need it
        return False
    inherited_value = _INHERITED.get(key, value) if space == "torch.Tensor" else value
    return _FIRST[space].get(key, inherited_value) is not value


def _home(function: Any) -> str:
    """The module that a function's code is in: a wrapper may bear the name of what it wraps."""
    if isinstance(function, types.MethodType):
        return _home(function.__func__)
    if isinstance(function, functools._lru_cache_wrapper):
        return _home(function.__wrapped__)
    if isinstance(function, types.FunctionType):
        return str(function.__globals__.get("__name__"))
    if isinstance(function, functools.partial):
        return "a partial call"
    home = type(function).__module__
    return "torch" if home == "builtins" else home


def entered_modes() -> list[Any]:
    """The modes around this call that are neither worldline's nor a default device."""
    stacks = (_get_current_function_mode_stack(), _get_current_dispatch_mode_stack())
    return [mode for stack in stacks for mode in stack if not _is_own(type(mode))]


def _is_own(kind: type) -> bool:
    home = kind.__module__
    return home.partition(".")[0] == "worldline" or home == "torch.utils._device"


def around() -> str:
    """What of others takes part, for the end of a refusal: "" where all is torch's own."""
    functions = [f"{name} is {_name_of(value)}" for name, value in replaced_functions().items()]
    modes = [f"the mode {type(mode).__qualname__} is entered" for mode in entered_modes()]
    return f" ({', '.join([*functions, *modes][:3])})" if functions or modes else ""


def _name_of(function: Any) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{_home(function)}.{str(name).rpartition('<locals>.')[2]}"
