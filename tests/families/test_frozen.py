"""The frozen-linear model on every type that is read exactly: its paths add up to the logit."""

from __future__ import annotations

import contextlib
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from oracles import Float64
from tiny_runs import FLOAT32, FLOAT64, loaded, some_tokens
from worldline.attribution.attribute import attribute, flow_in
from worldline.attribution.flow import Target
from worldline.attribution.frozen import frozen_of
from worldline.attribution.path_samples import sample_in
from worldline.errors import RefusedError
from worldline.runs.recorder import record

CENSUS = json.loads((Path(__file__).parent / "census.json").read_text())
EXACT = sorted(name for name, (_kind, status) in CENSUS.items() if status == "exact")
#: Types that are partly frozen, and why.
PARTLY = {
    "dory": "what enters its loops is added again from outside the rows in each of them",
    "hrm_text": "the state of earlier loops comes from outside the rows",
    "xlm": "its residual stream goes past its blocks, which are lists of parts side by side",
}
pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize("name", EXACT)
def test_paths_add_up(name):
    flow = attribute(record(loaded(name), some_tokens(12)), "frozen", target=27)
    books = flow.node_flow
    assert books.whole == (name not in PARTLY)
    if books.whole:
        assert abs(books.remainder) < 1e-4 * books.top_row
        assert flow.meaning.exactness.startswith("exact sum")


N_POS, N_RANDOM = 5, 20
#: Types whose own code runs in float32 only.
SINGLE = {"codegen", "hunyuan_v1_moe", "hy_v4", "xglm", "xlnet"}


def jacobian(out, leaf):
    """d out / d leaf, [out numbers, leaf numbers], one row of it at a time."""
    every = torch.eye(out.numel(), dtype=out.dtype).view(-1, *out.shape)
    (found,) = torch.autograd.grad(
        out, [leaf], every, is_grads_batched=True, retain_graph=True, materialize_grads=True,
        allow_unused=True,
    )  # fmt: skip
    return found.detach().reshape(out.numel(), -1).double()


class Blocks:
    """Every block of a frozen run as matrices: what stays, z to the next row, the row to v."""

    def __init__(self, run):
        self.rows = [piece.row.detach().double().flatten() for piece in run.pieces]
        self.top = jacobian(run.pieces[-1].out, run.pieces[-1].row)[0]
        self.stay, self.reads = [], []
        for piece in run.pieces[:-1]:
            self.stay.append(jacobian(piece.out, piece.row))
            found = []
            for read in piece.reads:
                to_v = jacobian(read.v, run.pieces[read.call.kv_layer].row)
                found.append((read, jacobian(piece.out, read.z), to_v))
            self.reads.append(found)

    def from_v(self, read, to_row, dst, src):
        """One edge from v, all numbers of it, to the next row: pattern in between, heads summed."""
        pattern = read.call.pattern_rows(0, N_POS)[:, dst, src].detach().double()
        heads, kv_heads, d = read.z.shape[1], read.v.shape[1], read.v.shape[3]
        at_z = to_row.view(-1, heads, N_POS, d)[:, :, dst] * pattern[:, None]
        placed = torch.zeros(len(to_row), kv_heads, N_POS, d, dtype=torch.float64)
        placed[:, :, src] = at_z.view(-1, kv_heads, heads // kv_heads, d).sum(2)
        return placed.flatten(1)

    def gradients(self):
        """The target's gradient at every row, whole, from the blocks with all their edges."""
        out = [torch.zeros_like(row) for row in self.rows]
        out[-1] = self.top
        for layer in range(len(self.stay) - 1, -1, -1):
            out[layer] = out[layer] + out[layer + 1] @ self.stay[layer]
            for read, to_row, to_v in self.reads[layer]:
                kinds = ((j, i) for j in range(N_POS) for i in range(j + 1))
                into = sum(out[layer + 1] @ self.from_v(read, to_row, j, i) for j, i in kinds)
                out[read.call.kv_layer] = out[read.call.kv_layer] + into @ to_v
        return out


@pytest.mark.parametrize("name", [name for name in EXACT if name not in PARTLY])
def test_edges_and_paths_are_products_of_jacobian_blocks(name):
    """Adding up would hold for any split of the logit: here single edges and paths are checked."""
    dtype = FLOAT32 if name in SINGLE else FLOAT64
    asked, draw = Target(27, ""), np.random.default_rng(0)
    precision = contextlib.nullcontext if name in SINGLE else Float64
    with precision():  # recorded in it too: a run under another mode is another run, and refused
        trace = record(loaded(name, dtype), some_tokens(N_POS))
        run = frozen_of(trace, asked)
        blocks = Blocks(run)
        flow = flow_in(run, trace, asked)
    # norms of some types compute in float32 even in a float64 model
    near = (1e-4 if name in SINGLE else 1e-6) * flow.node_flow.top_row
    above = blocks.gradients()
    for row, (x, gradient) in enumerate(zip(blocks.rows, above, strict=True)):
        assert float(x @ gradient) == pytest.approx(flow.node_flow.nodes[row].sum(), abs=near)
    dense = [flow.dense(layer).sum(0) for layer in range(flow.n_layers)]
    for _ in range(N_RANDOM):
        layer, (src, dst) = draw.integers(flow.n_layers), sorted(draw.integers(N_POS, size=2))
        true = sum(
            float(
                above[layer + 1]
                @ blocks.from_v(read, z, dst, src)
                @ read.v.detach().double().flatten()
            )
            for read, z, _ in blocks.reads[layer]
        )
        assert dense[layer][dst, src] == pytest.approx(true, abs=near)
    if run.pieces[0].row.shape[:-1] != (1, N_POS):  # streams side by side, or positions first
        with pytest.raises(RefusedError, match=r"are not \[batch, pos, d_model\]: no path"):
            sample_in(run, asked, N_RANDOM)
        return
    with precision():
        sample = sample_in(run, asked, N_RANDOM)
    assert sample.paths
    for path in sample.paths:
        assert any(path.weight == pytest.approx(w, abs=near) for w in products(path, blocks))


def products(path, blocks):
    """Weights of a path by matrices, one for each choice of a read where a block has several."""
    d = len(blocks.top) // N_POS
    gradients = [blocks.top]
    for below, above in list(pairwise(path.nodes))[::-1]:
        layer, src, dst = above.layer - 1, below.pos, above.pos
        found = [r for r in blocks.reads[layer] if r[0].call.kv_layer == below.layer]
        next_up = []
        for gradient in gradients:
            ways = [gradient @ blocks.from_v(read, z, dst, src) @ v for read, z, v in found]
            if src == dst:  # whatever stays is one road
                own = gradient @ blocks.stay[layer] if below.layer == layer else 0
                ways = [sum(ways) + own]
            for way in ways:
                only = torch.zeros_like(gradient)
                only[src * d : (src + 1) * d] = way[src * d : (src + 1) * d]
                next_up.append(only)
        gradients = next_up
    return [float(gradient @ blocks.rows[0]) for gradient in gradients]
