"""Attribution of a trace: one interface for all methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from worldline.attribution.contribution import (
    NodeShares,
    contribution_meaning,
    pulled_back,
    read_gradient,
    refuse_open,
)
from worldline.attribution.edge_sums import Rule, edge_rows, sum_edges
from worldline.attribution.flow import Flow, Meaning, Target
from worldline.attribution.frozen import (
    HopSpectrum,
    books_of,
    frozen_meaning,
    frozen_of,
    node_flow_of,
    spectrum_of,
    sweep,
)
from worldline.attribution.gradient import FORMULAS, gradient_meaning, target_gradients
from worldline.attribution.joint_reads import joint_reads
from worldline.errors import InputError, RefusedError
from worldline.models.torch_modes import usual_modes
from worldline.models.unembed import tail_of
from worldline.runs.trace_calls import on_trace
from worldline.runs.trace_changes import refuse_changed
from worldline.runs.trace_match import recorded_anew, refuse_other_model
from worldline.tokens.targets import likelier_twin, refuse_itself
from worldline.tokens.tokens import decode, names_of, quoted_text, token_id

if TYPE_CHECKING:
    from torch import Tensor

    from worldline.models.attention import AttentionCall
    from worldline.models.linearized import FrozenRun
    from worldline.models.loader import LoadedModel
    from worldline.runs.trace import LiveBlock, Trace
    from worldline.tokens.units import Grouping

UsOf = Callable[[int], "list[Tensor]"]
METHODS = ("contribution", "gradient", "frozen")
TOP = 2000
LISTED = 10  # of the likeliest next tokens, which are shown with their probabilities
END_NATS = 0.05  # a model's end by itself, from its listed predictions: rounding, in any dtype


@on_trace
def attribute(
    trace: Trace,
    by: str | None = None,
    *,
    target: str | int | range | None = None,
    versus: str | int | None = None,
    how: str = "zero",
    metric: str = "identity",
    top: int = TOP,
    groups: Sequence[Grouping] = (),
    model: LoadedModel | None = None,
) -> Flow:
    """Give every K/V edge of a trace its weight; keep exact totals and the `top` strongest edges.

    Contribution: <term, y> / <y, y>, the share of node y that the edge's term accounts for.
    Gradient: what the target loses to first order if the edge is cut, a <v, u> with
    u = d target / d z, or a / (1 - a) <v - z, u>. Frozen: the sum of all paths through the edge in
    the model linearised at this run, patterns and norm scales held.

    Args:
        trace: A run as it happened, recorded or loaded.
        by: "contribution", "gradient" or "frozen"; by default gradient where a target is named,
            else contribution.
        target: What gradient and frozen ask about: the logit of a token (its text, "id:N" or its
            id; by default the likeliest next one). By gradient it may also be a range of the
            text's own positions: the log-probability of what stands there, where only reads by the
            tokens about to say it are counted and `flow.joint` has what is lost where all reads of
            a group are cut at once.
        versus: A second token: the target is the difference of the two logits.
        how: The cut that a gradient is matched to: "zero" removes the weighted value (zero
            ablation), "mask" lets the rest of the row renormalise (attention knockout).
        metric: The inner product of contributions: "identity", or "variance", where every
            dimension is divided by its variance over the text.
        top: How many edges to list.
        groups: Groups of tokens over whose pairs all edges are summed too: `flow.groups`.
        model: The model, for a trace that was loaded.

    Returns:
        The weights: `edges` in logits of the target, or in shares of the node written into;
        `totals` over all edges; `coverage`, how much of the flow the listed ones hold.

    Raises:
        InputError: an unknown method, a target that is not one token, another model, groups of
            another text.

    Exactness: sums over all edges are exact up to rounding; gradient weights are first-order
    estimates of the effect of a cut.

    Source: contributions Ferrando and Voita 2024, with signs; gradient Syed et al. 2023 for the
    idea; frozen Elhage et al. 2021.
    """
    if by is None:
        by = "contribution" if target is None and versus is None else "gradient"
    if by not in METHODS:
        raise InputError(f"by={by!r}: accepted are {', '.join(METHODS)}")
    if how not in FORMULAS:
        raise InputError(f"how={how!r}: accepted are {', '.join(FORMULAS)}")
    if by == "contribution" and (target is not None or versus is not None):
        raise InputError(
            'by="contribution" asks about no target; leave it out or use by="gradient"'
        )
    if by == "contribution" and how != "zero":
        raise InputError(f'how={how!r}: by="contribution" cuts nothing; leave it out')
    if by != "contribution" and metric != "identity":
        raise InputError(f'metric={metric!r}: only by="contribution" has one; accepted is identity')
    if by == "frozen" and how != "zero":
        raise InputError(f'how={how!r}: by="frozen" holds the patterns; accepted is zero')
    for grouping in groups:
        if len(grouping.group_of) != trace.n_pos:
            n_tokens, n_pos = len(grouping.group_of), trace.n_pos
            raise InputError(f"{grouping.name} of {n_tokens} tokens; accepted are those of {n_pos}")
    if isinstance(target, range) and (by != "gradient" or versus is not None):
        raise InputError('a span as target: accepted is by="gradient", without versus')
    trace = live_trace(trace, model, "attribute")
    if by == "contribution":
        return _contribution(trace, metric, top, groups)
    if isinstance(target, range):
        return _gradient(trace, span_of(trace, target), how, top, groups)
    resolved_target = target_of(trace, target, versus)
    if by == "frozen":
        return flow_in(frozen_of(trace, resolved_target), trace, resolved_target, top, groups)
    return _gradient(trace, resolved_target, how, top, groups)


@on_trace
def hop_spectrum(
    trace: Trace,
    *,
    target: str | int | None = None,
    versus: str | int | None = None,
    max_hops: int | None = None,
    model: LoadedModel | None = None,
) -> HopSpectrum:
    """Contribution to the target of the paths with exactly h hops, and by their source.

    Every path of the frozen-linear model is counted once, none is enumerated: one backward sweep
    carries G as a polynomial in z, which steps up in a column leave alone and K/V edges raise.

    Args:
        trace: A run as it happened, recorded or loaded.
        target: The token whose logit is split (its text, "id:N" or its id; by default the likeliest
            next one).
        versus: A second token: the difference of the two logits is split.
        max_hops: The last number of hops that is listed apart (default: all that there can be).
        model: The model, for a trace that was loaded.

    Returns:
        `by_hops` and `by_source`, in logits. Patterns are held: see `HopSpectrum.caution`.

    Raises:
        InputError: max_hops below 0, a target that is not one token, another model.
        RefusedError: a layer moves information between columns without K/V.

    Exactness: exact sums over all paths of the frozen-linear model, up to rounding; `remainder` is
    what no path carries. Units: logits.
    """
    trace = live_trace(trace, model, "hop_spectrum")
    resolved_target = target_of(trace, target, versus)
    return hops_in(frozen_of(trace, resolved_target), trace, resolved_target, max_hops)


def hops_in(
    run: FrozenRun, trace: Trace, target: Target, max_hops: int | None = None
) -> HopSpectrum:
    """As `hop_spectrum`, in a frozen model that has run."""
    most = min(trace.n_layers, trace.n_pos - 1)
    if max_hops is not None and max_hops < 0:
        raise InputError(f"max_hops={max_hops}: accepted are 0 to {most}")
    if trace.opaque_layers:
        raise RefusedError(
            f"hops are not all there is: layers {', '.join(map(str, trace.opaque_layers))} move "
            "information between columns without K/V"
        )
    max_degree = most if max_hops is None else min(max_hops, most)
    # one degree more takes what has more hops, so that the last one kept is exact
    return spectrum_of(sweep(run, max_degree + (max_degree < most)), target, max_degree)


def live_trace(trace: Trace, model: LoadedModel | None, caller: str) -> Trace:
    """The trace with what attribution needs: recorded again on `model` if it came from a file.

    Raises:
        InputError: a run with cuts; a loaded trace without its model, or with another.
        RefusedError: the model is no longer what it was.
    """
    if trace.plan is not None:
        raise InputError(
            "a trace of a run with cuts: its patterns are not those of q and k, so no edge is "
            "attributed; accepted are traces of runs as they happened"
        )
    if trace.live is not None and trace.model is not None:
        refuse_changed(trace)
        if model is not None:
            refuse_other_model(trace, model)
        return trace
    if model is None:
        raise InputError(
            f"a trace that was loaded needs the model that made it: {caller}(trace, model=...), "
            f"{trace.identity.name}, weights {trace.identity.weights_hash[:12]}"
        )
    return recorded_anew(trace, model)


def target_of(trace: Trace, target: str | int | None, versus: str | int | None) -> Target:
    """What is asked, in ids and words; by default the likeliest next token.

    Raises:
        InputError: a token that is not one, an id that the model does not have.
    """
    assert trace.model is not None
    tokenizer = trace.model.tokenizer
    n_vocab = trace.extra.get("n_vocab")

    def id_of(name: str, token: str | int) -> int:
        return token_id(tokenizer, token, n_vocab, name)

    target_id = trace.predictions[0].id if target is None else id_of("target", target)
    versus_id = None if versus is None else id_of("versus", versus)
    refuse_itself(tokenizer, target_id, versus_id)
    note = None
    if isinstance(target, str) or isinstance(versus, str):
        note = likelier_twin(tokenizer, _chances(trace), target, versus)
    if target is not None:
        note = "; ".join(filter(None, [_unlisted(trace, target_id), note])) or None
    if versus_id is None:
        return Target(target_id, names_of(tokenizer, [target_id])[0], note=note)
    words, instead = names_of(tokenizer, [target_id, versus_id])
    return Target(target_id, words, versus_id, instead, note=note)


def _unlisted(trace: Trace, token: int) -> str | None:
    """How likely a token is that no list of the likeliest shows."""
    if token in [prediction.id for prediction in trace.predictions[:LISTED]]:
        return None
    chance = _chances(trace)(token)
    if chance is None:
        return None
    assert trace.model is not None
    (name,) = names_of(trace.model.tokenizer, [token])
    return f"{quoted_text(name)} has probability {math.exp(chance):.2g} here ({chance:.3f} nats)"


def _chances(trace: Trace) -> Callable[[int], float | None]:
    """The log-probability of a next token; where only the likeliest are known, None of others."""
    assert trace.model is not None
    listed = {prediction.id: prediction.logprob for prediction in trace.predictions}
    tail, row = tail_of(trace.model.module), trace.resid[-1][None, -1:]
    width = None if tail is None else getattr(tail.norm, "weight", row[0, 0]).numel()
    if tail is None or width != row.numel():  # the row is projected, or streams are joined, first
        return listed.get
    with torch.no_grad():
        logprobs = tail(row)[0, -1].double().log_softmax(-1)
    if any(abs(float(logprobs[token]) - chance) > END_NATS for token, chance in listed.items()):
        return listed.get  # something else lies between
    return lambda token: float(logprobs[token])


def span_of(trace: Trace, span: range) -> Target:
    """What a text says at a range of its positions, as a target.

    Raises:
        InputError: a range that is empty, has gaps, or does not lie in positions 1 and later.
    """
    first, stop = span.start, span.stop
    if span.step != 1 or not 1 <= first < stop <= trace.n_pos:
        raise InputError(f"target {span}: accepted are positions 1 to {trace.n_pos - 1} in a row")
    assert trace.model is not None
    ids = trace.tokens.ids
    words = decode(trace.model.tokenizer, ids[first:stop])
    return Target(ids[first], words, span=(first, stop))


def _contribution(trace: Trace, metric: str, top: int, groups: Sequence[Grouping]) -> Flow:
    assert trace.live is not None
    live, nodes = trace.live, NodeShares(trace)

    later = False

    def us_of(layer: int) -> list[Tensor]:
        if later:  # a plane is asked for, and parts of the blocks run again
            refuse_changed(trace)
        gradient = read_gradient(trace, layer, metric)
        us = pulled_back(live[layer], gradient)
        nodes.add(layer, live[layer], gradient)
        refuse_open(trace, layer, gradient, us, nodes)
        return us

    for layer, block in enumerate(live):
        if not block.calls:
            us_of(layer)
    flow = _sum(trace, us_of, "linear", contribution_meaning(metric), top, groups)
    later = True
    totals = flow.totals
    kv = totals.in_positive + totals.in_negative
    flow.shares = nodes.shares | {"self_attention": totals.self_attention, "kv": kv}
    return flow


def _gradient(trace: Trace, target: Target, how: str, top: int, groups: Sequence[Grouping]) -> Flow:
    assert trace.live is not None
    assert trace.model is not None
    live = trace.live
    value, gradients = target_gradients(trace.model, trace, target)

    def us_of(layer: int) -> list[Tensor]:
        pairs = zip(live[layer].calls, gradients[layer], strict=True)
        return [call.to_heads(u)[0] for call, u in pairs]

    rule: Rule = "linear" if how == "zero" else "renormalise"
    rows = None if target.span is None else (target.span[0] - 1, target.span[1] - 1)
    flow = _sum(trace, us_of, rule, gradient_meaning(target, how), top, groups, rows)
    flow.target_value = value
    if rows is not None:
        flow.joint = joint_reads(
            _reads(live, us_of), rule, (trace.n_layers, _heads(trace)), rows, groups
        )
    return flow


def flow_in(
    run: FrozenRun,
    trace: Trace,
    target: Target,
    top: int = TOP,
    groups: Sequence[Grouping] = (),
) -> Flow:
    """As `attribute` by frozen, in a frozen model that has run."""
    swept = sweep(run)
    flow = _sum(trace, swept.us.__getitem__, "linear", frozen_meaning(target), top, groups)
    flow.target_value = swept.target
    into_top = flow.totals.in_positive[-1] - flow.totals.in_negative[-1]
    flow.node_flow = node_flow_of(swept, float(into_top.sum()))
    flow.meaning = replace(flow.meaning, exactness=books_of(flow.node_flow))
    return flow


def _heads(trace: Trace) -> int:
    """Most heads of a layer."""
    return max((sum(c.n_heads for c in b.calls) for b in trace.live or ()), default=0)


def _reads(live: Sequence[LiveBlock], us_of: UsOf):
    """(layer, reads, u of each) of every layer that reads."""
    return ((layer, block.calls, us_of(layer)) for layer, block in enumerate(live) if block.calls)


def _sum(
    trace: Trace,
    us_of: UsOf,
    rule: Rule,
    meaning: Meaning,
    top: int,
    groups: Sequence[Grouping],
    rows: tuple[int, int] | None = None,
) -> Flow:
    """All edges, with `us_of(layer)` the u of each read of a layer."""
    assert trace.live is not None
    live = trace.live
    shape, device = (trace.n_layers, trace.n_pos, _heads(trace)), trace.resid[0].device
    reads = _reads(live, us_of)
    edges, coverage, sums = sum_edges(reads, rule, shape, top, device, groups, rows)

    @usual_modes()
    def dense(layer: int) -> np.ndarray:
        if not live[layer].calls:
            return np.zeros((0, trace.n_pos, trace.n_pos))
        pairs = zip(live[layer].calls, us_of(layer), strict=True)
        return _only(np.concatenate([_dense(call, u, rule) for call, u in pairs]), rows)

    flow = Flow(meaning, trace.n_layers, trace.n_pos, edges, coverage, sums.totals(), _dense=dense)
    flow.groups = tuple(group_sums.flow() for group_sums in sums.groups)
    return flow


def _only(weights: np.ndarray, rows: tuple[int, int] | None) -> np.ndarray:
    """Weights [head, dst, src] of the destinations `rows` alone, where these are given."""
    if rows is not None:
        weights[:, : rows[0]] = weights[:, rows[1] :] = 0
    return weights


def _dense(call: AttentionCall, u: Tensor, rule: Rule) -> np.ndarray:
    n_pos, step = call.q.shape[2], call.block_rows()
    out = np.zeros((call.n_heads, n_pos, n_pos))
    for start in range(0, n_pos, step):
        stop = min(n_pos, start + step)
        out[:, start:stop, :stop] = edge_rows(call, u, start, stop, rule).double().cpu().numpy()
    return out
