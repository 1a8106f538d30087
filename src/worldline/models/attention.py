"""One attention read as it really happened, and the private keys through which it is reached."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float  # at run time, or the tests' checks of shapes say nothing
from torch import Tensor

from worldline.errors import RefusedError
from worldline.models.exclusive_use import configs_of, exclusive
from worldline.models.terms import Term

MASKED = -5e3  # an additive mask below this forbids; real masks are -1e4, the dtype's minimum, -inf
SCRATCH_BYTES = {"cpu": 2 << 20}  # a block of rows stays near the processor's cache
SCRATCH_BYTES_ELSEWHERE = 1 << 27  # an accelerator wants more to do at a time
FEWEST_ROWS = 48


@dataclass(eq=False)
class AttentionCall:
    """What the attention function was given and what it returned, heads before positions.

    The pattern is softmax(cap(scaling q k) + bias) over the allowed sources and the sinks.

    Attributes:
        layer: The block that reads.
        index: Which of the block's reads this is.
        module: The module that reads, by its name.
        q: [batch, head, pos, d_key].
        k: [batch, kv_head, pos, d_key].
        v: [batch, kv_head, pos, d_value].
        z: [batch, head, pos, d_value].
        leaf: z as the block sees it.
        layout: How its axes lie there: "head_first", "pos_first", "pos_outermost" or "folded".
        scaling: Factor of the scores.
        allowed: Booleans [batch or 1, head or 1, q_pos, k_pos]: who may be read; None is plain
            causal.
        bias: Added to the scores; broadcasts to [batch, head, q_pos, k_pos].
        softcap: Bound of the scores; None for none.
        sinks: [head], scores of nothing, which take their part of the softmax.
        source: How the read was reached: by a "key", as torch's own "sdpa", or recognised by its
            "softmax".
        kv_layer: The block that wrote K and V (itself unless layers share them).
    """

    layer: int
    index: int
    module: str
    q: Tensor
    k: Tensor
    v: Tensor
    z: Tensor
    leaf: Term
    layout: str
    scaling: float
    allowed: Tensor | None = None
    bias: Tensor | None = None
    softcap: float | None = None
    sinks: Tensor | None = None
    source: str = "key"
    kv_layer: int = -1

    @property
    def n_heads(self) -> int:
        """Number of query heads."""
        return self.q.shape[1]

    def release_inputs(self) -> None:
        """Copy views that would keep larger buffers alive."""
        for name in ("q", "k", "v", "z"):
            tensor = getattr(self, name).detach()
            spare = tensor.untyped_storage().nbytes() > 1.5 * tensor.numel() * tensor.element_size()
            setattr(self, name, tensor.clone() if spare else tensor)

    def block_rows(self) -> int:
        """How many destination rows to treat at a time."""
        n_pos = self.q.shape[2]
        n_blocks = -(-n_pos // max(FEWEST_ROWS, self._scratch() // max(1, self._row_bytes())))
        return -(-n_pos // max(1, n_blocks))

    def reads_at_once(self) -> int:
        """How many reads of this kind, side by side, fill a block of the fewest rows."""
        rows = min(self.q.shape[2], FEWEST_ROWS)
        return max(1, self._scratch() // max(1, self._row_bytes() * rows))

    def _scratch(self) -> int:
        return SCRATCH_BYTES.get(self.q.device.type, SCRATCH_BYTES_ELSEWHERE)

    def _row_bytes(self) -> int:
        return self.n_heads * self.q.shape[2] * max(4, self.q.element_size())

    def kind(self) -> tuple[object, ...]:
        """Equal for reads that `side_by_side` can put together."""
        shapes = tuple((t.shape, t.dtype, t.device) for t in (self.q, self.k, self.v))
        own_heads = any(t is not None and t.shape[1] > 1 for t in (self.allowed, self.bias))
        alone = id(self) if own_heads else None
        masks = id(self.allowed), id(self.bias), self.sinks is None
        return (*shapes, self.scaling, self.softcap, *masks, alone)

    def n_edges(self, first: int = 0, end: int | None = None) -> int:
        """Number of edges, src < dst and allowed by the mask, over all heads.

        Of destinations `first` up to `end` alone, where these are given.
        """
        end = self.q.shape[2] if end is None else end
        if self.allowed is None:
            return self.n_heads * (end * (end - 1) - first * (first - 1)) // 2
        n_allowed, step = 0, self.block_rows()
        for start in range(first, end, step):
            allowed_mask = self.allowed_rows(start, min(end, start + step))
            rows = torch.arange(start, start + allowed_mask.shape[1], device=allowed_mask.device)
            earlier = (
                torch.arange(allowed_mask.shape[2], device=allowed_mask.device) < rows[:, None]
            )
            n_allowed += int((allowed_mask & earlier).sum())
        return n_allowed * (self.n_heads if self.allowed.shape[1] == 1 else 1)

    def products(
        self,
        left: Float[Tensor, "head rows d"],
        right: Float[Tensor, "kv_head pos d"],
        factor: float = 1.0,
        out: Tensor | None = None,
    ) -> Float[Tensor, "head rows pos"]:
        """`factor` <left, right> for every row and source, grouped heads not copied."""
        heads, rows, d = left.shape
        group = heads // right.shape[0]
        grouped_left = left.reshape(right.shape[0], group * rows, d)
        if out is None:  # differentiable, as `out=` is not
            inner_products = torch.baddbmm(
                grouped_left.new_zeros(()),
                grouped_left,
                right.transpose(1, 2),
                beta=0,
                alpha=factor,
            )
        else:
            inner_products = out.view(right.shape[0], group * rows, right.shape[1])
            torch.baddbmm(
                inner_products,
                grouped_left,
                right.transpose(1, 2),
                beta=0,
                alpha=factor,
                out=inner_products,
            )
        return inner_products.view(heads, rows, right.shape[1])

    def allowed_rows(self, start: int, stop: int, batch: int = 0) -> Bool[Tensor, "head rows pos"]:
        """Which sources the rows may read: bool [head|1, rows, stop]."""
        if self.allowed is None:
            rows = torch.arange(start, stop, device=self.q.device)[:, None]
            return (torch.arange(stop, device=self.q.device)[None, :] <= rows)[None]
        item = self.allowed[batch if self.allowed.shape[0] > 1 else 0]
        return item[:, start:stop, :stop]

    def score_rows(self, start: int, stop: int, batch: int = 0) -> Float[Tensor, "head rows pos"]:
        """What the softmax of rows start..stop sees of sources 0..stop, -inf where it may not read.

        Computed anew from q, k, mask, scaling, bias and soft-cap, in float32 at least.
        """
        q, k = self.q[batch, :, start:stop], self.k[batch, :, :stop]
        if q.dtype in (torch.float16, torch.bfloat16):
            q, k = q.float(), k.float()
        scores = self.products(q, k, self.scaling)
        if self.softcap is not None:
            scores.div_(self.softcap).tanh_().mul_(self.softcap)
        if self.bias is not None:
            bias = self.bias[batch if self.bias.shape[0] > 1 else 0]
            rows = bias[:, start:stop] if bias.shape[1] > 1 else bias
            scores += rows[..., :stop]
        if self.allowed is None:
            square = scores[:, :, start:]
            square += square.new_full(square.shape[1:], float("-inf")).triu_(1)
        else:
            scores.masked_fill_(~self.allowed_rows(start, stop, batch), float("-inf"))
        return scores

    def pattern_rows(self, start: int, stop: int, batch: int = 0) -> Float[Tensor, "head rows pos"]:
        """The attention pattern of destination rows start..stop over sources 0..stop.

        The softmax of `score_rows` and the sinks. A row sums to 1, or less where a sink takes
        part; a row that may read nothing is 0.
        """
        return self.softmaxed(self.score_rows(start, stop, batch))

    def scores_at(
        self, rows: Tensor, batch: int = 0, k: Tensor | None = None, q: Tensor | None = None
    ) -> Float[Tensor, "head rows pos"]:
        """As `score_rows`, of any rows over all sources; K and Q of another run may be given.

        Shapes: `k` [kv_head, pos, d_key], `q` [head, pos, d_key].
        """
        q, k = (self.q[batch] if q is None else q)[:, rows], self.k[batch] if k is None else k
        if q.dtype in (torch.float16, torch.bfloat16):
            q, k = q.float(), k.float()
        scores = self.products(q, k, self.scaling)
        if self.softcap is not None:
            scores = (scores / self.softcap).tanh() * self.softcap
        if self.bias is not None:
            bias = self.bias[batch if self.bias.shape[0] > 1 else 0]
            bias = bias[:, rows] if bias.shape[1] > 1 else bias
            scores = scores + bias[..., : scores.shape[-1]]
        return scores.masked_fill(~self.allowed_at(rows, batch), float("-inf"))

    def allowed_at(self, rows: Tensor, batch: int = 0) -> Bool[Tensor, "head rows pos"]:
        """Which sources the rows may read: bool [head|1, rows, pos]."""
        n_pos = self.k.shape[2]
        if self.allowed is None:
            return (torch.arange(n_pos, device=rows.device)[None, :] <= rows[:, None])[None]
        item = self.allowed[batch if self.allowed.shape[0] > 1 else 0]
        return item[:, rows, :n_pos]

    def softmaxed(self, scores: Float[Tensor, "head rows pos"]) -> Float[Tensor, "head rows pos"]:
        """Scores to a pattern: over them and the sinks; a row that may read nothing is 0."""
        if self.sinks is not None:
            column = self.sinks.to(scores.dtype).view(-1, 1, 1).expand(-1, scores.shape[1], 1)
            scores = torch.cat([scores, column], dim=-1).softmax(-1)[..., :-1].contiguous()
        else:
            scores = torch.softmax(scores, -1)
        if self.allowed is None:
            return scores
        return scores.nan_to_num(0.0) if scores.requires_grad else scores.nan_to_num_(0.0)

    def to_heads(self, leaf_shaped: Tensor) -> Float[Tensor, "batch head pos d_value"]:
        """From the layout that the block sees to heads before positions."""
        return heads_first(leaf_shaped, self.layout, self.q.shape[0])

    def from_heads(self, z: Float[Tensor, "batch head pos d_value"]) -> Tensor:
        """From heads before positions to the layout that the block sees."""
        if self.layout == "pos_first":
            return z.transpose(1, 2).contiguous()
        if self.layout == "pos_outermost":
            return z.permute(2, 0, 1, 3).contiguous()
        return z.reshape(-1, *z.shape[2:]) if self.layout == "folded" else z


def heads_first(tensor: Tensor, layout: str, batch: int) -> Tensor:
    """What a block sees of a read, as [batch, head, pos, d]."""
    if layout == "pos_first":
        return tensor.transpose(1, 2)
    if layout == "pos_outermost":
        return tensor.permute(1, 2, 0, 3)
    return tensor.view(batch, -1, *tensor.shape[1:]) if layout == "folded" else tensor


def side_by_side(calls: list[AttentionCall], arrays: Sequence[str]) -> AttentionCall:
    """Reads of one `kind` as one read whose heads are those of all of them.

    What it returns serves for patterns and products: all but `arrays` is the first read's.
    """
    first = calls[0]
    if len(calls) == 1:
        return first

    def concatenate_heads(name: str) -> Tensor:
        return torch.cat([getattr(call, name) for call in calls], 1)  # heads of all

    sinks = None
    if first.sinks is not None:
        sinks = torch.cat([call.sinks for call in calls if call.sinks is not None])
    return dataclasses.replace(
        first, **{name: concatenate_heads(name) for name in arrays}, sinks=sinks
    )


def split_mask(mask: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """An additive or boolean mask as (allowed, bias); a side that says nothing is None."""
    if mask.dtype == torch.bool:
        return mask, None
    allowed_mask = mask > MASKED
    bias = torch.where(allowed_mask, mask, torch.zeros((), dtype=mask.dtype, device=mask.device))
    return allowed_mask, (bias if bool(bias.any()) else None)


def causal_allowed(n_pos: int, device: torch.device) -> Bool[Tensor, "1 1 pos pos"]:
    """The plain causal mask."""
    return torch.ones(n_pos, n_pos, dtype=torch.bool, device=device).tril()[None, None]


# --- the private keys ----------------------------------------------------------------------------

Tap = Callable[..., Any]
_TAP: ContextVar[tuple[int, Tap] | None] = ContextVar("worldline_tap", default=None)
PREFIX = "worldline_"


@contextmanager
def tap_attention(tap: Tap):
    """Hand `tap` every attention call that this thread makes through a private key while inside."""
    token = _TAP.set((threading.get_ident(), tap))  # a context may be copied to another thread
    try:
        yield
    finally:
        _TAP.reset(token)


def delegate_of(module: torch.nn.Module, implementation: str) -> Callable[..., Any]:
    """The function that the model itself would have called."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    for kind in type(module).__mro__:
        home = sys.modules.get(kind.__module__)
        own_functions = getattr(home, "ALL_ATTENTION_FUNCTIONS", None)
        if implementation != "eager":
            table = own_functions if own_functions is not None else ALL_ATTENTION_FUNCTIONS
            return table[implementation]
        eager = getattr(home, "eager_attention_forward", None)
        if eager is not None:
            return eager
    raise RefusedError(
        f"attention of {type(module).__name__}: no eager function found beside the module"
    )


