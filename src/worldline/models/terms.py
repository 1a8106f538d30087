"""Terms: what a residual-stream tensor is the sum of, followed through the operations of a block.

Every tensor inside a block is written as a sum of named terms, each a *linear* image of one
leaf: the block's input (`skip`), what an attention call returned (`attn`), what a non-linear
part computed (`mlp`), parameters (`constants`), tensors from outside the block (`other`).
Factors that depend on the input (norm scales, gates, routing weights) are held at their value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, no_type_check

import torch

# `no_type_check` stands on what runs once an operation: the tests check types at run time, and
# would spend most of their time there.

if TYPE_CHECKING:
    from torch import Tensor

SKIP, MLP, CONSTANTS, OTHER = "skip", "mlp", "constants", "other"


def attn_name(call: int) -> str:
    """Name of the term of a block's `call`-th attention read.

    >>> attn_name(0)
    'attn0'
    """
    return f"attn{call}"


@no_type_check
@dataclass(eq=False, slots=True)
class Term:
    """A linear image of leaves: a leaf with a value, or a function of other terms.

    Attributes:
        known: The value met in the run itself, so that asking for it costs nothing.
        fn: Makes the term of its parents; jointly linear in its arguments, so that a term can be
            replayed with other leaf values. None for a leaf.
        parents: The terms that it is made of.
        adjoint: Where given, the transpose of a one-argument `fn`.
    """

    known: Tensor | None = None
    fn: Callable[..., Tensor] | None = None
    parents: tuple[Term, ...] = ()
    adjoint: Callable[[Tensor], Tensor] | None = None

    def value(self) -> Tensor:
        """The term's value in the recorded run."""
        if self.known is None:
            assert self.fn is not None
            self.known = self.fn(*(parent.value() for parent in self.parents))
        return self.known

    def leaves(self) -> list[Term]:
        """The distinct leaves this term is made of."""
        if self.fn is None:
            return [self]
        distinct_leaves: dict[int, Term] = {}
        for parent in self.parents:
            for leaf in parent.leaves():
                distinct_leaves[id(leaf)] = leaf
        return list(distinct_leaves.values())

    def replay(self, leaf: Term, value: Tensor) -> Tensor:
        """The same linear map applied to another `value` of `leaf`."""
        if self is leaf:
            return value
        if self.fn is None:
            raise ValueError("the term is not an image of that leaf")
        return self.fn(*(parent.replay(leaf, value) for parent in self.parents))

    def pull_back(self, leaf: Term, gradient: Tensor) -> Tensor:
        """The transpose of the map from `leaf` to this term, applied to `gradient`."""
        term = self
        while term is not leaf and len(term.parents) == 1 and term.adjoint is not None:
            gradient = term.adjoint(gradient)
            term = term.parents[0]
        if term is leaf:
            return gradient
        with torch.enable_grad():
            start = leaf.value().detach().requires_grad_()
            (result,) = torch.autograd.grad(term.replay(leaf, start), start, gradient)
        return result


@no_type_check
class Parts:
    """A tensor as a sum of named terms; `block` says in which block's pass it was made."""

    __slots__ = ("block", "terms")

    def __init__(self, terms: dict[str, Term], block: int):
        self.terms = terms
        self.block = block

    def through(
        self,
        fn: Callable[[Tensor], Tensor],
        adjoint: Callable[[Tensor], Tensor] | None = None,
        constant: Tensor | None = None,
    ) -> Parts:
        """Every term through the linear `fn`; `constant` is added to the constants."""
        terms = {n: Term(None, fn, (t,), adjoint) for n, t in self.terms.items()}
        if constant is not None:
            add_term(terms, CONSTANTS, Term(constant))
        return Parts(terms, self.block)


@no_type_check
def add_term(terms: dict[str, Term], name: str, term: Term) -> None:
    """Add `term` to the sum under `name`."""
    if name in terms:
        terms[name] = Term(None, torch.add, (terms[name], term))
    else:
        terms[name] = term


class NonlinearMark:
    """Mark of a tensor that depends on the block's input other than linearly."""

    __slots__ = ("block",)

    def __init__(self, block: int):
        self.block = block


@no_type_check
def mark_of(value: object, block: int) -> Parts | NonlinearMark | None:
    """The mark that `value` got in this block's pass, if it is a tensor that has one."""
    mark = getattr(value, "_worldline", None) if isinstance(value, torch.Tensor) else None
    return mark if mark is not None and mark.block == block else None


