"""The hop curve of a text: its loss, and what is predicted, under every budget of hops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from worldline.errors import InputError
from worldline.graph.edits import SINKS, HopBudget, longer_than
from worldline.models.loader import LoadedModel
from worldline.models.model_calls import on_model
from worldline.number_spans import ranges_text
from worldline.resolution import Precision, of_sum
from worldline.runs.edit_hooks import Edits
from worldline.runs.hop_budgets import AT_ONCE, Copy, copies_of, most_hops
from worldline.runs.noise_floor import equivalent_runs, likeliest_tokens, token_precisions
from worldline.runs.plan import Plan
from worldline.runs.recorder import tokens_to_run
from worldline.runs.run_logits import Said, said_by
from worldline.tokens.tokens import Tokens

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from worldline.models.tracer import BlockEvent

CLOSE_NATS = 0.1
STATE_NOTE = "it includes the cost of being off the model's distribution"


@dataclass(frozen=True, eq=False)
class HopCurve:
    """What limits on hops do to a text, for one convention on column 0.

    `state_gain_nats` = loss(1) - loss_full bounds from above what reading past inner states, rather
    than tokens, is worth; it includes the cost of being off the model's distribution.

    Attributes:
        tokens: The text.
        sink: Whether reads of column 0 are "counted" as hops or "free".
        layers: Blocks whose reads count as hops; None for all.
        longest: Hops over more positions are forbidden; None for none.
        budgets: The most hops of each run.
        loss_nats: [budget], the mean loss per predicted token.
        token_loss_nats: [budget, pos], that of each token, nan for the first, which nothing
            predicts.
        loss_full_nats: The model's own.
        hops_needed: [pos], the least h such that for every budget from h on the token predicted in
            place of this one is the full model's; None for the first token, and where the largest
            budget does not do. Rounding does not decide it: tokens within
            `likeliest_least_logits` of the highest are all predicted.
        hops_needed_close: [pos], the least h from which on its loss is within 0.1 nats; a loss
            within its rounding counts as near.
        tail: What is known of larger budgets, in words.
        precision: That of a difference of mean losses.
        token_precision: [pos], that of each token's; None for the first.
        likeliest_least_logits: [pos], how near logits lie that rounding may exchange; None for the
            first token.
        sink_cos: [budget, layer], mean cosine of V with column 0's, over all other columns: near 1
            tokens have turned into sinks.
            It describes states, and carries no floor.
        norm_ratio: [budget, row], mean norm of a node over that of the plain run; likewise.
    """

    tokens: Tokens
    sink: str
    layers: tuple[int, ...] | None
    longest: int | None
    budgets: tuple[int, ...]
    loss_nats: Float[np.ndarray, " budget"]
    token_loss_nats: Float[np.ndarray, "budget pos"]
    loss_full_nats: float
    hops_needed: tuple[int | None, ...]
    hops_needed_close: tuple[int | None, ...]
    tail: str
    precision: Precision
    token_precision: tuple[Precision | None, ...]
    likeliest_least_logits: tuple[float | None, ...]
    sink_cos: Float[np.ndarray, "budget layer"]
    norm_ratio: Float[np.ndarray, "budget row"]

    @property
    def state_gain_nats(self) -> float | None:
        """loss(1) - loss_full; None where budget 1 was not run."""
        return float(self.loss_nats[1]) - self.loss_full_nats if len(self.budgets) > 1 else None

    def json(self) -> dict[str, Any]:
        """As plain numbers."""
        return {
            "tokens": list(self.tokens.pieces),
            "sink": self.sink,
            "layers": None if self.layers is None else list(self.layers),
            "longest": self.longest,
            "budgets": list(self.budgets),
            "loss_nats": self.loss_nats.tolist(),
            "loss_full_nats": self.loss_full_nats,
            "hops_needed": list(self.hops_needed),
            "hops_needed_close": list(self.hops_needed_close),
            "state_gain_nats": self.state_gain_nats,
            "state_gain_note": STATE_NOTE,
            "tail": self.tail,
            "precision": {"loss_nats": self.precision.json()},
            "token_least_nats": [entry and entry.least for entry in self.token_precision],
            "likeliest_least_logits": list(self.likeliest_least_logits),
            "sink_cos": _plain(self.sink_cos),
            "norm_ratio": _plain(self.norm_ratio),
        }


@dataclass
class _BudgetRuns:
    """What the runs under budgets 0, 1, .. gave, and what is known of larger budgets."""

    losses: list[np.ndarray] = field(default_factory=list)
    deficits: list[np.ndarray] = field(default_factory=list)
    cosines: list[np.ndarray] = field(default_factory=list)
    ratios: list[np.ndarray] = field(default_factory=list)
    tail: str = "no larger budget was run: the tail is unproven"

    def add(self, copy: Copy, ids: Tensor, norms: Tensor, likeliest: Tensor) -> None:
        """Take the next budget's run; `norms` and `likeliest` are those of the full run."""
        loss, deficit = _losses(copy.said, ids, likeliest)
        self.losses.append(loss)
        self.deficits.append(deficit)
        self.cosines.append(copy.sink_cos[:, 1:].nanmean(-1).numpy())
        self.ratios.append((copy.norms / norms.clamp_min(1e-30))[:, 1:].mean(-1).numpy())

    def has_ended(self, copy: Copy, full_loss: np.ndarray, within_nats: float | None) -> bool:
        """Whether no larger budget is to be run; `tail` then says why."""
        if copy.equals_previous:
            self.tail = (
                f"at {copy.hops} hops every node is bitwise that of {copy.hops - 1}: so it stays"
            )
            return True
        if within_nats is None or not copy.hops or not _still(self.losses, full_loss, within_nats):
            return False
        self.tail = (
            f"ended on request: the loss moved by less than {within_nats} nats; "
            "the tail is unproven"
        )
        return True


