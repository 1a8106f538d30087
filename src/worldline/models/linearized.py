"""The frozen-linear model: this run with everything that is not linear held at its value.

Held are attention patterns, norm scales, activation ratios act(x)/x, sigmoid gates, routing
weights and a final soft-cap's ratio; a product of two branches is split by halves. What is left
is linear, so a logit is exactly the signed sum over all paths from all sources. The model's own
code runs once, with the value of every operation unchanged and only its derivative replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, no_type_check

import torch
from torch.overrides import TorchFunctionMode

from worldline.models.constant_weights import held_weights
from worldline.models.exclusive_use import own_hooks
from worldline.models.tracer import BlockEvent, watched_forward

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.models.architecture import Anatomy
    from worldline.models.attention import AttentionCall


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


RATIOS = _words("silu gelu relu relu6 leaky_relu tanh softsign mish hardswish clamp clip")
HELD = _words(
    "pow __pow__ square rsqrt sqrt var std norm softmax log_softmax sigmoid exp log softplus "
    "reciprocal abs erf max min amax amin topk sort logsumexp vector_norm sin cos"
)
LARGEST_CONSTANT = 1e30  # what is larger masks
NEARLY_ZERO = 1e-5  # what an activation may make of 0: xIELU makes -8e-7
SUMS = _words("add __add__ __radd__ sub __sub__ __rsub__ rsub")
PRODUCTS = _words("mul __mul__ __rmul__ multiply matmul __matmul__ bmm")
IN_PLACE_SUMS = _words("add_ __iadd__")
PIECES = _words("__getitem__ index_select to float double unsqueeze repeat_interleave")
QUOTIENTS = _words("div __truediv__ true_divide")


@dataclass(eq=False)
class Piece:
    """One block of the frozen model: `out` is linear in `row`, in every read's `z`, in constants.

    `row` [batch, pos, d_model] and the z are cut: what made them has a graph of its own.
    """

    row: Tensor
    reads: list[AttentionRead] = field(default_factory=list)
    constants: list[Tensor] = field(default_factory=list)
    out: Tensor | None = None


@dataclass(eq=False)
class AttentionRead:
    """One attention read: `z` as the block goes on with it, `v` as earlier code made it."""

    call: AttentionCall
    z: Tensor
    v: Tensor
    v_constant: Tensor | None = None  # the part of v that does not come from the row


@dataclass(eq=False)
class FrozenRun:
    """A run in pieces; the last piece's `out` is the target."""

    pieces: list[Piece]
    target: Tensor