@no_type_check
def set_mark(tensor: Tensor, mark: Parts | NonlinearMark | None) -> None:
    """Mark a tensor object (the object, not its storage)."""
    tensor._worldline = mark  # type: ignore[attr-defined]


# --- rules: how an operation carries terms -----------------------------------------------------
# A rule gets (func, args, kwargs, marks of the tensor arguments, block, out) and returns the
# mark of the result, None for "no dependence". Anything without a rule is held.


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


STRUCTURAL = _words(
    "view reshape transpose permute contiguous to float double half bfloat16 type type_as "
    "flatten unflatten squeeze unsqueeze __getitem__ clone expand expand_as repeat swapaxes "
    "swapdims movedim t narrow select detach chunk split tensor_split unbind "
    "repeat_interleave roll flip alias view_as reshape_as neg __neg__ index_select "
    "unsqueeze_ squeeze_ mT"
)
SUMS = frozenset(("add", "__add__", "__radd__", "__iadd__", "add_"))
DIFFERENCES = frozenset(("sub", "__sub__", "__rsub__", "__isub__", "sub_", "subtract", "rsub"))
PRODUCTS = frozenset(("mul", "__mul__", "__rmul__", "__imul__", "mul_", "multiply"))
QUOTIENTS = frozenset(("div", "__truediv__", "__itruediv__", "div_", "true_divide"))
REDUCTIONS = frozenset(("mean", "sum"))
SCATTERS = frozenset(("index_add", "index_add_", "scatter_add", "scatter_add_"))


@no_type_check
def _linear(args, kwargs, block, out):
    x, weight = args[0], args[1] if len(args) > 1 else kwargs["weight"]
    bias = args[2] if len(args) > 2 else kwargs.get("bias")
    mark = mark_of(x, block)
    if not isinstance(mark, Parts) or mark_of(weight, block) is not None:
        return NonlinearMark(block)
    constant = None if bias is None else bias.detach().expand(out.shape)
    return mark.through(
        lambda v: torch.nn.functional.linear(v, weight), lambda g: g @ weight, constant
    )


def _addmm(args, kwargs, block, out):
    bias, x, weight = args[:3]
    mark = mark_of(x, block)
    if not isinstance(mark, Parts) or mark_of(weight, block) is not None or kwargs:
        return NonlinearMark(block)
    constant = bias.detach().expand(out.shape)
    return mark.through(lambda v: v @ weight, lambda g: g @ weight.T, constant)


def _matmul(args, block):
    x, weight = args[:2]
    mark = mark_of(x, block)
    if not isinstance(mark, Parts) or mark_of(weight, block) is not None:
        return NonlinearMark(block)
    return mark.through(lambda v: torch.matmul(v, weight))


@no_type_check
def _layer_norm(args, kwargs, block, out):
    names = ("input", "normalized_shape", "weight", "bias", "eps")
    arguments = dict(zip(names, args, strict=False)) | kwargs
    x, weight, bias = arguments["input"], arguments.get("weight"), arguments.get("bias")
    eps = arguments.get("eps", 1e-5)
    mark = mark_of(x, block)
    if not isinstance(mark, Parts) or len(arguments["normalized_shape"]) != 1:
        return NonlinearMark(block)

    def held_norm(v, x=x):
        scale = torch.rsqrt(x.var(-1, keepdim=True, correction=0) + eps)
        out = (v - v.mean(-1, keepdim=True)) * scale
        return out if weight is None else out * weight

    return mark.through(held_norm, None, None if bias is None else bias.detach().expand(out.shape))


@no_type_check
def _rms_norm(args, kwargs, block):
    names = ("input", "normalized_shape", "weight", "eps")
    arguments = dict(zip(names, args, strict=False)) | kwargs
    x, weight, eps = arguments["input"], arguments.get("weight"), arguments.get("eps")
    mark = mark_of(x, block)
    if not isinstance(mark, Parts) or len(arguments["normalized_shape"]) != 1:
        return NonlinearMark(block)

    def held_norm(v, x=x):
        floor = torch.finfo(x.dtype).eps if eps is None else eps
        out = v * torch.rsqrt(x.square().mean(-1, keepdim=True) + floor)
        return out if weight is None else out * weight

    return mark.through(held_norm)


@no_type_check
def _as_term(value: Tensor, mark: Parts | NonlinearMark | None, shape) -> tuple[str, Term]:
    """An addend that is not a sum of terms: non-linear, a parameter, or from elsewhere."""
    if isinstance(mark, NonlinearMark):
        return MLP, Term(value.expand(shape))
    constant = isinstance(value, torch.nn.Parameter) or value.ndim <= 1
    return (CONSTANTS if constant else OTHER), Term(value.detach().expand(shape))