@on_model
def hop_curve(
    model: LoadedModel,
    text: str | Tokens | Sequence[int],
    *,
    max_hops: int | None = None,
    sink: str = "counted",
    layers: Sequence[int] | None = None,
    longest: int | None = None,
    stop_within_nats: float | None = None,
    at_once: int = AT_ONCE,
    progress: Callable[[str], None] | None = None,
) -> HopCurve:
    """Run a text with at most 0, 1, .. `max_hops` hops (default: until nothing is limited).

    Ends early where every node is bitwise that of the budget before, when all larger budgets
    agree.

    Args:
        model: A model from `load_model`.
        text: The text, or its tokens or ids.
        max_hops: The largest budget.
        sink: Whether reads of column 0 are "counted" as hops or "free".
        layers: Layers whose reads count as hops (None: all).
        longest: Forbids hops over more positions, by mask, in these runs and in the full one they
            are compared with; reads of column 0 are exempt where they are free.
        stop_within_nats: Ends also where the loss moves by less from one budget to the next and is
            as near to the full one, and says that the tail is unproven.
        at_once: How many copies run side by side: more memory, the same numbers.
        progress: Called with a line whenever work goes on.

    Returns:
        The loss by budget, of the whole text and of every token, in nats.

    Raises:
        InputError: a text of one token, which predicts nothing; a budget below 0.
        RefusedError: a layer moves information between columns without K/V.

    Exactness: each run is exact up to the rounding of two equivalent runs. Units: nats.
    """
    tokens = tokens_to_run(model, text)
    n_pos = len(tokens)
    if n_pos < 2:
        raise InputError("text: one token predicts nothing that could be compared; give two")
    most = most_hops(model, n_pos)
    n_hops = most if max_hops is None else max_hops
    edits = frozenset() if longest is None else longer_than(longest, n_pos, sink == "free")
    counted_layers = None if layers is None else tuple(layers)
    ids = torch.tensor(tokens.ids)
    full, norms = _full(model, Plan(tokens.ids, edits))
    rerun_logits = equivalent_runs(model, tokens.ids, edits)
    precisions = token_precisions(full, rerun_logits, tokens.ids[1:])
    likeliest, least_logits = likeliest_tokens(full, rerun_logits, n_pos - 1)
    full_loss, _ = _losses(full, ids, likeliest)
    del full, rerun_logits
    plan = Plan(tokens.ids, edits, HopBudget(min(n_hops, most), sink, counted_layers))
    n = plan.budget.hops + 1 if plan.budget else 1
    runs = _BudgetRuns()
    if n_hops >= most:
        runs.tail = f"{most} hops are all there can be: every larger budget is the full run"
    for copy in copies_of(model, plan, at_once=at_once):
        runs.add(copy, ids, norms, likeliest)
        if progress is not None:
            progress(f"hop budget {copy.hops} of {n - 1}")
        if runs.has_ended(copy, full_loss, stop_within_nats):
            break
    table = np.stack(runs.losses)
    top_agrees = np.stack(runs.deficits) <= least_logits.numpy()
    near = np.maximum(CLOSE_NATS, [loss_precision.least for loss_precision in precisions])
    close = np.abs(table[:, 1:] - full_loss[1:]) < near
    return HopCurve(
        tokens=tokens,
        sink=sink,
        layers=counted_layers,
        longest=longest,
        budgets=tuple(range(len(runs.losses))),
        loss_nats=np.nanmean(table, axis=1),
        token_loss_nats=table,
        loss_full_nats=float(np.nanmean(full_loss)),
        hops_needed=(None, *_least_hops(top_agrees)),
        hops_needed_close=(None, *_least_hops(close)),
        tail=runs.tail,
        precision=of_sum(precisions, over=float(len(precisions))),
        token_precision=(None, *precisions),
        likeliest_least_logits=(None, *least_logits.tolist()),
        sink_cos=np.stack(runs.cosines),
        norm_ratio=np.stack(runs.ratios),
    )


