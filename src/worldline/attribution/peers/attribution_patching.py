"""What an edge would change if it came from another prompt's run: three estimates of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from worldline.attribution.attribute import target_of
from worldline.attribution.gradient import measure_of, target_gradients
from worldline.attribution.peers.edge_vectors import Measure, Question, n_heads, refuse_long
from worldline.errors import InputError
from worldline.models.identity import differences, in_one_line
from worldline.runs.differentiation import differentiate_between
from worldline.runs.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float
    from torch import Tensor

    from worldline.models.attention import AttentionCall
    from worldline.runs.trace import Trace

STEPS = 5  # between the two prompts, as its authors take


@torch.no_grad()
def edge_attribution(
    clean_trace: Trace,
    corrupted_trace: Trace,
    *,
    target: str | int | None = None,
    versus: str | int | None = None,
    steps: int = 0,
) -> Float[np.ndarray, "layer head dst src"]:
    """<a v - a' v', u>: what the target loses, to first order, if an edge carried a' v' instead.

    a v is what the edge adds to z in the clean run, a' v' in the other one, and u = d target / d z
    in the clean run; with `steps`, u is the mean over so many runs between the two, whose first
    rows lie evenly on the line from the other prompt's to the clean one's, the clean run included.
    The prompts must have the same number of tokens.

    Exactness: first-order estimate. Units: the target's, in logits. Source: Syed et al. 2023; with
    `steps` Hanna et al. 2024.

    Raises:
        InputError: prompts of different lengths, or over 64 tokens; another model's trace.
        RefusedError: a layer moves information between columns without attention.
    """
    refuse_pair(clean_trace, corrupted_trace)
    resolved_target = target_of(clean_trace, target, versus)
    assert clean_trace.model is not None
    with torch.enable_grad():
        if steps:
            plans = Plan(tuple(clean_trace.tokens.ids)), Plan(tuple(corrupted_trace.tokens.ids))
            gradients = differentiate_between(
                clean_trace.model, *plans, measure_of(resolved_target), steps
            )
        else:
            _, gradients = target_gradients(clean_trace.model, clean_trace, resolved_target)
    return _by_edge(
        clean_trace,
        corrupted_trace,
        gradients,
        lambda one, other_call, u: _carried_weights(one, u) - _carried_weights(other_call, u),
    )


@torch.no_grad()
def patched_gradient(
    clean_trace: Trace,
    corrupted_trace: Trace,
    *,
    target: str | int | None = None,
    versus: str | int | None = None,
) -> Float[np.ndarray, "layer head dst src"]:
    """<z - z', u>: what the target loses, to first order, if an edge read the other run's K and V.

    z' is exact: the score is the clean query's with the other key, and the row renormalises. With
    r = exp(s' - s), z' = (z - a v + a r v') / (1 - a + a r). Matched to `EdgeCut("patch")`.

    Exactness: first-order estimate; the change of z is exact. Units: the target's, in logits.

    Raises:
        InputError: prompts of different lengths, or over 64 tokens; another model's trace.
        RefusedError: a layer moves information between columns without attention.
    """
    refuse_pair(clean_trace, corrupted_trace)
    assert clean_trace.model is not None
    with torch.enable_grad():
        _, gradients = target_gradients(
            clean_trace.model, clean_trace, target_of(clean_trace, target, versus)
        )
    return _by_edge(clean_trace, corrupted_trace, gradients, _patched_change)


def refuse_pair(clean_trace: Trace, corrupted_trace: Trace) -> None:
    """Raise InputError where two runs are not of one model and one length."""
    for trace in (clean_trace, corrupted_trace):
        refuse_long(trace)
    if clean_trace.n_pos != corrupted_trace.n_pos:
        raise InputError(
            f"a counterfactual of {corrupted_trace.n_pos} tokens for a prompt of "
            f"{clean_trace.n_pos}: "
            f"accepted "
            "are prompts of one length"
        )
    changes = [d for d in differences(clean_trace.identity, corrupted_trace.identity) if d.certain]
    if changes:  # what is not certain was settled by either trace's own model
        raise InputError(f"the two traces were not made by one model: {in_one_line(changes)}")


def _by_edge(
    clean_trace: Trace,
    corrupted_trace: Trace,
    gradients: list[list[Tensor]],
    of: Callable[[AttentionCall, AttentionCall, Tensor], Tensor],
) -> Float[np.ndarray, "layer head dst src"]:
    assert clean_trace.live is not None
    assert corrupted_trace.live is not None
    weights = np.zeros(
        (clean_trace.n_layers, n_heads(clean_trace), clean_trace.n_pos, clean_trace.n_pos)
    )
    for layer, (clean_block, corrupted_block) in enumerate(
        zip(clean_trace.live, corrupted_trace.live, strict=True)
    ):
        head = 0
        for call, other_call, u in zip(
            clean_block.calls, corrupted_block.calls, gradients[layer], strict=True
        ):
            losses = of(call, other_call, call.to_heads(u)[0].double())
            weights[layer, head : head + len(losses)] = losses.cpu().numpy()
            head += len(losses)
    return weights


def _values(call: AttentionCall) -> Tensor:
    """V of every head, [head, pos, d_value]."""
    return call.v[0].double().repeat_interleave(call.n_heads // call.v.shape[1], 0)


def _carried_weights(call: AttentionCall, u: Tensor) -> Tensor:
    """<a v, u> of every edge, [head, dst, src]."""
    pattern = call.pattern_rows(0, call.q.shape[2]).double()
    return pattern * (u @ _values(call).transpose(1, 2))


def _patched_change(call: AttentionCall, other_call: AttentionCall, u: Tensor) -> Tensor:
    """<z - z', u> of every edge by itself, [head, dst, src]."""
    rows = torch.arange(call.q.shape[2], device=call.q.device)
    scores = call.scores_at(rows).double()
    theirs = call.scores_at(rows, 0, other_call.k[0].to(call.k.dtype)).double()
    log_a = call.softmaxed(scores).log()  # -inf where it may not read
    weight = (log_a + (theirs - scores).nan_to_num(0.0)).exp()  # a r
    remainder = -torch.expm1(log_a)  # 1 - a
    a = log_a.exp()
    reads, their_reads = (
        u @ _values(each_call).transpose(1, 2) for each_call in (call, other_call)
    )
    z = (a * reads).sum(-1, keepdim=True)
    new = (z - a * reads + weight * their_reads) / (remainder + weight)
    return torch.where(a > 0, z - new, 0.0)


def _of_pair(how: Callable[..., np.ndarray], **options: int):
    def of(question: Question) -> Float[np.ndarray, "layer head dst src"]:
        if question.corrupted_trace is None:
            raise InputError("edge attribution: a counterfactual prompt is needed")
        target_options = {"target": question.target, "versus": question.versus}
        return how(question.trace, question.corrupted_trace, **target_options, **options)

    return of


EAP = Measure(
    "EAP",
    "Syed et al., Attribution patching outperforms automated circuit discovery, 2023",
    "two forward passes and one backward",
    "first order at the clean run: wrong where the patched edge moves what it feeds much",
    _of_pair(edge_attribution),
    "counterfactual",
    "logits",
)
EAP_IG = Measure(
    "EAP-IG",
    "Hanna et al., Have faith in faithfulness, 2024",
    f"two forward passes, and {STEPS} forward and backward",
    "the runs between two prompts are of no prompt; still one edge's change times a mean slope",
    _of_pair(edge_attribution, steps=STEPS),
    "counterfactual",
    "logits",
)
PATCHED = Measure(
    "gradient (patch)",
    "worldline",
    "two forward passes and one backward",
    "first order above z; between the rows, patterns and norms bend",
    _of_pair(patched_gradient),
    "counterfactual",
    "logits",
)