class Frozen(TorchFunctionMode):
    """Replaces derivatives, never values; see the module's first lines."""

    def __init__(self) -> None:
        super().__init__()
        self.constants: list[Tensor] = []
        self.within = 0  # depth of activation modules, whose inside is not looked at

    @no_type_check
    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if self.within or not torch.is_grad_enabled():
            return func(*args, **kwargs)
        if not _any_grad(args, kwargs):
            out = func(*args, **kwargs)
            if name in PIECES and _is_parameter(args[0]) and isinstance(out, torch.Tensor):
                out._worldline_parameter = True  # rows of a table of biases, say
            return out
        if name in RATIOS:
            return _by_ratio(args[0], func(args[0].detach(), *args[1:], **kwargs))
        if name in HELD:
            return func(*_detach_args(args), **kwargs)
        if name == "linear":
            return self._linear(func, args, kwargs)
        if name == "addmm" and not kwargs:
            return self._plus(args[1] @ args[2], args[0])
        if name == "layer_norm":
            return self._layer_norm(args, kwargs)
        if name == "rms_norm":
            return _rms_norm(args, kwargs)
        if name in SUMS:
            return self._sum(func, args, kwargs)
        if name in IN_PLACE_SUMS and _grad(args[0]) and _is_constant(args[1]) and not kwargs:
            return func(args[0], self._plus(torch.zeros_like(args[0]), args[1]))
        if name in PRODUCTS and len(args) == 2 and not kwargs:
            return _product(func, *args)
        if name in QUOTIENTS and isinstance(args[1], torch.Tensor):
            return func(args[0], args[1].detach(), **kwargs)
        return func(*args, **kwargs)

    def _plus(self, value: Tensor, constant: Tensor | float) -> Tensor:
        """A constant is a source of its own: a leaf, so that what flows from it can be asked."""
        if not isinstance(constant, torch.Tensor):
            constant = torch.tensor(constant, dtype=value.dtype, device=value.device)
        leaf = constant.detach().to(value.dtype).expand(value.shape).requires_grad_()
        self.constants.append(leaf)
        return value + leaf

    @no_type_check
    def _linear(self, func, args, kwargs):
        arguments = dict(zip(("input", "weight", "bias"), args, strict=False)) | kwargs
        out = func(arguments["input"], arguments["weight"])
        bias = arguments.get("bias")
        return out if bias is None else self._plus(out, bias)

    @no_type_check
    def _layer_norm(self, args, kwargs):
        names = ("input", "normalized_shape", "weight", "bias", "eps")
        arguments = dict(zip(names, args, strict=False)) | kwargs
        x, weight, bias = arguments["input"], arguments.get("weight"), arguments.get("bias")
        axes = tuple(range(-len(arguments["normalized_shape"]), 0))
        variance = x.detach().var(axes, keepdim=True, correction=0)
        out = (x - x.mean(axes, keepdim=True)) * torch.rsqrt(variance + arguments.get("eps", 1e-5))
        out = out if weight is None else out * weight
        return out if bias is None else self._plus(out, bias)

    @no_type_check
    def _sum(self, func, args, kwargs):
        """A parameter or number added is a constant; a held tensor stays in the remainder."""
        left, right = args[0], args[1]
        for at, (operand, addend) in enumerate(((left, right), (right, left))):
            if _grad(operand) and not _grad(addend) and _is_constant(addend) and not kwargs:
                leaf = self._plus(torch.zeros_like(operand), addend)
                return func(operand, leaf) if at == 0 else func(leaf, operand)
        return func(*args, **kwargs)