@on_model
def hop_curves(
    model: LoadedModel, tokens: Tokens, *, sink: str | None = None, **options: Any
) -> list[HopCurve]:
    """One curve for `sink`, or by default what the text asks for, as instrument.md has it.

    "both" gives both conventions; None "free" where column 0 is a beginning-of-text token, else
    both.
    """
    if sink not in (None, "both", *SINKS):
        raise InputError(f"--sink {sink}: accepted are counted, free, both")
    if sink is None:
        bos = getattr(model.tokenizer, "bos_token_id", None)
        special = tokens.specials[0] if tokens.specials else False
        sink = "free" if special and bos is not None and tokens.ids[0] == bos else "both"
    sinks = SINKS if sink == "both" else (sink,)
    return [hop_curve(model, tokens, sink=convention, **options) for convention in sinks]


def _full(model: LoadedModel, plan: Plan) -> tuple[Said, Tensor]:
    """What the run says that nothing but `longest` limits, and its nodes' norms."""
    norms: list[Tensor] = []

    def keep(event: BlockEvent) -> None:
        if event.layer == 0:
            norms.append(event.resid_pre[0].float().norm(dim=-1).cpu())
        norms.append(event.resid_post[0].float().norm(dim=-1).cpu())

    edits = Edits(len(plan.ids), [tuple(plan.edits)])
    return said_by(model, [plan], edits, on_row=keep), torch.stack(norms)


def _losses(
    run_logits: Said, ids: Tensor, likeliest: Int[Tensor, "pos token"]
) -> tuple[np.ndarray, np.ndarray]:
    """(Loss of every token in nats, nan for the first; by how much the full run's likeliest miss).

    The second, in logits, for each other token: the highest logit less the highest of theirs.
    """
    losses, deficits = np.full(len(ids), np.nan), np.empty(len(ids) - 1)
    for part, (logits,) in run_logits.parts(len(ids) - 1):
        wide = logits.double().cpu()
        after = slice(part.start + 1, part.stop + 1)
        losses[after] = -torch.log_softmax(wide, -1).gather(1, ids[after, None])[:, 0].numpy()
        deficits[part] = (wide.amax(-1) - wide.gather(1, likeliest[part]).amax(-1)).numpy()
    return losses, deficits


def _still(losses: list[np.ndarray], full: np.ndarray, within: float) -> bool:
    last, before, full_loss = (
        float(np.nanmean(token_losses)) for token_losses in (losses[-1], losses[-2], full)
    )
    return abs(last - before) < within and abs(last - full_loss) < within


def _least_hops(agrees: np.ndarray) -> list[int | None]:
    """Per column the first row from which on all agree, None where the last does not."""
    suffix = np.logical_and.accumulate(agrees[::-1], axis=0)[::-1]
    return [int(column.argmax()) if column[-1] else None for column in suffix.T]


def _plain(table: np.ndarray) -> list[list[float | None]]:
    return [[None if value != value else float(value) for value in row] for row in table]


def curves_json(curves: Sequence[HopCurve]) -> dict[str, Any]:
    """The numbers: those of the first curve, and all of them where there are two."""
    curve_numbers = [curve.json() for curve in curves]
    return {"schema": "worldline.hops/1"} | curve_numbers[0] | {"curves": curve_numbers}


def curves_scene(curves: Sequence[HopCurve]) -> dict[str, Any]:
    """What the picture shows of curves of one text."""
    first = curves[0]
    names = ("sink", "budgets", "loss_nats", "hops_needed", "hops_needed_close", "state_gain_nats")
    curve_parts = []
    for curve in curves:
        curve_json = curve.json()
        part = {name: curve_json[name] for name in (*names, "precision")}
        part["sink_cos"] = [_mean(row) for row in curve.sink_cos]
        part["norm_ratio"] = [float(row[1:].mean()) for row in curve.norm_ratio]
        curve_parts.append(part)
    return {
        "loss_full_nats": first.loss_full_nats,
        "curves": curve_parts,
        "layers": "all" if first.layers is None else ranges_text(first.layers),
        "longest": first.longest,
        "tail": first.tail,
    }


def _mean(row: np.ndarray) -> float | None:
    finite = row[row == row]
    return float(finite.mean()) if len(finite) else None
