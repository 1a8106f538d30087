"""Continues a text token by token, with the model's own K/V cache where it has one."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from worldline.errors import InputError
from worldline.models.exclusive_use import exclusive, own_hooks
from worldline.steps import step

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

LARGEST_SEED = 2**63


def continuation(
    module: torch.nn.Module,
    ids: Sequence[int],
    *,
    temperature: float,
    seed: int,
    max_tokens: int,
    stop: Collection[int],
) -> Iterator[int]:
    """Ids that follow `ids`; see `LoadedModel.continuation`."""
    if not ids:
        raise InputError("a continuation of no tokens: give at least one")
    if not 0 <= temperature < float("inf"):
        raise InputError(f"temperature {temperature}: accepted are numbers from 0")
    if max_tokens < 0:
        raise InputError(f"max_tokens {max_tokens}: accepted are whole numbers from 0")
    return _draw_tokens(module, list(ids), temperature, seed % LARGEST_SEED, max_tokens, stop)


def _draw_tokens(
    module: torch.nn.Module,
    ids: list[int],
    temperature: float,
    seed: int,
    max_tokens: int,
    stop: Collection[int],
) -> Iterator[int]:
    chance = torch.Generator().manual_seed(seed)
    ask, fresh = Asking(module), ids
    for _ in range(max_tokens):
        step()
        token = draw(ask(ids, fresh), temperature, chance)
        ids, fresh = [*ids, token], [token]
        yield token
        if token in stop:
            return


class Asking:
    """The logits after a text that grows; what was read stays in the model's cache.

    A model that hands back no cache reads the whole text every time.
    """

    def __init__(self, module: torch.nn.Module):
        self.module, self.cache = module, None
        self.device = next(module.parameters()).device
        accepted = inspect.signature(module.forward).parameters
        self.caching = "cache" in accepted
        self.options: dict[str, Any] = {"use_cache": self.caching}
        if "logits_to_keep" in accepted:
            self.options["logits_to_keep"] = 1
        self.parts = list(module.modules())
        lists = (part for part in self.parts if isinstance(part, torch.nn.ModuleList))
        self.blocks = list({id(block): block for blocks in lists for block in blocks}.values())

    def __call__(self, ids: list[int], fresh: list[int]) -> Float[Tensor, " d_vocab"]:
        """Logits of the next token after `ids`, of which all but `fresh` were read before."""
        given = ids if self.cache is None else fresh
        inputs = {"input_ids": torch.tensor([given], device=self.device)}
        if self.cache is not None:
            inputs["cache"] = self.cache
        # around the pass alone: between two tokens the caller runs
        with exclusive(self.module), torch.no_grad(), own_hooks() as hooks:
            # between any two parts where much is read, which takes its time, else between blocks
            for part in self.parts if len(given) > 1 else self.blocks:
                hooks.before(part, lambda *_: step())
            seen = self.module(**inputs, **self.options)
        if self.caching:
            self.cache = getattr(seen, "cache", None)
        return seen.logits[0, -1]


def draw(logits: Float[Tensor, " d_vocab"], temperature: float, chance: torch.Generator) -> int:
    """One token: the likeliest at temperature 0, else where a random number falls among all.

    In float64 on the CPU, so that one seed gives one token wherever the logits are equal.
    """
    scores = logits.detach().cpu().double()
    if bool(scores.isnan().any()):
        raise InputError("the model's logits are not numbers: nothing can be drawn from them")
    if temperature == 0:
        return int(scores.argmax())
    heights = torch.softmax(scores / temperature, -1).cumsum(-1)
    at = torch.rand(1, generator=chance, dtype=torch.float64) * heights[-1]
    return min(int(torch.searchsorted(heights, at, right=True)), len(heights) - 1)
