"""The light cone of a node: what a small perturbation does to all others, by which highway."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, no_type_check

import numpy as np
import torch
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

from worldline.errors import InputError, RefusedError, first_line
from worldline.graph.node import Node
from worldline.models.model_calls import on_model
from worldline.models.tracer import batch_first
from worldline.models.validation import checked_report
from worldline.runs.edit_hooks import Edits, QkvOverride, RowEdit, row_back
from worldline.runs.forward_passes import run_edited
from worldline.runs.noise_floor import Precision, equivalent_runs
from worldline.runs.plan import Plan
from worldline.runs.recorder import tokens_to_run
from worldline.tokens.tokens import Tokens

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from worldline.models.attention import AttentionCall
    from worldline.models.loader import LoadedModel
    from worldline.models.tracer import BlockEvent

THROUGH = ("both", "residual", "kv")  # the items of the batch, in this order
N_DIRECTIONS = 4
STEP = 1e-2
FORWARD_MODE = "forward mode"


@dataclass(frozen=True, eq=False)
class LightCone:
    """Responses to a perturbation at one node, by the highway through which it leaves.

    Attributes:
        tokens: The text.
        at: The node that is perturbed.
        step: Size of the perturbation over the node's norm.
        n_directions: How many random directions were perturbed in.
        relative: For each highway [row, pos], |change| / |node|, the mean over directions. Outside
            the cone it is exactly 0, bitwise, where `outside_zero`.
        spread: For each highway [row, pos], the standard deviation over that mean.
        precision: What a response inside the cone has to exceed to be more than the rounding of the
            rows.
        outside_zero: Whether nothing outside the cone changed.
        derivative_error: How far finite steps are from the forward-mode derivative at the last row,
            relative; None where the model has no such derivative.
        derivative_worst: The same at the worst single node, through whichever highway.
        additivity_error: How far the derivatives through the residual stream and through K and V
            are from adding up to both, relative.
        derivative: "forward mode", or why there is none.
    """

    tokens: Tokens
    at: Node
    step: float
    n_directions: int
    relative: dict[str, Float[np.ndarray, "row pos"]]
    spread: dict[str, Float[np.ndarray, "row pos"]]
    precision: Precision
    outside_zero: bool
    derivative_error: float | None
    derivative_worst: float | None
    additivity_error: float | None
    derivative: str

    def reach(self, through: str) -> list[int]:
        """Per row, how many columns change."""
        return (self.relative[through] > 0).sum(-1).tolist()

    def scene(self) -> dict[str, Any]:
        """What the picture shows of it."""
        return {
            "layer": self.at.layer,
            "pos": self.at.pos,
            "n_directions": self.n_directions,
            "step": self.step,
            "responses": [
                {
                    "through": through,
                    "relative": self.relative[through].tolist(),
                    "spread": self.spread[through].tolist(),
                }
                for through in self.relative
            ],
            "precision": {"relative": self.precision.json()},
            "outside_zero": self.outside_zero,
            "derivative_error": self.derivative_error,
            "additivity_error": self.additivity_error,
        }

    def json(self) -> dict[str, Any]:
        """As plain numbers."""
        header = {"schema": "worldline.cone/1", "tokens": list(self.tokens.pieces)}
        reach = {through: self.reach(through) for through in self.relative}
        more = {"derivative": self.derivative, "derivative_worst": self.derivative_worst}
        return header | self.scene() | more | {"reach": reach}


class _Perturbation(Edits):
    """Three copies: perturbed in all ways, through the residual stream only, through K and V only.

    The second reads, of the perturbed column, the third's K and V, which nothing perturbed; the
    third reads the first's.
    """

    def __init__(self, n_pos: int, at: Node, perturbation: Tensor):
        super().__init__(n_pos, [(), (), ()], extra=self._swapped_reads)
        self.at, self.perturbation = at, perturbation
        self.swapped_kv: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def _swapped_reads(self, call: AttentionCall, item: int) -> list[RowEdit]:
        if call.kv_layer != self.at.layer or item == 0 or self.at.pos + 1 >= self.n_pos:
            return []
        kv_item = 2 if item == 1 else 0
        self._refuse_made(call)
        device = call.q.device
        rows = torch.arange(self.at.pos + 1, self.n_pos, device=device)
        where = (torch.arange(self.n_pos, device=device) == self.at.pos).expand(1, len(rows), -1)
        return [RowEdit(rows, reads=[(where, QkvOverride(call.k[kv_item], call.v[kv_item]))])]

    def _refuse_made(self, call: AttentionCall) -> None:
        """Raise where later columns' masks follow the perturbed node here: no swap undoes it."""
        if call.layer != self.at.layer:
            return  # later columns have changed by then, and their masks may
        later = slice(self.at.pos + 1, None)
        for mask in (call.allowed, call.bias):
            if mask is None or mask.shape[0] == 1:
                continue
            rows = mask[:, :, later] if mask.shape[2] > 1 else mask
            if not torch.equal(rows[1], rows[2]):
                raise RefusedError(
                    f"layer {call.layer} makes its mask from the perturbed node too, beside K and "
                    "V: "
                    "residual stream and K/V cannot be told apart"
                )

    def row(self, x: Tensor) -> Tensor:
        """The next row, perturbed in the first two copies if it is the one."""
        row, self.at_row = self.at_row, self.at_row + 1
        if row != self.at.layer:
            return x
        old = batch_first(x, 3, self.n_pos)
        where = torch.zeros(3, self.n_pos, *(1,) * (old.ndim - 2), dtype=x.dtype, device=x.device)
        where[:2, self.at.pos] = 1
        perturbation = self.perturbation.to(x.dtype)
        if perturbation.numel() > 1:  # one number, 0, in the run that others are compared with
            perturbation = perturbation.view(old.shape[2:])
        new = old + where * perturbation
        return new if old is x else new.permute(row_back(x, old))


