"""Vector coherence at writes, against the heads' own products with W_O."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tiny_runs import FLOAT64, loaded, some_tokens
from worldline.attribution.block_writes import write_coherence
from worldline.runs.recorder import record

pytestmark = pytest.mark.usefixtures("cache")


def test_heads_by_their_own_columns_of_w_o():
    trace = record(loaded("llama", FLOAT64), some_tokens(5))
    found = write_coherence(trace)
    for layer, block in enumerate(trace.live):
        (call,) = block.calls
        W_O = trace.model.module.model.layers[layer].self_attn.o_proj.weight.detach()
        d = call.z.shape[-1]
        for pos in range(trace.n_pos):
            writes = [
                call.z[0, h, pos].detach() @ W_O[:, h * d : (h + 1) * d].T
                for h in range(call.n_heads)
            ]
            writes.append(trace.mlp_out[layer][pos].detach())
            vectors = torch.stack(writes).numpy()
            added = (trace.resid[layer + 1] - trace.resid[layer])[pos].detach().numpy()
            np.testing.assert_allclose(vectors.sum(0), added, atol=1e-6)
            coherence = np.linalg.norm(vectors.sum(0)) / np.linalg.norm(vectors, axis=1).sum()
            assert found[layer, pos] == pytest.approx(coherence, abs=1e-6)
    assert 0 < found.min() < found.max() < 1


def test_what_nothing_is_written_into_has_none():
    trace = record(loaded("llama"), some_tokens(3))
    for block in trace.live:
        block.terms = {name: term for name, term in block.terms.items() if name == "skip"}
    assert np.isnan(write_coherence(trace)).all()