@no_type_check
def _terms(value: Tensor, mark: Parts | NonlinearMark | None, shape) -> dict[str, Term]:
    """The terms of an addend; a single term's value is the tensor itself, known already."""
    if isinstance(mark, Parts):
        if len(mark.terms) == 1:
            ((name, term),) = mark.terms.items()
            return {name: Term(value, term.fn, term.parents, term.adjoint) if term.fn else term}
        return dict(mark.terms)
    name, term = _as_term(value, mark, shape)
    return {name: term}


@no_type_check
def _sum(args, kwargs, block, out, sign=1.0):
    left, right = args[0], args[1]
    alpha = sign * kwargs.get("alpha", 1)
    marks = [mark_of(left, block), mark_of(right, block)]
    if not any(isinstance(m, Parts) for m in marks):
        return NonlinearMark(block)
    terms: dict[str, Term] = {}
    for value, mark, factor in ((left, marks[0], 1.0), (right, marks[1], alpha)):
        if not isinstance(value, torch.Tensor):
            value = torch.tensor(value, dtype=out.dtype, device=out.device)
        for name, term in _terms(value, mark, out.shape).items():
            if factor != 1.0:
                term = Term(None, lambda v, f=factor: v * f, (term,), lambda g, f=factor: g * f)
            add_term(terms, name, term)
    return Parts(terms, block)


@no_type_check
def _product(args, block):
    left, right = args[0], args[1]
    marks = mark_of(left, block), mark_of(right, block)
    for mark, factor, factor_mark in ((marks[0], right, marks[1]), (marks[1], left, marks[0])):
        if isinstance(mark, Parts) and not isinstance(factor_mark, Parts):
            if isinstance(factor_mark, NonlinearMark) and not _is_gate(mark, factor):
                return NonlinearMark(block)
            if isinstance(factor, torch.Tensor):
                factor = factor.detach()
            return mark.through(lambda v, f=factor: v * f)
    return NonlinearMark(block)


@no_type_check
def _is_gate(mark: Parts, factor: Tensor) -> bool:
    """Whether a non-linear factor is one number a row (norm, router) or gates attention alone."""
    return factor.shape[-1:] == (1,) or all(name.startswith("attn") for name in mark.terms)


def _quotient(args, kwargs, block):
    left, right = args[0], args[1]
    mark, divisor_mark = mark_of(left, block), mark_of(right, block)
    if kwargs or not isinstance(mark, Parts) or isinstance(divisor_mark, Parts):
        return NonlinearMark(block)
    if isinstance(divisor_mark, NonlinearMark) and not _is_gate(mark, right):
        return NonlinearMark(block)
    return mark.through(lambda v: v / right)


@no_type_check
def _join(func, args, kwargs, block):
    """`cat` and `stack`: jointly linear in the tensors of the list."""
    items = list(args[0])
    marks = [mark_of(item, block) for item in items]
    if not all(isinstance(mark, Parts) for mark in marks):
        return NonlinearMark(block)
    names = {name: None for mark in marks for name in mark.terms}  # type: ignore[union-attr]
    other_args = args[1:]

    def join_term(name: str) -> Term:
        present = [mark.terms.get(name) for mark in marks]  # type: ignore[union-attr]
        shapes = [item.shape for item in items]

        def fn(*values):
            values = iter(values)
            like = items[0]
            pieces = [
                next(values) if term is not None else like.new_zeros(shape)
                for term, shape in zip(present, shapes, strict=True)
            ]
            return func(pieces, *other_args, **kwargs)

        return Term(None, fn, tuple(t for t in present if t is not None))

    return Parts({name: join_term(name) for name in names}, block)