@dataclass
class _DerivativeComparison:
    """How far finite steps are from the forward-mode derivative, one number a direction.

    `mode` is `FORWARD_MODE` as long as there is one, else why there is none.
    """

    mode: str
    errors: list[float] = field(default_factory=list)
    worst: list[float] = field(default_factory=list)
    additivity_errors: list[float] = field(default_factory=list)

    @property
    def stands(self) -> bool:
        """Whether every direction was compared."""
        return self.mode == FORWARD_MODE

    def add(
        self, model: LoadedModel, plan: Plan, at: Node, perturbation: Tensor, changes: list[Tensor]
    ) -> None:
        """Compare the changes that a perturbation made with the derivative along it."""
        if not self.stands:
            return
        try:
            tangents = _tangents(model, plan, at, perturbation)
        except RefusedError:
            raise
        except (RuntimeError, NotImplementedError) as error:
            self.mode = f"this model has no forward-mode derivative: {first_line(error, 150)}"
            return
        self.errors.append(_apart(changes[-1][0], tangents[-1][0]))
        self.worst.append(max(map(_worst_apart, changes[at.layer :], tangents[at.layer :])))
        parts = torch.stack([t[1] + t[2] for t in tangents[at.layer + 1 :]] or [tangents[-1][0]])
        total = torch.stack([t[0] for t in tangents[at.layer + 1 :]] or [tangents[-1][0]])
        self.additivity_errors.append(_apart(parts, total))


