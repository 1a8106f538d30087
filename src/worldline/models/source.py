"""What loads a model again, as long as it is still the model that was loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from worldline.models.weights import WeightsAsLoaded
from worldline.tokens.tokenizer import settings_of

if TYPE_CHECKING:
    import torch

_LIBRARIES = ("torch.", "transformers.", "peft.", "accelerate.")


class Source:
    """A name that was loaded, and what it became.

    **Exactness**: weights are compared by the marks of `WeightsAsLoaded`, everything else by what
    `identify` looks at: classes, hooks, functions in place of others, configurations, attributes,
    adapters, what torch is set to (its threads apart); of the tokenizer its settings and added
    tokens. What was in place before the loading has no source either: hooks on all modules, a
    forward of the libraries' classes, the implementation of attention, and what
    `replaced_functions` and `entered_modes` see. Other patched functions are not looked for.
    """

    def __init__(self, name: str, module: torch.nn.Module, tokenizer: Any) -> None:
        self._name = None if _is_patched(module) else name
        self._weights = WeightsAsLoaded(module)
        self._make_up = _make_up(module, tokenizer)

    def still(self, module: torch.nn.Module, tokenizer: Any) -> str | None:
        """The name, if module and tokenizer are what it loads; None where they were changed."""
        is_unchanged = (
            self._weights.are_those_of(module) and _make_up(module, tokenizer) == self._make_up
        )
        return self._name if is_unchanged else None


def _make_up(module: torch.nn.Module, tokenizer: Any) -> tuple[Any, ...]:
    from worldline.models.identity import THREADS, facts_of, settings_now

    around = {name: value for name, value in settings_now().items() if name != THREADS}
    return facts_of(module), around, settings_of(tokenizer)


def _is_patched(module: torch.nn.Module) -> bool:
    """Whether what a plain process has not was there before: hooks on all, code of others."""
    from worldline.models.identity import facts_of, rounds_products
    from worldline.models.torch_patches import entered_modes, replaced_functions

    code, _ = facts_of(module)
    if any(place.endswith("of all modules") for place in code):
        return True
    if replaced_functions() or entered_modes() or rounds_products():
        return True
    kinds = {base for part in module.modules() for base in type(part).__mro__[:-1]}
    forwards = [vars(kind).get("forward") for kind in kinds if _of_library(kind.__module__)]
    functions = [table[name] for name, table in _functions_of(module) if name in table]
    homes = [
        getattr(function, "__module__", None)
        for function in (*forwards, *functions)
        if function is not None
    ]
    return any(not _of_library(home) for home in homes)


def _functions_of(module: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """The implementation of attention by name, and the tables that the name is looked up in."""
    from worldline.models.attention import implementation_of
    from worldline.models.identity import function_tables

    for _, table in function_tables("attention"):
        yield implementation_of(module), table


def _of_library(name: str | None) -> bool:
    return str(name).startswith(_LIBRARIES)
