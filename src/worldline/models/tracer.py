"""One forward pass, watched: blocks as they run, their terms, every attention read.

The model's own code runs unchanged. A function mode sees each tensor operation and carries terms
through it (terms.py); attention is reached through private keys (attention.py) or recognised in
the operations themselves (inline_attention.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, no_type_check

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode

from worldline.errors import RefusedError
from worldline.models import inline_attention as inline
from worldline.models.attention import (
    AttentionCall,
    private_keys,
    tap_attention,
)
from worldline.models.attention_calls import inline_call, key_call, sdpa_call
from worldline.models.exclusive_use import exclusive, own_hooks
from worldline.models.terms import (
    SKIP,
    NonlinearMark,
    Parts,
    Term,
    attn_name,
    mark_of,
    mark_result,
    set_mark,
)
from worldline.steps import step

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.models.architecture import Anatomy

Rewrite = Callable[[AttentionCall], "Tensor | None"]
TENSORS = (torch.Tensor, torch.nn.Parameter)
IN_PLACE = frozenset(("__iadd__", "__isub__", "__imul__", "__itruediv__"))


@dataclass(eq=False)
class BlockEvent:
    """A block has run: what entered, what left, and what that is the sum of.

    Attributes:
        layer: The block.
        resid_pre: The row that entered, [batch, pos, d_model], several streams side by side being
            one wide one.
        resid_post: The row that left, of the same shape.
        terms: The terms by name, whose values add up to `resid_post`; None where they were not
            asked for.
        calls: The attention reads.
        module: The block's module.
        args: What the block was given, `resid_pre` among it.
        kwargs: The same by name.
        raw_post: The next row as the model hands it on.
    """

    layer: int
    resid_pre: Tensor
    resid_post: Tensor
    terms: dict[str, Term] | None
    calls: list[AttentionCall]
    module: torch.nn.Module | None = None
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    raw_post: Tensor | None = None
    _raw: Tensor | None = None  # the next row as the model holds it, batch and positions first

    @property
    def streams(self) -> int:
        """How many residual streams run side by side."""
        assert self._raw is not None
        return self._raw.shape[2] if self._raw.ndim == 4 else 1

    def put_back(self, positions: list[int], rows: Tensor) -> None:
        """Overwrite the row that the next block is given, at these positions."""
        assert self._raw is not None
        self._raw[:, positions] = rows.reshape(*rows.shape[:2], *self._raw.shape[2:])


@dataclass(eq=False)
class Watched:
    """What a watched pass leaves behind: the logits and how often attention was reached.

    Attributes:
        logits: [batch, pos, d_vocab].
        n_calls: How many attention reads were seen.
        n_key_calls: How many of them by a registered function.
        callers: The modules that read, by name, in order.
        runs: How often each module ran.
        softmaxes: The shapes over which a softmax was taken.
    """

    logits: Tensor
    n_calls: int
    n_key_calls: int
    callers: list[str] = field(default_factory=list)
    runs: Counter[str] = field(default_factory=Counter)
    softmaxes: set[torch.Size] = field(default_factory=set)


class Watch(TorchFunctionMode):
    """Sees every tensor operation of a forward pass; see `watched_forward`."""

    def __init__(
        self,
        anatomy: Anatomy | None,
        n_pos: int,
        *,
        terms: bool = True,
        on_block: Callable[[BlockEvent], None] | None = None,
        on_call: Callable[[AttentionCall], None] | None = None,
        rewrite: Rewrite | None = None,
        cut: Callable[[Tensor], Tensor] | None = None,
    ):
        super().__init__()
        self.anatomy, self.n_pos, self.terms = anatomy, n_pos, terms
        self.on_block, self.on_call, self.rewrite, self.cut = on_block, on_call, rewrite, cut
        self.block = -1
        self.x: Tensor | None = None
        self.block_call: tuple[torch.nn.Module | None, tuple[Any, ...], dict[str, Any]] = (
            None,
            (),
            {},
        )
        self.calls: list[AttentionCall] = []
        self.n_calls = self.n_key_calls = 0
        self.callers: list[str] = []
        self.stack: list[torch.nn.Module] = []
        self.inside = False
        self.batch = 1
        self.leaf: Term | None = None
        self.names: dict[int, str] = {}
        self.runs: Counter[str] = Counter()
        self.softmaxes: set[torch.Size] = set()
        self.owners: list[tuple[StorageWeakRef, int, int]] = []
        self.late = anatomy is not None and anatomy.late
        self.seeing = False

    # --- operations ---

    def see(self) -> None:
        """Start to see operations."""
        if not self.seeing:
            self.seeing = True
            self.__enter__()

    def look_away(self) -> None:
        """See no operations until the next `see`."""
        if self.seeing:
            self.seeing = False
            self.__exit__(None, None, None)

    @no_type_check
    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self.inside:
            return func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name == "__get__":
            return self._getter(func, args)
        if name == "scaled_dot_product_attention":
            return self._direct_sdpa(func, args, kwargs)
        following = self.block >= 0 and self.terms
        before = args
        if following and (name[-1:] == "_" or name in IN_PLACE):
            before = self._protect(name, args)
        out = func(*args, **kwargs)
        if name == "__setitem__":
            if self.block >= 0 and mark_of(args[2], self.block) is not None:
                set_mark(args[0], NonlinearMark(self.block))
            return out
        if self.names and name == "softmax" and out.ndim > 2:
            self.softmaxes.add(out.shape)
        if not self.late:  # late: every read has a key, and was met before
            weighted_sum = inline.follow(name, args, kwargs, out, self.n_pos)
            if weighted_sum is not None:
                return self._inline_read(weighted_sum, out)
        if following and self._touches(args, kwargs):
            mark_result(func, name, before, kwargs, self.block, out)
        return out

    @no_type_check
    def _touches(self, args, kwargs) -> bool:
        block = self.block
        for arg in args:
            if isinstance(arg, TENSORS):
                mark = getattr(arg, "_worldline", None)
                if mark is not None and mark.block == block:
                    return True
            elif isinstance(arg, (tuple, list)) and self._touches(arg, {}):
                return True
        return any(mark_of(value, block) is not None for value in kwargs.values())

    @no_type_check
    def _protect(self, name: str, args):
        """Before an in-place operation: give leaves and marks a copy of the old value."""
        in_place = name in IN_PLACE or not name.endswith("__")
        if not in_place or not args or not self._touches(args, {}):
            return args
        copy = args[0].clone()
        mark = mark_of(args[0], self.block)
        set_mark(copy, mark)
        leaves = (
            [f for t in mark.terms.values() for f in t.leaves()] if isinstance(mark, Parts) else []
        )
        for leaf in leaves:
            if leaf.known is args[0]:
                leaf.known = copy
        if self.x is args[0]:
            self.x = copy
        return (copy, *args[1:])

    @no_type_check
    def _getter(self, func, args):
        out = func(*args)
        if isinstance(out, torch.Tensor) and self.block >= 0 and out is not args[0]:
            mark = mark_of(args[0], self.block)
            if isinstance(mark, Parts):
                mark = mark.through(lambda v: func(v))
            set_mark(out, mark)
        return out

    # --- attention ---

    def tap(self, delegate, module, query, key, value, attention_mask=None, *args, **kwargs):
        """What a private key hands over: run the delegate, note the read."""
        if self.inside:  # another pass, by whoever hears of this one
            return delegate(module, query, key, value, attention_mask, *args, **kwargs)
        outer, self.inside = self.inside, True
        try:
            step()
            result = delegate(module, query, key, value, attention_mask, *args, **kwargs)
            step()
            out = result[0] if isinstance(result, tuple) else result
            self.n_key_calls += 1
            call = key_call(self, module, query, key, value, attention_mask, args, kwargs, out)
            out = self._note_read(call, out)
        finally:
            self.inside = outer
        if self.late and self.terms:
            self.see()
        return (out, *result[1:]) if isinstance(result, tuple) else out

    def _direct_sdpa(self, func, args, kwargs):
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
        arguments = dict(zip(names, args, strict=False)) | kwargs
        self.inside = True
        try:
            out = func(*args, **kwargs)
            call = sdpa_call(self, arguments, out)
            return self._note_read(call, out)
        finally:
            self.inside = False

    def _inline_read(self, weighted_sum: inline.WeightedSum, out: Tensor):
        self.inside = True
        try:
            call = inline_call(self, weighted_sum, out)
            return self._note_read(call, out)
        finally:
            self.inside = False

    def _note_read(self, call: AttentionCall, out: Tensor) -> Tensor:
        self.n_calls += 1
        self.callers.append(call.module)
        if self.rewrite is not None:
            new = self.rewrite(call)
            if new is not None:
                out = call.from_heads(new).to(out.dtype).reshape(out.shape)
                call.z = new
                call.leaf.known = out
        self.calls.append(call)
        if self.on_call is not None:
            self.on_call(call)
        if self.block >= 0 and self.terms:
            set_mark(out, Parts({attn_name(call.index): call.leaf}, self.block))
        return out

    def innermost(self) -> str:
        """Name of the module whose forward is running."""
        return self.names.get(id(self.stack[-1]), "") if self.stack else ""

    # --- blocks ---

    def enter(self, module: torch.nn.Module, args, kwargs) -> None:
        """A block is about to run: its input starts a new row."""
        x = stream_input(args, kwargs, self.n_pos)
        if x is None:
            raise RefusedError(
                f"block {self.block + 1} ({type(module).__name__}): none of its inputs is a "
                "residual stream of shape batch x pos x d_model"
            )
        step()
        self.finish(x)
        self.block += 1
        if self.block == 0 and torch.is_grad_enabled() and not x.requires_grad:
            x.requires_grad_(True)  # with frozen weights the graph starts here
        if self.cut is not None:
            x = self.cut(x)
        self.x, self.block_call = x, (module, args, kwargs)
        if self.terms:
            set_mark(x, Parts({SKIP: Term(x)}, self.block))

    def finish(self, x: Tensor) -> None:
        """The row that started with the last `enter` is complete; `x` is the next row."""
        if self.block < 0:
            return
        if self.late:
            self.look_away()
        mark = mark_of(x, self.block)
        terms = None
        if self.terms:
            if isinstance(mark, Parts):
                terms = mark.terms
            else:
                terms = {"other" if mark is None else "mlp": Term(x)}
        assert self.x is not None
        before, after = self._rows(self.x), self._rows(x)
        raw = x if before is self.x else batch_first(x, self.batch, self.n_pos)
        if after is not x and terms is not None:
            terms = {n: Term(None, self._rows, (t,)) for n, t in terms.items()}
        event = BlockEvent(self.block, before, after, terms, self.calls, *self.block_call, x, raw)
        set_mark(x, None)
        set_mark(self.x, None)
        for call in self.calls:  # a tensor that is a leaf of its own mark would live in a cycle
            if call.leaf.known is not None:
                set_mark(call.leaf.known, None)
        self.calls, self.x, self.block_call = [], None, (None, (), {})
        if self.on_block is not None:
            outer, self.inside = self.inside, True
            try:
                self.on_block(event)
            finally:
                self.inside = outer

    def owner_of(self, k: Tensor) -> int:
        """The layer whose block wrote these keys: an earlier one where layers share them."""
        self.owners = [entry for entry in self.owners if not entry[0].expired()]
        for _, place, layer in self.owners:
            if place == k.data_ptr():
                return layer
        self.owners.append((StorageWeakRef(k.untyped_storage()), k.data_ptr(), self.block))
        return self.block

    def _rows(self, x: Tensor) -> Tensor:
        """A residual stream as [batch, pos, d_model]."""
        x = batch_first(x, self.batch, self.n_pos)
        return x.flatten(2) if x.ndim == 4 else x


def batch_first(x: Tensor, batch: int, n_pos: int) -> Tensor:
    """Batch and positions as the first two axes: some types keep positions or streams first."""
    if x.ndim == 4 and x.shape[1:3] == (batch, n_pos):
        return x.permute(1, 2, 0, 3)
    if x.ndim == 3 and x.shape[:2] == (n_pos, batch) and n_pos != batch:
        return x.transpose(0, 1)
    return x


@no_type_check
def stream_input(args, kwargs, n_pos: int) -> Tensor | None:
    """The residual stream among a block's arguments: its first real tensor of three axes.

    Or of four, where several streams run side by side: positions come second or third.
    """
    for value in (*args, kwargs.get("hidden_states"), *kwargs.values()):
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            continue
        if value.ndim == 3 or (value.ndim == 4 and n_pos in value.shape[1:3]):
            return value
    return None


def stream_output(out: Any) -> Tensor | None:
    """The residual stream among what a block returned."""
    if isinstance(out, torch.Tensor):
        return out
    if isinstance(out, (tuple, list)) and out:
        return out[0] if isinstance(out[0], torch.Tensor) else None
    return None


@no_type_check
def _replace_row(args, kwargs, old: Tensor, new: Tensor):
    """A block's arguments with another row."""
    return (
        tuple(new if arg is old else arg for arg in args),
        {name: new if arg is old else arg for name, arg in kwargs.items()},
    )


