"""Logit lens: what the model's own last norm and unembedding read at a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from worldline.arguments import whole_numbers
from worldline.errors import InputError
from worldline.models.unembed import tail_of
from worldline.runs.trace_calls import on_trace
from worldline.runs.trace_changes import refuse_changed
from worldline.steps import step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worldline.runs.trace import Trace

N_TOKENS = 3
LARGEST = 4000  # nodes; one costs d_model x d_vocab products
CHUNK = 256  # nodes at a time: their logits are held at once


@on_trace
def logit_lens(
    trace: Trace, rows: Sequence[int] | None = None
) -> list[list[list[tuple[int, float]]]] | None:
    """What the model would say at every node, were it the last: the three likeliest tokens.

    Args:
        trace: A recorded run.
        rows: Rows of the residual stream, 0 to `n_layers`. None is all; of a long text fewer, the
            last one always, and those left out are empty.

    Returns:
        Per row and position the three likeliest (token id, log-probability in nats). None where the
        model's end is more than a norm and an unembedding (a soft-cap, a scale), or where more than
        4,000 nodes are asked for.

    Raises:
        InputError: a row that the model does not have.
        RefusedError: the model was changed since the run was recorded.

    Exactness: on the last row bitwise the model's own logits, which is how the end is verified.
    Source: nostalgebraist, "interpreting GPT: the logit lens" (2020).
    """
    if trace.model is None:
        return None
    if rows is None:
        lens_rows = affordable_rows(trace.n_layers, trace.n_pos)
        predictions = logit_lens(trace, lens_rows) if lens_rows else None
        at = dict(zip(lens_rows, predictions or (), strict=False))
        return predictions and [at.get(row, []) for row in range(trace.n_layers + 1)]
    rows, last = whole_numbers("rows", rows), trace.n_layers
    if rows and max(rows) > last:
        raise InputError(f"row {max(rows)}: accepted are rows 0 to {last}")
    if len(rows) * trace.n_pos > LARGEST:
        return None
    refuse_changed(trace, to_logits=True)
    tail = tail_of(trace.model.module)
    if tail is None:
        return None
    nodes = torch.cat([trace.resid[row] for row in rows])
    predictions = []
    with torch.no_grad():
        for chunk in nodes.split(CHUNK):
            step()
            logprobs = torch.log_softmax(tail(chunk[None])[0].float(), -1)
            best = logprobs.topk(min(N_TOKENS, logprobs.shape[-1]))
            pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
            predictions += [list(zip(ids, values, strict=True)) for ids, values in pairs]
    n_pos = trace.n_pos
    return [predictions[at : at + n_pos] for at in range(0, len(predictions), n_pos)]


def affordable_rows(n_layers: int, n_pos: int) -> list[int]:
    """The rows that are read by default: all, or evenly spaced ones from the last down.

    >>> affordable_rows(30, 1000)
    [0, 10, 20, 30]
    """
    n = min(n_layers + 1, LARGEST // max(1, n_pos))
    if n < 2:
        return [n_layers] * n
    return sorted({n_layers - round(at * n_layers / (n - 1)) for at in range(n)})