@on_model
def light_cone(
    model: LoadedModel,
    text: str | Tokens | Sequence[int],
    *,
    at: Node,
    through: Sequence[str] = THROUGH,
    directions: int = N_DIRECTIONS,
    step: float = STEP,
    seed: int = 0,
    derivative: bool = True,
    progress: Callable[[str], None] | None = None,
) -> LightCone:
    """Perturb the node `at` a little, and see which nodes change and by how much.

    Args:
        model: A model from `load_model`.
        text: The text, or its tokens or ids.
        at: The node that is perturbed.
        through: The highways by which the perturbation leaves: "residual" (it enters K and V from
            the next row on only), "kv" (only K and V of this node, as read by later columns),
            "both".
        directions: How many random directions to perturb in.
        step: Size of the perturbation over the node's norm.
        seed: Seed of the directions.
        derivative: Whether the steps are compared with the forward-mode derivative.
        progress: Called with a line whenever work goes on.

    Returns:
        The response of every node, [row, pos], by highway: |change| / |node|.

    Raises:
        InputError: a node off the grid, no direction, a step that is not above 0.
        RefusedError: a layer above moves information between columns without K/V, or the mask of
            the block itself depends on what is perturbed.

    Exactness: zeros outside the cone are bitwise (same shapes, same batch); the responses are those
    of finite steps, compared with the forward-mode derivative. Units: relative to a node's norm.
    """
    if not isinstance(at, Node):
        raise InputError(f"at={at!r}: accepted is a wl.Node(layer=..., pos=...)")
    tokens = tokens_to_run(model, text)
    report, n_pos = checked_report(model), len(tokens)
    _refuse(at, report.n_layers, n_pos, directions, step, through)
    if above := [layer for layer in report.opaque_layers if layer >= at.layer]:
        raise RefusedError(
            f"layer {above[0]} moves information between columns without K/V: residual stream and "
            "K/V cannot be told apart"
        )
    plan, device = Plan(tokens.ids), next(model.module.parameters()).device
    rows = _rows(model, plan, at, torch.zeros(1, device=device))
    node = rows[at.layer][0, at.pos]
    if step < (eps := torch.finfo(node.dtype).eps):
        raise InputError(
            f"step = {step}: rows in {node.dtype} resolve {eps:.0e} of a node; accepted are "
            "larger ones"
        )
    norms = [row.double().norm(dim=-1).clamp_min(1e-300) for row in rows]
    draw = torch.Generator().manual_seed(seed)
    sizes: list[np.ndarray] = []
    comparison = _DerivativeComparison(FORWARD_MODE if derivative else "not asked for")
    zero = True
    for number in range(directions):
        if progress is not None:
            progress(f"direction {number + 1} of {directions}")
        unit = torch.randn(node.shape, generator=draw, dtype=torch.float64)
        perturbation = (unit / unit.norm() * float(node.double().norm()) * step).to(node)
        changes = [
            new.double() - old
            for new, old in zip(_rows(model, plan, at, perturbation), rows, strict=True)
        ]
        if not all(bool(torch.isfinite(change).all()) for change in changes):
            raise InputError(
                f"step = {step}: rows of the perturbed run are no finite numbers; accepted are "
                "smaller"
            )
        zero &= _zero_outside(changes, at)
        relative = [(c.norm(dim=-1) / n).cpu().numpy() for c, n in zip(changes, norms, strict=True)]
        sizes.append(np.stack(relative, axis=1))  # [item, row, pos]
        comparison.add(model, plan, at, perturbation, changes)
    table = np.stack(sizes)
    mean = table.mean(0)
    spread = np.divide(table.std(0), mean, out=np.zeros_like(mean), where=mean > 0)
    return LightCone(
        tokens=tokens,
        at=at,
        step=step,
        n_directions=directions,
        relative={name: mean[THROUGH.index(name)] for name in through},
        spread={name: spread[THROUGH.index(name)] for name in through},
        precision=_precision(model, plan, rows, at),
        outside_zero=zero,
        derivative_error=float(np.mean(comparison.errors)) if comparison.stands else None,
        derivative_worst=max(comparison.worst) if comparison.stands else None,
        additivity_error=float(np.max(comparison.additivity_errors)) if comparison.stands else None,
        derivative=comparison.mode,
    )


def _rows(model: LoadedModel, plan: Plan, at: Node, perturbation: Tensor) -> list[Tensor]:
    """Every row of the three copies, [item, pos, ...], the perturbed one as it is afterwards."""
    rows: list[Tensor] = []

    def keep(event: BlockEvent) -> None:
        rows.extend([event.resid_pre, event.resid_post][event.layer > 0 :])
        rows[event.layer] = event.resid_pre  # what entered, the perturbation included

    edits = _Perturbation(len(plan.ids), at, perturbation)
    run_edited(model, [plan] * 3, edits, on_row=keep, rows_too=True)
    if at.layer == len(rows) - 1:  # the last row is noted before it is perturbed
        rows[-1] = rows[-1].clone()
        rows[-1][:2, at.pos] += perturbation
    return rows


