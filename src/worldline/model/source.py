"""What loads a model again, as long as it is still the model that was loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from worldline.model.weights import WeightsAsLoaded

if TYPE_CHECKING:
    import torch

_SWITCHES = ("_active_adapter", "_disable_adapters", "scaling", "merged_adapters")  # of peft


class Source:
    """A name that was loaded, and what it became.

    **Exactness**: weights are compared by the marks of `WeightsAsLoaded`; parts of the module by
    name and class, the configuration by its values. Hooks and patched functions are not looked at:
    they are part of a run's identity, not of the loading.
    """

    def __init__(self, name: str, module: torch.nn.Module) -> None:
        self._name = name
        self._weights = WeightsAsLoaded(module)
        self._form = _form(module)

    def still(self, module: torch.nn.Module) -> str | None:
        """The name, if the module is what it loads; None where that was changed since."""
        same = _form(module) == self._form and self._weights.are_those_of(module)
        return self._name if same else None


def _form(module: torch.nn.Module) -> tuple[Any, ...]:
    config: Any = module.config
    parts = [
        (name, type(part), part.extra_repr(), _switches(part))
        for name, part in module.named_modules()
    ]
    return config.to_dict(), parts


def _switches(part: torch.nn.Module) -> str:
    """How an adapter's part is set: which adapters act, how strongly, or none."""
    values = vars(part)
    return repr([values[name] for name in _SWITCHES if name in values])
