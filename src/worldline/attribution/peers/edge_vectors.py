"""What the peers' measures are made of: patterns, and edges as vectors written to the stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from worldline.errors import InputError, RefusedError
from worldline.models.model_calls import model_call
from worldline.models.terms import SKIP, attn_name
from worldline.runs.trace_calls import refuse_no_trace
from worldline.runs.trace_changes import refuse_changed

if TYPE_CHECKING:
    from jaxtyping import Float

    from worldline.runs.trace import Trace

SIGNED = ("logits", "a signed part")  # units
LONGEST = 64  # tokens: the vectors of all edges of one head are held at a time


@dataclass(frozen=True, eq=False)
class Question:
    """What a measure is asked.

    Attributes:
        trace: The run.
        corrupted_trace: The run of another text of equal length, for those that ask for one.
        target: A token (text or id); None for the likeliest next one.
        versus: A second token: the difference of the two logits is asked about.
    """

    trace: Trace
    corrupted_trace: Trace | None = None
    target: str | int | None = None
    versus: str | int | None = None


@dataclass(frozen=True)
class Measure:
    """A measure of an edge; called with a trace it gives [layer, head, dst, src].

    Attributes:
        name: Its name.
        paper: Where it is from.
        cost: What it takes to compute.
        failure: Where it fails.
        of: Computes it for a `Question`.
        asks: What it looks at: "nothing" but the run, a "target", or a target and a
            "counterfactual" run.
        unit: Of the numbers; those in "logits" claim what a cut of an edge takes from the target.
    """

    name: str
    paper: str
    cost: str
    failure: str
    of: Callable[[Question], Float[np.ndarray, "layer head dst src"]]
    asks: str = "nothing"
    unit: str = "a part"

    def __call__(
        self,
        trace: Trace,
        *,
        corrupted_trace: Trace | None = None,
        target: str | int | None = None,
        versus: str | int | None = None,
    ) -> Float[np.ndarray, "layer head dst src"]:
        """The measure of every edge of a run; layers with fewer heads end in zeros.

        Raises:
            InputError: over 64 tokens, a trace that was loaded, no `corrupted_trace` where one is
            asked. RefusedError: a layer moves information between columns without attention.
        """
        for run in (trace, *(() if corrupted_trace is None else (corrupted_trace,))):
            refuse_no_trace(run, self.name)
        with model_call(None if trace.model is None else trace.model.module):
            return self.of(Question(trace, corrupted_trace, target, versus))

    @property
    def is_signed(self) -> bool:
        """Whether it can be negative."""
        return self.unit in SIGNED


def of_run(
    measure: Callable[[Trace], Float[np.ndarray, "layer head dst src"]],
) -> Callable[[Question], Float[np.ndarray, "layer head dst src"]]:
    """A measure that asks nothing but the run."""
    return lambda question: measure(question.trace)


def refuse_long(trace: Trace) -> None:
    """Raise where a text is too long for dense measures, or the trace cannot be looked into."""
    if trace.live is None:
        raise InputError("a trace that was loaded or altered: record the run, and measure that")
    refuse_changed(trace, to_logits=True)
    if trace.n_pos > LONGEST:
        raise InputError(
            f"{trace.n_pos} tokens: the peers' measures hold all edges, accepted are {LONGEST}"
        )
    if trace.opaque_layers:
        raise RefusedError(
            f"layers {', '.join(map(str, trace.opaque_layers))} move information between columns "
            "without attention: these measures would leave it out"
        )


def n_heads(trace: Trace) -> int:
    """Heads of the block that has most, those of all its reads side by side."""
    assert trace.live is not None
    return max(sum(call.n_heads for call in block.calls) for block in trace.live)


@torch.no_grad()
def patterns(trace: Trace) -> Float[np.ndarray, "layer head dst src"]:
    """Attention patterns of all heads; self-attention on the diagonal."""
    refuse_long(trace)
    assert trace.live is not None
    n = trace.n_pos
    stacked_patterns = np.zeros((trace.n_layers, n_heads(trace), n, n))
    for layer, block in enumerate(trace.live):
        head = 0
        for call in block.calls:
            rows = call.pattern_rows(0, n).double().cpu().numpy()
            stacked_patterns[layer, head : head + len(rows)] = rows
            head += len(rows)
    return stacked_patterns


def edge_vectors(
    trace: Trace, layer: int
) -> Iterator[tuple[int, Float[np.ndarray, "dst src d_model"]]]:
    """(head, what each of its edges writes into the next row), one head at a time."""
    assert trace.live is not None
    block, first, n = trace.live[layer], 0, trace.n_pos
    for call in block.calls:
        term = block.terms[attn_name(call.index)]
        pattern = call.pattern_rows(0, n)
        group = call.n_heads // call.v.shape[1]
        for head in range(call.n_heads):
            out = np.zeros((n, n, trace.identity.d_model))
            for src in range(n):
                z = torch.zeros_like(call.z)
                z[0, head] = (pattern[head, :, src, None] * call.v[0, head // group, src]).to(z)
                wrote = term.replay(call.leaf, call.from_heads(z))[0]
                out[:, src] = wrote.detach().double().cpu().numpy()
            yield first + head, out
        first += call.n_heads


def skip_and_rest(
    trace: Trace, layer: int
) -> tuple[Float[np.ndarray, "pos d_model"], Float[np.ndarray, "pos d_model"]]:
    """(The skip connection, all that a block adds besides attention)."""
    assert trace.live is not None
    block = trace.live[layer]
    reads = {attn_name(call.index) for call in block.calls}
    skip = np.zeros((trace.n_pos, trace.identity.d_model))
    additions = skip.copy()
    for name, term in block.terms.items():
        if name not in reads:
            value = term.value()[0].detach().double().cpu().numpy()
            if name == SKIP:
                skip += value
            else:
                additions += value
    return skip, additions


def routed_parts(
    local: Float[np.ndarray, "layer head dst src"], stay: Float[np.ndarray, "layer pos"]
) -> Float[np.ndarray, "layer head dst src"]:
    """Local parts multiplied down from the last node: what arrives there by way of each edge.

    `local` has self-attention on the diagonal; with `stay` every node's parts add up to 1.
    """
    arrives = np.zeros(local.shape[-1])
    arrives[-1] = 1.0
    out = np.zeros_like(local)
    for layer in range(len(local) - 1, -1, -1):
        out[layer] = local[layer] * arrives[None, :, None]
        arrives = arrives * stay[layer] + out[layer].sum((0, 1))
    return out
