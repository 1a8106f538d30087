"""Weights that take no gradient in one thread, and are left as they are for every other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, no_type_check

import torch
from torch.overrides import TorchFunctionMode

from worldline.models.exclusive_use import exclusive


class _DetachedWeights(TorchFunctionMode):
    """Hands every call in this thread the weights' values in place of the weights."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.asking = [weight for weight in module.parameters() if weight.requires_grad]
        self.values: dict[int, Any] = {}
        for weight in self.asking:
            value: Any = weight.detach()
            value._worldline_parameter = True
            self.values[id(weight)] = value

    @no_type_check
    def __torch_function__(self, func, types, args=(), kwargs=None):
        if kwargs:
            kwargs = {name: self._value(value) for name, value in kwargs.items()}
        return func(*map(self._value, args), **(kwargs or {}))

    def _value(self, value: Any) -> Any:
        if type(value) is tuple or type(value) is list:
            return type(value)(map(self._value, value))
        return self.values.get(id(value), value)


@contextmanager
def held_weights(module: torch.nn.Module) -> Iterator[None]:
    """No weight takes part in gradients inside, in this thread.

    The weights themselves are not touched: a thread of the user's own that trains the model
    meanwhile gets all its gradients.
    """
    with exclusive(module), _DetachedWeights(module):
        yield