def register_key(implementation: str) -> str:
    """Register the private key of a delegate, with the delegate's own mask function; its name."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    key = PREFIX + implementation

    def forward(module, query, key, value, *args, **kwargs):
        delegate = delegate_of(module, implementation)
        thread, tap = _TAP.get() or (0, None)
        if tap is None or thread != threading.get_ident():
            return delegate(module, query, key, value, *args, **kwargs)
        return tap(delegate, module, query, key, value, *args, **kwargs)

    def mask(*args, **kwargs):
        return ALL_MASK_ATTENTION_FUNCTIONS[implementation](*args, **kwargs)

    # registered for good: another thread may have read the key, and looks it up later
    if implementation in ALL_MASK_ATTENTION_FUNCTIONS and key not in ALL_MASK_ATTENTION_FUNCTIONS:
        ALL_MASK_ATTENTION_FUNCTIONS.register(key, mask)
    if key not in ALL_ATTENTION_FUNCTIONS:
        ALL_ATTENTION_FUNCTIONS.register(key, forward)
    return key


@contextmanager
def private_keys(model: torch.nn.Module):
    """Point every configuration inside `model` at the private key of what it uses; undo after.

    Sets the configurations' field directly, because the public setter checks types, may swap
    kernels, and changes the user's model for good.
    """
    with exclusive(model):
        configs = configs_of(model)
        before = [config._attn_implementation_internal for config in configs]
        try:
            for config, name in zip(configs, before, strict=True):
                if name is not None and not str(name).startswith(PREFIX):
                    config._attn_implementation_internal = register_key(name)
            yield
        finally:
            for config, name in zip(configs, before, strict=True):
                config._attn_implementation_internal = name


def implementation_of(model: torch.nn.Module) -> str:
    """Name of the attention implementation that the model uses."""
    config = getattr(model, "config", None)
    return str(getattr(config, "_attn_implementation", None) or "eager")
