"""What makes a model answer one text in two ways: dropout, draws, hooks that count."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, no_type_check

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from worldline.models.fingerprint import looks_on, qualified_name

#: Attributes that say how much is dropped or shaken in train mode: dropout, layerdrop, jitter.
_DROPPING = ("drop", "jitter", "noise")
MOST_NAMED = 3
N_NUMPY = 3


def dropping(module: torch.nn.Module) -> str:
    """Which modules are in train mode and drop numbers at random; "" where none does."""
    dropouts = []
    for name, part in module.named_modules():
        if not part.training:
            continue
        if isinstance(part, torch.nn.modules.dropout._DropoutNd):
            chances = {"p": part.p}
        else:
            chances = {n: v for n, v in vars(part).items() if any(d in n for d in _DROPPING)}
        dropouts += [
            f"{name or 'the model'} ({attribute}={value})"
            for attribute, value in chances.items()
            if type(value) in (int, float) and value > 0
        ]
    if not dropouts:
        return ""
    return (
        f"it is in train mode (.training is True) and drops numbers at random: "
        f"{_join_first(dropouts)}; "
        "call .eval() on it"
    )


def _idle(operation: str, arguments: dict[str, Any]) -> bool:
    """Whether an operation that may draw does not: attention that drops nothing, say."""
    if arguments.get("train", arguments.get("training", True)) is False:
        return True
    left_out = 0.0 if "attention" in operation else 1.0
    chance = arguments.get("dropout_p", arguments.get("dropout", arguments.get("p", left_out)))
    return isinstance(chance, (int, float)) and chance == 0


def drawing(module: torch.nn.Module, inputs: dict[str, Any]) -> str:
    """What draws random numbers in a plain run; "" where nothing does.

    Seen are this thread's operations alone: what another thread draws meanwhile is not counted.
    """
    mode = _Draws()
    with torch.no_grad(), _where(module, mode), _calls(mode), mode:
        module(**inputs)
    if not mode.draws:
        return ""
    return (
        f"it draws random numbers as it runs: {_join_first(list(dict.fromkeys(mode.draws)))}; "
        "accepted are models that answer one text in one way (.eval() switches dropout off)"
    )


def numpy_drawn(module: torch.nn.Module, inputs: dict[str, Any]) -> bool:
    """Whether NumPy's own generator moved in each of a few plain runs.

    By whose hand cannot be told: a busy thread may do it too, so that this is no finding to keep.
    """
    import numpy as np

    for _ in range(N_NUMPY):
        before = np.random.get_state(legacy=False)["state"]
        with torch.no_grad():
            module(**inputs)
        after = np.random.get_state(legacy=False)["state"]
        if before["pos"] == after["pos"] and np.array_equal(before["key"], after["key"]):
            return False
    return True


def hooks_of(module: torch.nn.Module) -> str:
    """Hooks and forwards put in place of others, which may remember what ran before."""
    hook_names = []
    for name, part in module.named_modules():
        for slot in ("_forward_pre_hooks", "_forward_hooks"):
            hook_names += [
                f"the hook {qualified_name(hook)} on {name or 'the model'}"
                for hook in list(vars(part)[slot].values())
                if not looks_on(hook)
            ]
        if "forward" in vars(part):
            hook_names.append(
                f"the forward of {name or 'the model'}, {qualified_name(vars(part)['forward'])}"
            )
    return _join_first(hook_names)


def _join_first(items: list[str]) -> str:
    more = f" and {len(items) - MOST_NAMED:,} more" if len(items) > MOST_NAMED else ""
    return ", ".join(items[:MOST_NAMED]) + more


class _Draws(TorchDispatchMode):
    """Notes operations that draw from one of torch's default generators."""

    def __init__(self) -> None:
        super().__init__()
        self.draws: list[str] = []
        self.stack: list[str] = []

    def note(self, operation: str) -> None:
        """Something was drawn, in the module that runs."""
        self.draws.append(
            f"{operation} in {self.stack[-1] or 'the model'}" if self.stack else operation
        )

    @no_type_check
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags:
            names = [argument.name for argument in func._schema.arguments]
            call_arguments = dict(zip(names, args, strict=False)) | kwargs
            if call_arguments.get("generator") is None and not _idle(
                func._schema.name, call_arguments
            ):
                self.note(func._schema.name.removeprefix("aten::"))
        return func(*args, **kwargs)


@contextmanager
def _where(module: torch.nn.Module, mode: _Draws) -> Iterator[None]:
    """Have `mode` know which module runs."""
    handles = []
    for name, part in module.named_modules():

        def push(_module, _args, name=name):
            mode.stack.append(name)

        def pop(_module, _args, _out):
            mode.stack.pop()

        handles.append(part.register_forward_pre_hook(push, prepend=True))
        handles.append(part.register_forward_hook(pop))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _calls(mode: _Draws) -> Iterator[None]:
    """Have `mode` hear of draws from Python's generators in this thread."""

    def see(frame, event, function):
        if event == "c_call" and isinstance(getattr(function, "__self__", None), random.Random):
            while frame is not None and frame.f_globals.get("__name__") == "random":
                frame = frame.f_back
            home = "" if frame is None else str(frame.f_globals.get("__name__"))
            if not home.startswith("transformers."):  # it draws for layerdrop, used in training
                mode.note(f"Python's {function.__name__}")

    before = sys.getprofile()
    if before is not None:  # somebody measures: leave that be
        yield
        return
    sys.setprofile(see)
    try:
        yield
    finally:
        sys.setprofile(before)