@no_type_check
def mark_result(func, name: str, args, kwargs, block: int, out) -> None:
    """Mark what an operation returned, given the marks of what it was given."""
    if name in STRUCTURAL:
        _mark_structural(func, args, kwargs, block, out)
        return
    if name == "linear":
        mark = _linear(args, kwargs, block, out)
    elif name in SUMS:
        mark = _sum(args, kwargs, block, out)
    elif name in DIFFERENCES:
        args = args[::-1] if name in ("__rsub__", "rsub") else args
        mark = _sum(args, kwargs, block, out, -1.0)
    elif name in PRODUCTS:
        mark = _product(args, block)
    elif name in QUOTIENTS:
        mark = _quotient(args, kwargs, block)
    elif name == "addmm":
        mark = _addmm(args, kwargs, block, out)
    elif name in ("matmul", "__matmul__", "mm"):
        mark = _matmul(args, block)
    elif name == "layer_norm":
        mark = _layer_norm(args, kwargs, block, out)
    elif name == "rms_norm":
        mark = _rms_norm(args, kwargs, block)
    elif name == "einsum":
        mark = _einsum(args, block)
    elif name in SCATTERS:
        mark = _scatter(func, args, kwargs, block)
    elif name in ("dropout", "feature_dropout"):
        mark = _dropout(args, kwargs, block)
    elif name in ("cat", "concat", "concatenate", "stack"):
        mark = _join(func, args, kwargs, block)
    elif name in REDUCTIONS and isinstance(mark_of(args[0], block), Parts):
        mark = mark_of(args[0], block).through(lambda v: func(v, *args[1:], **kwargs))  # type: ignore[union-attr]
    else:
        mark = NonlinearMark(block)
    for tensor in _tensors(out):
        set_mark(tensor, mark)


@no_type_check
def _einsum(args, block):
    """Linear in its one operand that has terms, where the others do not depend on the input."""
    operands = list(args[1]) if isinstance(args[1], (tuple, list)) else list(args[1:])
    marks = [mark_of(operand, block) for operand in operands]
    at = [k for k, mark in enumerate(marks) if mark is not None]
    if len(at) != 1:
        return NonlinearMark(block)
    mark, place = marks[at[0]], at[0]
    if not isinstance(mark, Parts):
        return NonlinearMark(block)
    held_operands = [operand.detach() for operand in operands]

    def fn(v: Tensor) -> Tensor:
        return torch.einsum(args[0], *held_operands[:place], v, *held_operands[place + 1 :])

    return mark.through(fn)


@no_type_check
def _scatter(func, args, kwargs, block):
    """Rows added to others at indices that are held: linear in both."""
    target, source = args[0], kwargs.get("source", kwargs.get("src", args[-1]))
    mark, onto = mark_of(source, block), mark_of(target, block)
    if kwargs.keys() - {"source", "src"} or not isinstance(mark, Parts):
        return NonlinearMark(block)
    if onto is None and not bool(target.any()):
        onto = Parts({}, block)
    if len(args) < 3 or not isinstance(onto, Parts):
        return NonlinearMark(block)
    axis, index = args[1:3]
    name = func.__name__.rstrip("_")
    shape = target.shape

    def fn(v: Tensor) -> Tensor:
        return getattr(v.new_zeros(shape), name)(axis, index, v)

    terms = dict(onto.terms)
    for key, term in mark.through(fn).terms.items():
        add_term(terms, key, term)
    return Parts(terms, block)


def _dropout(args, kwargs, block):
    training = kwargs.get("training", args[2] if len(args) > 2 else True)
    p = kwargs.get("p", args[1] if len(args) > 1 else 0.5)
    mark = mark_of(args[0], block)
    return mark if isinstance(mark, Parts) and (not training or p == 0.0) else NonlinearMark(block)


@no_type_check
def _mark_structural(func, args, kwargs, block, out) -> None:
    """Views, copies and casts: the same operation on every term."""
    mark = mark_of(args[0], block)
    if isinstance(out, torch.Tensor):
        if out is args[0]:
            return
        if isinstance(mark, Parts):
            shape = args[0].shape
            is_copy = out.shape == shape and out.dtype == args[0].dtype
            is_reshape = func.__name__ in ("view", "reshape", "flatten", "unflatten", "squeeze")
            cast = out.shape == shape and out.dtype != args[0].dtype
            adjoint = None
            if is_reshape:
                adjoint = lambda g: g.reshape(shape)  # noqa: E731
            elif func.__name__ in ("contiguous", "clone", "detach") and is_copy:
                adjoint = lambda g: g  # noqa: E731
            elif cast:
                source = args[0].dtype
                adjoint = lambda g: g.to(source)  # noqa: E731
            mark = mark.through(lambda v: func(v, *args[1:], **kwargs), adjoint)
        elif mark is None:
            mark = NonlinearMark(block)  # indexed by something that depends on the input
        set_mark(out, mark)
        return
    for k, piece in enumerate(out):
        if isinstance(mark, Parts):
            set_mark(piece, mark.through(lambda v, k=k: func(v, *args[1:], **kwargs)[k]))
        else:
            set_mark(piece, NonlinearMark(block))


@no_type_check
def _tensors(out) -> Iterable[Tensor]:
    if isinstance(out, torch.Tensor):
        return (out,)
    if isinstance(out, (tuple, list)):
        return [t for item in out for t in _tensors(item)]
    return ()
