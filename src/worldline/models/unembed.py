"""What lies between the last row and the logits, where it is a norm and an unembedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch

from worldline.models.exclusive_use import exclusive, own_hooks

if TYPE_CHECKING:
    from torch import Tensor

N_PROBE = 4
_known: WeakKeyDictionary[torch.nn.Module, Ends | None] = WeakKeyDictionary()


def tail_of(model: torch.nn.Module) -> Ends | None:
    """The function from the last row to the logits; None where `find_tail` finds no such.

    Looked for once a model and output embedding.
    """
    head = model.get_output_embeddings()  # type: ignore[operator]
    if model not in _known or getattr(_known[model], "head", None) is not head:
        _known[model] = find_tail(model, range(1, 1 + N_PROBE))
    return _known[model]


def forget_tail(model: torch.nn.Module) -> None:
    """The model changed: look for its end again."""
    _known.pop(model, None)


@torch.no_grad()
def unembedding_numbers(model: torch.nn.Module) -> Tensor | None:
    """A number for every row of the output embedding, [d_vocab]: its product with a fixed vector.

    A row that changed has another one. None where the model has no output embedding that says how
    wide its input is.
    """
    head = model.get_output_embeddings()  # type: ignore[operator]
    width = getattr(head, "in_features", None)
    if width is None:
        return None
    parameters = [p for p in head.parameters() if p.is_floating_point()]
    like = parameters[0] if parameters else torch.empty(0)
    row = torch.randn(1, width, generator=torch.Generator().manual_seed(0))
    return head.forward(row.to(like.device, like.dtype))[0]  # no run: hooks hear nothing of it


@dataclass(frozen=True, eq=False)
class Ends:
    """A model's last norm and its unembedding."""

    norm: torch.nn.Module
    head: torch.nn.Module

    def __call__(self, rows: Tensor) -> Tensor:
        """From rows of the residual stream to logits."""
        return self.head(self.norm(rows))


def find_tail(model: torch.nn.Module, ids: Sequence[int]) -> Ends | None:
    """The function from the last row to the logits, or None if it is not norm, then unembedding.

    Found by watching which module feeds the output embedding, and accepted only if it gives
    the model's logits bitwise.
    """
    head = model.get_output_embeddings()  # type: ignore[operator]
    if head is None:
        return None
    device = next(model.parameters()).device
    probe = torch.tensor([list(ids[:N_PROBE])], device=device)
    module_outputs: dict[int, tuple[torch.nn.Module, Tensor, Tensor]] = {}
    head_inputs: list[Tensor] = []

    def after(module, args, out):
        if len(args) == 1 and isinstance(args[0], torch.Tensor) and isinstance(out, torch.Tensor):
            module_outputs[id(out)] = (module, args[0], out)

    def at_head(_module, args):
        head_inputs.append(args[0])

    leaves = [m for m in model.modules() if m is not head and not any(True for _ in m.children())]
    with exclusive(model), own_hooks() as hooks, torch.no_grad():
        for leaf in leaves:
            hooks.after(leaf, after)
        hooks.before(head, at_head)
        logits = model(input_ids=probe, use_cache=False).logits
    if not head_inputs:
        return None
    norm = _maker(head_inputs[0], module_outputs)
    if norm is None:
        return None
    module, x, _ = norm
    with torch.no_grad():
        is_exact = torch.equal(head(module(x)), logits)
    return Ends(module, head) if is_exact else None


def _maker(tensor: Tensor, module_outputs):
    """The (module, input, output) that made `tensor`, or a view of it."""
    producer = module_outputs.get(id(tensor))
    if producer is not None:
        return producer
    for module, x, out in module_outputs.values():
        if out.data_ptr() == tensor.data_ptr() and out.shape == tensor.shape:
            return module, x, out
    return None
