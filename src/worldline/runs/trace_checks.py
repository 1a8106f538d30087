"""Whether a trace that was read from a file hangs together: sizes, places, ids, finite numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from worldline.runs.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worldline.runs.trace import Trace
    from worldline.tokens.tokens import Tokens

_MOST_IDS = 1 << 24  # of a vocabulary: a hundred times the largest
_MOST_HEADS = 1 << 16
_POS_FIRST = ("attn_out", "mlp_out", "constants", "other", "mlp_hidden")  # the others: heads first


def refuse_unsound(trace: Trace) -> None:
    """Raise ValueError, which says what is wrong, for a trace that no run can have left."""
    for fault in _faults(trace):
        raise ValueError(fault)


def _faults(trace: Trace) -> Iterator[str]:
    yield from _of_arrays(trace)
    yield from _of_tokens(trace.tokens, trace.n_pos)
    identity, n_layers, closure = trace.identity, trace.n_layers, trace.closure
    heads = identity.n_heads, identity.n_kv_heads
    if not all(0 <= n <= _MOST_HEADS for n in heads):
        yield f"{heads[0]} heads, {heads[1]} of keys"
    most = trace.extra.get("n_vocab", _MOST_IDS)
    if type(most) is not int or not 1 <= most <= _MOST_IDS:
        yield f"a vocabulary of {str(most)[:24]}"
        return
    for entry in (*trace.tokens.ids, *(p.id for p in trace.predictions)):
        if not 0 <= entry < most:
            yield f"id {entry}: the ids go from 0 to {most - 1}"
    for entry in trace.predictions:
        if not entry.logprob <= 1e-6:
            yield f"log-probability {entry.logprob}"
    if not 0 <= closure.worst < math.inf or not 0 <= closure.tolerance < math.inf:
        yield f"closure {closure.worst} of {closure.tolerance}"
    if not (0 <= closure.layer < max(1, n_layers) and 0 <= closure.pos < trace.n_pos):
        yield f"closure at layer {closure.layer}, position {closure.pos}"
    if any(not 0 <= layer < n_layers for layer in trace.opaque_layers):
        yield f"opaque layers {trace.opaque_layers}"
    if trace.plan is not None and Plan.from_json(trace.plan).ids != trace.tokens.ids:
        yield "a plan of other tokens"


def _of_arrays(trace: Trace) -> Iterator[str]:
    width = trace.identity.d_model
    shape = (len(trace.tokens), width)
    for row, tensor in enumerate(trace.resid):
        if tuple(tensor.shape) != shape:
            yield f"resid.{row} is {tuple(tensor.shape)}, not {shape}"
        elif not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            yield f"resid.{row} is not made of finite numbers"
    for name, blocks in trace.arrays.items():
        for at, tensor in enumerate(blocks):
            if tensor is None:
                continue
            place = 0 if name in _POS_FIRST else 1
            is_well_formed = tensor.dim() > place and tensor.is_floating_point()
            if not is_well_formed or tensor.shape[place] not in (1, len(trace.tokens)):
                yield f"{name[:40]}.{at} is {tuple(tensor.shape)}, for {len(trace.tokens)} tokens"


def _of_tokens(tokens: Tokens, n_pos: int) -> Iterator[str]:
    if {len(getattr(tokens, name)) for name in _PER_TOKEN} != {n_pos}:
        yield f"tokens: {len(tokens)} ids, for {n_pos} positions, or not as many of all the rest"
    if any(not 0 <= b - a <= 1 for a, b in zip((0, *tokens.groups), tokens.groups, strict=False)):
        yield "tokens: their groups do not go up one by one"
    sizes = (tokens.char_spans, len(tokens.text)), (tokens.byte_spans, len(tokens.text.encode()))
    for spans, most in sizes:
        if any(not 0 <= start <= end <= most for start, end in spans):
            yield "tokens: spans outside the text"


_PER_TOKEN = ("ids", "pieces", "char_spans", "byte_spans", "groups", "specials")