def _precision(model: LoadedModel, plan: Plan, rows: list[Tensor], at: Node) -> Precision:
    """Of a relative change of a node: what equivalent runs differ by, and two roundings of a row.

    The rows below the perturbation, and the columns before it, are not asked about.
    """
    equivalent_rows: list[Tensor] = []

    def keep(event: BlockEvent) -> None:
        equivalent_rows.extend([event.resid_pre, event.resid_post][event.layer > 0 :])

    equivalent_runs(model, plan.ids, last=1, on_row=keep)
    floor = 0.0
    for mine, theirs in zip(rows[at.layer :], equivalent_rows[at.layer :], strict=True):
        true = mine[0, at.pos :].double()
        off = (theirs[:, at.pos :].double() - true).norm(dim=-1)
        floor = max(floor, float((off / true.norm(dim=-1).clamp_min(1e-300)).max()))
    dtype = rows[-1].dtype
    return Precision(floor, torch.finfo(dtype).eps, str(dtype).removeprefix("torch."))


class _PlainAttention(TorchFunctionMode):
    """Attention by matrix products, which have a derivative in forward mode; in this thread alone.

    torch's own switch, `sdpa_kernel`, is one for the whole process.
    """

    @no_type_check
    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is not torch.nn.functional.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        return _plain_attention(*args, **(kwargs or {}))


def _plain_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **options: Any,
) -> Tensor:
    """As torch's scaled_dot_product_attention, by the one of its kernels that is products."""
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        forbidden = torch.full_like(attn_mask, float("-inf"), dtype=query.dtype)
        attn_mask = forbidden.masked_fill(attn_mask, 0.0)
    kernel = torch.ops.aten._scaled_dot_product_attention_math
    return kernel(query, key, value, attn_mask, dropout_p, is_causal, **options)[0]


def _tangents(model: LoadedModel, plan: Plan, at: Node, perturbation: Tensor) -> list[Tensor]:
    """The derivative of every row along `perturbation`, by dual numbers through the forward."""
    with warnings.catch_warnings(), forward_ad.dual_level(), _PlainAttention():
        # torch's own rules are written in what torch no longer advises
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        dual = forward_ad.make_dual(torch.zeros_like(perturbation), perturbation)
        out = []
        for row in _rows(model, plan, at, dual):
            tangent = forward_ad.unpack_dual(row).tangent
            out.append(torch.zeros_like(row).double() if tangent is None else tangent.double())
    return out


def _apart(value: Tensor, reference: Tensor) -> float:
    return float(
        (value.double() - reference.double()).norm() / reference.double().norm().clamp_min(1e-300)
    )


def _worst_apart(value: Tensor, reference: Tensor) -> float:
    """As `_apart`, at the worst node of a row [item, pos, ...]; a change without one counts as 1.

    Where both are exactly zero nothing is compared.
    """
    size = reference.norm(dim=-1)
    off = (value - reference).norm(dim=-1)
    error_at_zero = torch.where(off > 0, 1.0, 0.0)
    return float(torch.where(size > 0, off / size.clamp_min(1e-300), error_at_zero).max())


def _zero_outside(changes: list[Tensor], at: Node) -> bool:
    """Bitwise no change below, to the left, and on the highway that was not taken; NaN is one."""
    for row, change in enumerate(changes):
        may = torch.zeros(change.shape[:2], dtype=torch.bool, device=change.device)  # [item, pos]
        if row == at.layer:
            may[:2, at.pos] = True
        elif row > at.layer:
            may[0, at.pos :] = True
            may[1, at.pos : at.pos + 1 if row == at.layer + 1 else None] = True
            may[2, at.pos + 1 :] = True
        if bool((change != 0).any(-1)[~may].any()):
            return False
    return True


def _refuse(
    at: Node, n_layers: int, n_pos: int, directions: int, step: float, through: Sequence[str]
) -> None:
    if at.layer > n_layers or at.pos >= n_pos:
        raise InputError(
            f"{at} is off the grid: accepted are rows 0 to {n_layers}, positions 0 to {n_pos - 1}"
        )
    if directions < 1:
        raise InputError(f"directions = {directions}: accepted are whole numbers from 1")
    if not 0 < step < float("inf"):
        raise InputError(f"step = {step}: accepted are finite numbers above 0")
    for name in through or ("",):
        if name not in THROUGH:
            raise InputError(f"through={name!r}: accepted are residual, kv, both")
