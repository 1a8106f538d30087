"""How small a difference between two runs may be and still say something: floor and resolution."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from worldline.models.identity import identify
from worldline.resolution import Precision, of_sum
from worldline.runs.edit_hooks import Edits, RowEdit
from worldline.runs.execution import execute
from worldline.runs.plan import Plan
from worldline.runs.run_logits import Said, said_by

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from worldline.graph.edits import Intervention
    from worldline.models.attention import AttentionCall
    from worldline.models.loader import LoadedModel
    from worldline.models.tracer import BlockEvent

COARSE_FIRST = (torch.bfloat16, torch.float16, torch.float32)
FLOOR_SIGMAS = 3.0
TEXTS_KEPT = 8


@dataclass(frozen=True, eq=False)
class PlainRow:
    """The logits of a plain run at one position, [d_vocab], and those of equivalent runs.

    The precision of what an altered run changes there, its logits being `altered_logits`. The
    difference at one token may be small by luck: so a floor is three times the root mean square of
    the differences over all tokens, as far as the number follows them; never less than what was
    seen.
    """

    logits: Float[Tensor, " d_vocab"]
    rerun_logits: Float[Tensor, "run d_vocab"]

    def of_logprob(self, token: int, *altered_logits: Tensor) -> Precision:
        """Of a log-probability, in nats."""
        token_ids = torch.tensor([token])
        floor = float(logprob_floors(self.logits[None], self.rerun_logits[:, None], token_ids)[0])
        rows = torch.stack([self.logits, *(altered_logits or (self.logits,))])
        bounds = logprob_rounding(rows, token_ids.expand(len(rows)))
        return Precision(floor, float(bounds[0] + bounds[1:].max()), dtype_of(rows))

    def of_logit(self, token: int, versus: int | None, *altered_logits: Tensor) -> Precision:
        """Of a logit, or of one less another."""
        change = _changes(self.logits, self.rerun_logits)
        token_change, size = change[:, token], change.square().mean().sqrt()
        if versus is not None:
            token_change, size = token_change - change[:, versus], _pair_spread(change)
        floor = max(float(token_change.abs().max()), FLOOR_SIGMAS * float(size))
        rows = torch.stack([self.logits, *(altered_logits or (self.logits,))])
        at = [token] if versus is None else [token, versus]
        bounds = spacing(rows)[:, at].sum(-1) / 2
        return Precision(floor, float(bounds[0] + bounds[1:].max()), dtype_of(rows))

    def of_kl(self, altered_logits: Tensor) -> Precision:
        """Of KL(plain || altered), in nats.

        Logits off by at most d move it by at most d^2 / 2 (Hoeffding's lemma).
        """
        change = _changes(self.logits, self.rerun_logits)
        chances = self.logits.double().softmax(-1)
        level = (chances * change).sum(-1)
        divergences = torch.logsumexp(torch.log(chances) + change, -1) - level
        spread = change.var(-1, unbiased=False).mean() * (1 - chances.square().sum())
        floor = max(float(divergences.max()), FLOOR_SIGMAS**2 * float(spread) / 2)
        rows = torch.stack([self.logits, altered_logits])
        finite = torch.isfinite(rows).all(0)
        off = float(spacing(rows)[:, finite].sum(0).max()) / 2
        return Precision(floor, off**2 / 2, dtype_of(rows))


def logprob_floors(
    logits: Float[Tensor, "row d_vocab"],
    rerun_logits: Float[Tensor, "run row d_vocab"],
    tokens: Tensor,
) -> Float[Tensor, " row"]:
    """How far equivalent runs lie apart in the log-probability of one token a row.

    It follows its own logit by 1 - p and every other one by that one's p.
    """
    change, chances = _changes(logits, rerun_logits), logits.double().softmax(-1)
    at = tokens.to(logits.device)[:, None]
    token_chance = chances.gather(-1, at)[:, 0]
    follows = ((1 - token_chance) ** 2 + chances.square().sum(-1) - token_chance**2).clamp_min(0)
    spread = change.var(-1, unbiased=False).mean(0)
    token_change = change.gather(-1, at.expand(len(change), -1, 1))[..., 0]
    token_change = (token_change - torch.logsumexp(torch.log(chances) + change, -1)).abs().amax(0)
    return torch.maximum(token_change, FLOOR_SIGMAS * (spread * follows).sqrt())


def plain_row(model: LoadedModel, ids: Sequence[int], logits: Tensor) -> PlainRow:
    """The last position of a plain run, `logits`, beside that of equivalent runs.

    Kept for the last few texts of a model as it is, so that a text is run anew once: as long as the
    plain run says the same to the last bit, for no identity tells everything.
    """
    model_cache = _KEPT.setdefault(model.module, OrderedDict())
    identity = identify(model)
    key = (tuple(ids), identity.key(), torch.get_num_threads())
    known = model_cache.get(key) if identity.complete else None
    if known is None or not _same_bits(known.logits, logits):
        others = equivalent_runs(model, ids, last=1).at(slice(None))[:, -1].clone()
        known = model_cache[key] = PlainRow(logits.clone(), others)
        while len(model_cache) > TEXTS_KEPT:
            model_cache.popitem(last=False)
    return PlainRow(logits, known.rerun_logits)


def _same_bits(one: Tensor, two: Tensor) -> bool:
    return (one.dtype, one.device) == (two.dtype, two.device) and torch.equal(one, two)


_KEPT: weakref.WeakKeyDictionary[torch.nn.Module, OrderedDict[Any, PlainRow]]
_KEPT = weakref.WeakKeyDictionary()


def equivalent_runs(
    model: LoadedModel,
    ids: Sequence[int],
    under: frozenset[Intervention] = frozenset(),
    *,
    last: int | None = None,
    on_row: Callable[[BlockEvent], None] | None = None,
) -> Said:
    """The plain run done otherwise: two copies side by side in one forward pass.

    In the first every row of attention is computed anew by the code that cuts, nothing being cut;
    the second is the model's own, in a batch of two. `under`: edits that both are compared under;
    `last`: at how many last positions they are asked, or at all.
    """
    plan = Plan(tuple(ids), under)

    def anew(call: AttentionCall, item: int) -> list[RowEdit]:
        if item:
            return []
        n_pos, height = call.q.shape[2], call.block_rows()
        starts = range(0, n_pos, height)
        device = call.q.device
        return [RowEdit(torch.arange(at, min(n_pos, at + height), device=device)) for at in starts]

    edits = Edits(len(plan.ids), [tuple(under)] * 2, extra=anew)
    return said_by(model, [plan] * 2, edits, last=last, on_row=on_row)


def token_precisions(plain: Said, rerun_logits: Said, tokens: Sequence[int]) -> list[Precision]:
    """The precision of the log-probability of one token a position, from the first on, in nats."""
    bounds: list[tuple[float, float]] = []
    dtypes: set[str] = set()
    for part, (logits,) in plain.parts(len(tokens)):
        token_ids = torch.tensor(tokens[part])
        floors = logprob_floors(logits, rerun_logits.at(part), token_ids)
        rounding = 2 * logprob_rounding(logits, token_ids)
        bounds += zip(floors.tolist(), rounding.tolist(), strict=True)
        dtypes.add(dtype_of(logits))
    dtype = _finest(dtypes)
    return [Precision(floor, resolution, dtype) for floor, resolution in bounds]


def likeliest_tokens(
    plain: Said, rerun_logits: Said, n_pos: int
) -> tuple[Int[Tensor, "pos token"], Float[Tensor, " pos"]]:
    """(The tokens that may be the likeliest after each of the first positions; within what).

    Those that rounding alone may put below the likeliest, which comes first and stands again where
    there are fewer: the second is what a difference of two logits of a position has to exceed.
    """
    tokens: list[Tensor] = []
    leasts: list[Tensor] = []
    for part, (logits,) in plain.parts(n_pos):
        spread = _pair_spread(_changes(logits, rerun_logits.at(part)))
        highest, likeliest = logits.max(-1, keepdim=True)
        steps = spacing(logits).gather(-1, likeliest)[:, 0]  # half of one, of two logits, twice
        least = torch.maximum(FLOOR_SIGMAS * spread, 2 * steps)
        n_near = int((highest - logits <= least[:, None]).sum(-1).max())
        values, token_ids = logits.topk(n_near)
        token_ids = torch.where(highest - values <= least[:, None], token_ids, likeliest)
        tokens += token_ids.cpu().unbind()
        leasts.append(least.cpu())
    width = max(map(len, tokens))
    padded = [torch.cat([row, row[:1].expand(width - len(row))]) for row in tokens]
    return torch.stack(padded), torch.cat(leasts)


def precision_at(
    model: LoadedModel, ids: Sequence[int], target: int | range, versus: int | None = None
) -> Precision:
    """Of a logit after the last token, or of the log-probability of a span; see `Trace.precision`.

    The sizes that decide the resolution are those of the plain run.
    """
    logits = execute(model, Plan(tuple(ids))).logits[0]
    if isinstance(target, int):
        return plain_row(model, ids, logits[-1]).of_logit(target, versus)
    plain = Said(logits[None, target.start - 1 :])
    rerun_logits = equivalent_runs(model, ids, last=plain.rows.shape[1])
    return of_sum(token_precisions(plain, rerun_logits, ids[target.start : target.stop]))


def of_any_logprob(plain: Said, rerun_logits: Said) -> Precision:
    """The precision of the largest difference of any log-probability anywhere, in nats."""
    floor = max_rounding = 0.0
    dtypes: set[str] = set()
    for part, (logits,) in plain.parts(plain.rows.shape[1]):
        floor = max(floor, float(_log_difference(logits, rerun_logits.at(part)).max()))
        sizes = torch.where(torch.isfinite(logits), logits.abs(), 0.0)
        max_rounding = max(max_rounding, float(logprob_rounding(logits, sizes.argmax(-1)).max()))
        dtypes.add(dtype_of(logits))
    return Precision(floor, 2 * max_rounding, _finest(dtypes))


def logprob_rounding(logits: Float[Tensor, "row d_vocab"], tokens: Tensor) -> Float[Tensor, " row"]:
    """How far rounded logits can move a log-probability taken from them in float64.

    Half a step of the token's own logit, and half the mean step, by probability, of all: what
    moves the logarithm of the sum.
    """
    steps, wide = spacing(logits), logits.double()
    mean = (wide.softmax(-1) * steps).sum(-1)
    token_step = steps.gather(-1, tokens.to(steps.device)[:, None])[:, 0]
    return (token_step + mean) / 2


def spacing(values: Tensor) -> Tensor:
    """The step of the coarsest dtype that holds all the values, at the size of each; float64.

    >>> spacing(torch.tensor([20.0625, 1.5], dtype=torch.float32)).tolist()  # as in float16
    [0.015625, 0.0009765625]
    """
    info = torch.finfo(_held_by(values))
    _, power = torch.frexp(values.double().abs())
    size = torch.where(torch.isfinite(values), power.double() - 1, 0.0)
    return info.eps * torch.exp2(size.clamp_min(torch.tensor(info.smallest_normal).log2().item()))


def dtype_of(values: Tensor) -> str:
    """Name of the coarsest dtype that holds all the values: what they were rounded to last."""
    return str(_held_by(values)).removeprefix("torch.")


def _finest(dtypes: set[str]) -> str:
    """The dtype that holds what each of some dtypes holds."""
    fine_last = [str(dtype).removeprefix("torch.") for dtype in (*COARSE_FIRST, torch.float64)]
    return max(dtypes, key=fine_last.index)


def _held_by(values: Tensor) -> torch.dtype:
    """Models hand out rounded logits in a wider dtype, too."""
    for dtype in COARSE_FIRST:
        if values.dtype == dtype or bool((values.to(dtype).to(values.dtype) == values).all()):
            return dtype
    return values.dtype


def _pair_spread(change: Float[Tensor, "run *row d_vocab"]) -> Float[Tensor, " *row"]:
    """Root mean square, over runs and tokens, of what a difference of two logits changes by."""
    return (2 * change.var(-1, unbiased=False).mean(0)).sqrt()


def _changes(logits: Tensor, rerun_logits: Tensor) -> Tensor:
    """Differences of the logits, 0 where a token is ruled out."""
    return torch.where(torch.isfinite(logits), rerun_logits.double() - logits.double(), 0.0)


def _log_difference(logits: Tensor, rerun_logits: Tensor) -> Tensor:
    log_probs, rerun_log_probs = (
        raw_logits.double().log_softmax(-1) for raw_logits in (logits, rerun_logits)
    )
    return torch.where(torch.isfinite(log_probs), (rerun_log_probs - log_probs).abs(), 0.0)