def _grad(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.requires_grad


@no_type_check
def _any_grad(args, kwargs) -> bool:
    for value in (*args, *kwargs.values()):
        if _grad(value) or (isinstance(value, (tuple, list)) and any(map(_grad, value))):
            return True
    return False


def _is_constant(value: Any) -> bool:
    if not isinstance(value, torch.Tensor):
        return abs(value) < LARGEST_CONSTANT
    return value.ndim <= 1 or _is_parameter(value)


def _is_parameter(value: Any) -> bool:
    """A parameter, a view of one, or a piece of one."""
    if not isinstance(value, torch.Tensor):
        return False
    source = value if value._base is None else value._base
    return isinstance(source, torch.nn.Parameter) or any(
        hasattr(tensor, "_worldline_parameter") for tensor in (value, source)
    )


def _detach_args(args: Any) -> Any:
    return tuple(a.detach() if isinstance(a, torch.Tensor) else a for a in args)


class _HeldRatio(torch.autograd.Function):
    """`y` as it is, with the derivative `ratio`."""

    @staticmethod
    def forward(ctx: Any, _x: Tensor, y: Tensor, ratio: Tensor) -> Tensor:
        """The value is not touched."""
        ctx.save_for_backward(ratio)
        return y.clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Linear in the gradient, so that it can be differentiated again."""
        (ratio,) = ctx.saved_tensors
        return grad_outputs[0] * ratio, None, None


def _by_ratio(x: Tensor, y: Tensor) -> Tensor:
    """`y` with the derivative y/x: how an activation with act(0) = 0 is held."""
    y, x_value = y.detach(), x.detach()
    ratio = torch.where((x_value == 0) | ~x_value.isfinite(), 0.0, y / x_value)
    return _HeldRatio.apply(x, y, ratio)  # type: ignore[return-value]


def _product(func: Callable[..., Tensor], left: Any, right: Any) -> Tensor:
    """Of two branches that both depend on the row, each carries half."""
    if not (_grad(left) and _grad(right)):
        return func(left, right)
    if left is right:
        return func(left.detach(), right.detach())
    return 0.5 * (func(left.detach(), right) + func(left, right.detach()))


@no_type_check
def _rms_norm(args, kwargs):
    names = ("input", "normalized_shape", "weight", "eps")
    arguments = dict(zip(names, args, strict=False)) | kwargs
    x, weight, eps = arguments["input"], arguments.get("weight"), arguments.get("eps")
    axes = tuple(range(-len(arguments["normalized_shape"]), 0))
    eps = torch.finfo(x.dtype).eps if eps is None else eps
    out = x * torch.rsqrt(x.detach().square().mean(axes, keepdim=True) + eps)
    return out if weight is None else out * weight


def frozen_run(
    model: torch.nn.Module,
    anatomy: Anatomy,
    inputs: dict[str, Any],
    measure: Callable[[Tensor], Tensor],
) -> FrozenRun:
    """Run the frozen model once; `measure` takes the last position's logits to a linear scalar."""
    mode = Frozen()
    pieces: list[Piece] = []

    def cut(x: Tensor) -> Tensor:
        leaf = x.detach().requires_grad_()
        mode.constants = []
        pieces.append(Piece(leaf, constants=mode.constants))
        return leaf

    def cut_read(call: AttentionCall) -> Tensor:
        z = call.z.detach().requires_grad_()
        attention_read = AttentionRead(call, z, call.v)
        attention_read.v_constant = _constant_part(pieces[call.kv_layer], call.v)
        pieces[-1].reads.append(attention_read)
        call.release_inputs()  # the pattern is held
        return z

    def finish_block(event: BlockEvent) -> None:
        pieces[event.layer].out = event.raw_post

    with ExitStack() as stack:
        stack.enter_context(held_weights(model))
        stack.enter_context(_activations(model, mode))
        stack.enter_context(mode)
        watched_run = watched_forward(
            model,
            inputs,
            anatomy,
            terms=False,
            grad=True,
            on_block=finish_block,
            rewrite=cut_read,
            cut=cut,
        )
        target = measure(watched_run.logits[0, -1])
    pieces[-1].out = target
    return FrozenRun(pieces, target)


def _constant_part(piece: Piece, v: Tensor) -> Tensor | None:
    """What of v does not come from the row: v - J row, J by differentiating twice."""
    if not piece.constants or not v.requires_grad:
        return None
    with torch.enable_grad():
        u = torch.zeros_like(v, requires_grad=True)
        (back,) = torch.autograd.grad(
            v, piece.row, u, create_graph=True, retain_graph=True, allow_unused=True
        )
        if back is None:
            return v.detach()
        (image,) = torch.autograd.grad((back * piece.row.detach()).sum(), u)
    return v.detach() - image


@contextmanager
def _activations(model: torch.nn.Module, mode: Frozen) -> Iterator[None]:
    """Activation modules are held by their ratio as a whole, whatever they are made of."""

    def before(_module, _args):
        mode.within += 1

    def after(_module, args, out):
        mode.within -= 1
        if mode.within or not (_grad(args[0]) and torch.is_grad_enabled()):
            return None
        return _by_ratio(args[0], out)

    with own_hooks() as hooks:
        for module in model.modules():
            if _is_activation(module):
                hooks.before(module, before)
                hooks.after(module, after)
        yield


def _is_activation(module: torch.nn.Module) -> bool:
    """Whether a module of no more than single numbers takes each number by itself, and 0 to 0.

    One that hands on what it is given (dropout, in a model that runs) is none: held by a ratio, it
    would let nothing through where terms cancel to exactly 0.
    """
    own_tensors = [*module.parameters(), *module.buffers()]
    if any(True for _ in module.children()) or any(tensor.numel() > 1 for tensor in own_tensors):
        return False
    probe = torch.tensor([0.0, -1.5, 0.25, 2.0])
    probe = probe.to(own_tensors[0]) if own_tensors else probe
    try:
        with torch.no_grad():
            batch_output, alone = (
                module(probe),
                torch.cat([module(number[None]) for number in probe]),
            )
    except Exception:
        return False
    return (
        torch.is_tensor(batch_output)
        and batch_output.shape == probe.shape
        and bool(torch.equal(batch_output, alone) and abs(float(batch_output[0])) < NEARLY_ZERO)
        and not torch.equal(batch_output, probe)
    )