@contextmanager
def watching_blocks(watch: Watch, anatomy: Anatomy):
    """Hooks on the blocks; the last row is the last block's output, or enters `anatomy.end`."""
    last = len(anatomy.order) - 1

    def end(_module, args, kwargs):
        if watch.block == last and not watch.inside:
            x = stream_input(args, kwargs, watch.n_pos)
            assert x is not None
            watch.finish(x)
            watch.block = -1
            return None if watch.cut is None else _replace_row(args, kwargs, x, watch.cut(x))
        return None

    def before(module, args, kwargs):
        if watch.inside:  # another pass, by whoever hears of this one
            return None
        x = stream_input(args, kwargs, watch.n_pos)
        watch.enter(module, args, kwargs)
        return None if watch.cut is None else _replace_row(args, kwargs, x, watch.x)

    def after(_module, _args, _kwargs, out):
        if watch.block == last and not watch.inside:
            x = stream_output(out)
            if x is None:
                raise RefusedError(f"block {last}: it returned no tensor")
            watch.finish(x)
            watch.block = -1
            if watch.cut is not None:
                leaf = watch.cut(x)
                return leaf if out is x else type(out)([leaf, *out[1:]])
        return None

    with own_hooks() as hooks:
        for block in anatomy.distinct_blocks():
            hooks.before(block, before, with_kwargs=True)
            if anatomy.end is None:
                hooks.after(block, after, with_kwargs=True)
        if anatomy.end is not None:
            hooks.before(anatomy.end, end, with_kwargs=True)
        yield


