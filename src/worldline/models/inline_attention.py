"""Attention written out inside a module: scores, softmax, weighted sum, seen one by one.

Some types never call a shared attention function. Their read is recognised by what it does: a
product of two tensors of shape [.., pos, pos] that reaches a softmax over its last axis and is
then multiplied with a third tensor. Scaling, additive masks and biases on the way are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, no_type_check

import torch

from worldline.models.attention import MASKED

if TYPE_CHECKING:
    from torch import Tensor


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PRODUCTS = frozenset(("matmul", "__matmul__", "bmm", "baddbmm", "einsum"))
SAME = _words(
    "view reshape to float double half bfloat16 type type_as contiguous clone dropout "
    "transpose permute flatten unflatten squeeze unsqueeze expand nan_to_num"
)


@dataclass(eq=False)
class Scores:
    """Scores on their way to the softmax: scale * (q k) + sum of biases, cut where masked."""

    q: Tensor | None
    k: Tensor | None
    scale: float = 1.0
    biases: list[tuple[Tensor, float]] = field(default_factory=list)
    forbidden_masks: list[Tensor] = field(default_factory=list)  # True where forbidden
    reason: str | None = None  # why the scores cannot be written that way, if they cannot
    sinks: Tensor | None = None  # [head], a last column that takes part and reads nothing
    inner: float | None = None  # scale * tanh(inner * (q k)) + ..., where a soft-cap came

    def with_factor(self, factor: float) -> Scores:
        """Times a number."""
        biases = [(b, s * factor) for b, s in self.biases]
        sinks = None if self.sinks is None else self.sinks * factor
        return replace(self, scale=self.scale * factor, biases=biases, sinks=sinks)

    def with_bias(self, bias: Tensor, sign: float) -> Scores:
        """Plus or minus something."""
        if self.sinks is not None:
            if bias.ndim and bias.shape[-1] == 1:
                return self  # one number a row, the sink included: the softmax does not see it
            return self.with_reason("something is added after a sink took its place")
        return replace(self, biases=[*self.biases, (bias, sign)])

    def with_softcap(self) -> Scores:
        """Through a tanh, which with the scales on both sides is a soft-cap."""
        if self.inner is not None or self.biases or self.forbidden_masks or self.sinks is not None:
            return self.with_reason("a soft-cap comes after something else than a scale")
        return replace(self, scale=1.0, inner=self.scale)

    @property
    def scaling(self) -> float:
        """The factor of the product of queries and keys, before a soft-cap."""
        return self.scale if self.inner is None else self.inner * self.scale

    @property
    def softcap(self) -> float | None:
        """The soft-cap, if there is one."""
        return None if self.inner is None else self.scale

    def with_mask(self, forbidden: Tensor) -> Scores:
        """Cut where `forbidden`."""
        if self.sinks is not None:
            return self.with_reason("a mask comes after a sink took its place")
        return replace(self, forbidden_masks=[*self.forbidden_masks, forbidden])

    def with_sinks(self, column: Tensor) -> Scores:
        """With a last column that takes part in the softmax and reads nothing."""
        if self.sinks is not None or column.shape[-1] != 1 or column.ndim != 4:
            return self.with_reason("more than one column joins the scores")
        sinks = column[0, :, 0, 0]
        if not bool((column == sinks[None, :, None, None]).all()):
            return self.with_reason(
                "the column that joins the scores is no sink: it varies over rows"
            )
        return replace(self, sinks=sinks)

    def with_reason(self, reason: str) -> Scores:
        """Scores that cannot be written as attention, with the reason."""
        return Scores(self.q, self.k, reason=self.reason or reason)


@dataclass(eq=False)
class Pattern:
    """A pattern on its way to the weighted sum; `scores` is what the softmax was given."""

    scores: Scores


@dataclass(eq=False)
class WeightedSum:
    """A weighted sum by a pattern; `layout` says how its axes lie where that is not plain."""

    scores: Scores
    values: Tensor
    layout: str | None = None


@no_type_check
def scores_of(value: object) -> Scores | Pattern | None:
    """The mark left on a tensor by `follow`."""
    return getattr(value, "_worldline_scores", None) if isinstance(value, torch.Tensor) else None


@no_type_check
def follow(name: str, args, kwargs, out, n_pos: int):
    """Follow scores and patterns through one operation.

    Returns a Read when `out` is a weighted sum by a pattern, else None.
    """
    if not isinstance(out, torch.Tensor) or out.ndim < 2:
        return None
    if name == "einsum":
        return _follow_einsum(args, out, n_pos)
    if name in PRODUCTS:
        factors = _factors(name, args, kwargs)
        mark = scores_of(factors[0])
        if isinstance(mark, Pattern):
            return WeightedSum(mark.scores, factors[1])
        if out.ndim >= 3 and out.shape[-1] == n_pos and out.shape[-2] == n_pos:
            scores = Scores(factors[0], factors[1].transpose(-1, -2))
            if name == "baddbmm":
                scores.scale = float(kwargs.get("alpha", 1.0))
                if kwargs.get("beta", 1.0):
                    scores.biases.append((args[0], float(kwargs.get("beta", 1.0))))
            out._worldline_scores = scores  # type: ignore[attr-defined]
        return None
    if name in ("softmax", "_softmax"):
        _follow_softmax(args, kwargs, out, n_pos)
        return None
    mark = _mark_through(name, args, kwargs, out, n_pos)
    if mark is not None:
        out._worldline_scores = mark  # type: ignore[attr-defined]
    return None


def _factors(name: str, args, kwargs) -> tuple[Tensor, Tensor]:
    keys = ("batch1", "batch2") if name == "baddbmm" else ("mat2", "other")
    positional = args[1:] if name == "baddbmm" else args
    keyword_factors = [kwargs[key] for key in (*keys, "tensor2") if key in kwargs]
    left, right = (*positional, *keyword_factors)[:2]
    return left, right


#: How the axes of a weighted sum may lie, with (b)atch, (h)ead, (i) destination, (d)imension.
LAYOUTS = {"bhid": "head_first", "bihd": "pos_first", "ibhd": "pos_outermost"}


def _follow_einsum(args, out, n_pos: int) -> WeightedSum | None:
    """Products written as an equation; the letters say which axis is which."""
    operands = args[1] if isinstance(args[1], (tuple, list)) else args[1:]
    inputs, _, result = str(args[0]).replace(" ", "").partition("->")
    letters = inputs.split(",")
    if len(operands) != 2 or len(letters) != 2 or "." in inputs or not result:
        return None
    mark = scores_of(operands[0])
    if isinstance(mark, Pattern):
        return _einsum_read(mark.scores, operands[1], letters, result)
    square = out.ndim == 4 and out.shape[-1] == n_pos and out.shape[-2] == n_pos
    inner = [c for c in letters[0] if c in letters[1] and c not in result]
    if not square or len(inner) != 1:
        return None
    b, h, i, j = result
    target_letters = (b + h + i + inner[0], b + h + j + inner[0])
    if all(sorted(a) == sorted(w) for a, w in zip(letters, target_letters, strict=True)):
        q, k = (
            t.permute([a.index(c) for c in w])
            for t, a, w in zip(operands, letters, target_letters, strict=True)
        )
        out._worldline_scores = Scores(q, k)  # type: ignore[attr-defined]
    return None


def _einsum_read(scores: Scores, values: Tensor, letters: list[str], result: str) -> WeightedSum:
    b, h, i, j = letters[0]
    (d,) = set(letters[1]) - {b, h, j} or {""}
    layout = LAYOUTS.get(result.translate(str.maketrans(b + h + i + d, "bhid")))
    if layout is None or sorted(letters[1]) != sorted(b + h + j + d):
        return WeightedSum(
            scores.with_reason(f"a weighted sum {','.join(letters)}->{result}"), values
        )
    return WeightedSum(scores, values.permute([letters[1].index(c) for c in b + h + j + d]), layout)


def _follow_softmax(args, kwargs, out, n_pos: int) -> None:
    axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if out.ndim < 3 or out.shape[-2] != n_pos or axis not in (-1, out.ndim - 1):
        return
    mark = scores_of(args[0])
    may_have_sink = isinstance(mark, Scores) and (mark.sinks is not None or mark.reason is not None)
    if out.shape[-1] != n_pos and not (may_have_sink and out.shape[-1] == n_pos + 1):
        return
    if not isinstance(mark, Scores):
        mark = Scores(None, None, reason="the scores are not a product of queries and keys")
    out._worldline_scores = Pattern(mark)


@no_type_check
def _mark_through(name: str, args, kwargs, out, n_pos: int) -> Scores | Pattern | None:
    """The mark of a result that is made from marked scores or from a marked pattern."""
    if name in ("cat", "concat", "concatenate"):
        pieces = args[0] if args else kwargs["tensors"]
        mark = scores_of(pieces[0])
        if isinstance(mark, Scores) and len(pieces) == 2 and out.shape[-1] == n_pos + 1:
            return mark.with_sinks(pieces[1])
        return None
    left = args[0] if args else None
    right = args[1] if len(args) > 1 else None
    mark, operand = scores_of(left), right
    if mark is None and name in ("add", "__add__", "__radd__", "mul", "__mul__", "__rmul__"):
        mark, operand = scores_of(right), left
    if mark is None and name == "where" and len(args) == 3:
        mark = scores_of(args[1])
        if isinstance(mark, Scores):
            return _apply_mask(mark, ~args[0], args[2])
    if mark is None:
        return None
    if name in SAME:
        return mark
    if isinstance(mark, Pattern):
        if name == "__getitem__":
            drops_last = (
                out.shape == (*args[0].shape[:-1], n_pos) and args[0].shape[-1] == n_pos + 1
            )
            return mark if drops_last and torch.equal(out, args[0][..., :-1]) else None
        if name in ("mul", "__mul__", "__rmul__", "__imul__", "mul_") and _all_ones(operand):
            return mark
        return None
    return _carried_scores(name, mark, operand, args, kwargs, out)


def _carried_scores(name: str, mark: Scores, operand, args, kwargs, out) -> Scores | None:
    if name in ("add", "__add__", "__radd__", "__iadd__", "add_"):
        return mark.with_bias(torch.as_tensor(operand), float(kwargs.get("alpha", 1.0)))
    if name in ("sub", "__sub__", "__isub__", "sub_"):
        return mark.with_bias(torch.as_tensor(operand), -1.0)
    if name in ("mul", "__mul__", "__rmul__", "__imul__", "mul_"):
        return _times(mark, operand)
    if name in ("div", "__truediv__", "__itruediv__", "div_"):
        if isinstance(operand, torch.Tensor) and operand.numel() != 1:
            return mark.with_reason("the scores are divided by a tensor")
        return mark.with_factor(1.0 / float(operand))
    if name in ("tanh", "tanh_"):
        return mark.with_softcap()
    if name in ("masked_fill", "masked_fill_"):
        return _apply_mask(mark, args[1], args[2] if len(args) > 2 else kwargs["value"])
    if name == "where" and len(args) == 3:
        return mark.with_reason("the scores are a condition")
    if name in ("max", "maximum", "clamp", "clip") and isinstance(operand, torch.Tensor):
        return mark  # older types clamp at the dtype's minimum: no effect above it
    if out.shape == args[0].shape:
        return mark.with_reason(f"the scores pass through `{name}`")
    return None


def _times(mark: Scores, operand) -> Scores:
    if not isinstance(operand, torch.Tensor) or operand.numel() == 1:
        return mark.with_factor(float(operand))
    is_one = operand == 1
    if bool((is_one | (operand == 0)).all()):
        return mark.with_mask(~is_one)
    return mark.with_reason("the scores are multiplied by a tensor")


def _apply_mask(mark: Scores, forbidden: Tensor, fill) -> Scores:
    if float(torch.as_tensor(fill).max()) > MASKED:
        return mark.with_reason("the scores are filled with a finite value")
    return mark.with_mask(forbidden)


def _all_ones(operand) -> bool:
    if isinstance(operand, torch.Tensor):
        return bool((operand == 1).all())
    return operand == 1


def mask_and_bias(
    scores: Scores, shape: tuple[int, int, int]
) -> tuple[Tensor | None, Tensor | None]:
    """(allowed, bias) of scores for shape (batch, head, pos); broadcastable to four axes."""
    batch, heads, n_pos = shape
    total: Tensor | None = None
    for bias, factor in scores.biases:
        term = _four_axes(bias, batch, heads) * factor
        total = term if total is None else total + term
    allowed_mask: Tensor | None = None
    if total is not None:
        allowed_mask = total > MASKED
        if bool(allowed_mask.all()):
            allowed_mask = None
        else:
            total = total.masked_fill(~allowed_mask, 0.0)
        total = _compress_bias(total, allowed_mask)
    for forbidden in scores.forbidden_masks:
        free = ~_four_axes(forbidden.bool(), batch, heads)
        allowed_mask = free if allowed_mask is None else allowed_mask & free
    if allowed_mask is None:
        device = scores.q.device if scores.q is not None else torch.device("cpu")
        allowed_mask = torch.ones(1, 1, n_pos, n_pos, dtype=torch.bool, device=device)
    return allowed_mask.expand(allowed_mask.shape[0], allowed_mask.shape[1], n_pos, n_pos), total


def _compress_bias(bias: Tensor, allowed_mask: Tensor | None) -> Tensor | None:
    """The bias with one row only, where a row is all that the softmax can see of it."""
    if not bool(bias.any()):
        return None
    if bias.shape[-2] == 1:
        return bias
    last = bias[..., -1:, :]
    shift = bias - last
    visible_shift = (
        shift if allowed_mask is None else torch.where(allowed_mask, shift, shift[..., :1])
    )
    return last if bool((visible_shift == visible_shift[..., :1]).all()) else bias


def _four_axes(tensor: Tensor, batch: int, heads: int) -> Tensor:
    if tensor.ndim == 3 and tensor.shape[0] == batch * heads:
        return tensor.view(batch, heads, *tensor.shape[1:])
    while tensor.ndim < 4:
        tensor = tensor[None]
    return tensor
