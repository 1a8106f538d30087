"""Two states inside a block that no name gives away: keys before positions, and the MLP's hidden.

Found in what the block's own modules returned while it ran, by what they must be: a key that is
turned by its position keeps its length, and is itself at position 0; what the MLP's last matrix
reads is wider than the stream, and what it writes is as wide.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from worldline.models.attention import AttentionCall
from worldline.models.exclusive_use import OwnHooks

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.models.tracer import BlockEvent

CLOSE = 1e-3  # relative; keys turned in half precision move by less


@dataclass(eq=False)
class Inside:
    """What the modules of the blocks were given and returned, since the last `take`."""

    blocks: list[torch.nn.Module]
    module_calls: list[tuple[torch.nn.Module, Tensor, Tensor]] = field(default_factory=list)

    def __enter__(self) -> Inside:
        self.hooks = OwnHooks()
        for module in (module for block in self.blocks for module in block.modules()):
            if next(module.children(), None) is None:
                self.hooks.after(module, self._note)
        return self

    def __exit__(self, *_error: object) -> None:
        self.hooks.remove()
        self.module_calls.clear()

    def _note(self, module: torch.nn.Module, args: tuple[Any, ...], out: Any) -> None:
        if args and isinstance(args[0], torch.Tensor) and isinstance(out, torch.Tensor):
            self.module_calls.append((module, args[0], out))

    def take(
        self, event: BlockEvent
    ) -> tuple[
        Float[Tensor, "kv_head pos d_head"] | None,
        Float[Tensor, "pos d_hidden"] | None,
    ]:
        """Of the block that just ended: keys before positions, and the MLP's hidden; None: unknown.

        Exactness: bitwise what a module of the model returned, or was given.
        """
        block_calls, self.module_calls = self.module_calls, []
        keys = _keys_before_rotation(block_calls, event.calls[0]) if len(event.calls) == 1 else None
        return keys, _mlp_hidden(block_calls, event)


def _keys_before_rotation(
    module_calls: list[tuple[torch.nn.Module, Tensor, Tensor]], call: AttentionCall
) -> Tensor | None:
    """The last thing a module returned that the keys are, but for a turn at each position."""
    k = call.k[0]
    for _, _, out in reversed(module_calls):
        for candidate in _cut_like(out, k):
            if _is_before_rotation(candidate, k):
                return candidate.contiguous()
    return None


def _cut_like(out: Tensor, k: Float[Tensor, "kv_head pos d_head"]) -> list[Tensor]:
    """The parts of a module's output that have the keys' shape."""
    heads, n_pos, d_head = k.shape
    width = heads * d_head
    if out.ndim == 4 and out.shape[0] == 1:
        batch_item = out[0]
        if batch_item.shape == k.shape:
            return [batch_item]
        return [batch_item.transpose(0, 1)] if batch_item.shape == (n_pos, heads, d_head) else []
    flat = out.reshape(-1, out.shape[-1])
    if flat.shape[0] != n_pos or flat.shape[1] % d_head:
        return []
    parts = [
        flat[:, at : at + width].view(n_pos, heads, d_head).transpose(0, 1)
        for at in _alike_at_first(flat[0], k[:, 0].reshape(-1), d_head)
    ]
    if flat.shape[1] == 3 * width:  # queries, keys and values head by head
        parts.append(flat.view(n_pos, heads, 3, d_head)[:, :, 1].transpose(0, 1))
    return parts


def _alike_at_first(row: Tensor, first: Tensor, step: int) -> list[int]:
    """Where a row holds the first position's keys: all places at once, for there are many."""
    if len(row) < len(first):
        return []
    row, first = row.float(), first.float()
    distances = (row.unfold(0, len(first), step) - first).norm(dim=-1)
    return [step * int(at) for at in (distances <= CLOSE * first.norm()).nonzero()]


def _is_before_rotation(candidate: Tensor, k: Tensor) -> bool:
    """Whether these are the keys before a turn that is none at position 0."""
    first, first_keys = candidate[:, 0].float(), k[:, 0].float()  # few are left after one position
    if not bool(((first - first_keys).norm(dim=-1) <= CLOSE * first_keys.norm(dim=-1)).all()):
        return False
    size = k.float().norm(dim=-1)
    return bool(((candidate.float().norm(dim=-1) - size).abs() <= CLOSE * size).all())


def _mlp_hidden(
    module_calls: list[tuple[torch.nn.Module, Tensor, Tensor]], event: BlockEvent
) -> Tensor | None:
    """What the only matrix that writes to the stream from something wider was given."""
    n_pos, d_model = event.resid_pre.shape[1:]
    wide = [
        module_input.reshape(n_pos, -1)
        for module, module_input, out in module_calls
        if getattr(getattr(module, "weight", None), "ndim", 0) == 2
        and module_input.numel() % n_pos == 0
        and module_input.shape[-1] > d_model
        and module_input.numel() == n_pos * module_input.shape[-1]
        and out.numel() == n_pos * d_model
        and not _is_read(module_input, event.calls)
    ]
    return wide[0] if len(wide) == 1 else None


def _is_read(module_input: Tensor, calls: list[AttentionCall]) -> bool:
    """Whether this is what an attention read returned."""
    return any(
        module_input.numel() == call.z[0].numel()
        and torch.equal(module_input.reshape(-1), call.from_heads(call.z).reshape(-1))
        for call in calls
    )