@contextmanager
def _watching_modules(watch: Watch, model: torch.nn.Module):
    """Know which module is running: needed to say where an inline read happened."""
    watch.names = {id(m): n for n, m in model.named_modules()}

    def push(module, _args):
        watch.stack.append(module)
        watch.runs[watch.names[id(module)]] += 1

    def pop(_module, _args, _out):
        watch.stack.pop()

    with own_hooks() as hooks:
        for module in model.modules():
            hooks.before(module, push)
            hooks.after(module, pop)
        yield


def watched_forward(
    model: torch.nn.Module,
    inputs: dict[str, Any],
    anatomy: Anatomy | None,
    *,
    terms: bool = True,
    grad: bool = False,
    modules: bool = False,
    keys: bool = True,
    on_block: Callable[[BlockEvent], None] | None = None,
    on_call: Callable[[AttentionCall], None] | None = None,
    rewrite: Rewrite | None = None,
    cut: Callable[[Tensor], Tensor] | None = None,
) -> Watched:
    """Run the model once under watch and leave it exactly as it was.

    `inputs` are the keyword arguments of the model's forward; `rewrite` may replace what an
    attention read returned, `cut` the row that a block, or what follows the last, is given;
    `modules` also tracks which module runs (slower); without `keys` the attention is recognised
    in the operations alone.
    """
    n_pos = inputs["input_ids"].shape[1]
    watch = Watch(
        anatomy, n_pos, terms=terms, on_block=on_block, on_call=on_call, rewrite=rewrite, cut=cut
    )
    watch.batch = inputs["input_ids"].shape[0]
    with ExitStack() as stack:
        stack.enter_context(exclusive(model))
        stack.enter_context(torch.enable_grad() if grad else torch.no_grad())
        if keys if anatomy is None else anatomy.keys:
            stack.enter_context(private_keys(model))
            stack.enter_context(tap_attention(watch.tap))
        if anatomy is not None:
            stack.enter_context(watching_blocks(watch, anatomy))
        if modules:
            stack.enter_context(_watching_modules(watch, model))
        stack.callback(watch.look_away)
        if not watch.late:
            watch.see()
        output = model(**inputs)
    return Watched(
        output.logits, watch.n_calls, watch.n_key_calls, watch.callers, watch.runs, watch.softmaxes
    )
