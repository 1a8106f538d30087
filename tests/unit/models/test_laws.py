"""The checks themselves: what a report says, and what is refused before anything is watched."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

import torch
from torch import nn
from torch.nn import functional as F

from worldline.models.laws import (
    PROBE_POSITIONS,
    TOLERANCE,
    check_model,
    model_dtype,
    row_error,
    tolerance_of,
)


class Block(nn.Module):
    """One block, of which a test may replace `mix`."""

    def __init__(self, reads=1):
        super().__init__()
        self.reads = reads
        self.qkv = nn.ModuleDict({str(k): nn.Linear(8, 24) for k in range(reads)})
        self.mlp = nn.Linear(8, 8)

    def attend(self, x, k):
        q, key, v = (t.unflatten(-1, (2, 4)).transpose(1, 2) for t in self.qkv[k](x).chunk(3, -1))
        z = F.scaled_dot_product_attention(q, key, v, is_causal=True)
        return z.transpose(1, 2).flatten(2)

    def forward(self, x):
        for k in self.qkv:
            x = x + self.attend(x, k)
        return x + torch.tanh(self.mlp(x))


class SideBySide(Block):
    def forward(self, x):
        return x + sum(self.attend(x, k) for k in self.qkv) + torch.tanh(self.mlp(x))


class NoResidual(Block):
    def forward(self, x):
        return torch.tanh(self.mlp(x + self.attend(x, "0")))


class Model(nn.Module):
    def __init__(self, make=Block, n_blocks=2, in_list=True, **how):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(50, 8), nn.Linear(8, 50)
        blocks = [make(**how) for _ in range(n_blocks)]
        self.blocks = nn.ModuleList(blocks) if in_list else nn.Sequential(*blocks)

    def get_input_embeddings(self):
        return self.embed

    def forward(self, input_ids, use_cache=False, attention_mask=None):
        x = self.embed(input_ids)
        for block in self.blocks:
            x = block(x)
        return SimpleNamespace(logits=self.head(x))


class Parallel(nn.Module):
    """The parts of the blocks in lists side by side."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(50, 8), nn.Linear(8, 50)
        self.reads = nn.ModuleList([Read() for _ in range(3)])
        self.norms = nn.ModuleList([nn.LayerNorm(8) for _ in range(3)])
        self.mlps = nn.ModuleList([nn.Sequential(nn.Linear(8, 8), nn.GELU()) for _ in range(3)])

    def get_input_embeddings(self):
        return self.embed

    def forward(self, input_ids, use_cache=False):
        x = self.embed(input_ids)
        for read, norm, mlp in zip(self.reads, self.norms, self.mlps, strict=True):
            x = norm(x + read(x))
            x = x + mlp(x)
        return SimpleNamespace(logits=self.head(x))


class Read(Block):
    def forward(self, x):
        return self.attend(x, "0")


def test_a_plain_model_is_exact():
    report = check_model(Model())
    assert report.status == "exact"
    assert (report.calls, report.expected_calls, report.n_layers) == (2, 2, 2)
    assert report.equal
    assert report.padded
    assert report.reason == ""
    assert report.as_dict()["closure_error"] == report.closure_error < 1e-6


def test_blocks_spread_over_lists_end_where_the_next_begins():
    report = check_model(Parallel())
    assert report.status == "exact", report.reason
    assert (report.calls, report.n_layers) == (3, 3)


def test_reads_side_by_side_are_more_heads():
    assert check_model(Model(SideBySide, reads=2)).status == "exact"


def test_reads_in_series_are_refused():
    report = check_model(Model(reads=2))
    assert report.status == "refused"
    assert "in series" in report.reason


def test_no_residual_stream_is_refused():
    report = check_model(Model(NoResidual))
    assert report.status == "refused"
    assert "no residual stream there" in report.reason


def test_attention_outside_a_list_is_refused():
    report = check_model(Model(in_list=False))
    assert report.status == "refused"
    assert "lies in no list of blocks" in report.reason


def test_a_model_that_fails_by_itself_is_said_to():
    model = Model()
    model.head = nn.Linear(9, 50)
    report = check_model(model)
    assert report.status == "refused"
    assert report.reason.startswith(f"the model itself, unwatched, fails on {PROBE_POSITIONS}")


def test_a_model_left_as_it_was():
    model = Model()
    ids = torch.arange(9)[None]
    before, state = model(ids).logits, {k: v.clone() for k, v in model.state_dict().items()}
    check_model(model)
    assert torch.equal(model(ids).logits, before)
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_other_dtypes(dtype):
    model = Model().to(dtype)
    assert model_dtype(model) is dtype
    report = check_model(model)
    assert report.status == "exact", report.reason
    assert report.tolerance == tolerance_of(dtype)
    assert report.closure_error < report.tolerance


def test_row_errors_are_relative_and_absolute_at_zero():
    true = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    found = torch.tensor([[3.0, 4.5], [0.0, 0.2]])
    torch.testing.assert_close(row_error(found, true), torch.tensor([0.1, 0.2]).double())
